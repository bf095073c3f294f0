"""Uses packages with extension modules of every make, and says what each of them worked out."""

import io
import json
import os
import time

import bcrypt
import greenlet
import lxml.etree
import numpy
import psycopg2.extensions
import pydantic
import sqlalchemy
from cryptography.fernet import Fernet
from PIL import Image


class Order(pydantic.BaseModel):
    article: str
    price: float


def from_bcrypt():
    return bcrypt.checkpw(b"secret", bcrypt.hashpw(b"secret", bcrypt.gensalt(4)))


def from_cryptography():
    key = Fernet(Fernet.generate_key())
    return key.decrypt(key.encrypt(b"hidden")).decode()


def from_greenlet():
    return greenlet.greenlet(lambda: greenlet.getcurrent().parent is not None).switch()


def from_lxml():
    return lxml.etree.fromstring("<order><article>tea</article></order>").findtext("article")


def from_numpy():
    return int((numpy.arange(1000) @ numpy.arange(1000)))


def from_pillow():
    file = io.BytesIO()
    Image.new("RGB", (3, 2), "navy").save(file, "PNG")
    return Image.open(io.BytesIO(file.getvalue())).getpixel((2, 1))


def from_psycopg2():
    return psycopg2.extensions.QuotedString("it's").getquoted().decode()


def from_pydantic():
    return Order(article="tea", price="1.5").price


def from_sqlalchemy():
    with sqlalchemy.create_engine("sqlite://").connect() as connection:
        return connection.execute(sqlalchemy.text("select 40 + 2")).scalar()


ANSWERS = {name.removeprefix("from_"): answer for name, answer in globals().items() if name.startswith("from_")}


def application(environ, start_response):
    if environ["PATH_INFO"] == "/burn":
        end = time.thread_time() + 0.5
        while time.thread_time() < end:
            pass
        answers = {"pid": os.getpid()}
    else:
        answers = {name: answer() for name, answer in ANSWERS.items()}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answers).encode()]
