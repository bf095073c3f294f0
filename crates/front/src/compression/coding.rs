//! Content codings, and which of them a client wants (RFC 9110 §8.4.1 and §12.5.3).

use http::{HeaderMap, HeaderValue, header};

/// A content coding that this server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Coding {
    Brotli,
    Zstd,
    Gzip,
}

impl Coding {
    /// The smallest output first: for what is compressed once and sent often.
    pub(crate) const BY_SIZE: [Self; 3] = [Self::Brotli, Self::Zstd, Self::Gzip];

    /// The least work first: for what is compressed each time.
    pub(crate) const BY_SPEED: [Self; 3] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// Its registered name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        }
    }

    pub(crate) fn field_value(self) -> HeaderValue {
        HeaderValue::from_static(self.name())
    }

    /// What a precompressed neighbour's name ends with.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::Brotli => ".br",
            Self::Zstd => ".zst",
            Self::Gzip => ".gz",
        }
    }

    fn index(self) -> usize {
        self as usize
    }
}

/// What Accept-Encoding says: a weight in thousandths for each coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    codings: [u16; 3],
    identity: u16,
}

/// What an identity that nobody names is worth: it is acceptable, and everything that is named goes before it.
const UNNAMED_IDENTITY: u16 = 0;

impl Accepted {
    /// Without the field any coding would do (§12.5.3), but who says nothing may well not understand any.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        Self::of_values(headers.get_all(header::ACCEPT_ENCODING).into_iter().map(HeaderValue::as_bytes))
    }

    /// The same for the values of the field.
    pub(crate) fn of_values<'a>(values: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut named = [None; 3];
        let (mut identity, mut any) = (None, None);
        for value in values {
            // A list of tokens and weights has no other characters.
            let Some(value) = str::from_utf8(value).ok().filter(|value| value.is_ascii()) else { continue };
            for (name, weight) in value.split(',').filter_map(weighted) {
                let is = |other: &str| name.eq_ignore_ascii_case(other);
                if is("br") {
                    named[Coding::Brotli.index()] = Some(weight);
                } else if is("zstd") {
                    named[Coding::Zstd.index()] = Some(weight);
                } else if is("gzip") || is("x-gzip") {
                    named[Coding::Gzip.index()] = Some(weight);
                } else if is("identity") {
                    identity = Some(weight);
                } else if is("*") {
                    any = Some(weight);
                }
            }
        }
        Self {
            codings: named.map(|weight| weight.or(any).unwrap_or(0)),
            identity: identity.unwrap_or(UNNAMED_IDENTITY),
        }
    }

    /// The codings that the client prefers to none, the best first; of equal ones in the order of `preference`.
    pub(crate) fn in_order(self, preference: [Coding; 3]) -> impl Iterator<Item = Coding> {
        let weight = move |coding: Coding| self.codings[coding.index()];
        let mut codings = preference;
        // The sort is stable: equals stay in the order of preference.
        codings.sort_by_key(|coding| std::cmp::Reverse(weight(*coding)));
        codings.into_iter().filter(move |coding| weight(*coding) > 0 && weight(*coding) >= self.identity)
    }

    /// The best of all codings, if any is wanted.
    pub(crate) fn best(self, preference: [Coding; 3]) -> Option<Coding> {
        self.in_order(preference).next()
    }
}

/// `name;q=0.5` with its weight; `None` where it is nonsense.
fn weighted(element: &str) -> Option<(&str, u16)> {
    let mut parts = element.split(';').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?;
    let Some(parameter) = parts.next() else { return Some((name, 1000)) };
    let (key, value) = parameter.split_once('=')?;
    key.trim().eq_ignore_ascii_case("q").then(|| weight(value.trim())).flatten().map(|weight| (name, weight))
}

/// A qvalue (§12.4.2): `0`, `1`, and up to three decimals.
fn weight(text: &str) -> Option<u16> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    if decimals.len() > 3 || !decimals.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{decimals:0<3}").parse().ok()?;
    match (whole, thousandths) {
        ("0", _) => Some(thousandths),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(fields: &[&str]) -> Vec<&'static str> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(header::ACCEPT_ENCODING, HeaderValue::try_from(*field).unwrap());
        }
        Accepted::of(&headers).in_order(Coding::BY_SIZE).map(Coding::name).collect()
    }

    #[test]
    fn a_client_gets_what_it_weighs_highest_and_of_equals_the_smallest() {
        for (field, expected) in [
            ("gzip, deflate, br, zstd", &["br", "zstd", "gzip"][..]),
            ("gzip", &["gzip"]),
            ("X-GZIP", &["gzip"]),
            ("br;q=0.5, gzip;q=0.8", &["gzip", "br"]),
            ("gzip;q=0.001", &["gzip"]),
            ("gzip;q=1.000, br;q=0.999", &["gzip", "br"]),
            ("*", &["br", "zstd", "gzip"]),
            ("*;q=0.5, br;q=0", &["zstd", "gzip"]),
            ("br, *;q=0", &["br"]),
            ("gzip; Q=0.5", &["gzip"]),
        ] {
            assert_eq!(order(&[field]), expected, "{field}");
        }
        assert_eq!(order(&["gzip;q=0.5", "br"]), ["br", "gzip"]);
    }

    #[test]
    fn what_is_not_wanted_is_not_sent() {
        for field in
            ["", "identity", "gzip;q=0", "gzip;q=0.0, *;q=0", "deflate", "gzip;q=2", "gzip;q=0.1234", "gzip;x=1"]
        {
            assert!(order(&[field]).is_empty(), "{field}");
        }
        assert!(order(&[]).is_empty());
        assert_eq!(order(&["identity, br;q=0.5, gzip"]), ["gzip"]);
        assert_eq!(order(&["identity;q=0, gzip;q=0.1"]), ["gzip"]);
    }
}
