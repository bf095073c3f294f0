//! Why a request failed, as its client may see it: where the front allows that, and in the form that it asks for.
//!
//! The page for people is made in Python (`details/`), beside the exception, from its frames and their variables. The other
//! forms have the traceback and nothing else. The log has what it always has.

use std::fmt::Write;

use http::StatusCode;
use stack_bridge::{DetailsForm, Peer, Request};
use stack_config::Isolation;
use stack_interp::{Exception, Object, Python, Raise, Raised};

use crate::response::Response;

const SOURCE: &str = concat!(
    "STYLE = '''",
    include_str!("details/page.css"),
    "'''\n",
    include_str!("details/values.py"),
    include_str!("details/frames.py"),
    include_str!("details/page.py"),
);
/// It begins as the names of all such code do, which keeps its frames out of the page.
const FILE: &str = "<stack.details>";
/// A page of more bytes is not sent: the text does as well.
const LARGEST: usize = 4 * 1024 * 1024;

/// How a request failed. What the front and the log say of it is theirs; these are the same words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// The application raised.
    Raised,
    /// It did what PEP 3333 does not allow.
    BrokeContract,
    /// It was interrupted, because it took too long.
    TimedOut,
    /// There was no environ for it.
    NoEnviron,
}

impl How {
    fn status(self) -> StatusCode {
        match self {
            Self::Raised | Self::BrokeContract | Self::NoEnviron => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    fn code(self) -> &'static str {
        match self {
            Self::Raised => "STACK0201",
            Self::BrokeContract => "STACK0211",
            Self::TimedOut => "STACK0202",
            Self::NoEnviron => "STACK0321",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Raised => "The application raised",
            Self::BrokeContract => "The application broke the WSGI contract",
            Self::TimedOut => "The application took longer than request_timeout",
            Self::NoEnviron => "The environ could not be made",
        }
    }
}

/// A request that failed.
#[derive(Debug)]
pub(crate) struct Failed<'a, 'py> {
    pub(crate) request: &'a Request,
    pub(crate) isolation: Isolation,
    /// As the application has left it.
    pub(crate) environ: Option<&'a Object<'py>>,
}

impl<'py> Failed<'_, 'py> {
    /// What the client is to see, where it has seen nothing yet.
    pub(crate) fn details_of(
        &self,
        py: Python<'py>,
        response: &Response,
        how: How,
        raise: &Raise<'py>,
    ) -> Option<Vec<u8>> {
        if self.request.details.is_none() || !response.is_unsent() {
            return None;
        }
        match raise {
            Raise::Again(raised) => self.details(py, how, raised),
            Raise::New(kind, message) => self.details(py, how, &Raise::New(*kind, message.clone()).into_raised(py)),
        }
    }

    /// The same of a response that has not begun; `None` where that is nothing. It takes as long as the page's values let it, which is a
    /// few seconds at most unless they wait in C.
    pub(crate) fn details(&self, py: Python<'py>, how: How, raised: &Raised<'py>) -> Option<Vec<u8>> {
        let form = self.request.details?;
        let exception = raised.describe(py);
        Some(match form {
            DetailsForm::Html => self.page(py, how, raised, &exception.traceback).unwrap_or_else(|| {
                let text = self.text(how, &exception);
                bare_page(&text)
            }),
            DetailsForm::Json => self.problem(how, exception),
            DetailsForm::Text => self.text(how, &exception).into_bytes(),
        })
    }

    /// `None` where it can not be made.
    fn page(&self, py: Python<'py>, how: How, raised: &Raised<'py>, traceback: &str) -> Option<Vec<u8>> {
        let make = || {
            let facts = self.facts(how).iter().map(|fact| Object::str(py, fact)).collect::<Result<_, _>>()?;
            let (traceback, facts) = (Object::str(py, traceback)?, Object::list(py, facts)?);
            let environ = self.environ.cloned().unwrap_or_else(|| Object::none(py));
            let error = raised.object().cloned().unwrap_or_else(|| Object::none(py));
            let page = py.run_source(FILE, SOURCE)?.item(py, "page")?.expect("defined in page.py");
            page.call(py, &[&error, &traceback, &facts, &environ])
        };
        let page = make().map_err(|raised: Raised<'_>| {
            let problem = raised.into_exception(py).traceback;
            py.detach(|| tracing::debug!(problem, "the page of an exception could not be made"));
        });
        let page = page.ok()?;
        page.as_bytes().filter(|page| page.len() <= LARGEST).map(<[u8]>::to_vec)
    }

    /// In the order that page.py reads them.
    fn facts(&self, how: How) -> Vec<String> {
        let Request { id, method, target, version, headers, peer, .. } = self.request;
        let status = how.status();
        let mut facts = vec![
            status.to_string(),
            how.sentence().to_owned(),
            how.code().to_owned(),
            id.to_string(),
            self.isolation.as_str().to_owned(),
            method.to_string(),
            String::from_utf8_lossy(target).into_owned(),
            format!("{version:?}"),
            match peer {
                Peer::Tcp(address) => address.to_string(),
                Peer::Unix => "a Unix domain socket".to_owned(),
            },
        ];
        for (name, value) in headers {
            facts.push(name.to_string());
            facts.push(String::from_utf8_lossy(value.as_bytes()).into_owned());
        }
        facts
    }

    fn text(&self, how: How, exception: &Exception) -> String {
        let (happened, code, id) = (how.sentence(), how.code(), self.request.id);
        format!("{happened} ({code}, request {id})\n\n{}\n", exception.traceback.trim_end())
    }

    /// RFC 9457, with members of its own for the exception (§3.2).
    fn problem(&self, how: How, exception: Exception) -> Vec<u8> {
        let status = how.status();
        let detail = format!("{}: {exception}", how.sentence());
        let Exception { kind, message, traceback, module: _ } = exception;
        let problem = serde_json::json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": detail,
            "request_id": self.request.id.to_string(),
            "code": how.code(),
            "exception": kind,
            "message": message,
            "traceback": traceback.lines().collect::<Vec<_>>(),
        });
        format!("{problem}\n").into_bytes()
    }
}

/// What is left of the page where it can not be made.
fn bare_page(text: &str) -> Vec<u8> {
    let mut page = String::from("<!DOCTYPE html><html lang=\"en\"><meta charset=\"utf-8\"><title>Error</title><pre>");
    for character in text.chars() {
        let _ = match character {
            '&' => page.write_str("&amp;"),
            '<' => page.write_str("&lt;"),
            '>' => page.write_str("&gt;"),
            other => page.write_char(other),
        };
    }
    page.push_str("</pre></html>\n");
    page.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bare_page_shows_a_text_as_it_is() {
        let page = String::from_utf8(bare_page("<script>&")).unwrap();
        assert!(page.contains("<pre>&lt;script&gt;&amp;</pre>"), "{page}");
    }
}
