"""A session of SQLAlchemy over psycopg2: prints what it sees. ../test_drivers.py compares that with a direct
connection. Servers are taken from SQLAlchemy's own pool, which says ROLLBACK when they come back."""

import os
import sys

import sqlalchemy
from sqlalchemy import Column, Integer, Text, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, declarative_base

Base = declarative_base()


class Row(Base):
    __tablename__ = sys.argv[1]
    id = Column(Integer, primary_key=True, autoincrement=False)
    name = Column(Text)


def tell(what, seen):
    print(f"{what}: {seen}")


def engine():
    address = sqlalchemy.engine.URL.create(
        "postgresql+psycopg2", os.environ["PGUSER"], os.environ["PGPASSWORD"],
        os.environ["PGHOST"], int(os.environ["PGPORT"]), os.environ["PGDATABASE"],
    )  # fmt: skip
    return sqlalchemy.create_engine(address, pool_size=2, pool_pre_ping=True, future=True)


def failing(session, sql):
    try:
        tell("no error", session.execute(text(sql)).scalar())
    except DBAPIError as error:
        tell("error", error.orig.pgcode)


def count(session):
    return session.execute(select(func.count()).select_from(Row)).scalar()


def insert(session, first, last):
    session.add_all(Row(id=number, name=f"žlutý {number}") for number in range(first, last + 1))
    session.flush()


def transactions(db):
    with Session(db) as session:
        insert(session, 1, 10)
        session.commit()
        tell("committed", count(session))
    with Session(db) as session:
        insert(session, 11, 20)
        session.rollback()
        tell("rolled back", count(session))
        insert(session, 21, 22)
        failing(session, "SELECT 1/0")
        failing(session, "SELECT 1")
        session.rollback()
        insert(session, 31, 31)
        nested = session.begin_nested()
        failing(session, "SELECT * FROM nowhere")
        nested.rollback()
        insert(session, 32, 40)
        session.commit()
        tell("savepoint", count(session))
    with Session(db) as session:
        rows = session.execute(select(Row.id).order_by(Row.id), execution_options={"yield_per": 4})
        tell("fetched in parts", sum(number for (number,) in rows))  # by a cursor of the server
    with Session(db) as session, session.begin():
        session.get(Row, 1).name = "changed"
        session.delete(session.get(Row, 2))
    with Session(db) as session:
        tell("changed", [session.get(Row, 1).name, session.get(Row, 2)])


def autocommit(db):
    with db.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        values = [connection.execute(text("SELECT :a * 2"), {"a": number}).scalar() for number in range(20)]
        tell("outside of transactions", values)
    with db.connect().execution_options(isolation_level="SERIALIZABLE") as connection:
        tell("isolation", connection.execute(text("SHOW transaction_isolation")).scalar())
    with db.connect() as connection:
        tell("isolation", connection.execute(text("SHOW transaction_isolation")).scalar())


for _ in range(2):
    with_engine = engine()
    Base.metadata.create_all(with_engine)
    transactions(with_engine)
    autocommit(with_engine)
    tell("tables", sqlalchemy.inspect(with_engine).has_table(sys.argv[1]))
    Base.metadata.drop_all(with_engine)
    with_engine.dispose()
