//! What a client is shown of an application that fails: in development why, in production nothing.

use std::time::{Duration, Instant};

use crate::harness::{Response, Server, serve};

const PAGE: (&str, &str) = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");

fn development(arguments: &[&str]) -> Server {
    Server::start("failing", &[&["--profile", "dev", "--no-browser-reload", "--threads", "1"], arguments].concat())
}

/// Asks for it at a local host, unless the fields name another.
fn ask(server: &Server, target: &str, fields: &[(&str, &str)]) -> Response {
    let here = [("Host", "localhost:8000")];
    let host = if fields.iter().any(|(name, _)| *name == "Host") { &[][..] } else { &here };
    let lines: Vec<_> = host.iter().chain(fields).map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let mut connection = server.connect();
    connection.send(format!("GET {target} HTTP/1.1\r\n{}\r\n", lines.concat()));
    connection.response("GET").expect("a whole response")
}

/// The page of a failure, for a browser of this machine.
fn page(server: &Server, target: &str) -> String {
    let response = ask(server, target, &[PAGE]).expect(500);
    assert_eq!(response.header("content-type"), Some("text/html; charset=utf-8"), "{target}");
    let page = response.text().to_owned();
    assert!(page.starts_with("<!DOCTYPE html>") && page.ends_with("</html>\n"), "{target}: {page}");
    page
}

fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
}

fn never_says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(!text.contains(part), "{part:?} in {text}");
    }
}

#[test]
fn a_browser_is_shown_the_exception_its_cause_the_source_and_the_variables() {
    let server = development(&[]);
    let fields = [PAGE, ("Cookie", "sid=in-a-cookie"), ("Authorization", "Bearer in-a-header"), ("X-Seen", "a<b")];
    let response = ask(&server, "/cause?token=in-the-query&page=3", &fields).expect(500);
    let page = response.text();
    says(
        page,
        &[
            "500 Internal Server Error",
            "<h1>RuntimeError</h1>",
            "outer &lt;b&gt;failure&lt;/b&gt;",
            "This was its direct cause:",
            "<h2>KeyError</h2>",
            "a note for whoever reads this",
            "failing.py:",
            "deepest",
            "return naïve + <mark>order[&quot;&lt;script&gt;alert(1)&lt;/script&gt;&quot;]</mark>",
            "<th scope=\"row\">password</th><td>********</td>",
            "&#x27;SECRET_KEY&#x27;: ********",
            "&#x27;debug&#x27;: True",
            "(&#x27;Authorization&#x27;, ********)",
            "text/plain-text",
            "postgres://ann:********@db.example/shop",
            "{&#x27;number&#x27;: 42}",
            "GET /cause?token=********&amp;page=3 HTTP/1.1",
            "<th scope=\"row\">x-seen</th><td>a&lt;b</td>",
            "<th scope=\"row\">Python</th><td>3.",
            "<th scope=\"row\">Isolation</th>",
            "<th scope=\"row\">Request id</th>",
        ],
    );
    // The source is shown as it is, so its own words are in it once.
    let values = page.replace("= &quot;hunter2&quot;", "").replace("=&quot;in-a-dictionary&quot;", "");
    let values = values.replace("&quot;in-a-field&quot;", "").replace("ann:in-an-address@", "");
    let secrets =
        ["hunter2", "in-a-cookie", "in-a-header", "in-the-query", "in-a-dictionary", "in-a-field", "in-an-address"];
    never_says(&values, &secrets);
    never_says(page, &["<script", "<b>failure", "src=", "http-equiv", "@import"]);
    let policy = response.header("content-security-policy").unwrap();
    says(policy, &["default-src 'none'", "style-src 'sha256-", "frame-ancestors 'none'"]);
    assert_eq!(response.header("cache-control"), Some("no-store"));
    assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(response.header("x-of-the-application"), None);
    server.stop().says(&["STACK0201", "RuntimeError: outer <b>failure</b>"]);
}

