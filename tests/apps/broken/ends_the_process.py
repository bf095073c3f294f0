"""Ends its process while it is imported."""

import os

print("imported once more", flush=True)
os._exit(7)
