"""Where a Django project keeps its files, by its own settings. The project is loaded; nothing in here raises."""

import os

NOBODYS = "stack-asks-for-a-route"


def prefix_of(url):
    """/static for /static/; None for the URL of another site, or for the whole of this one."""
    if not isinstance(url, str) or "://" in url or url.startswith("//"):
        return None
    path = "/" + url.strip("/")
    return None if path == "/" else path


def path_of(root):
    """The path with all links resolved, whether there is a directory yet or not; None where none is named."""
    try:
        return os.path.realpath(os.fspath(root)) if root else None
    except TypeError:
        return None


def has_route(prefix):
    """Whether the project has a view for the files below a prefix: it may let only some users have them.

    A view for any path at all is not meant for them, and Django's own view for files gives them to everybody.
    """
    try:
        from django.urls import Resolver404, resolve

        def view(path):
            try:
                return resolve(path).func
            except Resolver404:
                return None

        found = view(f"{prefix}/{NOBODYS}.bin")
        anything = view(f"/{NOBODYS}/{NOBODYS}.bin")
        return found is not None and found is not anything and found.__module__ != "django.views.static"
    except Exception:
        # Its routes can not be read, so nobody knows.
        return True


def directories(conf):
    """Kind, prefix, directory, whether the prefix is below SCRIPT_NAME, and whether the project has a route for it; "" is no.

    A directory for uploads has no prefix where it has no URL here or is not there yet: it is told all the same.
    """
    found = []
    try:
        if not conf.settings.configured:
            return found
        # As they were written: Django puts SCRIPT_NAME before a URL when it is first asked for, and keeps the outcome.
        written = conf.settings._wrapped
        for kind in ("static", "media"):
            directory = path_of(getattr(written, f"{kind.upper()}_ROOT", None))
            if not directory or not isinstance(directory, str):
                continue
            url = getattr(written, f"{kind.upper()}_URL", None)
            prefix = prefix_of(url) if os.path.isdir(directory) else None
            if prefix:
                relative = "" if url.startswith("/") else "relative"
                routed = "routed" if kind == "media" and has_route(prefix) else ""
                found.append((kind, prefix, directory, relative, routed))
            elif kind == "media":
                found.append((kind, "", directory, "", ""))
    except Exception:
        pass
    return found
