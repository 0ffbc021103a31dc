"""A random program from a seed.

A program is a row of segments. Outside of session mode a server may change hands wherever a segment
ends idle; prepared statements, the unnamed one too, stay with the client all the same.
"""

import random

import vocabulary
from steps import (
    LANE, TAG, Bind, Close, CopyData, CopyDone, CopyFail, Describe, Execute, Flush, FunctionCall,
    Malformed, Parse, Pause, Program, Query, Sync,
)  # fmt: skip

SUITS = {"statement": Program.MODES, "transaction": ("session", "transaction"), "tracked": ("session", "transaction"),
         "session": ("session",)}  # fmt: skip
INT4PL, INT4DIV, LOWER, NO_FUNCTION = 177, 154, 870, 999_999
PORTALS = ("", "", "p1", "p2")


def program(seed):
    dice = random.Random(seed)
    flavour = dice.choices(("statement", "transaction", "tracked", "session"), (4, 4, 4, 1))[0]
    author = Author(dice, flavour)
    author.write()
    return Program(seed, tuple(author.steps), SUITS[flavour])


class Author:
    """Writes one program into `steps`."""

    def __init__(self, dice, flavour):
        self.dice = dice
        self.flavour = flavour
        self.steps = []
        self.in_transaction = False
        self.statements = {}  # name -> Prepared, those that may exist
        self.names = 0

    def write(self):
        segments = [self.simple, self.simple, self.batch, self.batch, self.batch, self.copy_in, self.copy_in,
                    self.syncs, self.function_call, self.stray, self.malformed]  # fmt: skip
        if self.flavour != "statement":
            segments += [self.transaction] * 6
        if self.flavour == "tracked":
            segments += [self.tracked] * 6
        if self.flavour == "session":
            segments += [self.session_state] * 4
        for _ in range(self.dice.randrange(1, 6)):
            self.dice.choice(segments)()
        for _ in range(self.dice.choice((0, 0, 1, 4, 8))):
            self.steps.insert(self.dice.randrange(len(self.steps) + 1), Pause())

    def say(self, *steps):
        self.steps.extend(steps)

    def opener(self):
        if self.in_transaction:
            self.say(Close("P", ""))  # see disorder.crashes_postgres

    # --- simple queries

    def sql(self):
        make = self.dice.choices(
            (vocabulary.select, vocabulary.change, vocabulary.error, vocabulary.nothing, vocabulary.copy_out),
            (8, 5, 2, 1, 2))[0]  # fmt: skip
        return make(self.dice)

    def simple(self):
        for _ in range(self.dice.choice((1, 1, 2, 5, 20))):
            count = self.dice.choice((1, 1, 1, 2, 3, 5))
            self.say(Query("; ".join(self.sql() for _ in range(count))))

    # --- batches of the extended protocol

    def batch(self):
        for _ in range(self.dice.choice((1, 1, 2, 6))):
            self.opener()
            for _ in range(self.dice.choice((1, 1, 2, 3, 8))):
                self.dice.choices((self.whole_query, self.odd_message), (3, 2))[0]()
            self.say(Sync())

    def whole_query(self):
        """Parse, Bind, Describe, Execute: what drivers say."""
        name = self.new_name() if self.dice.random() < 0.3 else ""
        portal = self.dice.choice(PORTALS)
        self.parse(name)
        if self.dice.random() < 0.3:
            self.say(Describe("S", name))
        self.bind(name, portal)
        if self.dice.random() < 0.6:
            self.say(Describe("P", portal))
        rows = self.dice.choice((0, 0, 0, 1, 2, 100))
        self.say(*[Execute(portal, rows)] * (self.dice.choice((1, 2, 4)) if rows else 1))
        if name and self.dice.random() < 0.7:
            self.close_statement(name)
        if self.dice.random() < 0.1:
            self.say(Flush(), Pause())

    def odd_message(self):
        """Any message of a batch, whether it makes sense there or not."""
        portal = self.dice.choice(PORTALS)
        name = self.dice.choice(("", *self.statements))
        self.dice.choice((
            lambda: self.parse(""),
            lambda: self.parse(name),  # an error if there is one of that name
            lambda: self.bind(name, portal),
            lambda: self.say(Bind((b"1",), self.new_name(), portal)),  # no such statement
            lambda: self.say(Describe("S", name)),
            lambda: self.say(Describe("P", portal)),
            lambda: self.say(Execute(portal, self.dice.choice((0, 1, 3)))),
            lambda: self.say(Close("P", portal)),
            lambda: self.close_statement(name),
            lambda: self.say(Flush()),
            self.stray,
            self.malformed_in_batch,
            self.sync_within,
            self.query_within,
        ))()

    def new_name(self):
        self.names += 1
        return f"s{self.names}_{TAG}"

    def parse(self, name):
        prepared = vocabulary.prepared(self.dice)
        types = prepared.types if self.dice.random() < 0.8 else ()
        self.say(Parse(prepared.sql, name, types))
        self.statements.setdefault(name, prepared)
        if not name:
            self.statements[""] = prepared

    def bind(self, name, portal):
        prepared = self.statements.get(name) or vocabulary.Prepared("")
        formats = tuple(self.dice.choice((0, 0, 1)) for _ in prepared.types)
        values = prepared.values(self.dice, formats)
        if self.dice.random() < 0.05:
            values += (b"one too many",)
        results = self.dice.choice(((), (), (0,), (1,), (1, 0, 1), (7,)))
        self.say(Bind(values, name, portal, formats, results))

    def close_statement(self, name):
        self.say(Close("S", name))
        self.statements.pop(name, None)

    def sync_within(self):
        self.say(Sync())
        self.opener()

    def query_within(self):
        self.say(Query(self.sql()))
        self.opener()

    # --- COPY FROM STDIN

    def copy_in(self):
        self.dice.choice((self.copy_in_simple, self.copy_in_simple, self.copy_in_extended))()

    def copy_in_simple(self):
        """One or two COPYs, maybe among other statements, in one Query."""
        parts = [vocabulary.copy_in(self.dice) for _ in range(self.dice.choice((1, 1, 1, 2)))]
        copies = len(parts)
        for _ in range(self.dice.choice((0, 0, 1, 2))):
            parts.insert(self.dice.randrange(len(parts) + 1), self.sql())
        self.say(Query("; ".join(parts)))
        self.maybe_pause()
        if self.dice.random() < 0.1:
            self.say(Sync())
        for _ in range(copies):
            self.data()
            self.end_of_copy()
        if self.dice.random() < 0.1:
            self.end_of_copy()  # one too many

    def copy_in_extended(self):
        portal = self.dice.choice(("", "copying"))
        name = self.new_name() if self.dice.random() < 0.3 else ""
        self.opener()
        if self.dice.random() < 0.2:
            self.whole_query()
        self.say(Parse(vocabulary.copy_in(self.dice), name), Bind((), name, portal), Execute(portal))
        early_sync = self.dice.random() < 0.5  # libpq's way: the server ignores it, if it copies
        if early_sync:
            self.say(Sync())
        elif self.dice.random() < 0.2:
            self.say(Flush())
        self.maybe_pause()
        self.data()
        if self.dice.random() < 0.04:
            self.break_copy()
        self.end_of_copy()
        if not early_sync and self.dice.random() < 0.3:
            self.whole_query()
        self.say(Sync(), Close("S", name), Close("S", ""), Sync())
        self.statements.pop("", None)

    def break_copy(self):
        self.say(self.dice.choice((Query("SELECT 'in a COPY'"), Describe("S", ""), Parse("SELECT 1"), Execute(""))))

    def data(self):
        """Rows for t(id, n, v), cut into CopyData anywhere; some are bad."""
        rows = [self.row(100 + number) for number in range(self.dice.choice((0, 1, 3, 20, 200)))]
        if rows and self.dice.random() < 0.4:
            rows[self.dice.randrange(len(rows))] = self.dice.choice(
                (b"bad\n", b"1\t1\tduplicate\n", b"5\t-1\tcheck\n", b"\\.\n", b"7\t1\n", b"\n", b"8\t1\t\xff\n"))
        whole = b"".join(rows)
        while whole or self.dice.random() < 0.1:
            cut = self.dice.choice((len(whole), self.dice.randrange(len(whole) + 1), 1))
            self.say(CopyData(whole[:cut]))
            whole = whole[cut:]
            if len(whole) > 500 and self.dice.random() < 0.9:
                self.say(CopyData(whole))
                break
            self.maybe_pause(0.03)

    def row(self, number):
        value = vocabulary.text_of(self.dice, vocabulary.size(self.dice) % 50_000 + 1).replace("\t", " ")
        if self.dice.random() < 0.8:
            value = value[:20]
        return f"{number}\t{number}\t{value}\n".encode()

    def end_of_copy(self):
        self.maybe_pause()  # an error is known by then: this comes late
        self.say(self.dice.choices((CopyDone(), CopyFail("no"), CopyFail("")), (8, 1, 1))[0])

    def maybe_pause(self, chance=0.25):
        if self.dice.random() < chance:
            self.say(Pause())

    # --- what else there is

    def syncs(self):
        self.say(*[Sync()] * (5000 if self.dice.random() < 0.01 else self.dice.choice((1, 2, 10, 50))))

    def function_call(self):
        call = self.dice.choice((
            FunctionCall(INT4PL, (b"2", b"3")),
            FunctionCall(INT4PL, (b"\0\0\0\2", b"\0\0\0\3"), (1,), 1),
            FunctionCall(INT4PL, (b"2", None)),
            FunctionCall(INT4PL, (b"2",)),
            FunctionCall(INT4DIV, (b"2", b"0")),
            FunctionCall(LOWER, (b"ABC",)),
            FunctionCall(NO_FUNCTION),
        ))  # fmt: skip
        self.say(*[call] * self.dice.choice((1, 1, 3)))

    def stray(self):
        """Ends of a COPY that nobody began, and Flush: the server ignores them."""
        large = CopyData(b"x" * vocabulary.size(self.dice))
        stray = (CopyDone(), CopyFail("stray"), CopyData(b"stray"), Flush(), large)
        self.say(*self.dice.choices(stray, k=self.dice.choice((1, 2, 4))))

    def malformed(self):
        self.say(self.dice.choice((Malformed("Q", b"no end"), Malformed("S", b"too much"), Malformed("F", b"\0"))))
        if self.dice.random() < 0.5:
            self.opener()
            self.malformed_in_batch()
            self.say(Sync())

    def malformed_in_batch(self):
        tag = self.dice.choice("PBDEC")
        self.say(Malformed(tag, self.dice.choice((b"", b"\0", b"X\0", b"S\0more", b"\0\0\0\0\0\7", b"name"))))

    # --- transactions

    def transaction(self):
        self.in_transaction = True
        begin = self.dice.choice(("BEGIN", "START TRANSACTION READ ONLY", "BEGIN ISOLATION LEVEL SERIALIZABLE"))
        self.say(Query(self.dice.choice((begin, begin, f"{begin}; {vocabulary.select(self.dice)}"))))
        for _ in range(self.dice.choice((0, 1, 2, 4))):
            self.dice.choice((self.simple, self.batch, self.batch, self.copy_in, self.function_call, self.stray,
                              self.savepoint, self.local_setting, self.syncs, self.cursor))()  # fmt: skip
        self.in_transaction = False
        end = self.dice.choice(("COMMIT", "COMMIT", "ROLLBACK", "END", "COMMIT AND CHAIN; ROLLBACK"))
        if self.dice.random() < 0.2:
            self.say(Close("P", ""), Parse(end.partition(" AND")[0]), Bind(), Execute(), Sync())
        self.say(Query(end))

    def savepoint(self):
        self.say(Query("SAVEPOINT a"))
        self.dice.choice((self.simple, self.batch, self.copy_in))()
        self.say(Query(self.dice.choice(("ROLLBACK TO a", "RELEASE a", "ROLLBACK TO missing"))))

    def local_setting(self):
        name, value = self.dice.choice((("TimeZone", "Asia/Tokyo"), ("application_name", "x"), ("work_mem", "1MB"),
                                        ("DateStyle", "German"), ("no_such", "1"), ("my.own", "1")))  # fmt: skip
        self.say(Query(f"SET LOCAL {name} = '{value}'"), Query(f"SHOW {name}"))

    def cursor(self):
        self.say(Query(f"DECLARE c CURSOR FOR {vocabulary.select(self.dice)}"), Query("FETCH 2 FROM c"),
                 Query("MOVE 1 FROM c"), Query(self.dice.choice(("CLOSE c", "FETCH ALL FROM c"))))  # fmt: skip

    # --- what follows a client, or keeps it where it is

    def tracked(self):
        self.dice.choice((self.setting, self.own_setting, self.own_setting, self.setting_in_transaction, self.temporary,
                          self.held_cursor, self.notify, self.prepared_with_execute, self.deallocate,
                          self.lock))()  # fmt: skip

    def own_setting(self):
        """Set in one of the ways there are, read in another transaction, or not set at all."""
        name = f"my.own_{TAG}"
        value = self.dice.choice(("1", "it''s", "$h$ \\ \"", "\u00e4\u00f6", "", "x" * 300))
        simple = Query(self.dice.choice((
            f"SET {name} = '{value}'", f"SET SESSION {name} TO '{value}'", f"RESET {name}", "RESET ALL", "DISCARD ALL",
            f"SELECT set_config('{name}', '{value}', {self.dice.choice(('true', 'false'))})",
            f"SELECT 1; SET {name} = '{value}'; SELECT 2", f"SET {name} = '{value}'; SELECT 1/0",
            f"DO $$BEGIN PERFORM set_config('{name}', 'done', false); END$$",
            "SET search_path TO DEFAULT", "SET work_mem = 'nonsense'", f"SET {name}",
        )))
        bound = (Parse("SELECT set_config($1, $2, $3)", "", (vocabulary.TEXT, vocabulary.TEXT, vocabulary.BOOL)),
                 Bind((name.encode(), value.encode(), self.dice.choice((b"t", b"f")))), Execute(), Sync())  # fmt: skip
        self.opener()
        self.say(*self.dice.choice(((simple,), bound, (Parse(simple.sql), Bind(), Execute(), Sync()))))
        for _ in range(self.dice.choice((0, 1, 2))):
            self.dice.choice((self.simple, self.batch, self.read_setting))()
        self.read_setting()

    def read_setting(self):
        """A name that a session has ever used is empty when reset, and not NULL: on other servers it may be NULL."""
        self.say(Query(f"SELECT coalesce(current_setting('my.own_{TAG}', true), ''), current_setting('work_mem')"))

    def setting_in_transaction(self):
        name = self.dice.choice((f"my.own_{TAG}", "work_mem", "statement_timeout"))
        self.say(Query("BEGIN"))
        for _ in range(self.dice.choice((1, 2, 3))):
            self.say(Query(self.dice.choice((
                f"SET {name} = '{self.dice.randrange(64, 999999)}'", f"SET LOCAL {name} = '77777'", f"RESET {name}",
                "SAVEPOINT s", "ROLLBACK TO s", "RELEASE s", "SELECT 1/0", "RESET ALL",
            ))))  # fmt: skip
        self.say(Query(self.dice.choice(("COMMIT", "ROLLBACK", "COMMIT AND CHAIN; COMMIT"))))
        self.say(Query(f"SELECT coalesce(current_setting('{name}', true), '')"))

    def prepared_with_execute(self):
        """A statement made by PREPARE: used in several ways, made again, dropped."""
        make = "PREPARE q(int) AS SELECT $1 * 2"
        self.opener()
        self.say(Query(self.dice.choice((make, f"SELECT 1; {make}; SELECT 2", f"{make}; SELECT 1/0",
                                         f"BEGIN; {make}; ROLLBACK"))))  # fmt: skip
        for _ in range(self.dice.choice((1, 2, 5))):
            self.say(*self.dice.choice((
                (Query("EXECUTE q(21)"),),
                (Query("SELECT 1"), Query("EXECUTE q(1); EXECUTE q(2)")),
                (Query("BEGIN"), Query("EXECUTE q(4)"), Query("ROLLBACK")),
                (Parse("EXECUTE q(3)"), Bind(), Execute(), Sync()),
                (Bind((b"4",), "q"), Execute(), Sync()),
                (Describe("S", "q"), Sync()),
                (Query("PREPARE q AS SELECT 1"),),
                (Parse("SELECT 1", "q"), Sync()),
                (Query("DEALLOCATE q; PREPARE q(int) AS SELECT $1 + 1"),),
                (Query("BEGIN"), Query("DEALLOCATE q"), Query("PREPARE q(int) AS SELECT 7"), Query("ROLLBACK")),
                (Query("PREPARE \"Q\" AS SELECT 'other'"), Query('EXECUTE "Q"'), Query('DEALLOCATE "Q"')),
            )))  # fmt: skip
        end = self.dice.choice(("DEALLOCATE q", "DEALLOCATE PREPARE Q", "DEALLOCATE ALL", "DISCARD ALL", ""))
        self.say(*((Query(end),) if end else (Close("S", "q"), Sync())))
        if "ALL" in end:
            self.statements.clear()

    def deallocate(self):
        """A statement of the protocol is dropped by its name in SQL, and the name is given again."""
        name = self.new_name()
        give = (Parse(f"SELECT {self.dice.randrange(9)}", name), Bind((), name), Execute(), Sync())
        sql = self.dice.choice((f"DEALLOCATE {name}", f'deallocate prepare "{name}"'))
        drop = self.dice.choice(((Query(sql),), (Parse(sql), Bind(), Execute(), Sync())))
        within = self.dice.choice(("", "", "BEGIN", "BEGIN; SELECT 1/0"))
        self.opener()
        self.say(*give)
        for _ in range(self.dice.choice((1, 1, 2))):
            self.dice.choice((lambda: None, lambda: None, self.simple))()
            if within:
                self.say(*[Query(part) for part in within.split("; ")])
            self.say(*drop)
            self.say(*self.dice.choice((give, drop, (Bind((), name), Execute(), Sync()),
                                        (Query(f"PREPARE {name} AS SELECT 'in SQL'"), Query(f"EXECUTE {name}")))))
            if within:
                self.say(Query(self.dice.choice(("COMMIT", "ROLLBACK"))))
            self.say(Bind((), name), Execute(), Sync(), *give)
        self.say(Query(f"DEALLOCATE {name}"))

    def lock(self):
        number = self.dice.randrange(1 << 30)
        self.say(Query(f"SELECT pg_try_advisory_lock({number})"))
        self.dice.choice((self.simple, self.batch))()
        self.say(Query(f"SELECT pg_advisory_unlock({number})"))

    # --- what needs a session

    def session_state(self):
        self.dice.choice((self.prepared_in_sql, self.setting, self.temporary, self.held_cursor, self.notify))()

    def prepared_in_sql(self):
        self.say(Query("PREPARE q(int) AS SELECT $1 * 2"), Query("EXECUTE q(21)"), Bind((b"4",), "q"), Execute(),
                 Sync(), Query(self.dice.choice(("DEALLOCATE q", "DEALLOCATE ALL", "DISCARD ALL", ""))))  # fmt: skip
        self.statements.clear()

    def setting(self):
        name, value = self.dice.choice((("TimeZone", "Asia/Tokyo"), ("application_name", "mine"), ("my.own", "1"),
                                        ("DateStyle", "German"), ("client_min_messages", "warning")))  # fmt: skip
        self.say(Query(f"SET {name} = '{value}'"), Query("SELECT '2020-02-02 12:00+00'::timestamptz"),
                 Query(f"SHOW {name}"), Query(self.dice.choice((f"RESET {name}", "RESET ALL", ""))))  # fmt: skip

    def temporary(self):
        self.say(Query("CREATE TEMP TABLE mine AS SELECT 1 AS a"), Query("SELECT count(*) FROM mine"))

    def held_cursor(self):
        self.say(Query(f"DECLARE held CURSOR WITH HOLD FOR SELECT * FROM {LANE}.t ORDER BY id"))
        self.dice.choice((self.simple, self.batch))()
        self.say(Query("FETCH 3 FROM held"))

    def notify(self):
        self.say(Query(f"LISTEN {LANE}"), Query(f"NOTIFY {LANE}, 'one {TAG}'; NOTIFY {LANE}, 'two {TAG}'"))
