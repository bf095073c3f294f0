//! What the application returns.

use http::{Method, StatusCode};
use stack_bridge::{Failure, RequestBody};

use crate::harness::{self, App, can_run, get, limits, read, request};

const HELLO: &str = "
def app(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'hello']
";

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
}
