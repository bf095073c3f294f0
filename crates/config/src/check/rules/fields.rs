//! `header`: `NAME: VALUE`, `+NAME: VALUE`, `-NAME`.

use crate::{FieldRule, error::SiteReason};

/// Where a response ends and what becomes of its connection is the server's business (RFC 9112 §6, RFC 9110 §7.6.1).
const FRAMING: [&str; 8] =
    ["connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];

pub(super) fn parse(text: &str) -> Result<FieldRule, SiteReason> {
    let (rule, sign) = match text.as_bytes().first() {
        Some(b'+') => (&text[1..], '+'),
        Some(b'-') => (&text[1..], '-'),
        _ => (text, '='),
    };
    if sign == '-' {
        return Ok(FieldRule::Remove(name(rule)?));
    }
    let (field, value) = rule.split_once(':').ok_or(SiteReason::NotField)?;
    let (field, value) = (name(field)?, value.trim());
    // RFC 9110 §5.5, without the bytes beyond ASCII that are obsolete.
    if value.is_empty() || !value.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)) {
        return Err(SiteReason::NotField);
    }
    let value = value.to_owned();
    Ok(if sign == '+' { FieldRule::Add(field, value) } else { FieldRule::Set(field, value) })
}

/// A token (RFC 9110 §5.6.2) that is not the server's own.
fn name(text: &str) -> Result<String, SiteReason> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if text.is_empty() || !text.bytes().all(is_token) {
        return Err(SiteReason::NotField);
    }
    let name = text.to_ascii_lowercase();
    if FRAMING.contains(&name.as_str()) { Err(SiteReason::FramingField(name)) } else { Ok(name) }
}
