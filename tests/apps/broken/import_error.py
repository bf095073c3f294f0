"""Raises while it is imported, some calls deep."""


def connect():
    settings = {}
    return settings["database"]


application = connect()
