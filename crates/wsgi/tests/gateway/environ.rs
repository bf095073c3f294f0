//! What the application is given: environ and input.

use std::{
    io::{Seek, Write},
    sync::Arc,
};

use bytes::Bytes;
use http::{Method, Version};
use stack_bridge::{Local, Peer, RequestBody, Scheme};

use crate::harness::{App, can_run, get, post, request, with_header};

const ENVIRON: &str = "
import json
def app(environ, start_response):
    start_response('200 OK', [('Content-Type', 'application/json')])
    plain = {key: value for key, value in environ.items() if isinstance(value, (str, bool, tuple))}
    return [json.dumps(plain).encode()]
";

/// The value of one key in the JSON that `ENVIRON` answers, as JSON.
fn environ_of(app: &App, request: stack_bridge::Request, key: &str) -> Option<String> {
    let response = app.send(request);
    let text = response.text().to_owned();
    let (_, rest) = text.split_once(&format!("\"{key}\": "))?;
    let end = rest.find(", \"").unwrap_or(rest.len() - 1);
    Some(rest[..end].trim_matches('"').to_owned())
}

const KEYS: &str = "
def app(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [' '.join(sorted(environ)).encode()]
";

tests! {
    the_environ_holds_nothing_that_nobody_knows {
        let app = App::plain(KEYS);
        assert_eq!(
            app.send(get("/")).text(),
            "PATH_INFO QUERY_STRING RAW_URI REMOTE_ADDR REMOTE_PORT REQUEST_METHOD REQUEST_URI SCRIPT_NAME SERVER_NAME \
             SERVER_PORT SERVER_PROTOCOL SERVER_SOFTWARE wsgi.errors wsgi.file_wrapper wsgi.input wsgi.input_terminated \
             wsgi.multiprocess wsgi.multithread wsgi.run_once wsgi.url_scheme wsgi.version"
        );
    }

    the_environ_holds_what_pep_3333_names {
        let app = App::validated(ENVIRON);
        let value = |key: &str| environ_of(&app, get("/a%20b/x?q=1&r=2"), key);
        for (key, expected) in [
            ("REQUEST_METHOD", "GET"), ("SCRIPT_NAME", ""), ("QUERY_STRING", "q=1&r=2"), ("REQUEST_URI", "/a%20b/x?q=1&r=2"),
            ("RAW_URI", "/a%20b/x?q=1&r=2"), ("SERVER_NAME", "127.0.0.1"), ("SERVER_PORT", "8000"),
            ("SERVER_PROTOCOL", "HTTP/1.1"), ("REMOTE_ADDR", "127.0.0.1"), ("REMOTE_PORT", "4000"),
            ("wsgi.url_scheme", "http"), ("wsgi.multithread", "true"), ("wsgi.multiprocess", "false"),
            ("wsgi.run_once", "false"), ("wsgi.input_terminated", "true"), ("wsgi.version", "[1, 0]"),
        ] {
            assert_eq!(value(key).as_deref(), Some(expected), "{key}");
        }
        assert_eq!(environ_of(&app, get("/"), "QUERY_STRING").as_deref(), Some(""), "always there");
        assert_eq!(value("CONTENT_TYPE"), None);
        app.stop();
    }

    nothing_of_one_request_is_in_the_next {
        // On one thread. They are sorted, so that only the values count.
        let app = App::one_by_one("
import json
def app(environ, start_response):
    start_response('200 OK', [])
    plain = {key: value for key, value in environ.items() if isinstance(value, (str, bool, tuple))}
    return [json.dumps(plain, sort_keys=True).encode()]
");
        let other = |peer| {
            let mut other = with_header(request(Method::PUT, "/mount/b%20c?d=e", RequestBody::Empty), "x-other", "1");
            other.path = Bytes::from_static(b"/b c");
            other.script_name = Bytes::from_static(b"/mount");
            (other.version, other.scheme, other.peer) = (Version::HTTP_2, Scheme::Https, peer);
            other.local = Arc::new(Local { name: "other.example".into(), port: "8443".into() });
            other
        };
        let plain = app.get("/").text().to_owned();
        let named = |text: &str, name: &str, value: &str| text.contains(&format!("\"{name}\": \"{value}\""));
        for (peer, address) in [
            (Peer::Unix, ""),
            (Peer::Tcp("[2001:db8::7]:50000".parse().unwrap()), "2001:db8::7"),
            (Peer::Tcp("192.0.2.9:0".parse().unwrap()), "192.0.2.9"),
        ] {
            let answer = app.send(other(peer));
            for (name, value) in [
                ("REMOTE_ADDR", address), ("SERVER_NAME", "other.example"), ("SERVER_PORT", "8443"), ("HTTPS", "on"),
                ("SERVER_PROTOCOL", "HTTP/2"), ("REQUEST_METHOD", "PUT"), ("SCRIPT_NAME", "/mount"), ("PATH_INFO", "/b c"),
                ("QUERY_STRING", "d=e"), ("wsgi.url_scheme", "https"), ("HTTP_X_OTHER", "1"),
            ] {
                assert!(named(answer.text(), name, value), "{name} in {}", answer.text());
            }
            assert_eq!(app.get("/").text(), plain);
        }
        app.stop();
    }

    paths_are_latin_1_strings_of_the_decoded_bytes {
        let app = App::plain("
def application(environ, start_response):
    start_response('200 OK', [])
    return [environ['PATH_INFO'].encode('latin-1')]
");
        let mut unicode = get("/");
        unicode.path = Bytes::from("/\u{e9}\u{20ac}".as_bytes().to_vec());
        assert_eq!(app.send(unicode).text(), "/\u{e9}\u{20ac}");
        app.stop();
    }

    headers_become_http_keys {
        let app = App::validated(ENVIRON);
        let mut request = post("/", b"{}");
        for (name, value) in [
            ("x-one", "1"), ("accept", "a"), ("accept", "b"), ("cookie", "a=1"), ("cookie", "b=2"), ("x_forged", "evil"),
            ("proxy", "evil"), ("content-type", "application/json"), ("host", "example.org"),
        ] {
            request = with_header(request, name, value);
        }
        let response = app.send(request);
        let environ = response.text();
        for expected in [
            "\"HTTP_X_ONE\": \"1\"", "\"HTTP_ACCEPT\": \"a,b\"", "\"HTTP_COOKIE\": \"a=1; b=2\"", "\"CONTENT_LENGTH\": \"2\"",
            "\"CONTENT_TYPE\": \"application/json\"", "\"HTTP_HOST\": \"example.org\"",
        ] {
            assert!(environ.contains(expected), "{expected} in {environ}");
        }
        for absent in ["evil", "HTTP_CONTENT"] {
            assert!(!environ.contains(absent), "{absent} in {environ}");
        }
        app.stop();
    }

    a_chunked_body_gets_the_length_it_turned_out_to_have {
        let app = App::validated(ENVIRON);
        let mut request = with_header(post("/", b"12345"), "transfer-encoding", "chunked");
        request.headers.remove("content-length");
        assert_eq!(environ_of(&app, request, "CONTENT_LENGTH").as_deref(), Some("5"));
        app.stop();
    }

    the_environment_files_variables_are_set {
        let app = App::plain("
import os
def application(environ, start_response):
    start_response('200 OK', [])
    return [os.environ['STACK_TEST_VARIABLE'].encode()]
");
        assert_eq!(app.get("/").text(), "from the environment file");
        app.stop();
    }

    the_input_reads_like_a_file {
        let source = "
def app(environ, start_response):
    body = environ['wsgi.input']
    how = environ['PATH_INFO'][1:]
    read = {
        'read': lambda: [body.read(), body.read()],
        'sizes': lambda: [body.read(3), body.read(0), body.read(100), body.read(1)],
        'none': lambda: [body.read(None)],
        'negative': lambda: [body.read(-1)],
        'line': lambda: [body.readline(), body.readline(2), body.readline(-1), body.readline(), body.readline()],
        'lines': lambda: body.readlines(),
        'hint': lambda: body.readlines(1),
        'iterate': lambda: list(body),
        'mixed': lambda: [next(iter(body)), body.read(2), body.readline()],
    }[how]()
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'|'.join(read)]
application = app
";
        let app = App::plain(source);
        let expected = [
            ("/read", "one\ntwo\nthree|"), ("/sizes", "one||\ntwo\nthree|"), ("/none", "one\ntwo\nthree"),
            ("/negative", "one\ntwo\nthree"), ("/line", "one\n|tw|o\n|three|"), ("/lines", "one\n|two\n|three"),
            ("/hint", "one\n"), ("/iterate", "one\n|two\n|three"), ("/mixed", "one\n|tw|o\n"),
        ];
        for (path, expected) in expected {
            assert_eq!(app.send(post(path, b"one\ntwo\nthree")).text(), expected, "{path} from memory");
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(b"one\ntwo\nthree").unwrap();
            file.rewind().unwrap();
            let from_file = request(Method::POST, path, RequestBody::File { file, length: 13 });
            assert_eq!(app.send(from_file).text(), expected, "{path} from a file");
        }
        app.stop();
    }

    threads_of_the_application_may_share_the_input {
        let app = App::plain("
import threading
def application(environ, start_response):
    body, lines, errors, together = environ['wsgi.input'], [], [], threading.Barrier(4)
    def read():
        together.wait()
        try:
            while line := body.readline(): lines.append(line)
        except Exception as error: errors.append(repr(error))
    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    start_response('200 OK', [])
    return [' '.join(errors).encode() or b''.join(lines)]
");
        let body: &'static str = "one line\n".repeat(20_000).leak();
        let read = app.send(post("/", body.as_bytes()));
        // No more of a failure than its beginning.
        assert!(read.text() == body, "{}", &read.text()[..read.text().len().min(500)]);
        app.stop();
    }

    the_input_is_closed_with_its_request {
        let app = App::one_by_one("
kept = []
def application(environ, start_response):
    start_response('200 OK', [])
    if kept:
        try:
            return [kept[0].read()]
        except ValueError as error:
            return [str(error).encode()]
    kept.append(environ['wsgi.input'])
    return [b'kept']
");
        assert_eq!(app.send(post("/", b"secret")).text(), "kept");
        assert_eq!(app.get("/").text(), "wsgi.input of a request that is over");
        app.stop();
    }
}
