"""Factories of every kind."""


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"made by a factory"]


def create_app():
    return application


def raises():
    raise LookupError("the factory has no settings")


def makes_none():
    return None


def wants_more(settings):
    return application


class nested:
    @staticmethod
    def create_app():
        return application
