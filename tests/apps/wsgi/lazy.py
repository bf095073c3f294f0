"""Imports, in a request, a package that refuses to load in an interpreter of its own GIL."""

import os
import time


def application(environ, start_response):
    path, status, headers = environ["PATH_INFO"], "200 OK", [("X-Pid", str(os.getpid()))]
    if path == "/hash":
        import bcrypt

        body = str(bcrypt.checkpw(b"secret", bcrypt.hashpw(b"secret", bcrypt.gensalt(4))))
    elif path == "/framework":  # which makes a response of what is raised
        try:
            import bcrypt

            body = bcrypt.__version__
        except ImportError as error:
            status, body = "500 Internal Server Error", f"an error page: {error}"
    elif path == "/optional":
        try:
            import bcrypt
        except ImportError:
            bcrypt = None
        body = "without" if bcrypt is None else "with"
    elif path == "/slow":
        time.sleep(1)
        body = "slow"
    else:
        body = "plain"
    start_response(status, headers)
    return [body.encode()]
