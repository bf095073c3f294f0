"""A Flask page: a view, and a template that extends another one."""

from flask import Flask, render_template

application = Flask(__name__)
BOOKS = [{"title": f"Book number {number}", "price": number * 1.25} for number in range(1, 21)]


@application.get("/")
def page():
    return render_template("books.html", books=BOOKS, reader="a <reader>")
