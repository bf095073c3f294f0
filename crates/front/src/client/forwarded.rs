//! `Forwarded` (RFC 7239).
//!
//! Unlike with the older fields each proxy's entry holds all it says, so scheme and host are taken from the same entry as
//! the client's address. A field that breaks the grammar refuses the request: with one quotation mark a client could make
//! the entry that the proxy adds part of its own, and so hide its address.

use std::borrow::Cow;

use http::{HeaderMap, header};

use super::{Said, Unclear, node};
use crate::networks::Networks;

/// What one proxy has noted. Its own name (`by`) and extensions are passed over.
#[derive(Debug, Default, PartialEq, Eq)]
struct Element<'a> {
    client: Option<Cow<'a, str>>,
    scheme: Option<Cow<'a, str>>,
    host: Option<Cow<'a, str>>,
}

pub(super) fn read(headers: &HeaderMap, proxies: &Networks) -> Result<Said, Unclear> {
    let mut elements = Vec::new();
    for value in headers.get_all(header::FORWARDED) {
        let text = value.to_str().map_err(|_| Unclear::Forwarded)?;
        parse(text, &mut elements).ok_or(Unclear::Forwarded)?;
    }
    let (client, place) = node::walk(elements.iter().rev().map(|element| element.client.as_deref()), proxies);
    let Some(element) = place.and_then(|place| elements.iter().rev().nth(place)) else { return Ok(Said::default()) };
    Ok(Said {
        client,
        scheme: element.scheme.as_deref().map(node::scheme).transpose()?,
        host: element.host.as_deref().map(node::host).transpose()?,
    })
}

/// Adds the elements of one field value; `None` where it breaks the grammar (RFC 7239 §4).
fn parse<'a>(text: &'a str, elements: &mut Vec<Element<'a>>) -> Option<()> {
    let mut rest = text;
    let mut element = None;
    loop {
        rest = rest.trim_start_matches([' ', '\t']);
        match rest.as_bytes().first() {
            None => {
                elements.extend(element);
                return Some(());
            }
            Some(b',') => {
                elements.extend(element.take());
                rest = &rest[1..];
            }
            Some(b';') if element.is_some() => rest = &rest[1..],
            Some(_) => {
                let (name, value, after) = pair(rest)?;
                note(element.get_or_insert_default(), name, value)?;
                rest = after.trim_start_matches([' ', '\t']);
                if !(rest.is_empty() || rest.starts_with([',', ';'])) {
                    return None;
                }
            }
        }
    }
}

/// A parameter may stand once in an element.
fn note<'a>(element: &mut Element<'a>, name: &str, value: Cow<'a, str>) -> Option<()> {
    let place = match name.to_ascii_lowercase().as_str() {
        "for" => &mut element.client,
        "proto" => &mut element.scheme,
        "host" => &mut element.host,
        _ => return Some(()),
    };
    place.replace(value).is_none().then_some(())
}

/// `token "=" ( token / quoted-string )`, and what follows it.
fn pair(text: &str) -> Option<(&str, Cow<'_, str>, &str)> {
    let (name, rest) = text.split_once('=')?;
    if name.is_empty() || !name.bytes().all(is_token) {
        return None;
    }
    if let Some(quoted) = rest.strip_prefix('"') {
        let (value, after) = quoted_string(quoted)?;
        return Some((name, value, after));
    }
    // An address with colons has to be quoted; many do not, and nothing else can be meant.
    let end = rest.bytes().position(|byte| !is_token(byte) && !b":[]".contains(&byte)).unwrap_or(rest.len());
    let (value, after) = rest.split_at(end);
    (!value.is_empty()).then_some((name, value.into(), after))
}

/// The inside of a quoted string (RFC 9110 §5.6.4), and what follows it.
fn quoted_string(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let end = text.find(['"', '\\'])?;
    if text.as_bytes()[end] == b'"' {
        return Some((text[..end].into(), &text[end + 1..]));
    }
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Some((value.into(), &text[index + 1..])),
            '\\' => value.push(characters.next()?.1),
            _ => value.push(character),
        }
    }
    None
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<Vec<[Option<String>; 3]>> {
        let mut elements = Vec::new();
        parse(text, &mut elements)?;
        let plain = elements
            .into_iter()
            .map(|Element { client, scheme, host }| [client, scheme, host].map(|value| value.map(Cow::into_owned)));
        Some(plain.collect())
    }

    #[test]
    fn elements_are_read() {
        let some = |text: &str| Some(text.to_owned());
        for (text, expected) in [
            ("for=192.0.2.43", vec![[some("192.0.2.43"), None, None]]),
            ("For=\"[2001:db8::1]:47\"", vec![[some("[2001:db8::1]:47"), None, None]]),
            ("for=a;proto=https;by=b;HOST=c", vec![[some("a"), some("https"), some("c")]]),
            ("for=a; proto=https , for=b", vec![[some("a"), some("https"), None], [some("b"), None, None]]),
            ("for=192.0.2.1:80", vec![[some("192.0.2.1:80"), None, None]]),
            ("for=\"a\\\"b, for=c\"", vec![[some("a\"b, for=c"), None, None]]),
            ("for=a;;host=b;", vec![[some("a"), None, some("b")]]),
            (",, for=a ,", vec![[some("a"), None, None]]),
            ("secret=x", vec![[None, None, None]]),
            ("", vec![]),
        ] {
            assert_eq!(parsed(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_breaks_the_grammar_is_refused() {
        for text in [
            "for=\"a",
            "for=\"a\\",
            "for=\"a\"b",
            "for",
            "for=",
            "=a",
            "for =a",
            "for= a",
            "for=a b",
            ";for=a",
            "for=a;for=b",
            "for=a, ;",
            "for=a@b",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }
}
