//! Certificates that are about to expire.

use std::time::{Duration, SystemTime};

use super::certificate::{Certificate, Facts};

const DAY: Duration = Duration::from_hours(24);

/// From here on a certificate should have been renewed, whatever its own time.
const SOON: Duration = Duration::from_hours(30 * 24);

/// What is to be said about a certificate's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// Nothing.
    Fine,
    /// Its time begins later.
    NotYet,
    /// So many whole days are left.
    Soon(u64),
    /// It is over.
    Over,
}

impl Expiry {
    pub(super) fn concern(self) -> Option<&'static str> {
        match self {
            Self::Fine => None,
            Self::NotYet => Some("not valid yet"),
            Self::Soon(_) => Some("about to expire"),
            Self::Over => Some("expired"),
        }
    }

    /// A quarter of its time is when the programs that renew certificates should have done so.
    pub(super) fn of(facts: &Facts, now: SystemTime) -> Self {
        if now < facts.not_before {
            return Self::NotYet;
        }
        let Ok(left) = facts.not_after.duration_since(now) else { return Self::Over };
        let whole = facts.not_after.duration_since(facts.not_before).unwrap_or_default();
        if left < SOON.min(whole / 4) { Self::Soon(left.as_secs() / DAY.as_secs()) } else { Self::Fine }
    }
}

/// Warns of each certificate that needs it.
pub(super) fn warn(certificates: &[Certificate], now: SystemTime) {
    for certificate in certificates {
        let (names, expires, file) = (certificate.names(), certificate.expires(), certificate.file());
        match Expiry::of(&certificate.facts, now) {
            Expiry::Fine => {}
            Expiry::NotYet => {
                tracing::warn!(code = "STACK0333", names, file, "certificate not valid yet: clients refuse it");
            }
            Expiry::Soon(days) => {
                tracing::warn!(code = "STACK0332", names, expires, days, file, "certificate about to expire");
            }
            Expiry::Over => {
                tracing::warn!(code = "STACK0333", names, expires, file, "certificate expired: clients refuse it");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_warned_of_when_it_should_have_been_renewed() {
        let start = SystemTime::UNIX_EPOCH + DAY * 20_000;
        let facts = |days: u32| Facts { names: Vec::new(), not_before: start, not_after: start + DAY * days };
        let of = |days: u32, age: Duration| Expiry::of(&facts(days), start + age);
        let second = Duration::from_secs(1);
        assert_eq!(Expiry::of(&facts(90), start - second), Expiry::NotYet);
        // A year: a month before. 90 days: 22. Six days: a day and a half.
        assert_eq!((of(365, DAY * 335), of(365, DAY * 335 + second)), (Expiry::Fine, Expiry::Soon(29)));
        assert_eq!((of(90, DAY * 67), of(90, DAY * 68)), (Expiry::Fine, Expiry::Soon(22)));
        assert_eq!((of(6, DAY * 4), of(6, DAY * 5)), (Expiry::Fine, Expiry::Soon(1)));
        assert_eq!((of(90, DAY * 90), of(90, DAY * 90 + second)), (Expiry::Soon(0), Expiry::Over));
    }
}
