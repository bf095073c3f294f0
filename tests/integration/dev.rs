//! `stack dev`: a saved file is served at once, and pages show it by themselves.

use std::{fs, path::Path};

use crate::harness::{Connection, Response, Server, Stack, eventually, stack};

mod broken;
mod browser;
mod command;
mod files;
mod imports;
mod reloads;

/// A page that says which version of its file it is.
fn versioned(version: &str) -> String {
    format!(
        "def application(environ, start_response):\n    \
         start_response('200 OK', [('Content-Type', 'text/html'), ('Content-Length', '{}')])\n    \
         return [b'{version}']\n",
        version.len()
    )
}

fn dev_of(text: &str) -> Stack {
    stack(["dev", "--app", "changing"]).file("changing.py", text)
}

/// Writes a file into the directory of the application.
fn save(server: &Server, name: &str, text: &str) {
    let path = server.process().directory().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn wait_for_text(server: &Server, text: &str) {
    eventually(text, || (server.get("/").text() == text).then_some(()));
}

/// How often another server has taken over.
fn reloads(server: &Server) -> Vec<String> {
    let lines = server.process().lines();
    lines.into_iter().map(|line| line.text).filter(|text| text.contains(" reloaded changed=")).collect()
}

/// Saves the application, and insists that the reload for this is the next one.
#[track_caller]
fn reloads_next_for_the_application(server: &Server, version: &str) {
    let before = reloads(server).len();
    save(server, "changing.py", &versioned(version));
    wait_for_text(server, version);
    let all = eventually("the line of the reload", || Some(reloads(server)).filter(|all| all.len() > before));
    assert!(all[before].contains("changed=changing.py "), "{all:?}");
}

/// The page as a browser gets it.
fn page(connection: &mut Connection) -> Response {
    connection.request("GET", "/", &[("Accept", "text/html"), ("Sec-Fetch-Dest", "document")], b"")
}

/// The next event of a stream, as JSON.
fn event(connection: &mut Connection) -> Option<serde_json::Value> {
    loop {
        let chunk = connection.chunk().expect("a whole stream")?;
        let text = String::from_utf8(chunk).expect("text");
        if let Some(data) = text.lines().find_map(|line| line.strip_prefix("data: ")) {
            return Some(serde_json::from_str(data).expect("JSON"));
        }
    }
}

/// Listens to the events; gives the first one.
fn listen(connection: &mut Connection) -> serde_json::Value {
    connection.send("GET /.stack/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let head = connection.response_head().expect("a response").expect(200);
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    event(connection).expect("a first event")
}

/// The version in a page's script.
fn version_of(page: &Response) -> String {
    let text = page.text();
    let (_, rest) = text.split_once("data-version=\"").unwrap_or_else(|| panic!("no script in {text}"));
    rest.split('"').next().unwrap_or_default().to_owned()
}

/// A directory with an end that is none of git's repositories.
fn write(directory: &Path, name: &str, text: &str) {
    let path = directory.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
