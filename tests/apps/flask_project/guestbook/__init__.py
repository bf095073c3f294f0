"""A guest book: Flask, its templates and sessions, and SQLAlchemy."""

import os

from flask import Flask

from . import database, views


def create_app():
    app = Flask(__name__)
    app.secret_key = os.environ.get("SECRET_KEY", "a key for tests, which nobody should use elsewhere")
    database.connect(os.environ.get("DATABASE_URL", "sqlite:///guestbook.sqlite3"))
    app.register_blueprint(views.pages)
    app.teardown_appcontext(database.close)
    return app
