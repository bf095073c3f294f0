use axum::body::to_bytes;
use http::Request;

use super::*;

fn request(fields: &[(&str, &str)]) -> Parts {
    let mut builder = Request::get("/");
    for (name, value) in fields {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

fn page(fields: &[(&'static str, &'static str)]) -> Response {
    let mut response = Response::new(Body::from("<p>hello</p>"));
    response.extensions_mut().insert(MayReload);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    for (name, value) in fields {
        response.headers_mut().insert(*name, HeaderValue::from_static(value));
    }
    response
}

async fn text(response: Response) -> String {
    let bytes = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn only_what_a_browser_shows_as_a_page_gets_the_script() {
    let browser = ("accept", "text/html,*/*;q=0.8");
    for (fields, expected) in [
        (vec![browser], true),
        (vec![browser, ("sec-fetch-dest", "document")], true),
        (vec![browser, ("sec-fetch-dest", "iframe")], true),
        (vec![browser, ("sec-fetch-dest", "empty")], false),
        (vec![("accept", "*/*")], false),
        (vec![], false),
    ] {
        let mut request = request(&fields);
        request.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        assert_eq!(Development::new(true).prepare(&mut request), expected, "{fields:?}");
        assert_eq!(request.headers.contains_key(header::ACCEPT_ENCODING), !expected);
        assert!(!Development::new(false).prepare(&mut request), "nobody has asked for it");
    }
}

#[tokio::test]
async fn a_page_has_the_script_behind_it_and_the_length_of_both() {
    let mut response = page(&[("content-length", "12"), ("etag", "\"x\""), ("cache-control", "max-age=60")]);
    Development::new(true).add_script(&mut response);
    let headers = response.headers().clone();
    let text = text(response).await;
    assert!(text.starts_with("<p>hello</p>\n<script src=\"/.stack/reload.js\" data-version=\""), "{text}");
    assert!(text.ends_with(" async></script>\n"), "{text}");
    assert_eq!(headers[header::CONTENT_LENGTH], text.len().to_string());
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    assert!(!headers.contains_key(header::ETAG));
}

#[tokio::test]
async fn what_is_no_page_stays_as_it_is() {
    for fields in [
        [("content-type", "application/json")],
        [("content-encoding", "gzip")],
        [("content-disposition", "Attachment; filename=a.html")],
    ] {
        let mut response = page(&fields);
        Development::new(true).add_script(&mut response);
        assert_eq!(text(response).await, "<p>hello</p>", "{fields:?}");
    }
    let mut partial = page(&[]);
    *partial.status_mut() = StatusCode::PARTIAL_CONTENT;
    Development::new(true).add_script(&mut partial);
    assert_eq!(text(partial).await, "<p>hello</p>");
}

#[tokio::test]
async fn an_error_is_a_page_that_reloads_itself_and_a_file_is_none() {
    let mut error = plain("Bad gateway\n".into(), "text/plain");
    *error.status_mut() = StatusCode::BAD_GATEWAY;
    let mut file = page(&[]);
    file.extensions_mut().remove::<MayReload>();
    let mut file_of_application = plain("text".into(), "text/plain");
    file_of_application.extensions_mut().insert(MayReload);
    for response in [&mut file, &mut file_of_application] {
        Development::new(true).add_script(response);
    }
    assert_eq!((text(file).await, text(file_of_application).await), ("<p>hello</p>".into(), "text".into()));
    error.extensions_mut().insert(IsError);
    Development::new(true).add_script(&mut error);
    let text = text(error).await;
    assert!(text.contains("<h1>502 Bad Gateway</h1>") && text.contains(SCRIPT), "{text}");
}

#[tokio::test]
async fn a_policy_with_a_nonce_gets_a_script_with_that_nonce() {
    let policy = "default-src 'self' 'nonce-other'; script-src 'nonce-aB3+/=' 'strict-dynamic'";
    let mut response = page(&[("content-security-policy", policy)]);
    Development::new(true).add_script(&mut response);
    assert!(text(response).await.contains(" nonce=\"aB3+/=\" "));
}

#[tokio::test]
async fn an_application_that_does_not_import_is_stood_in_for_with_the_reason_as_text() {
    let development = Development::new(true);
    assert!(development.stand_in(&request(&[])).is_none());
    development.is_broken("Traceback\n  <module>\nNameError: a & b\n");
    let response = development.stand_in(&request(&[("accept", "text/html")])).unwrap();
    assert_eq!(response.status(), 503);
    let html = text(response).await;
    assert!(html.contains("  &lt;module&gt;\nNameError: a &amp; b</pre>"), "{html}");
    let response = development.stand_in(&request(&[])).unwrap();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/plain; charset=utf-8");
    assert!(text(response).await.contains("  <module>\nNameError: a & b\n"));
}

#[test]
fn nothing_is_sent_that_a_browser_would_remember_of_localhost() {
    let mut response = page(&[("strict-transport-security", "max-age=31536000")]);
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    Development::leave_no_trace(&mut response);
    assert!(!response.headers().contains_key(header::STRICT_TRANSPORT_SECURITY));
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    let mut found = page(&[]);
    *found.status_mut() = StatusCode::FOUND;
    Development::leave_no_trace(&mut found);
    assert!(!found.headers().contains_key(header::CACHE_CONTROL));
}

#[tokio::test]
async fn a_version_is_another_one_when_pages_are() {
    let development = Development::new(true);
    let version = || development.version(&development.0.state.borrow());
    let first = version();
    development.files_changed();
    let second = version();
    assert_ne!(first, second);
    development.reload_failed("not today");
    assert_eq!(version(), second, "what is served is what was served");
    assert!(development.stand_in(&request(&[])).is_none());
    development.is_broken("not at all");
    let third = version();
    development.reload_failed("still not");
    assert_ne!(version(), third, "the reason is the page");
    assert_ne!(Development::new(true).0.server, "", "servers are told apart");
}

#[tokio::test]
async fn the_paths_are_taken_only_where_pages_reload_themselves() {
    let asked = |development: &Development, path: &str| {
        let parts = Request::get(path).body(()).unwrap().into_parts().0;
        development.answer(&parts).map(|response| response.status().as_u16())
    };
    for (path, expected) in [
        ("/.stack/reload.js", Some(200)),
        ("/.stack/events", Some(200)),
        ("/.stack/other", Some(404)),
        ("/.stack", None),
        ("/", None),
    ] {
        assert_eq!(asked(&Development::new(true), path), expected, "{path}");
        assert_eq!(asked(&Development::new(false), path), None, "{path}");
    }
}
