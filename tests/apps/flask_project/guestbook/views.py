from flask import Blueprint, abort, jsonify, redirect, render_template, request, stream_with_context, url_for
from flask import session as cookie
from sqlalchemy import func, select

from .database import Entry, Guest, session

pages = Blueprint("pages", __name__)


@pages.get("/")
def index():
    entries = session.scalars(select(Entry).order_by(Entry.id)).all()
    return render_template("index.html", entries=entries, name=cookie.get("name"))


@pages.post("/")
def write():
    name, text = request.form["name"], request.form["text"]
    guest = session.scalar(select(Guest).where(Guest.name == name)) or Guest(name=name)
    guest.entries.append(Entry(text=text))
    session.add(guest)
    session.commit()
    cookie["name"] = name
    return redirect(url_for("pages.index"))


@pages.get("/api/guests")
def guests():
    rows = session.execute(
        select(Guest.name, func.count(Entry.id)).join(Guest.entries).group_by(Guest.name).order_by(Guest.name)
    )
    return jsonify([{"name": name, "entries": number} for name, number in rows])


@pages.post("/api/entries")
def add():
    sent = request.get_json()
    if "text" not in sent:
        abort(422)
    session.add(Guest(name=sent["name"], entries=[Entry(text=sent["text"])]))
    session.commit()
    return jsonify(added=sent["name"]), 201


@pages.get("/export")
def export():
    @stream_with_context
    def lines():
        for entry in session.scalars(select(Entry).order_by(Entry.id)):
            yield f"{entry.guest.name}: {entry.text}\n"

    return lines(), {"Content-Type": "text/plain"}


@pages.get("/accelerated")
def accelerated():
    """Whether SQLAlchemy runs with its C extensions."""
    from sqlalchemy.util import _collections_cy

    return jsonify(accelerated=_collections_cy.__file__.endswith(".so"), file=_collections_cy.__file__)
