//! `start_response`, `write`, and applications that raise.

use stack_bridge::Failure;

use crate::harness::{self, App, can_run, get, limits};

tests! {
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
    if environ['PATH_INFO'] == '/caught':
        write(b'part ')
    try:
        raise KeyError('late')
    except KeyError as late:
        try:
            start_response('500 Oops', [], sys.exc_info())
        except BaseException as error:
            if environ['PATH_INFO'] != '/caught': raise
            return [b'the same' if error is late else repr(error).encode()]
    return [b'replaced']
");
        assert!(app.get("/plain").text().contains("second call needs exc_info"));
        let replaced = app.get("/replace");
        assert_eq!((replaced.status().as_u16(), replaced.header("x-first")), (500, None));
        assert_eq!(replaced.head.as_ref().unwrap().reason.as_deref(), Some("Oops"));
        assert_eq!(app.get("/caught").text(), "part the same", "the application's own exception goes on");
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

    nothing_of_a_request_works_when_it_is_over {
        let app = App::one_by_one("
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

    threads_of_the_application_may_share_write {
        let app = App::plain("
import threading
def application(environ, start_response):
    write, errors, together = start_response('200 OK', []), [], threading.Barrier(4)
    def send():
        together.wait()
        try:
            for _ in range(2000): write(b'block')
        except Exception as error: errors.append(repr(error))
    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    return [' '.join(errors).encode()]
");
        let response = app.get("/");
        assert!(response.text() == "block".repeat(8000), "{}", &response.text()[response.text().len().saturating_sub(500)..]);
        app.stop();
    }

    a_header_may_lose_its_value_to_another_thread {
        let app = App::plain("
import threading
def application(environ, start_response):
    header, stop, unexpected = ['X-A', 'b'], threading.Event(), b''
    def change():
        while not stop.is_set():
            header.clear()
            header.extend(('X-A', 'b'))
    changing = threading.Thread(target=change)
    changing.start()
    for _ in range(20000):
        # The second header is refused, where the first is not.
        try: start_response('200 OK', [header, ('bad name', '')])
        except (TypeError, ValueError): pass
        except Exception as error:
            unexpected = repr(error).encode()
            break
    stop.set()
    changing.join()
    start_response('200 OK', [])
    return [unexpected]
");
        assert_eq!(app.get("/").text(), "");
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
}
