//! What a failure leaves for its client, in the form that the request names.

use stack_bridge::{DetailsForm, Failure};

use crate::harness::{App, block_on, can_run, get, limits};

const SOURCE: &str = r#"
def application(environ, start_response):
    path, token = environ["PATH_INFO"], "a secret"
    if path == "/begun":
        start_response("200 OK", [])(b"block")
    if path == "/contract":
        return []
    del environ["PATH_INFO"]
    raise ValueError(f"<{path}>")
"#;

fn details(app: &App, path: &str, form: Option<DetailsForm>) -> Option<String> {
    let mut request = get(path);
    request.details = form;
    let mut reply = app.push(request, limits(1 << 20));
    assert_eq!(block_on(reply.head()).err(), Some(Failure::Application));
    reply.take_details().map(|text| String::from_utf8(text).unwrap())
}

#[test]
fn each_form_has_the_failure_in_it_and_nothing_is_made_unasked() {
    if !can_run() {
        return;
    }
    let app = App::plain(SOURCE);
    let page = details(&app, "/a&b", Some(DetailsForm::Html)).unwrap();
    assert!(page.contains("&lt;/a&amp;b&gt;") && page.contains("<h1>ValueError</h1>"), "{page}");
    assert!(!page.contains("&#x27;a secret&#x27;") && page.contains("0000000000000007"), "{page}");
    let problem = details(&app, "/a", Some(DetailsForm::Json)).unwrap();
    let problem: serde_json::Value = serde_json::from_str(&problem).unwrap();
    assert_eq!((&problem["message"], &problem["request_id"]), (&"</a>".into(), &"0000000000000007".into()));
    let text = details(&app, "/a", Some(DetailsForm::Text)).unwrap();
    assert!(text.contains("ValueError: </a>") && !text.contains('\0'), "{text}");
    let contract = details(&app, "/contract", Some(DetailsForm::Text)).unwrap();
    assert!(contract.contains("STACK0211") && contract.contains("AssertionError"), "{contract}");
    assert_eq!(details(&app, "/a", None), None);
    app.stop();
}

#[test]
fn a_response_that_has_begun_is_cut_without_them() {
    if !can_run() {
        return;
    }
    let app = App::one_by_one(SOURCE);
    let mut request = get("/begun");
    request.details = Some(DetailsForm::Html);
    let mut reply = app.push(request, limits(1 << 20));
    assert_eq!(block_on(reply.head()).unwrap().status, 200);
    // Its thread takes the next one when it is through with this.
    app.get("/contract");
    assert_eq!(reply.take_details(), None);
    app.stop();
}
