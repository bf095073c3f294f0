"""What `cargo demo` serves: a WSGI application without a dependency, and static files beside it.

`public/` never reaches this file; every other path ends up in `wsgi`.
"""

import email.parser
import email.policy
import hashlib
import os
import platform
import threading
import time
from html import escape

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} · stack</title>
<link rel="icon" href="/logo.svg">
<link rel="stylesheet" href="/style.css">
<script src="/demo.js" defer></script>
<header>
  <a href="/"><img src="/logo.svg" alt="" width="40" height="40"> stack</a>
  <nav><a href="/environ">Environ</a> <a href="/upload">Upload</a> <a href="/stream">Stream</a></nav>
</header>
<main>
<h1>{title}</h1>
{body}
</main>
<footer>Python {python} · process {process} · {thread}</footer>
</html>
"""

HOME = """
<p class="lead">One program accepted this request, served the picture and the style sheet itself, and ran this page in
Python.</p>
<section class="cards">
  <a class="card" href="/environ"><h2>Environ</h2><p>What the application is told about your request.</p></a>
  <a class="card" href="/upload"><h2>Upload</h2><p>Send a file. It is complete before Python sees its first byte.</p></a>
  <a class="card" href="/stream"><h2>Stream</h2><p>A response that is sent while it is still being made.</p></a>
  <a class="card" href="/style.css"><h2>Static</h2><p>A file that Python knows nothing of.</p></a>
</section>
"""

UPLOAD = """
<form method="post" enctype="multipart/form-data">
  <label>A file of up to 16 MiB <input type="file" name="file" required></label>
  <button>Send it</button>
</form>
"""

STREAM = """
<p>Ten lines, one every third of a second.</p>
<pre data-stream="/stream/lines">The lines come here; without JavaScript, <a href="/stream/lines">here</a>.</pre>
<button data-again>Again</button>
"""


def wsgi(environ, start_response):
    path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
    if path == "/stream/lines":
        # Asks the front to pass each block on and to keep none.
        start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8"), ("X-Accel-Buffering", "no")])
        return lines()
    view = {"/": home, "/environ": show_environ, "/upload": upload, "/stream": stream}.get(path)
    if view is None:
        return page(start_response, "404 Not Found", "Not here", f"<p>There is no page at {escape(path)}.</p>")
    if method not in ("GET", "HEAD") and view is not upload:
        return page(start_response, "405 Method Not Allowed", "Not that way", "<p>This page can only be read.</p>")
    title, body = view(environ)
    return page(start_response, "200 OK", title, body)


def page(start_response, status, title, body):
    text = PAGE.format(
        title=title,
        body=body,
        python=platform.python_version(),
        process=os.getpid(),
        thread=escape(threading.current_thread().name),
    ).encode()
    start_response(status, [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(text)))])
    return [text]


def home(_environ):
    return "It runs", HOME


def show_environ(environ):
    rows = "".join(
        f"<tr><th>{escape(key)}</th><td>{escape(str(value))}</td></tr>" for key, value in sorted(environ.items())
    )
    return "Environ", f"<table>{rows}</table>"


def upload(environ):
    if environ["REQUEST_METHOD"] != "POST":
        return "Upload", UPLOAD
    head = f"Content-Type: {environ.get('CONTENT_TYPE', '')}\r\n\r\n".encode("latin-1")
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + environ["wsgi.input"].read())
    for part in message.iter_parts():
        if part.get_param("name", header="content-disposition") == "file":
            content = part.get_payload(decode=True)
            rows = {
                "Name": part.get_filename() or "none",
                "Type": part.get_content_type(),
                "Size": f"{len(content):,} bytes",
                "SHA-256": hashlib.sha256(content).hexdigest(),
            }
            body = "".join(f"<tr><th>{key}</th><td>{escape(value)}</td></tr>" for key, value in rows.items())
            return "Received", f"<table>{body}</table>{UPLOAD}"
    return "Nothing received", UPLOAD


def stream(_environ):
    return "Stream", STREAM


def lines():
    for number in range(1, 11):
        yield f"line {number} at {time.strftime('%H:%M:%S')}\n".encode()
        time.sleep(0.3)
