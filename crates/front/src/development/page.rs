//! Pages of what has failed.

use http::StatusCode;

use crate::html::escaped;

/// That of an application that does not import, with the reason as text: it may have markup of the application's in it.
pub(super) fn broken(reason: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>The application does not import</title>\n\
         <body style=\"font-family: system-ui, sans-serif; margin: 2rem\">\n<h1>The application does not import</h1>\n\
         <p>It is tried again when a file is saved.</p>\n<pre style=\"overflow: auto\">{}</pre>\n",
        escaped(reason)
    )
}

/// In the place of a text, which could have no script.
pub(super) fn failed(status: StatusCode) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<title>{status}</title>\n\
         <body style=\"font-family: system-ui, sans-serif; margin: 2rem\">\n<h1>{status}</h1>\n<p>The log says why.</p>\n"
    )
}
