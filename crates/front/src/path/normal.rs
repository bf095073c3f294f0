//! The normal form of a path, and how routing compares.

use std::borrow::Cow;

use super::decode;

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadPath {
    #[error("NUL in the path")]
    Nul,
    #[error("a path that leads above the root")]
    AboveRoot,
    #[error("a dot segment behind an encoded slash")]
    HiddenDots,
    #[error("a rewrite that gives no request target")]
    NoTarget,
}

/// What a segment is, once it is decoded.
#[derive(PartialEq, Eq)]
enum Segment {
    Name,
    /// `.`
    Here,
    /// `..`
    Up,
}

/// The path without dot segments, as it would have been sent; `None` where it is that already. Decoding the result and
/// normalising it once more change nothing.
pub(crate) fn normalise(path: &str) -> Result<Option<String>, BadPath> {
    // Nearly all paths end here.
    if !path.bytes().any(|byte| byte == b'%') && !path.contains("/.") {
        return Ok(None);
    }
    let segments = path.strip_prefix('/').unwrap_or(path).split('/');
    let last = segments.clone().count() - 1;
    let mut kept: Vec<&str> = Vec::new();
    let mut is_normal = true;
    for (index, segment) in segments.enumerate() {
        let kind = classify(segment)?;
        is_normal &= kind == Segment::Name;
        match kind {
            Segment::Name => kept.push(segment),
            Segment::Here => {}
            Segment::Up => {
                kept.pop().ok_or(BadPath::AboveRoot)?;
            }
        }
        // What a dot segment at the end leads to is a directory.
        if index == last && kind != Segment::Name {
            kept.push("");
        }
    }
    Ok((!is_normal).then(|| format!("/{}", kept.join("/"))))
}

fn classify(segment: &str) -> Result<Segment, BadPath> {
    let decoded = decode(segment.as_bytes());
    if decoded.contains(&0) {
        return Err(BadPath::Nul);
    }
    match &*decoded {
        b"." => Ok(Segment::Here),
        b".." => Ok(Segment::Up),
        decoded if decoded.contains(&b'/') => {
            let hides_dots = decoded.split(|&byte| byte == b'/').any(|name| matches!(name, b"." | b".."));
            if hides_dots { Err(BadPath::HiddenDots) } else { Ok(Segment::Name) }
        }
        _ => Ok(Segment::Name),
    }
}

/// A decoded path with each run of slashes as one. Without such a run nothing is copied.
pub(crate) fn merged(decoded: &[u8]) -> Cow<'_, [u8]> {
    let doubled = |pair: &[u8]| pair == b"//";
    if !decoded.windows(2).any(doubled) {
        return decoded.into();
    }
    let mut merged = Vec::with_capacity(decoded.len());
    for &byte in decoded {
        if byte != b'/' || merged.last() != Some(&b'/') {
            merged.push(byte);
        }
    }
    merged.into()
}

/// What is left of a decoded path below a prefix, which is whole segments of it: nothing, or a rest that begins with a
/// slash. Runs of slashes count as one in the comparison, and stay in the rest.
pub(crate) fn below<'a>(prefix: &[u8], decoded: &'a [u8]) -> Option<&'a [u8]> {
    let mut rest = decoded;
    for &byte in prefix {
        let (&first, behind) = rest.split_first()?;
        if first != byte {
            return None;
        }
        rest = behind;
        if byte == b'/' {
            let slashes = rest.iter().take_while(|&&byte| byte == b'/').count();
            rest = &rest[slashes..];
        }
    }
    (rest.is_empty() || rest[0] == b'/').then_some(rest)
}

#[cfg(test)]
mod tests;
