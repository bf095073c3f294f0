from django.shortcuts import render

from .models import Book


def books(request):
    """Two queries and a template."""
    found = Book.objects.select_related("author").order_by("title")[:20]
    return render(request, "shelf/books.html", {"books": found, "number": Book.objects.count()})
