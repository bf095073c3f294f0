"""Answers with what an application sees of its process, as JSON."""

import json
import os
import sys
import threading


def application(environ, start_response):
    shown = {
        "argv": sys.argv,
        "cwd": os.getcwd(),
        "environ": dict(os.environ),
        "executable": sys.executable,
        "path": sys.path,
        "pid": os.getpid(),
        "prefix": sys.prefix,
        "thread": threading.current_thread().name,
        "version": ".".join(map(str, sys.version_info[:3])),
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(shown).encode()]
