//! What the application sees of a request (PEP 3333 "environ Variables").

use serde_json::{Value, json};

use crate::harness::{Connection, Server, workers};

fn environ(server: &Server, request: &str) -> Value {
    let mut connection = server.connect();
    connection.send(request.replace('\n', "\r\n"));
    connection.response("GET").unwrap().expect(200).json()
}

#[test]
fn every_required_variable_is_there() {
    let server = Server::start("environment", &["--workers", "2", "--threads", "4"]);
    let mut connection = server.connect();
    let environ = connection.get("/").expect(200).json();
    let expected = json!({
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_PORT": server.address().port().to_string(),
        "REMOTE_ADDR": "127.0.0.1",
        "REMOTE_PORT": connection.port().to_string(),
        "REQUEST_URI": "/",
        "RAW_URI": "/",
        "HTTP_HOST": "localhost",
        "wsgi.version": [1, 0],
        "wsgi.url_scheme": "http",
        "wsgi.multithread": true,
        "wsgi.multiprocess": workers(2) > 1,
        "wsgi.run_once": false,
        "wsgi.input_terminated": true,
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(environ.get(key), Some(value), "{key}");
    }
    for key in ["SERVER_NAME", "SERVER_SOFTWARE", "wsgi.input", "wsgi.errors", "wsgi.file_wrapper"] {
        assert!(environ.get(key).is_some_and(|value| value != ""), "{key}");
    }
    server.stop();
}

#[test]
fn one_worker_with_one_thread_is_neither_multiprocess_nor_multithread() {
    let server = Server::start("environment", &["--workers", "1", "--threads", "1"]);
    let environ = server.get("/").expect(200).json();
    assert_eq!(environ["wsgi.multithread"], false);
    assert_eq!(environ["wsgi.multiprocess"], false);
}

#[test]
fn a_path_is_decoded_and_the_target_is_kept_as_sent() {
    let server = Server::start("environment", &[]);
    for (target, path, query) in [
        ("/caf%C3%A9/a%20b?x=%20y&z", "/caf\u{c3}\u{a9}/a b", "x=%20y&z"),
        ("/a%2Fb", "/a/b", ""),
        ("/a%3Fb?c?d", "/a?b", "c?d"),
        ("/+?+", "/+", "+"),
        ("//double//slash", "//double//slash", ""),
        ("/%ff", "/\u{ff}", ""),
        ("/a;b=c,d!$&'()*@:~", "/a;b=c,d!$&'()*@:~", ""),
        ("/?", "/", ""),
    ] {
        let environ = server.get(target).expect(200).json();
        assert_eq!(environ["PATH_INFO"], path, "{target}");
        assert_eq!(environ["QUERY_STRING"], query, "{target}");
        assert_eq!(environ["REQUEST_URI"], target);
        assert_eq!(environ["RAW_URI"], target);
    }
}

#[test]
fn an_absolute_target_gives_the_same_path() {
    let server = Server::start("environment", &[]);
    let environ = environ(&server, "GET http://example.org/a?b HTTP/1.1\nHost: example.org\n\n");
    assert_eq!(environ["PATH_INFO"], "/a");
    assert_eq!(environ["QUERY_STRING"], "b");
    assert_eq!(environ["HTTP_HOST"], "example.org");
}

#[test]
fn repeated_fields_are_joined() {
    let server = Server::start("environment", &[]);
    let environ = environ(
        &server,
        "GET / HTTP/1.1\nHost: a\nAccept: one\nCookie: a=1\nX-Forwarded-For: 1.1.1.1\nAccept: two\nCookie: b=2\n\n",
    );
    let accept = environ["HTTP_ACCEPT"].as_str().unwrap();
    assert_eq!(accept.replace(", ", ","), "one,two", "the space is optional (RFC 9110 §5.3)");
    assert_eq!(environ["HTTP_COOKIE"], "a=1; b=2");
    assert_eq!(environ["HTTP_X_FORWARDED_FOR"], "1.1.1.1");
}

#[test]
fn a_name_with_an_underscore_can_not_pose_as_another_field() {
    let server = Server::start("environment", &[]);
    let environ = environ(&server, "GET / HTTP/1.1\nHost: a\nX_Real_User: root\nX-Real-User: guest\nA_B: c\n\n");
    assert_eq!(environ["HTTP_X_REAL_USER"], "guest");
    assert_eq!(environ.get("HTTP_A_B"), None);
}

#[test]
fn a_body_s_type_and_length_have_no_prefix() {
    let server = Server::start("environment", &[]);
    let environ = server.connect().request("POST", "/", &[("Content-Type", "text/csv")], b"1,2").expect(200).json();
    assert_eq!(environ["REQUEST_METHOD"], "POST");
    assert_eq!(environ["CONTENT_TYPE"], "text/csv");
    assert_eq!(environ["CONTENT_LENGTH"], "3");
    assert_eq!(environ.get("HTTP_CONTENT_TYPE"), None);
    assert_eq!(environ.get("HTTP_CONTENT_LENGTH"), None);
}

#[test]
fn bytes_above_ascii_arrive_as_latin_1() {
    let server = Server::start("environment", &[]);
    let mut connection = server.connect();
    connection.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Name: caf\xc3\xa9 \xff\r\n\r\n");
    let environ = connection.response("GET").unwrap().expect(200).json();
    assert_eq!(environ["HTTP_X_NAME"], "caf\u{c3}\u{a9} \u{ff}");
}

#[test]
fn an_unusual_method_reaches_the_application() {
    let server = Server::start("environment", &[]);
    for method in ["PROPFIND", "PATCH", "DELETE", "OPTIONS", "X-OWN"] {
        let environ = server.connect().request(method, "/", &[], b"").expect(200).json();
        assert_eq!(environ["REQUEST_METHOD"], method);
    }
}

#[test]
fn http_1_0_is_told_apart() {
    let server = Server::start("environment", &[]);
    let environ = environ(&server, "GET / HTTP/1.0\n\n");
    assert_eq!(environ["SERVER_PROTOCOL"], "HTTP/1.0");
    assert_eq!(environ.get("HTTP_HOST"), None);
}

#[test]
fn a_peer_on_a_unix_socket_has_an_empty_address() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.sock");
    let server = Server::start("environment", &["--bind", &format!("unix:{}", path.display())]);
    let environ = Connection::unix(&path).get("/").expect(200).json();
    assert_eq!(environ["REMOTE_ADDR"], "");
    assert!(environ["SERVER_NAME"].as_str().is_some_and(|name| !name.is_empty()));
    assert!(environ["SERVER_PORT"].as_str().is_some_and(|port| !port.is_empty()));
    server.stop();
}