#[test]
fn programs_are_shown_a_problem_or_plain_text() {
    let server = development(&[]);
    let response = ask(&server, "/cause", &[("Accept", "application/json")]).expect(500);
    assert_eq!(response.header("content-type"), Some("application/problem+json"));
    let problem = response.json();
    assert_eq!((&problem["status"], &problem["title"]), (&500.into(), &"Internal Server Error".into()));
    assert_eq!((&problem["exception"], &problem["code"]), (&"RuntimeError".into(), &"STACK0201".into()));
    assert_eq!(problem["detail"], "The application raised: RuntimeError: outer <b>failure</b>");
    let lines = problem["traceback"].as_array().unwrap();
    assert!(lines.iter().any(|line| line.as_str().unwrap().contains("in deepest")), "{problem}");
    for accept in ["*/*", "text/plain", "text/html;q=0, */*"] {
        let response = ask(&server, "/cause", &[("Accept", accept)]).expect(500);
        assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"), "{accept}");
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"));
        says(
            response.text(),
            &["STACK0201", "Traceback (most recent call last)", "RuntimeError: outer <b>failure</b>"],
        );
    }
    let head = server.connect().request("HEAD", "/cause", &[PAGE], b"").expect(500);
    assert!(head.body.is_empty());
    server.stop();
}

#[test]
fn every_way_to_fail_before_the_response_is_explained() {
    let server = development(&[]);
    for (target, parts) in [
        ("/text", &["blocks must be bytes, not str", "broke the WSGI contract", "TypeError"][..]),
        ("/no-start", &["start_response() was not called before the first block", "AssertionError"]),
        ("/twice", &["a second call needs exc_info", "in application", "start_response"]),
        ("/bad-head", &["TypeError", "<mark>start_response(200, fields)</mark>"]),
        ("/iterable", &["KeyError", "genexpr", "deepest"]),
        ("/group", &["ExceptionGroup", "Exception 1 of 2", "first of them", "second of them"]),
        ("/recursion", &["RecursionError", "calls are left out"]),
        ("/syntax", &["SyntaxError", "written.py"]),
        ("/missing", &["KeyError", "missing"]),
        ("/library", &["JSONDecodeError", "<details class=\"library\"><summary>", "in Python&#x27;s json"]),
    ] {
        let text = page(&server, target);
        let text = text.replace("<span class=\"function\">", "in ");
        says(&text, parts);
        assert!(text.len() < 1_000_000, "{target}: {} bytes", text.len());
        assert_eq!(server.get("/").expect(200).text(), "well", "after {target}");
    }
    let mut connection = server.connect();
    connection.send("GET /late HTTP/1.1\r\nHost: localhost\r\nAccept: text/html\r\n\r\n");
    let response = connection.response("GET");
    assert!(response.is_err() || response.is_ok_and(|response| response.status == 500), "a head can not be taken back");
    server.stop();
}

#[test]
fn a_request_that_takes_too_long_is_explained_and_stays_a_504() {
    let server = development(&["--request-timeout", "500ms"]);
    let response = ask(&server, "/spin", &[PAGE]).expect(504);
    let parts = ["504 Gateway Timeout", "<h1>stack.RequestTimeout</h1>", "spin", "time.sleep(0.01)"];
    says(response.text(), &parts);
    server.stop().says(&["STACK0202", "STACK0336"]);
}

#[test]
fn values_that_can_not_be_shown_do_not_keep_the_page() {
    let server = development(&[]);
    let begun = Instant::now();
    let text = page(&server, "/values");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert!(text.len() < 200_000, "{} bytes", text.len());
    says(
        &text,
        &[
            "&#x27;seen&#x27;",
            "&lt;Raising: its repr() raised ValueError&gt;",
            "&lt;Endless: its repr() takes too long&gt;",
            "slow, and shown",
            "(40,000,000 characters)",
            "… 999,970 more]",
            "(10,000,000 long)",
            "&lt;int of 100,001 bits&gt;",
            "&lt;list of 1&gt;",
            "Keeper(token=********",
        ],
    );
    never_says(&text, &["toldtold"]);
    assert_eq!(server.get("/").expect(200).text(), "well");
    server.stop();
}

