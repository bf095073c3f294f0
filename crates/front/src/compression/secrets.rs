//! Whether a response may carry a secret that its compressed length could give away.

use http::{HeaderMap, header};

use super::directives;

/// What a request shows of who sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    /// It has a cookie that looks like a session's or a CSRF token's, or credentials.
    is_known: bool,
    has_cookies: bool,
}

impl Client {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let cookies = || headers.get_all(header::COOKIE).iter();
        let names = cookies().flat_map(|value| value.as_bytes().split(|&byte| byte == b';')).map(name);
        Self {
            is_known: headers.contains_key(header::AUTHORIZATION) || names.into_iter().any(is_secret_name),
            has_cookies: cookies().next().is_some(),
        }
    }

    /// Whether the response to it may carry a secret: it sets a cookie, it is for a client that is known, or it depends on
    /// a cookie of whatever name, as it does where a framework has put a CSRF token into a form.
    pub(super) fn has_secret_in(self, response: &HeaderMap) -> bool {
        let depends =
            || directives(response, header::VARY).any(|name| name == "*" || name.eq_ignore_ascii_case("cookie"));
        let is_private =
            || directives(response, header::CACHE_CONTROL).any(|name| name.eq_ignore_ascii_case("private"));
        self.is_known || response.contains_key(header::SET_COOKIE) || (self.has_cookies && (depends() || is_private()))
    }
}

fn name(pair: &[u8]) -> &[u8] {
    pair.split(|&byte| byte == b'=').next().unwrap_or_default().trim_ascii()
}

/// The names that frameworks and people give them: `sessionid`, `csrftoken`, `XSRF-TOKEN`, `PHPSESSID`, `connect.sid`,
/// `__Host-auth`, `jwt`, `remember_me`.
fn is_secret_name(name: &[u8]) -> bool {
    const PARTS: [&[u8]; 8] = [b"sess", b"csrf", b"xsrf", b"auth", b"token", b"jwt", b"remember", b"login"];
    let contains = |part: &[u8]| name.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part));
    let is_sid = name.len() >= 3 && name[name.len() - 3..].eq_ignore_ascii_case(b"sid");
    is_sid || PARTS.into_iter().any(contains)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, http::HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_response_to_a_known_client_may_carry_a_secret() {
        for field in [
            ("cookie", "sessionid=1"),
            ("cookie", "a=b; csrftoken=x"),
            ("cookie", "__Host-XSRF-TOKEN=x"),
            ("cookie", "connect.sid=x"),
            ("cookie", "PHPSESSID=x"),
            ("authorization", "Basic x"),
        ] {
            assert!(Client::of(&headers(&[field])).has_secret_in(&headers(&[])), "{field:?}");
        }
        for field in [("cookie", "_ga=session; theme=dark"), ("cookie", ""), ("accept", "text/html")] {
            assert!(!Client::of(&headers(&[field])).has_secret_in(&headers(&[])), "{field:?}");
        }
    }

    #[test]
    fn a_response_that_sets_or_depends_on_a_cookie_may_carry_one() {
        let (nobody, somebody) = (Client::of(&headers(&[])), Client::of(&headers(&[("cookie", "theme=dark")])));
        let sets = headers(&[("set-cookie", "a=b")]);
        assert!(nobody.has_secret_in(&sets) && somebody.has_secret_in(&sets));
        for field in [("vary", "Accept, Cookie"), ("vary", "*"), ("cache-control", "max-age=0, private")] {
            let depends = headers(&[field]);
            assert!(!nobody.has_secret_in(&depends) && somebody.has_secret_in(&depends), "{field:?}");
        }
    }
}
