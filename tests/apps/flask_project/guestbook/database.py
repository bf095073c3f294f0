from datetime import UTC, datetime

from sqlalchemy import ForeignKey, String, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, scoped_session, sessionmaker

session = scoped_session(sessionmaker())


class Base(DeclarativeBase):
    pass


class Guest(Base):
    __tablename__ = "guest"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    entries: Mapped[list["Entry"]] = relationship(back_populates="guest", order_by="Entry.id")


class Entry(Base):
    __tablename__ = "entry"

    id: Mapped[int] = mapped_column(primary_key=True)
    guest_id: Mapped[int] = mapped_column(ForeignKey("guest.id"))
    text: Mapped[str] = mapped_column(String(1000))
    written_at: Mapped[datetime] = mapped_column(default=lambda: datetime.now(UTC))
    guest: Mapped[Guest] = relationship(back_populates="entries")


def connect(url):
    engine = create_engine(url, connect_args={"timeout": 20})
    # Each worker comes here: the first one makes the tables, the others find them, whoever is first.
    with engine.begin() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        Base.metadata.create_all(connection)
    session.configure(bind=engine)


def close(_error=None):
    session.remove()
