//! PEP 3333, behaviour by behaviour, without sockets.
#![expect(clippy::unwrap_used, reason = "tests")]

mod harness;

use std::{
    io::{Seek, Write},
    time::{Duration, Instant},
};

use http::{Method, StatusCode};
use stack_bridge::{Failure, RequestBody};
use stack_config::Callable;
use stack_wsgi::{LoadError, StartError};

use harness::{App, can_run, get, limits, post, read, request, with_header};

const HELLO: &str = "
def app(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'hello']
";

macro_rules! tests {
    ($(#[doc = $doc:literal])* $($name:ident $body:block)*) => {
        $(#[test]
        fn $name() {
            if can_run() $body
        })*
    };
}

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

tests! {
    a_head_has_the_length_that_the_body_would_have {
        let app = App::plain(HELLO);
        let head = app.send(request(Method::HEAD, "/", RequestBody::Empty));
        assert_eq!((head.text(), head.header("content-length")), ("", Some("5")));
        app.stop();
    }

    a_list_of_one_block_is_sent_whole_with_its_length {
        let app = App::plain(HELLO);
        let response = app.get("/");
        assert_eq!((response.status(), response.text(), response.pieces), (StatusCode::OK, "hello", 1));
        assert_eq!(response.header("content-length"), Some("5"));
        assert_eq!(response.header("content-type"), Some("text/plain"));
        app.stop();
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

    paths_are_latin_1_strings_of_the_decoded_bytes {
        let app = App::plain("
def application(environ, start_response):
    start_response('200 OK', [])
    return [environ['PATH_INFO'].encode('latin-1')]
");
        let mut unicode = get("/");
        unicode.path = bytes::Bytes::from("/\u{e9}\u{20ac}".as_bytes().to_vec());
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

    the_input_is_closed_with_its_request {
        let app = App::plain("
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

    blocks_of_a_generator_go_out_as_they_come {
        let app = App::validated("
import threading
gate = threading.Event()
def app(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    if environ['PATH_INFO'] == '/open':
        gate.set()
        return [b'opened']
    return stream()
def stream():
    yield b'first '
    gate.wait(20)
    yield b''
    yield b'second'
");
        let mut reply = app.push(get("/stream"), limits(1 << 20));
        harness::block_on(reply.head()).unwrap();
        let first = harness::block_on(std::future::poll_fn(|context| reply.poll_chunk(context)));
        assert!(matches!(first, Some(Ok(stack_bridge::Chunk::Memory(block))) if block == "first "), "before the second exists");
        app.assert_alive("/open");
        let rest = harness::block_on(std::future::poll_fn(|context| reply.poll_chunk(context)));
        assert!(matches!(rest, Some(Ok(stack_bridge::Chunk::Memory(block))) if block == "second"));
        app.stop();
    }

    write_sends_before_the_iterable {
        let app = App::validated("
def app(environ, start_response):
    write = start_response('200 OK', [('Content-Type', 'text/plain')])
    write(b'written ')
    return [b'returned']
");
        let response = app.get("/");
        assert_eq!((response.text(), response.header("content-length")), ("written returned", None));
        app.stop();
    }

    an_empty_iterable_is_an_empty_body {
        let app = App::plain("
def application(environ, start_response):
    start_response('200 OK', [])
    return {'/list': lambda: [], '/generator': lambda: iter(()), '/blocks': lambda: [b'', b'']}[environ['PATH_INFO']]()
");
        for path in ["/list", "/generator", "/blocks"] {
            let response = app.get(path);
            assert_eq!((response.text(), response.header("content-length")), ("", Some("0")), "{path}");
        }
        app.stop();
    }

    no_body_goes_out_on_head_204_and_304 {
        let app = App::validated("
def app(environ, start_response):
    status = environ['PATH_INFO'][1:]
    headers = [('Content-Type', 'text/plain')] if status.startswith('200') else []
    start_response(status, headers)
    return [b'body'] if status.startswith('200') else []
");
        assert_eq!(app.send(request(Method::HEAD, "/200 OK", RequestBody::Empty)).text(), "");
        for path in ["/204 No Content", "/304 Not Modified"] {
            let response = app.get(path);
            assert_eq!((response.text(), response.header("content-length")), ("", None), "{path}");
        }
        app.stop();
        let app = App::plain("
def application(environ, start_response):
    start_response(environ['PATH_INFO'][1:], [('Content-Length', '4')])
    return iter([b'bo', b'dy'])
");
        assert_eq!(app.get("/204 No Content").header("content-length"), None);
        for response in [app.get("/304 Not Modified"), app.send(request(Method::HEAD, "/200 OK", RequestBody::Empty))] {
            assert_eq!((response.text(), response.header("content-length"), response.cut), ("", Some("4"), None));
        }
        app.stop();
    }

    a_body_that_breaks_its_content_length_is_visible {
        let app = App::plain("
def application(environ, start_response):
    start_response('200 OK', [('Content-Length', '4')])
    return {
        '/ok': lambda: iter([b'ab', b'cd']), '/short': lambda: iter([b'ab']), '/long': lambda: iter([b'abc', b'de']),
        '/none': lambda: [], '/long-list': lambda: [b'abcdef'],
    }[environ['PATH_INFO']]()
");
        assert_eq!((app.get("/ok").text(), app.get("/ok").cut), ("abcd", None));
        for path in ["/short", "/long"] {
            let response = app.get(path);
            assert_eq!(response.cut, Some(Failure::Application), "{path}");
            assert!(response.body.len() < 4, "{path} is cut, not silently right");
        }
        for path in ["/none", "/long-list"] {
            assert_eq!(app.get(path).head.unwrap_err(), Failure::Application, "{path}: nothing was sent, so it is an error");
        }
        app.assert_alive("/ok");
        app.stop();
    }

    what_start_response_must_not_be_given_is_refused {
        let app = App::plain("
def application(environ, start_response):
    case = environ['PATH_INFO'][1:]
    try:
        {
            'status-type': lambda: start_response(200, []),
            'status-text': lambda: start_response('OK', []),
            'status-short': lambda: start_response('20', []),
            'status-newline': lambda: start_response('200 OK\\r\\nX: y', []),
            'status-1xx': lambda: start_response('100 Continue', []),
            'headers-type': lambda: start_response('200 OK', {'a': 'b'}),
            'header-type': lambda: start_response('200 OK', ['a: b']),
            'name-type': lambda: start_response('200 OK', [(b'a', 'b')]),
            'name-space': lambda: start_response('200 OK', [('a b', 'c')]),
            'name-colon': lambda: start_response('200 OK', [('a:', 'c')]),
            'value-type': lambda: start_response('200 OK', [('a', 1)]),
            'value-newline': lambda: start_response('200 OK', [('a', 'b\\r\\nc: d')]),
            'value-wide': lambda: start_response('200 OK', [('a', '\\u20ac')]),
            'length': lambda: start_response('200 OK', [('Content-Length', '4x')]),
            'lengths': lambda: start_response('200 OK', [('Content-Length', '4'), ('Content-Length', '5')]),
            'connection': lambda: start_response('200 OK', [('Connection', 'close')]),
            'transfer-encoding': lambda: start_response('200 OK', [('Transfer-Encoding', 'chunked')]),
            'arguments': lambda: start_response('200 OK'),
        }[case]()
    except (TypeError, ValueError) as error:
        start_response('200 OK', [('X-Refused', type(error).__name__)])
        return [str(error).encode()]
    return [b'accepted']
");
        for (case, kind, part) in [
            ("status-type", "TypeError", "not int"), ("status-text", "ValueError", "'200 OK'"),
            ("status-short", "ValueError", "'200 OK'"), ("status-newline", "ValueError", "'200 OK'"),
            ("status-1xx", "ValueError", "not a final response"), ("headers-type", "TypeError", "not dict"),
            ("header-type", "TypeError", "tuple"), ("name-type", "TypeError", "not bytes"),
            ("name-space", "ValueError", "a b"), ("name-colon", "ValueError", "a:"), ("value-type", "TypeError", "not int"),
            ("value-newline", "ValueError", "control character"), ("value-wide", "TypeError", "latin-1"),
            ("length", "ValueError", "4x"), ("lengths", "ValueError", "two different"),
            ("connection", "ValueError", "hop-by-hop"), ("transfer-encoding", "ValueError", "hop-by-hop"),
            ("arguments", "TypeError", "missing required argument 'headers'"),
        ] {
            let response = app.get(&format!("/{case}"));
            assert_eq!(response.header("x-refused"), Some(kind), "{case}: {}", response.text());
            assert!(response.text().contains(part), "{case}: {}", response.text());
        }
        app.stop();
    }

    a_second_start_response_needs_exc_info {
        let app = App::plain("
import sys
def application(environ, start_response):
    write = start_response('200 OK', [('X-First', '1')])
    if environ['PATH_INFO'] == '/plain':
        try:
            start_response('200 OK', [])
        except AssertionError as error:
            return [str(error).encode()]
    if environ['PATH_INFO'] == '/sent':
        write(b'part')
    try:
        raise KeyError('late')
    except KeyError:
        start_response('500 Oops', [], sys.exc_info())
    return [b'replaced']
");
        assert!(app.get("/plain").text().contains("second call needs exc_info"));
        let replaced = app.get("/replace");
        assert_eq!((replaced.status().as_u16(), replaced.header("x-first")), (500, None));
        assert_eq!(replaced.head.as_ref().unwrap().reason.as_deref(), Some("Oops"));
        let sent = app.get("/sent");
        assert_eq!((sent.status().as_u16(), sent.text(), sent.cut), (200, "part", Some(Failure::Application)));
        app.stop();
    }

    an_application_may_raise_at_any_point {
        // One thread: a response may be complete before its close() has run, but the next request comes after it.
        let app = App::start("
closed = []
class Body:
    def __init__(self, where): self.where = where
    def __iter__(self):
        if self.where == 'iter': raise RuntimeError('iter')
        return self.blocks()
    def blocks(self):
        if self.where == 'first': raise RuntimeError('first')
        yield b'part'
        if self.where == 'second': raise RuntimeError('second')
        if self.where == 'exit': raise SystemExit(3)
        if self.where == 'type': yield 'text'
    def close(self):
        closed.append(self.where)
        if self.where == 'close': raise RuntimeError('close')
def application(environ, start_response):
    where = environ['PATH_INFO'][1:]
    if where == 'closed':
        start_response('200 OK', [])
        return [','.join(closed).encode()]
    if where == 'call': raise RuntimeError('call')
    if where == 'interrupt': raise KeyboardInterrupt
    if where == 'unstarted': return [b'x']
    start_response('200 OK', [])
    if where == 'started': raise RuntimeError('started')
    if where == 'none': return None
    return Body(where)
", 1).unwrap();
        for path in ["/call", "/interrupt", "/unstarted", "/started", "/none", "/iter", "/first"] {
            assert_eq!(app.get(path).head.unwrap_err(), Failure::Application, "{path}");
        }
        for path in ["/second", "/exit", "/type"] {
            let response = app.get(path);
            assert_eq!((response.text(), response.cut), ("part", Some(Failure::Application)), "{path}");
        }
        let late = app.get("/close");
        assert_eq!((late.text(), late.cut), ("part", None), "the response was complete");
        assert_eq!(app.get("/closed").text(), "iter,first,second,exit,type,close", "close() always runs");
        app.stop();
    }

    close_runs_when_the_client_has_left {
        let app = App::plain("
import threading
closed = threading.Event()
class Body:
    def __iter__(self):
        while True: yield b'x' * 1000
    def close(self): closed.set()
def application(environ, start_response):
    start_response('200 OK', [])
    if environ['PATH_INFO'] == '/wait':
        return [b'closed' if closed.wait(20) else b'not closed']
    return Body()
");
        let mut reply = app.push(get("/"), limits(4096));
        harness::block_on(reply.head()).unwrap();
        drop(reply);
        assert_eq!(app.get("/wait").text(), "closed");
        app.stop();
    }

    a_body_larger_than_memory_arrives_whole {
        let app = App::validated("
def app(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return (bytes([65 + n % 26]) * 1000 for n in range(500))
");
        let response = read(app.push(get("/"), limits(4096)));
        let expected: Vec<u8> = (0..500u16).flat_map(|n| vec![65 + (n % 26) as u8; 1000]).collect();
        assert!(response.body == expected && response.cut.is_none(), "{} bytes", response.body.len());
        app.stop();
    }

    a_file_is_sent_from_its_descriptor {
        let app = App::plain("
import io, gzip, os, tempfile
def application(environ, start_response):
    kind = environ['PATH_INFO'][1:]
    wrapper = environ['wsgi.file_wrapper']
    path = os.path.join(os.path.dirname(__file__), 'data')
    with open(path, 'wb') as file: file.write(b'0123456789' * 1000)
    headers = []
    if kind == 'offset':
        file = open(path, 'rb'); file.seek(9990)
    elif kind == 'raw': file = open(path, 'rb', buffering=0)
    elif kind == 'memory': file = io.BytesIO(b'in memory')
    elif kind == 'gzip':
        with gzip.open(path + '.gz', 'wb') as out: out.write(b'unpacked')
        file = gzip.open(path + '.gz', 'rb')
    elif kind == 'temporary':
        file = tempfile.NamedTemporaryFile(); file.write(b'temporary'); file.seek(0)
    elif kind == 'length':
        file = open(path, 'rb'); headers = [('Content-Length', '5')]
    elif kind == 'short':
        file = open(path, 'rb'); headers = [('Content-Length', '10001')]
    else: file = open(path, 'rb')
    start_response('200 OK', headers)
    return wrapper(file, 4096)
");
        let whole = app.get("/whole");
        assert!(whole.from_file && whole.body == b"0123456789".repeat(1000));
        assert_eq!(whole.header("content-length"), Some("10000"));
        for (kind, expected, from_file) in [
            ("offset", "0123456789", true), ("memory", "in memory", false), ("gzip", "unpacked", false),
            ("temporary", "temporary", true), ("length", "01234", true),
        ] {
            let response = app.get(&format!("/{kind}"));
            assert_eq!((response.text(), response.from_file), (expected, from_file), "{kind}");
        }
        assert_eq!(app.get("/raw").body.len(), 10_000);
        assert_eq!(app.get("/short").head.unwrap_err(), Failure::Application);
        let head = app.send(request(Method::HEAD, "/whole", RequestBody::Empty));
        assert_eq!((head.text(), head.header("content-length")), ("", Some("10000")));
        app.stop();
    }

    what_is_no_exception_can_not_be_raised_again {
        let app = App::plain("
def application(environ, start_response):
    start_response('200 OK', [])(b'part')
    start_response('500 Oops', [], (None, 'no exception', None)[:2 if environ['PATH_INFO'] == '/two' else 3])
    return []
");
        for path in ["/two", "/three"] {
            assert_eq!(app.get(path).cut, Some(Failure::Application), "{path}");
        }
        app.stop();
    }

    a_file_after_written_blocks_is_iterated {
        let app = App::plain("
import io
def application(environ, start_response):
    start_response('200 OK', [])(b'written ')
    return environ['wsgi.file_wrapper'](open(__file__, 'rb'), 100)
");
        let response = app.get("/");
        assert!(response.text().starts_with("written \nimport io"), "{}", response.text());
        assert_eq!((response.from_file, response.cut), (false, None));
        app.stop();
    }

    a_wrapper_with_a_read_of_its_own_is_iterated {
        let app = App::plain("
class Upper:
    def __init__(self, file): self.file = file
    def read(self, size=-1): return self.file.read(size).upper()
def application(environ, start_response):
    start_response('200 OK', [])
    return environ['wsgi.file_wrapper'](Upper(open(__file__, 'rb')))
");
        let response = app.get("/");
        assert!(response.text().contains("CLASS UPPER"), "{}", response.text());
        app.stop();
    }

    write_tells_that_the_client_has_gone {
        let app = App::plain("
import threading
told = threading.Event()
def application(environ, start_response):
    write = start_response('200 OK', [])
    if environ['PATH_INFO'] == '/wait':
        return [b'told' if told.wait(20) else b'not told']
    try:
        while True: write(b'x' * 1000)
    except OSError:
        told.set()
        raise
");
        let mut reply = app.push(get("/"), limits(4096));
        harness::block_on(reply.head()).unwrap();
        drop(reply);
        assert_eq!(app.get("/wait").text(), "told");
        app.stop();
    }

    a_head_without_a_block_promises_no_length {
        let app = App::plain("
def application(environ, start_response):
    start_response('200 OK', [])
    return [b''] if environ['PATH_INFO'] == '/block' else []
");
        for path in ["/block", "/none"] {
            let head = app.send(request(Method::HEAD, path, RequestBody::Empty));
            assert_eq!(head.header("content-length"), None, "{path}");
        }
        app.stop();
    }

    nothing_of_a_request_works_when_it_is_over {
        let app = App::plain("
kept = []
def application(environ, start_response):
    if not kept:
        kept.append((start_response, start_response('200 OK', [])))
        return [b'kept']
    results = []
    for call in (lambda: kept[0][1](b'late'), lambda: kept[0][0]('200 OK', [])):
        try: call()
        except RuntimeError as error: results.append(str(error))
    start_response('200 OK', [])
    return ['|'.join(results).encode()]
");
        assert_eq!(app.get("/").text(), "kept");
        assert_eq!(app.get("/").text(), "write() of a request that is over|start_response() of a request that is over");
        app.stop();
    }

    requests_run_on_several_threads_at_once {
        let app = App::validated("
import threading
both = threading.Barrier(2, timeout=20)
def app(environ, start_response):
    both.wait()
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [threading.current_thread().name.encode()]
");
        let replies = [app.push(get("/"), limits(1 << 20)), app.push(get("/"), limits(1 << 20))];
        let mut names = replies.map(|reply| read(reply).text().to_owned());
        names.sort();
        assert_eq!(names, ["worker-0.0", "worker-0.1"]);
        app.stop();
    }

    the_end_runs_atexit_handlers_after_the_last_request {
        let app = App::plain("
import atexit, os
path = os.path.join(os.path.dirname(__file__), 'end')
def note():
    with open(path, 'w') as file: file.write('atexit ran')
atexit.register(note)
def application(environ, start_response):
    start_response('200 OK', [])
    return [b'ok']
");
        app.assert_alive("/");
        let folder = app.stop();
        assert_eq!(std::fs::read_to_string(folder.path().join("end")).unwrap(), "atexit ran");
    }

    a_stop_does_not_wait_longer_than_it_may {
        let app = App::plain("
import threading
def application(environ, start_response):
    threading.Event().wait(3)
    start_response('200 OK', [])
    return [b'late']
");
        let _reply = app.push(get("/"), limits(1 << 20));
        let before = Instant::now();
        assert_eq!(app.stop_within(Duration::from_millis(50)), 1);
        assert!(before.elapsed() < Duration::from_secs(2));
    }

    callables_are_found_by_name_default_and_factory {
        let source = "
def app(environ, start_response):
    start_response('200 OK', [])
    return [b'app']
class make:
    nested = staticmethod(app)
def factory(): return app
";
        let named = |path: &str, factory| Some(Callable { path: path.into(), factory });
        for callable in [None, named("app", false), named("make.nested", false), named("factory", true)] {
            let app = App::load(source, "application_under_test", callable, 1).unwrap();
            assert_eq!(app.get("/").text(), "app");
            app.stop();
        }
    }

    an_application_that_can_not_be_loaded_says_why {
        let named = |path: &str, factory| Some(Callable { path: path.into(), factory });
        let error = |source: &str, module: &str, callable| match App::load(source, module, callable, 1).err().unwrap() {
            StartError::Load(error) => error,
            other => panic!("{other}"),
        };
        let module = "application_under_test";
        let missing = error("", "no_such_module.wsgi", None);
        assert!(matches!(&missing, LoadError::ModuleNotFound { missing, sys_path, .. } if missing == "no_such_module" && !sys_path.is_empty()), "{missing}");
        let inside = error("import no_such_module", module, None);
        assert!(matches!(&inside, LoadError::ImportRaised { .. }), "{inside}");
        let text = inside.to_string();
        assert!(text.contains("ModuleNotFoundError") && text.contains("application_under_test.py\", line 1") && !text.contains("importlib"), "{text}");
        let syntax = error("def broken(:\n", module, None).to_string();
        assert!(syntax.contains("SyntaxError") && syntax.contains("def broken(:"), "{syntax}");
        let callable = error("def wsgi(): pass\ndef _private(): pass", module, None).to_string();
        assert!(callable.contains("no 'application' or 'app'") && callable.contains("callables in it: wsgi (write application_under_test:wsgi)"), "{callable}");
        let kind = error("app = 3", module, None).to_string();
        assert!(kind.contains("is of type int, not a callable"), "{kind}");
        let forgotten = error("def make(): pass", module, named("make", false)).to_string();
        assert!(forgotten.contains("takes no arguments") && forgotten.contains("write application_under_test:make()"), "{forgotten}");
        let factory = error("def make(): raise ValueError('no settings')", module, named("make", true)).to_string();
        assert!(factory.contains("'application_under_test:make()' raised ValueError: no settings"), "{factory}");
        let made = error("def make(): pass", module, named("make", true)).to_string();
        assert!(made.contains("make()' is None, not a callable"), "{made}");
    }
}
