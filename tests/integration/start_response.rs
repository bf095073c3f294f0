//! `start_response` and the head it makes (PEP 3333 "The `start_response()` Callable").

use std::io::ErrorKind;

use crate::harness::{Gate, Server};

#[test]
fn a_head_is_passed_on_as_the_application_wrote_it() {
    for app in ["heads:bare", "heads:application"] {
        let server = Server::start(app, &[]);
        let response = server.get("/repeated").expect(200);
        assert_eq!(response.header_values("set-cookie"), ["a=1", "b=2"]);
        assert_eq!(response.header("x-empty"), Some(""));
        assert_eq!(response.header("x-lower"), Some("kept"));
        assert_eq!(response.version, "HTTP/1.1");
        let response = server.get("/latin-1").expect(200);
        assert_eq!(response.header("x-name"), Some("caf\u{e9}"));
        let response = server.get("/reason").expect(299);
        assert_eq!(response.reason, "Quite All Right");
        server.stop();
    }
}

#[test]
fn date_and_server_are_added_once() {
    let server = Server::start("heads:bare", &[]);
    let response = server.get("/good").expect(200);
    assert!(response.header("date").is_some_and(|date| date.ends_with(" GMT")));
    let own = server.get("/own-date").expect(200);
    assert_eq!(own.header("date"), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
    assert_eq!(own.header("server"), Some("mine"));
}

#[test]
fn a_wrong_head_is_an_error_that_names_it() {
    let server = Server::start("heads:bare", &["--workers", "1", "--threads", "1"]);
    let mut connection = server.connect();
    for (target, message) in [
        ("/status-bytes", "status"),
        ("/status-int", "status"),
        ("/status-word", "status"),
        ("/status-short", "status"),
        ("/status-long", "status"),
        ("/status-newline", "status"),
        ("/headers-none", "list"),
        ("/headers-dict", "list"),
        ("/header-str", "tuple"),
        ("/header-triple", "tuple"),
        ("/name-bytes", "str"),
        ("/name-space", "X Name"),
        ("/name-colon", "X-Name:"),
        ("/name-empty", "name"),
        ("/value-int", "X-Name"),
        ("/value-bytes", "X-Name"),
        ("/value-newline", "X-Name"),
        ("/value-nul", "X-Name"),
        ("/value-wide", "X-Name"),
        ("/length-word", "Content-Length"),
        ("/length-negative", "Content-Length"),
        ("/length-twice", "Content-Length"),
        ("/hop-connection", "Connection"),
        ("/hop-keep-alive", "Keep-Alive"),
        ("/hop-transfer-encoding", "Transfer-Encoding"),
        ("/hop-upgrade", "Upgrade"),
        ("/hop-trailer", "Trailer"),
        ("/hop-te", "TE"),
        ("/hop-proxy-authenticate", "Proxy-Authenticate"),
    ] {
        let seen = server.process().lines().len();
        // An error of the application's may cost the connection.
        connection.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let response = connection.response("GET").unwrap();
        assert_eq!(response.status, 500, "{target}: {response:?}");
        assert_eq!(response.header("x-injected"), None, "{target}");
        assert!(!response.text().contains("Traceback"), "the cause is the log's, not the client's");
        if response.closes() {
            connection = server.connect();
        }
        server.process().wait_for(&format!("{message:?} in the log of {target}"), |lines| {
            let after = lines.get(seen..).unwrap_or_default();
            // The access log names the target, which is no message.
            after.iter().any(|line| line.text.replace(target, "").contains(message)).then_some(())
        });
    }
    assert_eq!(server.get("/good").expect(200).text(), "body");
    server.stop();
}

#[test]
fn start_response_needs_its_arguments() {
    let server = Server::start("heads:no_arguments", &[]);
    server.get("/").expect(500);
    server.wait_for_line("TypeError");
}

#[test]
fn a_second_call_without_exc_info_is_an_error() {
    let server = Server::start("second_call", &[]);
    server.get("/without").expect(500);
    server.wait_for_line("exc_info");
}

#[test]
fn a_second_call_with_exc_info_replaces_the_head() {
    let server = Server::start("second_call", &[]);
    let response = server.get("/replaced").expect(503);
    assert_eq!(response.reason, "Replaced");
    assert_eq!(response.header("x-first"), None);
    assert_eq!(response.header("x-second"), Some("yes"));
    assert_eq!(response.text(), "replaced");
    assert_eq!(server.get("/thrice").expect(502).text(), "third");
}

#[test]
fn exc_info_after_the_head_went_out_is_raised_again() {
    let gate = Gate::new();
    let server = Server::start("second_call", &[]);
    let mut connection = server.connect();
    connection.send(format!("GET {} HTTP/1.1\r\nHost: a\r\n\r\n", gate.target("/after-the-head")));
    let held = gate.entered();
    connection.response_head().unwrap().expect(200);
    assert_eq!(connection.chunk().unwrap().as_deref(), Some(&b"the head is out"[..]));
    held.release();
    let end = connection.chunk().expect_err("the response is cut");
    assert!(matches!(end.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{end}");
    server.wait_for_line("LookupError: the cause");
    server.stop();
}
