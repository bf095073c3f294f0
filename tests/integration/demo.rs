//! What `cargo demo` serves.

use crate::harness::{Browser, Server, stack, tests_argument};

fn server() -> Server {
    let (chdir, public) = (tests_argument("apps/demo"), tests_argument("apps/demo/public"));
    stack(["serve", "--chdir", &chdir, "--app", "app:wsgi", "--static", &public]).server()
}

#[test]
fn every_page_of_the_demo_is_there_with_its_files() {
    let server = server();
    let mut browser = Browser::new(&server);
    for (target, part) in [
        ("/", "It runs"),
        ("/environ", "wsgi.multithread"),
        ("/upload", "multipart/form-data"),
        ("/stream", "/stream/lines"),
        ("/style.css", "--accent"),
        ("/demo.js", "fetch"),
        ("/logo.svg", "<svg"),
    ] {
        assert!(browser.get(target).expect(200).text().contains(part), "{target}");
    }
    assert_eq!(browser.get("/logo.svg").header("content-type"), Some("image/svg+xml"));
    browser.get("/nowhere").expect(404);
    server.stop();
}

#[test]
fn the_demo_takes_an_upload() {
    let server = server();
    let page = Browser::new(&server).upload("/upload", &[], ("notes.bin", b"\x00\xff three")).expect(200);
    assert!(page.text().contains("notes.bin") && page.text().contains("8 bytes"), "{}", page.text());
}

#[test]
fn the_demo_streams_line_by_line() {
    let server = server();
    let mut connection = server.connect();
    connection.send("GET /stream/lines HTTP/1.1\r\nHost: a\r\n\r\n");
    connection.response_head().unwrap().expect(200);
    let first = String::from_utf8(connection.chunk().unwrap().unwrap()).unwrap();
    assert!(first.starts_with("line 1 ") && !first.contains("line 2"), "{first}");
}

#[test]
fn cargo_run_hands_over_nothing_that_is_mistaken_for_a_key() {
    // Cargo gives what a build script sets at compile time to the program it runs as well.
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_stack"));
    let output = command.arg("config").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
