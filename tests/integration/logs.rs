//! What is logged: the application's own lines, its exceptions, and every request.

use serde_json::Value;

use crate::harness::{Process, Server, serve};

/// Waits for a line that ends in `text`: the server may set a time and a level before it.
fn wait_for_line_that_ends_in(process: &Process, text: &str) -> String {
    process.wait_for(&format!("a line that ends in {text:?}"), |lines| {
        lines.iter().find(|line| line.text.trim_end().ends_with(text)).map(|line| line.text.clone())
    })
}

#[test]
fn what_the_application_prints_comes_out_line_by_line() {
    let server = Server::start("printing", &[]);
    server.wait_for_line("printed at import");
    server.get("/print").expect(200);
    for line in [
        "in two pieces",
        "several",
        "lines at once",
        "to stderr",
        "caf\u{e9} \u{20ac} \u{1f40d}",
        "half a character",
        "without an end",
    ] {
        wait_for_line_that_ends_in(server.process(), line);
    }
    server.stop();
}

#[test]
fn wsgi_errors_carries_the_request_s_id() {
    let server = Server::start("printing", &["--log-format", "json", "--access-log", "-"]);
    server.get("/errors").expect(200);
    let access = access_line(server.process());
    let id = access["request_id"].as_str().expect("an id in the access log").to_owned();
    for text in [
        "written to wsgi.errors",
        "first of several",
        "second of several",
        "printed to wsgi.errors",
        "not ended by a newline",
    ] {
        let line = server.wait_for_line(text);
        assert!(line.contains(&id), "no {id} in {line}");
    }
    server.stop();
}

#[test]
fn logging_comes_out_with_its_traceback() {
    let server = Server::start("printing", &[]);
    server.get("/logging").expect(200);
    for line in ["WARNING:shop:basket 7 is empty", "ERROR:shop:it went wrong", "LookupError: logged on purpose"] {
        wait_for_line_that_ends_in(server.process(), line);
    }
}

#[test]
fn lines_of_several_threads_are_not_mixed() {
    let server = Server::start("printing", &["--workers", "2", "--threads", "2"]);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| server.get("/threads?count=4").expect(200));
        }
    });
    let finished = server.stop();
    let lines: Vec<_> = finished.lines.iter().filter(|line| line.text.contains("<thread ")).collect();
    assert_eq!(lines.len(), 800);
    for line in lines {
        assert_eq!(line.text.matches('<').count(), 1, "{}", line.text);
        assert!(line.text.trim_end().ends_with(&format!("{}>", ".".repeat(200))), "{}", line.text);
    }
}

fn access_line(process: &Process) -> Value {
    process.wait_for("an access line in JSON", |lines| {
        let objects = lines.iter().filter_map(|line| serde_json::from_str::<Value>(&line.text).ok());
        objects.into_iter().find(|object| object.get("status").is_some())
    })
}

#[test]
fn the_access_log_has_the_combined_format() {
    let server = Server::start("hello", &["--access-log", "-"]);
    let agent = [("User-Agent", "tester \"quoted\""), ("Referer", "http://example.org/")];
    server.connect().request("GET", "/a?b=c", &agent, b"").expect(200);
    let line = server.wait_for_line("GET /a?b=c");
    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
    assert!(line.contains("] \"GET /a?b=c HTTP/1.1\" 200 6 \"http://example.org/\" \""), "{line}");
    assert!(!line.contains("tester \"quoted\""), "a quote from the client is escaped: {line}");
    server.stop();
}

