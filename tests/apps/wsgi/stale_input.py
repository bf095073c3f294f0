"""Keeps the input of its first request and tries to read it in a later one."""

kept = []


def application(environ, start_response):
    if environ["PATH_INFO"] == "/keep":
        kept.append(environ["wsgi.input"])
        answer = "kept"
    else:
        answer = attempt(environ["PATH_INFO"])
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [answer.encode()]


def attempt(path):
    body = kept[0]
    try:
        got = {
            "/read": body.read,
            "/readline": body.readline,
            "/readlines": body.readlines,
            "/next": lambda: next(iter(body)),
        }[path]()
    except Exception as error:
        return f"raised {type(error).__name__}"
    return f"got {got!r}"
