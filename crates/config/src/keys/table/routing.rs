//! What the front does with paths and responses.

use super::{
    super::{Key, Kind, Preset},
    both,
};

const ROUTING: &str = "Routing and answers of the front";

pub(super) const KEYS: &[Key] = &[
    Key {
        name: "mount",
        value_name: "PREFIX=APP",
        kind: Kind::Text,
        repeatable: true,
        in_file: true,
        heading: ROUTING,
        help: "Serve another application below PREFIX",
        details: "It gets SCRIPT_NAME, and runs with the settings of its site. The longest prefix wins, also among \
                  those of static. With a mount no application is looked for: name the one at the root with app.",
        presets: both(Preset::Described("none")),
        elsewhere: &["mounts", "script_name", "url_prefix", "wsgi_script_alias"],
    },
    Key {
        name: "canonical_host",
        value_name: "AUTHORITY",
        kind: Kind::Text,
        repeatable: false,
        in_file: true,
        heading: ROUTING,
        help: "Redirect requests for other names of the site to this one (308)",
        details: "Write the port where it is not the scheme's own, and https:// in front if the scheme is to change \
                  too.",
        presets: both(Preset::Described("none")),
        elsewhere: &["force_host", "main_host"],
    },
    Key {
        name: "redirect",
        value_name: "[STATUS ]FROM=TO",
        kind: Kind::Text,
        repeatable: true,
        in_file: true,
        heading: ROUTING,
        help: "Send the client from one path to another, or to another site",
        details: "The status is 302 unless it is there. FROM is a path, a prefix as /old/*, or a regular expression \
                  behind ~ (~* for any case); $1 in TO is what * or the first group matched. A path goes before a \
                  prefix, the longest prefix before an expression, and these in order. The query is kept, behind one \
                  that TO has; a ? at the end of TO drops it. Where FROM has a = in it, write -> between the two.",
        presets: both(Preset::Described("none")),
        elsewhere: &["redirects", "redir", "redirect_permanent"],
    },
    Key {
        name: "rewrite",
        value_name: "FROM=TO",
        kind: Kind::Text,
        repeatable: true,
        in_file: true,
        heading: ROUTING,
        help: "Serve one path as if another had been asked for",
        details: "FROM and TO are as in redirect, and TO is a path. It is done once, before the request is routed; \
                  REQUEST_URI stays as it was.",
        presets: both(Preset::Described("none")),
        elsewhere: &["rewrites", "url_rewrite"],
    },
    Key {
        name: "return",
        value_name: "STATUS FROM[=BODY]",
        kind: Kind::Text,
        repeatable: true,
        in_file: true,
        heading: ROUTING,
        help: "Answer a path with a status and a fixed text",
        details: "FROM is as in redirect. Without a body it is the text or the error page of the status.",
        presets: both(Preset::Described("none")),
        elsewhere: &["returns", "respond"],
    },
    Key {
        name: "header",
        value_name: "[+]NAME: VALUE|-NAME",
        kind: Kind::Text,
        repeatable: true,
        in_file: true,
        heading: ROUTING,
        help: "Set, add (+) or remove (-) a field of every response",
        details: "Of every response: those of the application, of files and of errors.",
        presets: both(Preset::Described("none")),
        elsewhere: &["headers", "add_header", "more_set_headers", "response_headers"],
    },
    Key {
        name: "error_page",
        value_name: "STATUS=FILE",
        kind: Kind::Text,
        repeatable: true,
        in_file: true,
        heading: ROUTING,
        help: "Answer an error with the page in FILE",
        details: "STATUS is a number, or 4xx or 5xx. The page may have {{status}}, {{reason}} and {{request_id}} in \
                  it; a change of it is noticed within a second. Clients that ask for JSON get that in its place.",
        presets: both(Preset::Described("none")),
        elsewhere: &["error_pages", "handle_errors", "errorpage"],
    },
    Key {
        name: "error_pages_for_application",
        value_name: "true|false",
        kind: Kind::Switch,
        repeatable: false,
        in_file: true,
        heading: ROUTING,
        help: "Show these pages in place of the application's own, too",
        details: "Only where the application's page is empty, text or HTML.",
        presets: both(Preset::Value("false")),
        elsewhere: &["proxy_intercept_errors", "fastcgi_intercept_errors", "intercept_errors"],
    },
];
