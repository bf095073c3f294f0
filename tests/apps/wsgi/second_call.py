"""Calls start_response a second time (PEP 3333 "Error Handling")."""

import sys

import gate

PLAIN = [("Content-Type", "text/plain")]


def application(environ, start_response):
    return {"/without": without, "/replaced": replaced, "/after-the-head": after_the_head, "/thrice": thrice}[
        environ["PATH_INFO"]
    ](environ, start_response)


def without(environ, start_response):
    start_response("200 OK", PLAIN)
    start_response("201 Created", PLAIN)
    return [b"unreachable"]


def failed(start_response, status="503 Replaced"):
    try:
        raise LookupError("the cause")
    except LookupError:
        start_response(status, [*PLAIN, ("X-Second", "yes")], sys.exc_info())


def replaced(environ, start_response):
    start_response("200 OK", [*PLAIN, ("X-First", "yes")])
    failed(start_response)
    return [b"replaced"]


def thrice(environ, start_response):
    start_response("200 OK", PLAIN)
    failed(start_response, "501 Second")
    failed(start_response, "502 Third")
    return [b"third"]


def after_the_head(environ, start_response):
    start_response("200 OK", PLAIN)
    yield b"the head is out"
    gate.wait(environ)
    failed(start_response)
    yield b"unreachable"
