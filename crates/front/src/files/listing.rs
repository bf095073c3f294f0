//! What is in a directory, as a page or as JSON.

use std::{
    fmt::Write,
    io,
    os::unix::ffi::OsStrExt,
    path::Path,
    time::{Duration, SystemTime},
};

use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderValue, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use serde::Serialize;

use super::open;
use crate::html::escaped;

/// More entries than this are not listed: who needs them needs another tool.
const MOST: usize = 10_000;

/// What may stand in a segment of a path as it is (RFC 3986 §3.3, unreserved).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// An entry, in the words of nginx's JSON listing.
#[derive(Debug, Serialize)]
pub(super) struct Entry {
    #[serde(skip)]
    raw: Vec<u8>,
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    mtime: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
}

/// Reads a directory: what can be asked for in it, directories first, by name.
pub(super) fn entries(root: &Path, directory: &Path) -> io::Result<Vec<Entry>> {
    let opened = open::directory(root, directory)?;
    let mut entries = Vec::new();
    for entry in rustix::fs::Dir::new(opened)?.take(MOST) {
        let entry = entry?;
        let raw = entry.file_name().to_bytes();
        if raw.starts_with(b".") || raw.contains(&b'\\') {
            continue;
        }
        // As a request would find it: a link that leads out of the root is not there.
        let name = directory.join(std::ffi::OsStr::from_bytes(raw));
        let Some(metadata) = open::metadata(root, &name).filter(|it| it.is_file() || it.is_dir()) else { continue };
        let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        entries.push(Entry {
            raw: raw.to_vec(),
            name: String::from_utf8_lossy(raw).into_owned(),
            kind: if metadata.is_dir() { "directory" } else { "file" },
            // HTTP dates end in 9999, and file systems do not.
            mtime: httpdate::fmt_http_date(
                modified.min(SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 365 * 8000)),
            ),
            size: metadata.is_file().then_some(metadata.len()),
        });
    }
    entries.sort_by(|one, other| (one.kind, &one.raw).cmp(&(other.kind, &other.raw)));
    Ok(entries)
}

/// The response: JSON where the client names it, a page otherwise.
pub(super) fn response(path: &[u8], entries: &[Entry], headers: &HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let wants_json = accept.contains("application/json") && !accept.contains("text/html");
    let (media_type, body) = if wants_json {
        ("application/json", serde_json::to_string(entries).unwrap_or_default())
    } else {
        ("text/html; charset=utf-8", page(path, entries))
    };
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, media_type),
        (header::CACHE_CONTROL, "no-cache"),
        (header::VARY, "accept"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Nothing in a name can become more than a name.
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn page(path: &[u8], entries: &[Entry]) -> String {
    let title = escaped(&String::from_utf8_lossy(path));
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width\">\n<title>{title}</title>\n<style>body {{ font-family: sans-serif }} \
         td {{ padding-right: 2em }} td:nth-child(2) {{ text-align: right }}</style>\n<h1>{title}</h1>\n<table>\n"
    );
    if path != b"/" {
        page.push_str("<tr><td><a href=\"../\">../</a></td></tr>\n");
    }
    for Entry { raw, name, kind, mtime, size } in entries {
        let slash = if *kind == "directory" { "/" } else { "" };
        let (link, name) = (percent_encode(raw, SEGMENT), escaped(name));
        let size = size.map(|size| size.to_string()).unwrap_or_default();
        // A string takes all that is written to it.
        let _ = writeln!(
            page,
            "<tr><td><a href=\"./{link}{slash}\">{name}{slash}</a></td><td>{size}</td><td>{mtime}</td></tr>"
        );
    }
    page.push_str("</table>\n");
    page
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn a_listing_shows_what_can_be_asked_for_and_nothing_acts_in_it() {
        let outer = tempfile::tempdir().unwrap();
        let root = outer.path().join("root");
        fs::create_dir_all(root.join("b dir")).unwrap();
        for name in ["z<script>.txt", "a&\".txt", ".hidden", "%41.txt"] {
            fs::write(root.join(name), "x").unwrap();
        }
        symlink(outer.path(), root.join("out")).unwrap();
        symlink("a&\".txt", root.join("in.txt")).unwrap();
        let entries = entries(&root, Path::new("")).unwrap();
        let names: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["b dir", "%41.txt", "a&\".txt", "in.txt", "z<script>.txt"]);
        let page = page(b"/<b>/", &entries);
        assert!(!page.contains("<script>") && !page.contains("<b>"), "{page}");
        assert!(page.contains("href=\"./b%20dir/\"") && page.contains("href=\"./%2541.txt\""), "{page}");
        assert!(page.contains("href=\"./a%26%22.txt\">a&amp;&quot;.txt<"), "{page}");
    }
}
