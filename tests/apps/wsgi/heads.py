"""Calls start_response with the head that the path names."""

from wsgiref.validate import validator

PLAIN = ("Content-Type", "text/plain")

HEADS = {
    "/good": ("200 OK", [PLAIN]),
    "/reason": ("299 Quite All Right", [PLAIN]),
    "/repeated": (
        "200 OK",
        [PLAIN, ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Empty", ""), ("x-lower", "kept")],
    ),
    "/latin-1": ("200 OK", [PLAIN, ("X-Name", "caf\xe9")]),
    "/own-date": ("200 OK", [PLAIN, ("Date", "Thu, 01 Jan 1970 00:00:00 GMT"), ("Server", "mine")]),
    # What is not allowed:
    "/status-bytes": (b"200 OK", [PLAIN]),
    "/status-int": (200, [PLAIN]),
    "/status-word": ("fine", [PLAIN]),
    "/status-short": ("20 OK", [PLAIN]),
    "/status-long": ("2000 OK", [PLAIN]),
    "/status-newline": ("200 OK\r\nX-Injected: yes", [PLAIN]),
    "/headers-none": ("200 OK", None),
    "/headers-dict": ("200 OK", {"Content-Type": "text/plain"}),
    "/header-str": ("200 OK", ["Content-Type: text/plain"]),
    "/header-triple": ("200 OK", [("a", "b", "c")]),
    "/name-bytes": ("200 OK", [PLAIN, (b"X-Name", "value")]),
    "/name-space": ("200 OK", [PLAIN, ("X Name", "value")]),
    "/name-colon": ("200 OK", [PLAIN, ("X-Name:", "value")]),
    "/name-empty": ("200 OK", [PLAIN, ("", "value")]),
    "/value-int": ("200 OK", [PLAIN, ("X-Name", 5)]),
    "/value-bytes": ("200 OK", [PLAIN, ("X-Name", b"value")]),
    "/value-newline": ("200 OK", [PLAIN, ("X-Name", "value\r\nX-Injected: yes")]),
    "/value-nul": ("200 OK", [PLAIN, ("X-Name", "val\0ue")]),
    "/value-wide": ("200 OK", [PLAIN, ("X-Name", "\u20ac")]),
    "/length-word": ("200 OK", [PLAIN, ("Content-Length", "many")]),
    "/length-negative": ("200 OK", [PLAIN, ("Content-Length", "-1")]),
    "/length-twice": ("200 OK", [PLAIN, ("Content-Length", "5"), ("Content-Length", "6")]),
    # Hop-by-hop (PEP 3333 "Other HTTP Features"):
    "/hop-connection": ("200 OK", [PLAIN, ("Connection", "close")]),
    "/hop-keep-alive": ("200 OK", [PLAIN, ("Keep-Alive", "timeout=5")]),
    "/hop-transfer-encoding": ("200 OK", [PLAIN, ("Transfer-Encoding", "chunked")]),
    "/hop-upgrade": ("200 OK", [PLAIN, ("Upgrade", "websocket")]),
    "/hop-trailer": ("200 OK", [PLAIN, ("Trailer", "X-Sum")]),
    "/hop-te": ("200 OK", [PLAIN, ("TE", "trailers")]),
    "/hop-proxy-authenticate": ("200 OK", [PLAIN, ("Proxy-Authenticate", "Basic")]),
}


def bare(environ, start_response):
    start_response(*HEADS[environ["PATH_INFO"]])
    return [b"body"]


application = validator(bare)


def no_arguments(environ, start_response):
    start_response()
    return [b"body"]
