use http::Response as HttpResponse;

use super::*;

fn page(status: ErrorStatus, name: &str, content: &str) -> ErrorPage {
    ErrorPage { status, path: name.into(), content: content.into() }
}

fn pages() -> Pages {
    let pages = [
        page(ErrorStatus::Code(404), "404.html", "<p>{{status}} {{reason}}, {{request_id}}{{other}}"),
        page(ErrorStatus::Class(5), "oops.txt", "oops"),
        page(ErrorStatus::Code(418), "418.html", "{{reason}}"),
    ];
    Pages::new(&pages, false)
}

fn response(status: u16, fields: &[(&str, &str)]) -> Response {
    let mut response = HttpResponse::builder().status(status);
    for (name, value) in fields {
        response = response.header(*name, *value);
    }
    response.body(Body::from("the old text")).unwrap()
}

fn dressed(pages: &Pages, mut response: Response, accept: Option<&str>) -> (HeaderMap, String) {
    let accept = accept.map(|accept| HeaderValue::try_from(accept).unwrap());
    let status = response.status();
    pages.dress(&mut response, RequestId(0x2a), accept.as_ref());
    assert_eq!(response.status(), status);
    let (parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let body = String::from_utf8(runtime.block_on(body).unwrap().to_vec()).unwrap();
    (parts.headers, body)
}

#[test]
fn a_page_has_its_placeholders_filled_and_its_own_length() {
    let fields = [("etag", "\"x\""), ("content-length", "12"), ("connection", "close"), ("retry-after", "1")];
    let (headers, body) = dressed(&pages(), response(404, &fields), None);
    assert_eq!(body, "<p>404 Not Found, 000000000000002a{{other}}");
    assert_eq!(headers["content-length"], body.len().to_string().as_str());
    assert_eq!(headers["content-type"], "text/html; charset=utf-8");
    assert_eq!((&headers["connection"], &headers["retry-after"]), (&"close".parse().unwrap(), &"1".parse().unwrap()));
    assert!(!headers.contains_key("etag"));
    assert_eq!(dressed(&pages(), response(418, &[]), None).1, "I&#39;m a teapot");
}

#[test]
fn a_status_goes_before_its_class_and_others_keep_their_text() {
    let (headers, body) = dressed(&pages(), response(503, &[]), None);
    assert_eq!((body.as_str(), &headers["content-type"]), ("oops", &"text/plain; charset=utf-8".parse().unwrap()));
    assert_eq!(dressed(&pages(), response(400, &[]), None).1, "the old text");
}

#[test]
fn a_client_that_asks_for_json_gets_it_with_or_without_a_page() {
    for pages in [pages(), Pages::default()] {
        let (headers, body) = dressed(&pages, response(404, &[]), Some("application/json, text/plain, */*"));
        assert_eq!(headers["content-type"], "application/problem+json");
        assert_eq!(headers["content-length"], body.len().to_string().as_str());
        let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
        let expected = serde_json::json!({
            "type": "about:blank", "title": "Not Found", "status": 404, "request_id": "000000000000002a",
        });
        assert_eq!(problem, expected);
    }
}

#[test]
fn what_a_client_is_shown_of_a_failure_stays() {
    let mut response = response(500, &[]);
    response.extensions_mut().insert(Shown);
    let (headers, body) = dressed(&pages(), response, Some("application/json"));
    assert_eq!((body.as_str(), headers.len()), ("the old text", 0));
}

#[test]
fn an_application_s_page_is_replaced_only_where_that_is_wanted_and_it_is_for_people() {
    let of_application = |content_type: &str| {
        let mut response = response(404, &[("content-type", content_type)]);
        response.extensions_mut().insert(Whose::Application);
        response
    };
    let for_application = Pages { for_application: true, ..pages() };
    for (pages, content_type, replaced) in [
        (&pages(), "text/html", false),
        (&for_application, "text/html; charset=utf-8", true),
        (&for_application, "Text/Plain", true),
        (&for_application, "application/json", false),
    ] {
        let (_, body) = dressed(pages, of_application(content_type), None);
        assert_eq!(body != "the old text", replaced, "{content_type}");
    }
    let (_, body) = dressed(&for_application, of_application("text/html"), Some("application/json"));
    assert!(body.starts_with("<p>404"), "{body}");
}

#[test]
fn a_body_that_the_configuration_names_stays() {
    let mut response = response(404, &[]);
    response.extensions_mut().insert(Whose::Configuration);
    assert_eq!(dressed(&pages(), response, Some("application/json")).1, "the old text");
}
