"""Imports a module of its own that raises."""

import import_error

application = import_error.application