#[test]
fn no_kind_of_exception_keeps_a_browser_without_a_page() {
    let server = Server::start("raising", &["--profile", "dev", "--no-browser-reload", "--threads", "1"]);
    for kind in
        ["exit", "interrupt", "generator-exit", "refused", "unprintable", "surrogate", "group", "recursion", "memory"]
    {
        for point in ["call", "after-start-response", "next-1"] {
            let text = page(&server, &format!("/?at={point}&kind={kind}"));
            says(&text, &["<h1>", "raising.py"]);
        }
        assert_eq!(server.get("/?at=nowhere").expect(200).text(), "blockblockblock", "after {kind}");
    }
    server.stop();
}

const TRACES: [&str; 8] = ["Traceback", "failing.py", "RuntimeError", "outer", "deepest", "STACK", "hunter2", "Python"];

#[test]
fn production_says_nothing_of_it_whatever_is_asked_for() {
    let server = Server::start("failing", &["--threads", "1"]);
    for accept in [PAGE, ("Accept", "*/*"), ("Accept", "application/json")] {
        for target in ["/cause", "/text", "/twice", "/iterable", "/values", "/group"] {
            let response = ask(&server, target, &[accept]).expect(500);
            never_says(response.text(), &TRACES);
            for name in ["content-security-policy", "cache-control", "server-timing"] {
                assert_eq!(response.header(name), None, "{name}");
            }
            if accept.1 != "application/json" {
                assert_eq!(response.text(), "Internal server error\n");
                assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
            }
        }
    }
    let log = ["STACK0201", "STACK0211", "RuntimeError: outer <b>failure</b>", "Traceback (most recent call last)"];
    server.stop().says(&log).never_says(&["STACK0740"]);
}

#[test]
fn who_is_not_of_this_machine_is_told_nothing_in_development_either() {
    let server = development(&[]);
    for fields in [
        &[("Host", "rebound.example"), PAGE][..],
        &[("Host", "localhost.example:8000"), PAGE],
        &[PAGE, ("X-Forwarded-For", "203.0.113.9")],
        &[PAGE, ("Forwarded", "for=203.0.113.9")],
        &[PAGE, ("Via", "1.1 proxy")],
    ] {
        let response = ask(&server, "/cause", fields).expect(500);
        assert_eq!(response.text(), "Internal server error\n", "{fields:?}");
    }
    server.stop();
    let proxied = development(&["--trusted-proxies", "127.0.0.1"]);
    for (client, is_shown) in [("127.0.0.1", true), ("203.0.113.9", false), ("127.0.0.1, 203.0.113.9", false)] {
        let response = ask(&proxied, "/cause", &[PAGE, ("X-Forwarded-For", client)]).expect(500);
        assert_eq!(response.text().contains("RuntimeError"), is_shown, "{client}");
    }
    proxied.stop();
}

#[test]
fn details_for_all_are_for_all_and_the_log_warns_of_them() {
    let server = Server::start("failing", &["--error-details", "all"]);
    let fields = [("Host", "shop.example"), PAGE, ("X-Forwarded-For", "203.0.113.9")];
    let response = ask(&server, "/cause", &fields).expect(500);
    says(response.text(), &["<h1>RuntimeError</h1>"]);
    server.stop().says(&["STACK0740", "error_details=all"]);
    let development = development(&["--error-details", "all"]);
    ask(&development, "/cause", &fields).expect(500);
    development.stop().never_says(&["STACK0740"]);
    serve("failing", &["--profile", "dev", "--no-browser-reload", "--error-details", "all", "--bind", "0.0.0.0:0"])
        .server()
        .stop()
        .says(&["STACK0740"]);
}

#[test]
fn a_site_s_own_error_page_is_for_those_who_are_shown_no_details() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("500.html");
    std::fs::write(&path, "<p>the site's own page").unwrap();
    let rule = format!("500={}", path.display());
    let arguments = ["--error-page", &rule, "--header", "Content-Security-Policy: default-src *"];
    let server = development(&arguments);
    let response = ask(&server, "/cause", &[PAGE]).expect(500);
    says(response.text(), &["<h1>RuntimeError</h1>"]);
    says(response.header("content-security-policy").unwrap(), &["default-src 'none'"]);
    let response = ask(&server, "/cause", &[("Host", "elsewhere.example"), PAGE]).expect(500);
    assert_eq!(response.text(), "<p>the site's own page");
    server.stop();
}