#[test]
fn nobody_can_write_control_characters_into_the_log() {
    let server = Server::start("hello", &["--access-log", "-"]);
    let mut connection = server.connect();
    connection.send(b"GET /a HTTP/1.1\r\nHost: a\r\nUser-Agent: a\tb\xff\xc2\x9bc\r\n\r\n");
    connection.response("GET").unwrap().expect(200);
    server.wait_for_line("GET /a");
    connection.send(b"GET /b HTTP/1.1\r\nHost: a\r\nUser-Agent: \x1b[31mred\r\n\r\n");
    connection.response("GET").unwrap().expect(400);
    let finished = server.stop();
    for line in finished.lines {
        assert!(!line.text.contains(char::is_control) && !line.text.contains('\u{fffd}'), "{:?}", line.text);
    }
}

#[test]
fn the_access_log_in_json_tells_where_the_time_went() {
    let server = Server::start("hello", &["--access-log", "-", "--log-format", "json"]);
    server.get("/a?b=c").expect(200);
    let line = access_line(server.process());
    assert_eq!(line["status"], 200, "{line}");
    assert_eq!(line["method"], "GET", "{line}");
    assert!(line["request_id"].as_str().is_some_and(|id| id.len() == 16), "{line}");
    let keys: Vec<_> = line.as_object().unwrap().keys().map(String::as_str).collect();
    for part in ["queue", "app", "bytes", "worker"] {
        assert!(keys.iter().any(|key| key.contains(part)), "nothing about {part} in {keys:?}");
    }
}

#[test]
fn in_json_every_line_of_the_server_is_an_object() {
    let server = Server::start("raising", &["--access-log", "-", "--log-format", "json"]);
    server.get("/?at=call").expect(500);
    server.get("/?at=nowhere").expect(200);
    let finished = server.stop();
    for line in finished.lines {
        assert!(serde_json::from_str::<Value>(&line.text).is_ok_and(|line| line.is_object()), "{}", line.text);
    }
}

#[test]
fn the_access_log_may_go_to_a_file_or_nowhere() {
    let server = serve("hello", &["--access-log", "access.log"]).server();
    server.get("/in-the-file").expect(200);
    let file = server.process().directory().join("access.log");
    crate::harness::eventually("the line is in the file", || {
        std::fs::read_to_string(&file).ok().filter(|log| log.contains("GET /in-the-file HTTP/1.1"))
    });
    let finished = server.stop();
    assert!(!finished.stdout().contains("/in-the-file"));

    let server = serve("hello", &["--access-log", "off"]).server();
    server.get("/nowhere").expect(200);
    let finished = server.stop();
    assert!(!finished.stdout().contains("/nowhere") && !finished.stderr().contains("/nowhere"));
}

#[test]
fn an_exception_is_logged_with_the_request_s_id() {
    let server = Server::start("raising", &["--access-log", "-", "--log-format", "json"]);
    server.get("/?at=call").expect(500);
    let id = access_line(server.process())["request_id"].as_str().unwrap().to_owned();
    let line = server.wait_for_line("raised on purpose");
    assert!(line.contains(&id), "no {id} in {line}");
    assert!(line.contains("Traceback (most recent call last)"), "{line}");
    server.stop();
}

#[test]
fn start_up_tells_what_is_served_where_and_with_what() {
    let public = crate::harness::tests_argument("apps/demo/public");
    let server = Server::start("hello", &["--workers", "2", "--threads", "3", "--static", &format!("/files={public}")]);
    server.get("/").expect(200);
    let finished = server.stop();
    let said = finished.stderr();
    for part in
        ["app=hello", "http://127.0.0.1:", "python=3.", "venv=", "workers=2", "threads=3", "/files", public.as_str()]
    {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
}

#[test]
fn each_phase_of_a_connection_is_an_event() {
    let server = Server::start("hello", &["--log-level", "trace"]);
    let mut client = server.connect();
    client.get("/").expect(200);
    client.get("/").expect(200);
    drop(client);
    let phase = |from: &str, to: &str| server.wait_for_line(&format!("from={from} to={to}"));
    phase("Idle", "Head");
    phase("Head", "Answering");
    phase("Answering", "Flushing");
    phase("Flushing", "Idle");
    phase("Idle", "Closing");
    server.stop();
}
