//! Modules from elsewhere.

use super::{dev_of, save, versioned, wait_for_text, write};
use crate::harness::{Server, Stack};

/// Answers with a text of a module that lies in another directory, and is imported by the first request or before.
fn importing(directory: &std::path::Path, is_lazy: bool) -> String {
    let text = versioned("one").replace("[b'one']", "[library.deep.text]").replace(", ('Content-Length', '3')", "");
    let (at_import, in_request) = if is_lazy { ("", "import library.deep") } else { ("import library.deep", "pass") };
    let text = text.replace("    start_response", &format!("    {in_request}\n    start_response"));
    format!("import sys\nsys.path.append({directory:?})\n{at_import}\n{text}")
}

fn serving(directory: &std::path::Path, is_lazy: bool) -> Stack {
    write(directory, "library/__init__.py", "");
    write(directory, "library/deep.py", "text = b'first'\n");
    dev_of(&importing(directory, is_lazy))
}

fn text(server: &Server) -> String {
    server.get("/").expect(200).text().to_owned()
}

#[test]
fn a_module_from_elsewhere_counts() {
    let elsewhere = tempfile::tempdir().unwrap();
    let server = serving(elsewhere.path(), false).server();
    assert_eq!(text(&server), "first");
    write(elsewhere.path(), "library/deep.py", "text = b'second'\n");
    wait_for_text(&server, "second");
    server.stop();
}

#[test]
fn a_module_that_a_request_imports_counts_from_then_on() {
    let elsewhere = tempfile::tempdir().unwrap();
    let server = serving(elsewhere.path(), true).arguments(["--log-level", "debug"]).server();
    assert_eq!(text(&server), "first");
    // It is told of when the request is over.
    server.wait_for_line("modules from elsewhere are watched");
    write(elsewhere.path(), "library/deep.py", "text = b'second'\n");
    wait_for_text(&server, "second");
    server.stop();
}

#[test]
fn a_module_from_elsewhere_that_does_not_import_counts_too() {
    let elsewhere = tempfile::tempdir().unwrap();
    let server = dev_of(&versioned("one")).server();
    write(elsewhere.path(), "library/__init__.py", "");
    write(elsewhere.path(), "library/deep.py", "text = nothing\n");
    save(&server, "changing.py", &importing(elsewhere.path(), false));
    server.wait_for_line("NameError: name 'nothing' is not defined");
    write(elsewhere.path(), "library/deep.py", "text = b'mended'\n");
    wait_for_text(&server, "mended");
    server.stop();
}
