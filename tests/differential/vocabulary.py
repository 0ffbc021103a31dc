"""The SQL that programs speak: it gives the same answers whenever it runs in the same small schema.

No clock, no chance, no process numbers, no rows without ORDER BY, no columns of tables made on the way
(RowDescription holds the table's number), no errors between rows of a table (how many come before depends on
the plan, and that on the table's pages).
"""

import struct
from dataclasses import dataclass

from steps import LANE

INT4, INT8, TEXT, BYTEA, FLOAT8, BOOL = 23, 20, 25, 17, 701, 16

SCHEMA = """
CREATE SCHEMA {lane};
CREATE TABLE {lane}.t (id int PRIMARY KEY, n int CHECK (n >= 0), v text);
CREATE TABLE {lane}.u (id int PRIMARY KEY, t_id int REFERENCES {lane}.t DEFERRABLE INITIALLY DEFERRED);
CREATE FUNCTION {lane}.reset() RETURNS void LANGUAGE sql AS $$
  DELETE FROM {lane}.u; DELETE FROM {lane}.t;
  INSERT INTO {lane}.t SELECT i, i * 10, repeat(chr(96 + i), i) FROM generate_series(1, 9) i;
  INSERT INTO {lane}.u VALUES (1, 1), (2, NULL) $$;
CREATE FUNCTION {lane}.loud(level text, count int) RETURNS int LANGUAGE plpgsql AS $$
  BEGIN
    FOR i IN 1..count LOOP
      IF level = 'warning' THEN RAISE WARNING 'loud %', i; ELSE RAISE NOTICE 'loud %', i; END IF;
    END LOOP;
    RETURN count;
  END $$;
CREATE FUNCTION {lane}.boom(state text) RETURNS int LANGUAGE plpgsql AS $$
  BEGIN RAISE EXCEPTION USING ERRCODE = state, MESSAGE = 'boom ' || state, DETAIL = 'd', HINT = 'h'; END $$;
GRANT ALL ON SCHEMA {lane} TO public;
GRANT ALL ON ALL TABLES IN SCHEMA {lane} TO public;
"""

SQLSTATES = ("P0001", "40001", "40P01", "57014", "25006", "XX000", "42501", "08006", "22P02", "0A000", "HG001")


def size(dice):
    """Mostly small; now and then up to 4 MB, so that buffers of every size overflow."""
    return int(2 ** dice.uniform(0, 22 if dice.random() < 0.015 else 13 if dice.random() < 0.8 else 17))


