"""Can not be imported while the file BROKEN is there. `/die` ends its process."""

import os

if os.path.exists(os.environ["BROKEN"]):
    raise RuntimeError("broken by a deployment")


def application(environ, start_response):
    if environ["PATH_INFO"] == "/die":
        os._exit(3)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"whole"]
