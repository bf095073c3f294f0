"""Has neither `application` nor `app`."""


def aplication(environ, start_response):
    raise NotImplementedError


def create_shop():
    return aplication
