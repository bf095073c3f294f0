//! Which files count.

use std::{fs, time::Instant};

use super::{dev_of, reloads, reloads_next_for_the_application, save, versioned, wait_for_text};
use crate::harness::eventually;

/// Answers with the content of a file that was read at the import.
fn reading(path: &str) -> String {
    let text = versioned("one").replace("[b'one']", "[text]").replace(", ('Content-Length', '3')", "");
    format!("text = open({path:?}, 'rb').read()\n{text}")
}

#[test]
fn a_changed_template_is_served() {
    let server = dev_of(&reading("templates/mail.txt")).file("templates/mail.txt", "first").server();
    assert_eq!(server.get("/").expect(200).text(), "first");
    save(&server, "templates/mail.txt", "second");
    wait_for_text(&server, "second");
    server.stop();
}

#[test]
fn a_new_module_in_a_new_directory_counts() {
    let server = dev_of(&versioned("one")).server();
    save(&server, "shop/views.py", "x = 1\n");
    let all = eventually("the reload", || Some(reloads(&server)).filter(|all| !all.is_empty()));
    assert!(all[0].contains("changed=shop/views.py "), "{all:?}");
    server.stop();
}

#[test]
fn what_git_ignores_and_what_is_no_code_does_not_count() {
    // Where there is a repository shows in its folder.
    let stack = dev_of(&versioned("one"))
        .file(".git/HEAD", "ref: refs/heads/main\n")
        .file(".gitignore", "made.py\nbuild/\n")
        .file("build/x.py", "x = 1\n")
        .file("node_modules/a/x.js", "x\n")
        .file("environment/pyvenv.cfg", "")
        .file("environment/x.py", "x = 1\n");
    let server = stack.server();
    reloads_next_for_the_application(&server, "two");
    let others =
        ["made.py", "build/x.py", "node_modules/a/x.js", "environment/x.py", "db.sqlite3", "visits.json", "debug.log"];
    for name in others.iter().chain(&[".hidden.py", "changing.py~", "__pycache__/changing.cpython-313.pyc"]) {
        save(&server, name, "y = 2\n");
    }
    reloads_next_for_the_application(&server, "three");
    assert_eq!(reloads(&server).len(), 2);
    server.stop();
}

#[test]
fn what_the_application_writes_by_itself_does_not_reload() {
    let text = versioned("one").replace(
        "    start_response",
        "    for name in ['db.sqlite3', 'visits.json', 'uploads/cat.png', 'app.log']:\n        \
             with open(name, 'a') as file: file.write('once more')\n    \
         with open('templates/made.html', 'w') as file: file.write('always the same')\n    start_response",
    );
    let text = format!(
        "import os\nos.makedirs('uploads', exist_ok=True)\nopen('made.py', 'w').write('x = 1')\nimport made\n{text}"
    );
    let server = dev_of(&text).file("templates/made.html", "always the same").file("made.py", "x = 1").server();
    for _ in 0..5 {
        assert_eq!(server.get("/").expect(200).text(), "one");
    }
    reloads_next_for_the_application(&server, "two");
    assert_eq!(reloads(&server).len(), 1);
    server.stop();
}

#[test]
fn a_module_that_the_application_makes_anew_with_each_start_is_no_endless_loop() {
    let text = format!(
        "import time\nwith open('made.py', 'w') as file: file.write(f'x = {{time.time_ns()}}')\nimport made\n{}",
        versioned("one")
    );
    let server = dev_of(&text).server();
    // After some rounds it is over: what is saved then, second by second, is followed again.
    let (begun, mut second) = (Instant::now(), u64::MAX);
    eventually("a reload for another file", || {
        let now = begun.elapsed().as_secs();
        if std::mem::replace(&mut second, now) != now {
            save(&server, "other.py", &format!("x = {now}\n"));
        }
        reloads(&server).iter().any(|line| line.contains("other.py")).then_some(())
    });
    let all = reloads(&server);
    assert!(all.len() < 50, "{all:?}");
    server.stop();
}

#[test]
fn globs_say_what_else_counts_and_what_does_not() {
    let server = dev_of(&reading("data/prices.json"))
        .file("data/prices.json", "1")
        .arguments(["--reload-include", "data/*.json", "--reload-ignore", "made_*.py"])
        .server();
    save(&server, "made_by_us.py", "x = 1\n");
    save(&server, "data/prices.json", "2");
    wait_for_text(&server, "2");
    let all = eventually("the line of the reload", || Some(reloads(&server)).filter(|all| !all.is_empty()));
    assert!(all[0].contains("changed=data/prices.json "), "{all:?}");
    server.stop();
}

#[test]
fn a_checkout_of_many_files_is_one_reload() {
    let server = dev_of(&versioned("one")).server();
    let directory = server.process().directory().to_owned();
    for number in 0..50 {
        fs::write(directory.join(format!("module_{number}.py")), "x = 1\n").unwrap();
    }
    save(&server, "changing.py", &versioned("two"));
    wait_for_text(&server, "two");
    let all = eventually("the line of the reload", || Some(reloads(&server)).filter(|all| !all.is_empty()));
    assert!(all.len() == 1 && all[0].contains(" more\" took_ms="), "{all:?}");
    server.stop();
}
