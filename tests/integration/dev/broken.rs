//! A start with an application that does not import.

use super::{dev_of, event, listen, page, save, version_of, versioned, wait_for_text};
use crate::harness::{eventually, stack};

const BROKEN: &str = "def make():\n    raise ValueError('<b> & more')\nmake()\n";

#[test]
fn the_server_answers_with_the_reason_until_it_is_mended() {
    let server = dev_of(BROKEN).server();
    server.wait_for_line("STACK0722");
    server.wait_for_line("ValueError: <b> & more");
    let plain = server.get("/").expect(503);
    assert_eq!(plain.header("content-type"), Some("text/plain; charset=utf-8"));
    assert!(plain.text().contains("in make\n") && plain.text().contains("ValueError: <b> & more"), "{}", plain.text());
    let html = page(&mut server.connect()).expect(503);
    assert!(html.text().contains("ValueError: &lt;b&gt; &amp; more"), "{}", html.text());
    let mut listening = server.connect();
    let first = listen(&mut listening);
    assert_eq!(first["version"], version_of(&html), "the page is up to date");

    // What is broken in another way is another page.
    save(&server, "changing.py", "import nothing_of_that_name\n");
    let second = event(&mut listening).expect("another event");
    assert_ne!(second["version"], first["version"]);
    let html = page(&mut server.connect()).expect(503);
    assert!(html.text().contains("ModuleNotFoundError"), "{}", html.text());

    save(&server, "changing.py", &versioned("mended"));
    wait_for_text(&server, "mended");
    assert_eq!(event(&mut listening).expect("the last event")["version"], serde_json::Value::Null);
    assert_eq!(event(&mut listening), None);
    server.stop();
}

#[test]
fn code_that_fails_later_is_told_to_the_pages_that_are_open() {
    let server = dev_of(&versioned("one")).server();
    let mut listening = server.connect();
    let first = listen(&mut listening);
    assert_eq!(first["failure"], serde_json::Value::Null);
    save(&server, "changing.py", BROKEN);
    let failed = event(&mut listening).expect("an event");
    assert_eq!((&failed["version"], &failed["failure"]), (&first["version"], &"ValueError: <b> & more".into()));
    server.stop();
}

#[test]
fn a_crash_is_followed_by_what_is_there_then() {
    let server = dev_of(&versioned("one")).arguments(["--reload-ignore", "changing.py"]).server();
    let pid = server.process().server_pid();
    save(&server, "changing.py", BROKEN);
    crate::supervisor::kill(pid, rustix::process::Signal::KILL);
    server.wait_for_line("STACK0722");
    eventually("the reason", || (server.get("/").status == 503).then_some(()));
    save(&server, "other.py", "");
    save(&server, "changing.py", &versioned("mended"));
    save(&server, "other.py", "x = 1\n");
    wait_for_text(&server, "mended");
    server.stop();
}

#[test]
fn in_production_the_start_fails() {
    stack(["serve", "--app", "changing", "--bind", "127.0.0.1:0"])
        .file("changing.py", BROKEN)
        .run()
        .expect(1)
        .says(&["ValueError: <b> & more"])
        .never_says(&["STACK0722"]);
}
