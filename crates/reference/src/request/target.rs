//! The request target (RFC 9112 §3.2).

/// Whether `method` may be asked of `target`.
pub(super) fn is_valid(method: &[u8], target: &[u8]) -> bool {
    // RFC 3986 knows fewer characters, but browsers send the others unescaped in queries (the URL standard's query
    // percent-encode set). A fragment is never sent.
    if target.is_empty() || !target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#') {
        return false;
    }
    if method == b"CONNECT" {
        return super::host::is_authority(target, true);
    }
    match target {
        b"*" => method == b"OPTIONS",
        [b'/', ..] => has_one_reading(target),
        _ => {
            authority(target).is_some_and(|authority| super::host::is_authority(authority, false))
                && has_one_reading(target)
        }
    }
}

/// The authority of a target in absolute form.
pub(super) fn authority(target: &[u8]) -> Option<&[u8]> {
    let after = |scheme: &[u8]| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    let rest = after(b"http://").or_else(|| after(b"https://"))?;
    Some(&rest[..rest.iter().position(|byte| b"/?".contains(byte)).unwrap_or(rest.len())])
}

/// Whether all readers of the path come to the same: no NUL, no dot segment that is one only behind a decoder, and none that
/// leads above the root.
fn has_one_reading(target: &[u8]) -> bool {
    let (path, _) = halves(target);
    let mut depth = 0usize;
    for segment in path.split(|&byte| byte == b'/').skip(1) {
        let segment = decode(segment);
        let is_dots = |part: &[u8]| part == b"." || part == b"..";
        if segment.contains(&0) || (segment.contains(&b'/') && segment.split(|&byte| byte == b'/').any(is_dots)) {
            return false;
        }
        match segment.as_slice() {
            b"." => {}
            b".." if depth == 0 => return false,
            b".." => depth -= 1,
            _ => depth += 1,
        }
    }
    true
}

/// Decodes a path and removes its dot segments (RFC 3986 §5.2.4).
fn normal(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<Vec<u8>> = Vec::new();
    let mut is_directory = false;
    for segment in path.split(|&byte| byte == b'/').skip(1).map(decode) {
        is_directory = segment == b"." || segment == b"..";
        if segment == b".." {
            kept.pop();
        } else if segment != b"." {
            kept.push(segment);
        }
    }
    if is_directory {
        kept.push(Vec::new());
    }
    [b"/", kept.join(&b"/"[..]).as_slice()].concat()
}

/// `PATH_INFO` and `QUERY_STRING`.
pub(super) fn path_and_query(target: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (path, query) = halves(target);
    // RFC 9110 §4.2.3: an empty path is "/".
    let path = if path.is_empty() { b"/" } else { path };
    (normal(path), query.to_vec())
}

/// What stands before and behind the first `?`, in absolute form without the authority.
fn halves(target: &[u8]) -> (&[u8], &[u8]) {
    let origin_form = match authority(target) {
        Some(authority) if target[0] != b'/' => {
            let scheme = target.iter().position(|&byte| byte == b'/').unwrap_or(0) + 2;
            &target[scheme + authority.len()..]
        }
        _ => target,
    };
    let mark = origin_form.iter().position(|&byte| byte == b'?').unwrap_or(origin_form.len());
    let (path, query) = origin_form.split_at(mark);
    (path, query.strip_prefix(b"?").unwrap_or(query))
}

/// Percent-decodes once; what is no escape stays.
fn decode(path: &[u8]) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let mut decoded = Vec::new();
    let mut rest = path;
    while let [first, behind @ ..] = rest {
        rest = behind;
        let escaped = match (first, behind) {
            (b'%', [high, low, ..]) => digit(*high).zip(digit(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                decoded.push(high * 16 + low);
                rest = &behind[2..];
            }
            None => decoded.push(*first),
        }
    }
    decoded
}
