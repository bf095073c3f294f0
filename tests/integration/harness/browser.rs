//! As much of a browser as a form with a session needs: cookies, and the hidden field in a page.

use std::collections::BTreeMap;

use super::{Connection, Response, Server};

/// One user at one connection.
pub(crate) struct Browser {
    connection: Connection,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    pub(crate) fn new(server: &Server) -> Self {
        Self { connection: server.connect(), cookies: BTreeMap::new() }
    }

    pub(crate) fn get(&mut self, target: &str) -> Response {
        self.request("GET", target, &[], b"")
    }

    /// Sends a form as `application/x-www-form-urlencoded`.
    pub(crate) fn post(&mut self, target: &str, fields: &[(&str, &str)]) -> Response {
        let encoded: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", percent_encode(value))).collect();
        let headers = [("Content-Type", "application/x-www-form-urlencoded")];
        self.request("POST", target, &headers, encoded.join("&").as_bytes())
    }

    /// Sends a form with one file as `multipart/form-data`.
    pub(crate) fn upload(&mut self, target: &str, fields: &[(&str, &str)], file: (&str, &[u8])) -> Response {
        const BOUNDARY: &str = "----a-line-that-is-in-no-file";
        let mut body = Vec::new();
        for (name, value) in fields {
            body.extend(
                format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").bytes(),
            );
        }
        let (name, content) = file;
        let disposition = format!("form-data; name=\"file\"; filename=\"{name}\"");
        body.extend(format!("--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n").bytes());
        body.extend(b"Content-Type: application/octet-stream\r\n\r\n");
        body.extend(content);
        body.extend(format!("\r\n--{BOUNDARY}--\r\n").bytes());
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        self.request("POST", target, &[("Content-Type", &kind)], &body)
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.get(name).map(String::as_str)
    }

    fn request(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let mut headers = headers.to_vec();
        if !cookies.is_empty() {
            headers.push(("Cookie", &cookies));
        }
        let response = self.connection.request(method, target, &headers, body);
        for cookie in response.header_values("set-cookie") {
            let pair = cookie.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').expect("a cookie has a name and a value");
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        response
    }
}

/// The value of the hidden field `name` in a page.
pub(crate) fn hidden_field(page: &Response, name: &str) -> String {
    let text = page.text();
    let marker = format!("name=\"{name}\" value=\"");
    let start = text.find(&marker).unwrap_or_else(|| panic!("no field {name} in:\n{text}")) + marker.len();
    text[start..].split('"').next().unwrap_or_default().to_owned()
}

fn percent_encode(value: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    value.bytes().map(encode).collect()
}