#[test]
fn the_process_looks_like_a_python_program() {
    let stack = crate::harness::serve("variables", &[]).env("FROM_OUTSIDE", "yes");
    let server = stack.server();
    let seen = server.get("/").expect(200).json();
    let chdir = crate::harness::tests_argument("apps/wsgi");
    assert_eq!(seen["cwd"], chdir.as_str());
    assert_eq!(seen["path"][0], chdir.as_str());
    assert_eq!(seen["environ"]["FROM_OUTSIDE"], "yes");
    assert!(seen["argv"].as_array().is_some_and(|argv| !argv.is_empty()), "sys.argv is {}", seen["argv"]);
    assert!(
        std::path::Path::new(seen["executable"].as_str().unwrap()).exists(),
        "sys.executable: {}",
        seen["executable"]
    );
}

#[test]
fn an_environment_file_is_seen_by_the_application() {
    let stack = crate::harness::serve("variables", &["--env-file", "settings.env"])
        .file("settings.env", "# settings\nSHOP_NAME=\"Corner Shop\"\nexport SHOP_OPEN=yes\n\nBOTH=file\n")
        .env("BOTH", "environment");
    let seen = stack.server().get("/").expect(200).json();
    assert_eq!(seen["environ"]["SHOP_NAME"], "Corner Shop");
    assert_eq!(seen["environ"]["SHOP_OPEN"], "yes");
    assert_eq!(seen["environ"]["BOTH"], "environment", "what is set already wins");
}
