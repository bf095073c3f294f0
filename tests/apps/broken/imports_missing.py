"""Needs a package that nobody has."""

import a_package_that_nobody_has


def application(environ, start_response):
    raise NotImplementedError(a_package_that_nobody_has)
