//! Whether a front's reading of a connection and the parser's agree.

use crate::{Conversation, End, Limits, Request, conversation};

/// What a front says of a request that it does not take.
const REFUSALS: [u16; 7] = [400, 413, 414, 417, 431, 501, 505];

/// A request as a front has read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// As sent.
    pub method: Vec<u8>,
    /// As sent.
    pub target: Vec<u8>,
    /// The minor version.
    pub minor: u8,
    /// Names in lower case.
    pub fields: Vec<(String, Vec<u8>)>,
    /// Decoded.
    pub body: Vec<u8>,
}

/// Checks what a front made of `bytes`: every request that its application was `asked`, and the `statuses` that came of them,
/// where the application answers with 200 and the front answers `OPTIONS *` itself.
///
/// A front may refuse what the parser takes. It must not take what the parser refuses, nor take it for anything else, and it
/// must not wait for more of a request that is whole.
pub fn agree(bytes: &[u8], limits: &Limits, asked: &[Asked], statuses: &[u16]) -> Result<(), String> {
    let Conversation { requests, end } = conversation(bytes, limits);
    let finals: Vec<u16> = statuses.iter().copied().filter(|status| *status >= 200).collect();
    let mut asked = asked.iter();
    for (index, request) in requests.iter().enumerate() {
        let status = finals.get(index).copied();
        let is_own = request.target == b"*";
        match status {
            Some(200) if !is_own => {
                let seen = asked.next().ok_or_else(|| format!("request {index} was answered, and not asked"))?;
                same(request, seen).map_err(|what| format!("request {index}: {what}"))?;
            }
            Some(204) if is_own => {}
            Some(status) if REFUSALS.contains(&status) => return ends_here(index, &finals, asked.as_slice()),
            other => return Err(format!("request {index} is whole, and came to {other:?}: {request:?}")),
        }
    }
    if !asked.as_slice().is_empty() {
        return Err(format!("asked beyond {end:?}: {:?}", asked.as_slice()));
    }
    let rest = &finals[requests.len().min(finals.len())..];
    let holds = match (end, rest) {
        // A head or body that does not go on may be told so, or was wrong before its end.
        (End::Open | End::Closed | End::Cut, []) => true,
        (End::Cut, [status]) if *status >= 400 => true,
        // What is asked of the server itself is answered without its body, so the end of that is not waited for.
        (End::Cut | End::Refused(_), [204]) => is_asked_of_server(bytes),
        // Two rules may be broken at once, a line may be wrong before it is too long, and one that is wrong already may be
        // waited for until it is whole.
        (End::Refused(expected), [status]) => *status == expected || *status == 408 || REFUSALS.contains(status),
        _ => false,
    };
    if holds { Ok(()) } else { Err(format!("{end:?} came to {rest:?}")) }
}

fn is_asked_of_server(bytes: &[u8]) -> bool {
    bytes.windows(b"OPTIONS * ".len()).any(|window| window == b"OPTIONS * ")
}

/// Behind a refusal there is nothing.
fn ends_here(index: usize, finals: &[u16], asked: &[Asked]) -> Result<(), String> {
    if finals.len() > index + 1 || !asked.is_empty() {
        return Err(format!("goes on behind a refusal: {finals:?}, {asked:?}"));
    }
    Ok(())
}

fn same(request: &Request, asked: &Asked) -> Result<(), String> {
    let Asked { method, target, minor, fields, body } = asked;
    if (&request.method, normal(&request.target), request.minor) != (method, normal(target), *minor) {
        return Err(format!("{asked:?} is not {request:?}"));
    }
    if request.body != *body {
        return Err(format!("the body is {:?}, not {:?}", body, request.body));
    }
    // Names with an underscore are left out, by the front or behind it.
    let expected = sorted(&request.fields);
    let found = sorted(fields);
    if expected == found { Ok(()) } else { Err(format!("the fields are {found:?}, not {expected:?}")) }
}

/// In absolute form the scheme knows no case, and an empty path is "/" (RFC 9110 §4.2.3).
fn normal(target: &[u8]) -> Vec<u8> {
    let Some(colon) = target.iter().position(|&byte| byte == b':').filter(|_| target[0] != b'/') else {
        return target.to_vec();
    };
    let (scheme, rest) = target.split_at(colon);
    let authority = rest.iter().skip(3).position(|byte| b"/?".contains(byte)).map_or(rest.len(), |end| end + 3);
    let (authority, origin) = rest.split_at(authority);
    let path: &[u8] = if origin.starts_with(b"/") { b"" } else { b"/" };
    [scheme.to_ascii_lowercase().as_slice(), authority, path, origin].concat()
}

fn sorted(fields: &[(String, Vec<u8>)]) -> Vec<&(String, Vec<u8>)> {
    let mut fields: Vec<_> = fields.iter().filter(|(name, _)| !name.contains('_')).collect();
    // Keeps the order of those of one name.
    fields.sort_by_key(|(name, _)| name.as_str());
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &[u8] = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc";

    fn asked(target: &[u8], body: &[u8]) -> Asked {
        Asked {
            method: b"POST".to_vec(),
            target: target.to_vec(),
            minor: 1,
            fields: vec![("content-length".into(), b"3".to_vec()), ("host".into(), b"a".to_vec())],
            body: body.to_vec(),
        }
    }

    fn outcome(bytes: &[u8], asked: &[Asked], statuses: &[u16]) -> bool {
        agree(bytes, &Limits::TABLE, asked, statuses).is_ok()
    }

    #[test]
    fn the_same_reading_and_a_refusal_agree() {
        assert!(outcome(REQUEST, &[asked(b"/a", b"abc")], &[100, 200]));
        assert!(outcome(REQUEST, &[], &[400]));
        assert!(outcome(b"GET / HTTP/1.1\r\n\r\n", &[], &[400]));
        assert!(outcome(&REQUEST[..REQUEST.len() - 1], &[], &[408]));
    }

    #[test]
    fn another_reading_does_not() {
        for (asked, statuses) in [
            (vec![asked(b"/b", b"abc")], &[200][..]),
            (vec![asked(b"/a", b"ab")], &[200]),
            (vec![asked(b"/a", b"abc"), asked(b"/a", b"abc")], &[200, 200]),
            (vec![asked(b"/a", b"abc")], &[400]),
            (vec![], &[200]),
            // It waited for more.
            (vec![], &[408]),
            (vec![], &[]),
            (vec![asked(b"/a", b"abc")], &[200, 200]),
        ] {
            assert!(!outcome(REQUEST, &asked, statuses), "{asked:?} {statuses:?}");
        }
        assert!(!outcome(b"GET / HTTP/1.1\r\n\r\n", &[asked(b"/a", b"abc")], &[200]));
        assert!(!outcome(b"GET / HTTP/1.1\r\n\r\n", &[], &[]));
    }

    #[test]
    fn absolute_forms_of_one_meaning_are_one() {
        assert_eq!(normal(b"HTTP://a"), b"http://a/");
        assert_eq!(normal(b"http://a:80?b"), b"http://a:80/?b");
        assert_eq!(normal(b"http://a/b:c"), b"http://a/b:c");
        assert_eq!(normal(b"/a:b"), b"/a:b");
    }
}
