//! The command and its log.

use super::{dev_of, versioned};
use crate::harness::stack;

#[test]
fn another_profile_is_a_contradiction() {
    stack(["dev", "--profile", "prod"]).run().expect(64).says(&["--profile prod", "stack serve --profile prod"]);
}

#[test]
fn the_file_does_not_take_the_profile_back() {
    let server = dev_of(&versioned("one")).file("stack.toml", "profile = 'prod'\n").server();
    super::reloads_next_for_the_application(&server, "two");
    server.stop();
}

#[test]
fn a_reload_on_change_takes_the_supervisor() {
    let both = ["dev", "--app", "none", "--no-supervisor", "--reload-on-change"];
    stack(both).run().expect(64).says(&["--reload-on-change", "supervisor is false"]);
}

#[test]
fn without_a_supervisor_it_serves_alone() {
    let server = dev_of(&versioned("one")).arguments(["--no-supervisor"]).server();
    assert_eq!(server.get("/").expect(200).text(), "one");
    server.stop();
}

#[test]
fn a_request_is_a_short_line() {
    let server = dev_of(&versioned("one")).env("TZ", "UTC").server();
    server.get("/shop?page=2").expect(200);
    let line = server.wait_for_line("/shop?page=2");
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!(&words[1..5], ["GET", "/shop?page=2", "200", "3B"], "{line}");
    assert!(words[5].ends_with("ms") && words.len() == 6, "{line}");
    assert_eq!(words[0].len(), "12:00:00.000".len(), "{line}");
    assert!(!line.contains('\u{1b}'), "no colours where nobody sees them");
    let page = super::page(&mut server.connect());
    assert!(page.text().contains("reload.js"));
    super::listen(&mut server.connect());
    let lines = server.stop().stdout();
    assert!(!lines.contains("/.stack/"), "what nobody has asked for is not logged: {lines}");
}

#[test]
fn an_exception_is_shown_as_python_shows_it() {
    let server = dev_of("def application(environ, start_response):\n    raise ValueError('here')\n").server();
    server.get("/").expect(500);
    let lines = server.process().wait_for("the traceback", |lines| {
        let start = lines.iter().position(|line| line.text.starts_with("Traceback (most recent call last):"))?;
        let end = lines[start..].iter().position(|line| line.text == "ValueError: here")?;
        Some(lines[start..=start + end].to_vec())
    });
    assert!(lines.iter().any(|line| line.text.ends_with("line 2, in application")), "{lines:?}");
    server.stop();
}
