"""A session of psqlODBC: prints what it sees. ../test_drivers.py compares that with a direct connection."""

import os
import sys
from contextlib import closing

import pyodbc

TABLE = sys.argv[1]
ADDRESS = ";".join(
    f"{name}={os.environ[variable]}"
    for name, variable in {"SERVER": "PGHOST", "PORT": "PGPORT", "DATABASE": "PGDATABASE", "UID": "PGUSER",
                           "PWD": "PGPASSWORD", "SSLMODE": "PGSSLMODE"}.items()
)  # fmt: skip


def connected():
    return pyodbc.connect(f"DRIVER={{PostgreSQL Unicode}};{ADDRESS}", autocommit=True)


def value(db, sql, *bound):
    with closing(db.cursor()) as cursor:
        return cursor.execute(sql, *bound).fetchval()


def tell(what, seen):
    print(f"{what}: {seen}")


def failing(db, sql):
    try:
        tell("no error", value(db, sql))
    except pyodbc.Error as error:
        tell("error", error.args[0])


def insert(db, first, last):
    with closing(db.cursor()) as cursor:
        for number in range(first, last + 1):
            cursor.execute(f"INSERT INTO {TABLE} VALUES (?, ?)", number, f"žlutý {number}")


def prepared(db):
    text = ""
    with closing(db.cursor()) as twice, closing(db.cursor()) as joined:
        for number in range(20):
            doubled = twice.execute("SELECT ?::int * 2", number).fetchval()
            text = joined.execute("SELECT ?::text || ?::text", text, str(doubled)).fetchval()
    tell("prepared", text)


def transactions(db):
    count = f"SELECT count(*) FROM {TABLE}"
    db.autocommit = False
    insert(db, 1, 10)
    db.commit()
    tell("committed", value(db, count))
    insert(db, 11, 20)
    db.rollback()
    tell("rolled back", value(db, count))
    insert(db, 21, 22)
    failing(db, "SELECT 1/0")
    db.rollback()
    prepared(db)
    insert(db, 31, 31)
    failing(db, "SELECT * FROM nowhere")
    db.rollback()
    insert(db, 32, 40)
    db.commit()
    tell("in the end", value(db, count))
    db.autocommit = True


for _ in range(2):
    connection = connected()
    value(connection, "SELECT set_config('work_mem', '7MB', false)")
    connection.execute(f"CREATE TABLE {TABLE} (id int PRIMARY KEY, name text)")
    prepared(connection)
    transactions(connection)
    tell("many statements", sum(value(connection, f"SELECT ?::int + {number}", number) for number in range(300)))
    failing(connection, "SELECT 1/0")
    tell("setting", value(connection, "SHOW work_mem"))
    connection.execute(f"DROP TABLE {TABLE}")
    connection.close()
