use super::*;

/// Path as sent; as it is routed and served.
const TABLE: &[(&str, Result<&str, BadPath>)] = &[
    ("/", Ok("/")),
    ("/admin", Ok("/admin")),
    ("/%61dmin", Ok("/admin")),
    ("/%2561dmin", Ok("/%61dmin")),
    ("/a+b%zz%4", Ok("/a+b%zz%4")),
    ("//admin", Ok("//admin")),
    ("/a//b", Ok("/a//b")),
    ("/a%2fb", Ok("/a/b")),
    ("/a%2F%2Fb", Ok("/a//b")),
    ("/...", Ok("/...")),
    ("/.well-known/x", Ok("/.well-known/x")),
    ("/a/..b/c..", Ok("/a/..b/c..")),
    ("/v1...v2", Ok("/v1...v2")),
    ("/static/../admin", Ok("/admin")),
    ("/static/%2e%2e/admin", Ok("/admin")),
    ("/static/.%2E/admin", Ok("/admin")),
    ("/./a/./b/.", Ok("/a/b/")),
    ("/a/b/..", Ok("/a/")),
    ("/a/..", Ok("/")),
    ("/.", Ok("/")),
    ("/a//../b", Ok("/a/b")),
    ("/a%2fb/../c", Ok("/c")),
    ("/a/b/c/./../../g", Ok("/a/g")),
    ("/..", Err(BadPath::AboveRoot)),
    ("/../admin", Err(BadPath::AboveRoot)),
    ("/a/../../admin", Err(BadPath::AboveRoot)),
    ("/%2e%2e/admin", Err(BadPath::AboveRoot)),
    ("/admin%2f..", Err(BadPath::HiddenDots)),
    ("/shop/..%2f", Err(BadPath::HiddenDots)),
    ("/shop/..%2fadmin", Err(BadPath::HiddenDots)),
    ("/shop%2f%2e%2e%2fadmin", Err(BadPath::HiddenDots)),
    ("/a%2f./b", Err(BadPath::HiddenDots)),
    ("/a%00b", Err(BadPath::Nul)),
    ("/%00/../b", Err(BadPath::Nul)),
];

fn seen(path: &str) -> Result<String, BadPath> {
    let normal = normalise(path)?;
    let normal = normal.as_deref().unwrap_or(path);
    Ok(String::from_utf8(decode(normal.as_bytes()).into_owned()).unwrap())
}

#[test]
fn a_path_has_one_reading() {
    for (sent, expected) in TABLE {
        assert_eq!(seen(sent), expected.map(str::to_owned), "{sent}");
    }
}

#[test]
fn what_is_normal_already_is_not_copied() {
    for path in ["/", "/a/b.html", "/a//b", "/a%20b", "/a%2fb", "/.hidden", "/a/...", "/~user"] {
        assert_eq!(normalise(path), Ok(None), "{path}");
    }
}

/// All paths of up to six of these pieces.
fn paths() -> impl Iterator<Item = String> {
    let pieces = ["/", ".", "..", "%2e", "%2F", "a", "%61", "%252e", "%5c", "b%00"];
    (0..7_u32).flat_map(move |length| {
        (0..pieces.len().pow(length)).step_by(if length > 4 { 17 } else { 1 }).map(move |number| {
            let digits = (0..length).map(|place| pieces[number / pieces.len().pow(place) % pieces.len()]);
            std::iter::once("/").chain(digits).collect()
        })
    })
}

#[test]
fn a_normal_path_stays_and_has_no_dot_segment_and_no_nul() {
    let mut accepted = 0;
    for path in paths() {
        let Ok(normal) = normalise(&path) else { continue };
        let normal = normal.unwrap_or(path.clone());
        accepted += 1;
        assert_eq!(normalise(&normal), Ok(None), "{path}");
        let decoded = decode(normal.as_bytes());
        assert!(decoded.starts_with(b"/") && !decoded.contains(&0), "{path}");
        assert!(!decoded.split(|&byte| byte == b'/').any(|name| matches!(name, b"." | b"..")), "{path}");
    }
    assert!(accepted > 10_000, "{accepted}");
}

/// An independent reading of RFC 3986 §5.2.4, on the decoded path.
fn remove_dot_segments(decoded: &[u8]) -> Vec<u8> {
    let mut output: Vec<Vec<u8>> = Vec::new();
    let segments: Vec<_> = decoded[1..].split(|&byte| byte == b'/').collect();
    for (index, segment) in segments.iter().enumerate() {
        let is_last = index + 1 == segments.len();
        match *segment {
            b"." if is_last => output.push(Vec::new()),
            b"." => {}
            b".." => {
                output.pop();
                if is_last {
                    output.push(Vec::new());
                }
            }
            name => output.push(name.to_vec()),
        }
    }
    let mut path = b"/".to_vec();
    path.extend(output.join(&b'/'));
    path
}

#[test]
fn what_is_accepted_means_what_rfc_3986_says_before_and_after_decoding() {
    for path in paths() {
        let Ok(normal) = normalise(&path) else { continue };
        let normal = normal.unwrap_or(path.clone());
        let decoded = decode(normal.as_bytes()).into_owned();
        // Encoded slashes next to a dot segment that is popped may make another depth: those of a popped name are gone.
        if !path.to_lowercase().contains("%2f") {
            assert_eq!(decoded, remove_dot_segments(&decode(path.as_bytes())), "{path}");
        }
    }
}

#[test]
fn a_prefix_is_whole_segments_and_slashes_count_once() {
    for (prefix, path, rest) in [
        ("/shop", "/shop", Some("")),
        ("/shop", "/shop/", Some("/")),
        ("/shop", "/shop//x", Some("//x")),
        ("/shop", "//shop/x", Some("/x")),
        ("/shop/a", "/shop///a/x", Some("/x")),
        ("/shop", "/shopping", None),
        ("/shop", "/Shop", None),
        ("/shop", "/sho", None),
        ("/shop", "/", None),
        ("", "/x", Some("/x")),
    ] {
        assert_eq!(below(prefix.as_bytes(), path.as_bytes()), rest.map(str::as_bytes), "{prefix} {path}");
    }
}

#[test]
fn runs_of_slashes_are_merged() {
    for (path, expected) in [("/a/b", "/a/b"), ("//a", "/a"), ("/a///b//", "/a/b/"), ("///", "/")] {
        assert_eq!(&*merged(path.as_bytes()), expected.as_bytes());
    }
    assert!(matches!(merged(b"/a/b"), Cow::Borrowed(_)));
}
