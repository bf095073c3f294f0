"""Reads a null pointer while it is imported, some calls deep."""

import ctypes

print("imported once more", flush=True)


def load_driver():
    ctypes.string_at(0)


load_driver()
