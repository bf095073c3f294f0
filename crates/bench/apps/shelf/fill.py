"""Makes the tables and what is in them. To be run once, before any server: `python -m shelf.fill`."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shelf.settings")
django.setup()

from django.core.management import call_command  # noqa: E402

from shelf.models import Author, Book  # noqa: E402

call_command("migrate", run_syncdb=True, verbosity=0)
authors = Author.objects.bulk_create(Author(name=f"Author {number}") for number in range(10))
Book.objects.bulk_create(
    Book(title=f"Book {number:03}", price=number, author=authors[number % len(authors)]) for number in range(100)
)
