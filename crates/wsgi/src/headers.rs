//! Checking what an application hands to `start_response` (PEP 3333 "The `start_response()` Callable").

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE},
};
use stack_bridge::{Flow, ResponseHead};
use stack_interp::{Object, Python, Raise};

/// A checked head, and what it says about the body.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) response: ResponseHead,
    pub(crate) flow: Flow,
    /// Bytes that Content-Length promises.
    pub(crate) promised: Option<u64>,
}

impl Head {
    /// Statuses whose responses have no body (RFC 9110 §6.4.1).
    pub(crate) fn is_bodiless(&self) -> bool {
        matches!(self.response.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
    }
}

/// Fields that speak of one connection: the server's to send, not the application's (PEP 3333 "Other HTTP Features").
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// nginx's way for an application to ask for a response that is not buffered.
const X_ACCEL_BUFFERING: &str = "x-accel-buffering";

/// Fields that most responses get besides the application's.
const OURS: usize = 4;

/// Checks status and fields.
pub(crate) fn check<'py>(py: Python<'py>, status: &Object<'py>, fields: &Object<'py>) -> Result<Head, Raise<'py>> {
    let (status, reason) = check_status(py, status)?;
    let length = fields.sequence_len().ok_or_else(|| {
        Raise::type_error(format!("headers must be a list of (name, value) tuples, not {}", fields.type_name(py)))
    })?;
    let mut headers = HeaderMap::try_with_capacity(length + OURS)
        .map_err(|_| Raise::value_error(format!("{length} headers are too many")))?;
    let (mut flow, mut promised) = (Flow::Buffered, None);
    // A list that another thread cuts meanwhile ends early.
    for item in (0..length).map_while(|index| fields.sequence_item(py, index)) {
        let (name, value) = check_field(py, &item)?;
        if name == CONTENT_LENGTH {
            let length = content_length(&value)?;
            if promised.is_some_and(|before| before != length) {
                return Err(Raise::value_error("two different Content-Length headers"));
            }
            if promised.replace(length).is_some() {
                continue;
            }
        } else if name.as_str() == X_ACCEL_BUFFERING {
            flow = if value.as_bytes().eq_ignore_ascii_case(b"no") { Flow::Streamed } else { Flow::Buffered };
            continue;
        }
        headers.append(name, value);
    }
    if status == StatusCode::NO_CONTENT {
        // RFC 9110 §8.6: no Content-Length in a 204.
        headers.remove(CONTENT_LENGTH);
        promised = None;
    }
    Ok(Head { response: ResponseHead { status, reason, headers }, flow, promised })
}

fn check_status<'py>(py: Python<'py>, status: &Object<'py>) -> Result<(StatusCode, Option<String>), Raise<'py>> {
    let text = status
        .latin1_text()
        .ok_or_else(|| Raise::type_error(format!("status must be a str of latin-1, not {}", status.type_name(py))))?;
    let bad = || Raise::value_error(format!("status must be like '200 OK', not {:?}", String::from_utf8_lossy(&text)));
    let (code, reason) = text.split_at_checked(3).ok_or_else(bad)?;
    let reason = match reason {
        [] => &[][..],
        [b' ', reason @ ..] => reason,
        _ => return Err(bad()),
    };
    if !code.iter().all(u8::is_ascii_digit) || reason.iter().any(|byte| *byte < b' ' && *byte != b'\t' || *byte == 0x7f)
    {
        return Err(bad());
    }
    let status = StatusCode::from_bytes(code).map_err(|_| bad())?;
    if status.is_informational() {
        return Err(Raise::value_error(format!("status {} is not a final response", status.as_u16())));
    }
    if status.canonical_reason().is_some_and(|canonical| canonical.as_bytes() == reason) {
        return Ok((status, None));
    }
    Ok((status, Some(reason.iter().copied().map(char::from).collect())))
}

fn check_field<'py>(py: Python<'py>, item: &Object<'py>) -> Result<(HeaderName, HeaderValue), Raise<'py>> {
    // A list in a tuple's place may lose its items to another thread at any time.
    let pair = (item.sequence_len() == Some(2)).then(|| item.sequence_item(py, 0).zip(item.sequence_item(py, 1)));
    let Some((name, value)) = pair.flatten() else {
        return Err(Raise::type_error(format!("a header must be a (name, value) tuple, not {}", item.type_name(py))));
    };
    let Some(written) = name.latin1_text() else {
        return Err(Raise::type_error(format!("a header's name must be a str of latin-1, not {}", name.type_name(py))));
    };
    let shown = || String::from_utf8_lossy(&written);
    let field = match &*written {
        // As nearly every response has them.
        b"Content-Type" => CONTENT_TYPE,
        b"Content-Length" => CONTENT_LENGTH,
        written => checked_name(written)?,
    };
    let Some(text) = value.latin1_text() else {
        let kind = value.type_name(py);
        return Err(Raise::type_error(format!("the value of {} must be a str of latin-1, not {kind}", shown())));
    };
    let content = HeaderValue::from_bytes(text.trim_ascii())
        .map_err(|_| Raise::value_error(format!("the value of {} holds a control character", shown())))?;
    Ok((field, content))
}

fn checked_name<'py>(written: &[u8]) -> Result<HeaderName, Raise<'py>> {
    let shown = || String::from_utf8_lossy(written);
    let name = HeaderName::from_bytes(written)
        .map_err(|_| Raise::value_error(format!("invalid header name {:?}", shown())))?;
    if is_hop_by_hop(&name) {
        return Err(Raise::value_error(format!("{} is a hop-by-hop header, which only the server may send", shown())));
    }
    Ok(name)
}

fn content_length<'py>(value: &HeaderValue) -> Result<u64, Raise<'py>> {
    let digits = value.to_str().ok().filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
    let length = digits.and_then(|digits| digits.parse().ok());
    length.ok_or_else(|| Raise::value_error(format!("invalid Content-Length {value:?}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_connection_are_known_by_their_names() {
        let is_the_servers = |name: &str| is_hop_by_hop(&HeaderName::from_bytes(name.as_bytes()).unwrap());
        for name in [
            "Connection",
            "Keep-Alive",
            "Proxy-Authenticate",
            "Proxy-Authorization",
            "TE",
            "Trailer",
            "Transfer-Encoding",
            "Upgrade",
        ] {
            assert!(is_the_servers(name), "{name}");
        }
        for name in ["Content-Length", "Keep-Alive-2", "X-TE", "Upgrade-Insecure-Requests"] {
            assert!(!is_the_servers(name), "{name}");
        }
    }
}
