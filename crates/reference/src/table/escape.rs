//! Bytes as the table writes them.

/// The bytes that `text` stands for, as number `number` of a repeated line.
pub(super) fn unescape(text: &str, number: usize) -> Result<Vec<u8>, &'static str> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(plain(&rest[..at])?);
        let escape = &rest[at + 1..];
        let kind = escape.chars().next().ok_or("a backslash at the end")?;
        rest = &escape[kind.len_utf8()..];
        match kind {
            'r' => bytes.push(b'\r'),
            'n' => bytes.push(b'\n'),
            't' => bytes.push(b'\t'),
            's' => bytes.push(b' '),
            '0' => bytes.push(0),
            '\\' => bytes.push(b'\\'),
            '#' => bytes.extend_from_slice(number.to_string().as_bytes()),
            'x' => {
                let digits = rest.get(..2).ok_or("\\x needs two digits")?;
                bytes.push(u8::from_str_radix(digits, 16).map_err(|_| "\\x needs two hexadecimal digits")?);
                rest = &rest[2..];
            }
            '(' => {
                let (inside, behind) = rest.split_once(')').ok_or("\\( without )")?;
                let (times, repeated) = inside.split_once(" x ").ok_or("\\( is (N x TEXT)")?;
                let times = times.parse().map_err(|_| "\\( is (N x TEXT)")?;
                bytes.extend(unescape(repeated, number)?.repeat(times));
                rest = behind;
            }
            _ => return Err("an unknown escape"),
        }
    }
    bytes.extend_from_slice(plain(rest)?);
    Ok(bytes)
}

/// What needs an escape and has none would not be seen in a diff.
fn plain(text: &str) -> Result<&[u8], &'static str> {
    let is_plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if is_plain { Ok(text.as_bytes()) } else { Err("a character that needs an escape") }
}
