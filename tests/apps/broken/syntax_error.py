def application(environ, start_response):
    return [b"an end is missing"