def text_of(dice, length):
    word = dice.choice(("x", "ab", "0123456789", "\u00e4\u00f6", "S\tZ\t", "Z\x05I"))
    return (word * (length // len(word) + 1))[:length]


def select(dice):
    """A query without side effects."""
    return dice.choice((
        lambda: f"SELECT {dice.randrange(100)}",
        lambda: "SELECT 1, NULL, 'text', 2.5::float8, true, '{1,2}'::int[], E'\\\\x00ff'::bytea",
        lambda: f"SELECT * FROM {LANE}.t ORDER BY id LIMIT {dice.randrange(10)}",
        lambda: f"SELECT id, v FROM {LANE}.t WHERE id > {dice.randrange(12)} ORDER BY id",
        lambda: f"SELECT t.id, u.id FROM {LANE}.t LEFT JOIN {LANE}.u ON t_id = t.id ORDER BY 1, 2",
        lambda: f"SELECT count(*), sum(n) FROM {LANE}.t",
        lambda: f"SELECT i FROM generate_series(1, {int(2 ** dice.uniform(0, 9))}) i",
        lambda: f"SELECT repeat('{dice.choice('abc')}', {size(dice)})",
        lambda: f"SELECT '{text_of(dice, size(dice))}'",
        lambda: f"SELECT {LANE}.loud('{dice.choice(('notice', 'warning'))}', {dice.randrange(4)})",
        lambda: "SELECT WHERE false",
        lambda: "SELECT",
        lambda: f"SELECT pg_sleep({dice.choice((0, 0, 0.001, 0.003))})",
        lambda: "VALUES (1, 'a'), (2, NULL)",
        lambda: "SHOW standard_conforming_strings",
        lambda: "EXPLAIN (COSTS off) SELECT 1",
    ))()


def change(dice):
    """A statement that writes, or tries to."""
    number = dice.randrange(1, 40)
    return dice.choice((
        lambda: f"INSERT INTO {LANE}.t VALUES ({number}, {number}, '{text_of(dice, size(dice))}')",
        lambda: f"INSERT INTO {LANE}.t VALUES ({number}, {dice.choice((5, -5))}, NULL) RETURNING id, n",
        lambda: f"INSERT INTO {LANE}.t VALUES ({number}, 1) ON CONFLICT (id) DO UPDATE SET n = 2 RETURNING n",
        lambda: f"UPDATE {LANE}.t SET n = n + 1 WHERE id = {number % 12} RETURNING *",
        lambda: f"DELETE FROM {LANE}.t WHERE id = {number % 12}",
        lambda: f"INSERT INTO {LANE}.u VALUES ({number}, {dice.choice((1, 2, 77))})",  # 77 fails at COMMIT
        lambda: f"DO $$BEGIN PERFORM {LANE}.loud('notice', 2); UPDATE {LANE}.t SET v = 'do' WHERE id = 1; END$$",
        lambda: f"SELECT id FROM {LANE}.t WHERE id = 3 FOR UPDATE",
    ))()


def error(dice):
    """A statement that fails: when parsed, analysed, planned or run."""
    return dice.choice((
        lambda: "SELEC 1",
        lambda: f"SELECT 1 FROM {LANE}.missing",
        lambda: "SELECT missing",
        lambda: "SELECT 1/0",
        lambda: "SELECT 1 / (30 - i) FROM generate_series(27, 40) i",  # some rows come before the error
        lambda: f"SELECT {LANE}.boom('{dice.choice(SQLSTATES)}')",
        lambda: f"SELECT {LANE}.loud('notice', 2), {LANE}.boom('{dice.choice(SQLSTATES)}')",
        lambda: "SELECT 'x'::int",
        lambda: "DO $$BEGIN RAISE NOTICE 'first'; RAISE EXCEPTION 'then'; END$$",
        lambda: "SELECT $1",
        lambda: f"INSERT INTO {LANE}.t VALUES (1, 1, 'again')",
        lambda: "SAVEPOINT outside; SELECT 1",
        lambda: "VACUUM; SELECT 1",
        lambda: "CLOSE missing",
        lambda: "DEALLOCATE missing",
        lambda: f"DROP TABLE {LANE}.t",
        lambda: "SELECT '\\ud800'::json",
        lambda: "SELECT $$unfinished",
    ))()


def nothing(dice):
    return dice.choice(("", ";", " ; ; ", "-- a comment", "/* a /* nested */ comment */", "\n\t "))


def copy_out(dice):
    return dice.choice((
        f"COPY (SELECT id, n, v FROM {LANE}.t ORDER BY id) TO STDOUT",
        f"COPY (SELECT i, repeat('r', {dice.randrange(200)}) FROM generate_series(1, {int(2 ** dice.uniform(0, 10))}) i)"
        " TO STDOUT",
        f"COPY (SELECT repeat('w', {size(dice)})) TO STDOUT",
        f"COPY (SELECT 1 / ({dice.choice((30, 300))} - i) FROM generate_series(20, 310) i) TO STDOUT",
        f"COPY (SELECT {LANE}.loud('notice', i) FROM generate_series(1, 3) i) TO STDOUT (FORMAT csv, HEADER)",
        "COPY (SELECT WHERE false) TO STDOUT",
        "COPY missing TO STDOUT",
    ))


def copy_in(dice):
    """A COPY FROM STDIN; its data are for t(id, n, v) unless it never starts."""
    if dice.random() < 0.07:
        return "COPY missing FROM STDIN"
    return f"COPY {LANE}.{dice.choice(('t', 't', 't', 't (id, n, v)'))} FROM STDIN"


@dataclass(frozen=True)
class Prepared:
    """A text with parameters; values are made for it when it is bound."""

    sql: str
    types: tuple = ()

    def values(self, dice, formats):
        return tuple(_value(dice, kind, binary) for kind, binary in zip(self.types, formats))


def prepared(dice):
    if dice.random() < 0.45:
        make = dice.choices((select, change, error, nothing, copy_out), (6, 3, 1, 1, 1))[0]
        return Prepared(make(dice))
    return dice.choice((
        Prepared("SELECT $1", (TEXT,)),
        Prepared("SELECT length($1), $2", (TEXT, INT4)),
        Prepared("SELECT $1::int / $2::int", (INT4, INT4)),
        Prepared("SELECT $1, $1, $1", (BYTEA,)),
        Prepared(f"SELECT id, v FROM {LANE}.t WHERE id > $1 ORDER BY id", (INT4,)),
        Prepared("SELECT i, $2 FROM generate_series(1, $1) i", (INT4, TEXT)),
        Prepared(f"INSERT INTO {LANE}.t VALUES ($1, $2, $3) RETURNING id", (INT4, INT4, TEXT)),
        Prepared(f"UPDATE {LANE}.t SET n = $2 WHERE id = $1", (INT4, INT4)),
        Prepared(f"INSERT INTO {LANE}.u VALUES ($1, $2)", (INT4, INT4)),
        Prepared("SELECT $1 + $2, $1 > $2", (FLOAT8, INT8)),
        Prepared("SELECT NOT $1", (BOOL,)),
    ))


_BINARY = {INT4: "!i", INT8: "!q", FLOAT8: "!d", BOOL: "!?"}


def _value(dice, kind, binary):
    if dice.random() < 0.1:
        return None
    if dice.random() < 0.04:
        return b"nonsense"
    if kind in (TEXT, BYTEA):
        return text_of(dice, size(dice)).encode()
    number = dice.choice((0, 1, 2, 5, 60, -1)) if kind != BOOL else 1
    return struct.pack(_BINARY[kind], number) if binary else str(number).encode()
