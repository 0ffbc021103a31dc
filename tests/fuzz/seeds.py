#!/usr/bin/python3
"""Writes the hand-made inputs of the fuzz targets into tests/fuzz/corpus/<target>/ (or another folder).

    tests/fuzz/seeds.py [FOLDER]

Each input has a name that says what it is for. Inputs that a fuzzer has found stand beside them under
the names that libFuzzer gives (hashes), findings under finding-<what>; this script leaves both alone.
"""

import hashlib
import struct
import sys
from pathlib import Path

from seed_bytes import INT_MAX, integer, message, piece, pieces, short, text, value
from seeds_logins import auth_packets, client_auth, hba, ldap_options, login, scram, secret, server_auth, userlist
from seeds_sql import read_verdict, session_marks, session_state, sql

HERE = Path(__file__).resolve().parent

# --- the wire -----------------------------------------------------------------------------------------


def framer():
    """The low half of a tag says how it is treated: 0 pass, 1 stop first, 8 gather, 9 gather and stop,
    13 drop, 15 bad."""
    treated = {"pass": "p", "stop": "a", "gather": "h", "gather_and_stop": "i", "drop": "m", "bad": "o"}
    whole = b"".join(message(tag, b"body") for name, tag in treated.items() if name != "bad")
    yield "nothing", b"\0"
    for name, tag in treated.items():
        yield name, b"\0" + message(tag, b"body") * 2
        yield f"{name}_empty", b"\0" + message(tag) * 2
        yield f"{name}_byte_by_byte", b"\x1f" + b"\1" * 31 + message(tag, b"body") * 3
        yield f"{name}_unfinished", b"\2\3\3" + message(tag, b"body", 1000)
        for length in (0, 3, 4, 4101, INT_MAX, 0x80000000, 0xFFFFFFFF):
            yield f"{name}_length_{length}", b"\1\4" + message(tag, b"body", length)
    yield "all", b"\0" + whole
    yield "all_cut", b"\x0a" + b"\7" * 10 + whole * 2
    yield "gathered_whole", b"\2\xff\xff" + message("h", b"x" * 4000) + whole
    yield "too_long_to_gather", b"\2\xff\xff" + message("h", b"x" * 5000) + whole
    yield "half_a_header", b"\1\2" + b"p\0\0"


def startup_packet(*parameters, version=196608, end=b"\0"):
    body = text(*parameters) + end
    return struct.pack("!II", len(body) + 8, version) + body


def startup():
    app = ("user", "app", "database", "app")
    yield "plain", startup_packet(*app)
    yield "no_database", startup_packet("user", "app")
    yield "no_user", startup_packet("database", "app")
    yield "empty_user", startup_packet("user", "", "database", "app")
    yield "replication", startup_packet(*app, "replication", "database")
    yield "parameters", startup_packet(*app, "application_name", "psql", "client_encoding", "UTF8", "a", "")
    yield "twice_the_user", startup_packet("user", "one", "user", "two")
    yield "unknown_option", startup_packet(*app, "_pq_.fancy", "1", version=196610)
    for name, options in {
        "c": "-c search_path=a", "c_joined": "-csearch_path=a", "dashes": "--search-path=a", "two": "-c a=b -c c=d",
        "escaped": r"-c a=b\ c\\d", "no_name": "-c =b", "no_equals": "-c a", "c_alone": "-c", "other": "-d5",
        "backslash_last": "-c a=\\", "blanks": " \t-c\v a=b\n ",
    }.items():  # fmt: skip
        yield f"options_{name}", startup_packet(*app, "options", options)
        yield f"only_options_{name}", options.encode()
    yield "no_terminator", startup_packet(*app, end=b"")
    yield "bytes_behind", startup_packet(*app, end=b"\0more")
    yield "name_without_value", startup_packet(*app, end=b"name\0\0")
    yield "protocol_2", startup_packet(*app, version=131072)
    yield "protocol_3_2", startup_packet(*app, version=196610)
    yield "protocol_4", startup_packet(*app, version=262144)
    yield "largest", startup_packet(*app, "p", "x" * (10000 - 35))
    yield "ssl", struct.pack("!II", 8, 80877103)
    yield "gss", struct.pack("!II", 8, 80877104)
    yield "ssl_with_body", struct.pack("!II", 12, 80877103) + b"body"
    for size in (0, 3, 4, 256, 257):
        yield f"cancel_{size}", struct.pack("!III", 12 + size, 80877102, 4711) + b"k" * size
    for length in (0, 3, 7, 9, 10001, INT_MAX, 0x80000000, 0xFFFFFFFF):
        yield f"length_{length}", struct.pack("!II", length, 196608) + text(*app) + b"\0"
    yield "tls_hello", bytes.fromhex("16030100f0010000ec0303")


def with_numbers(bodies):
    for number, (name, body) in enumerate(bodies):
        for variant, data in body.items() if isinstance(body, dict) else [("", body)]:
            yield f"{name}{variant}", bytes([number]) + data
            if data:
                yield f"{name}{variant}_short", bytes([number]) + data[:-1]
        yield f"{name}_long", bytes([number]) + (body if isinstance(body, bytes) else b"") + b"\0"


def frontend():
    """In the order of FrontendMessages."""
    target = {"_statement": b"S" + text("s"), "_portal": b"P" + text(""), "_other": b"?" + text("s")}
    return with_numbers([
        ("bind", {
            "_empty": text("", "") + short(0, 0, 0),
            "_values": text("p", "s") + short(1, 1, 3) + value(b"a") + value(None) + value(b"") + short(2, 0, 1),
            "_negative": text("", "") + short(0, 1) + integer(-7) + short(0),
            "_too_long": text("", "") + short(0, 1) + integer(INT_MAX) + short(0),
            "_many": text("", "") + short(-1) + bytes(20),
        }),
        ("close", target),
        ("copy_data", {"_empty": b"", "_row": b"1\t2\n"}),
        ("copy_done", b""),
        ("copy_fail", text("reason")),
        ("describe", target),
        ("execute", {"_all": text("") + integer(0), "_ten": text("p") + integer(10), "_negative": text("") + integer(-1)}),
        ("flush", b""),
        ("function_call", {"": integer(1598) + short(1, 0, 2) + value(b"1") + value(None) + short(0)}),
        ("parse", {"": text("s", "SELECT $1") + short(1) + integer(25), "_types": text("", "") + short(-1) + bytes(40)}),
        ("password", text("secret")),
        ("sasl_initial", {"": text("SCRAM-SHA-256") + value(b"n,,n=,r=x"), "_none": text("SCRAM-SHA-256") + value(None)}),
        ("sasl_response", b"c=biws,r=x,p=y"),
        ("gss_response", b"token"),
        ("query", {"": text("SELECT 1"), "_empty": text(""), "_zero_inside": text("SELECT 1", "SELECT 2")}),
        ("sync", b""),
        ("terminate", b""),
    ])  # fmt: skip


def backend():
    """In the order of BackendMessages."""
    columns = text("name") + integer(1259) + short(1) + integer(25) + short(-1) + integer(-1) + short(0)
    copy = {"_text": b"\0" + short(2, 0, 0), "_binary": b"\1" + short(1, 1), "_too_many": b"\0" + short(-1)}
    sasl = {"": text("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", ""), "_none": text(""), "_open": text("SCRAM-SHA-256")}
    return with_numbers([
        ("authentication", {"": integer(0), "_unknown": integer(99) + b"data"}),
        ("authentication_ok", integer(0)),
        ("cleartext", integer(3)),
        ("md5", integer(5) + b"salt"),
        ("gss", integer(7)),
        ("gss_continue", integer(8) + b"token"),
        ("sspi", integer(9)),
        ("sasl", {name: integer(10) + data for name, data in sasl.items()}),
        ("sasl_continue", integer(11) + b"r=x,s=y,i=1"),
        ("sasl_final", integer(12) + b"v=x"),
        ("backend_key_data", {f"_{size}": integer(1) + b"k" * size for size in (4, 5, 256, 257)}),
        ("bind_complete", b""),
        ("close_complete", b""),
        ("command_complete", {"": text("SELECT 1"), "_empty": text("")}),
        ("copy_in", copy),
        ("copy_out", copy),
        ("copy_both", copy),
        ("copy_data", b"row"),
        ("copy_done", b""),
        ("data_row", {
            "_none": short(0), "_values": short(3) + value(b"a") + value(None) + value(b""),
            "_negative": short(1) + integer(-2), "_too_long": short(1) + integer(INT_MAX), "_many": short(-1) + bytes(9),
        }),
        ("empty_query", b""),
        ("function_call_response", {"": value(b"1"), "_null": value(None)}),
        ("negotiate", {
            "": integer(196608, 1) + text("_pq_.x"), "_negative": integer(196608, -1),
            "_many": integer(196608, INT_MAX) + bytes(50),
        }),
        ("no_data", b""),
        ("notification", integer(1) + text("channel", "payload")),
        ("parameter_description", {"_none": short(0), "_two": short(2) + integer(25, 23), "_many": short(-1)}),
        ("parameter_status", {"": text("TimeZone", "UTC"), "_empty": text("", "")}),
        ("parse_complete", b""),
        ("portal_suspended", b""),
        ("ready", {f"_{letter}": letter.encode() for letter in "ITEx"}),
        ("row_description", {"": short(1) + columns, "_none": short(0), "_many": short(-1) + columns * 3}),
    ])  # fmt: skip


def error_fields():
    usual = b"SERROR\0VERROR\0C42601\0Msyntax error\0P15\0Fscan.l\0L1180\0Rscanner_yyerror\0"
    for name, body in {
        "usual": usual + b"\0", "no_sqlstate": b"SERROR\0Mno\0\0", "no_terminator": usual, "empty": b"", "only_end": b"\0",
        "twice": usual * 2 + b"\0", "bytes_behind": usual + b"\0more", "detail_and_hint": usual + b"Dd\0Hh\0\0",
        "unknown_letter": b"\xffx\0" + usual + b"\0", "no_string_end": b"SERROR", "translated": "SFEHLER\0\0".encode(),
        "empty_texts": b"S\0V\0C\0M\0\0", "letter_alone": b"S",
    }.items():  # fmt: skip
        yield name, piece(b"") + body
        yield f"{name}_with_detail", piece(b"detail \0 zero") + body


# --- the exchange -------------------------------------------------------------------------------------

ASKED = "QFSPBdDECc"  # in the order of Asked; d describes a statement, c is CopyDone or CopyFail
HEARD = "12CDEGHIKNRSTVWcdnstv3"


def exchange():
    def events(script):
        """'Q>' asks, 'Q!' asks for ourselves, 'T<' hears; Z< I< are ReadyForQuery; '*' the client goes."""
        data = []
        for word in script.split():
            letter, kind = word[0], word[1:]
            if word == "*":
                data.append(32)
            elif word[:2] == "Z<":
                data.append(34 + "ITE".index(word[2]) if word[2:] in list("ITE") else 33)
                data += [ord(word[2])] if word[2:] == "?" else []
            elif kind == ">":
                data.append(ASKED.index(letter))
            elif word == "A<":
                data += [37, ord("A")]
            elif kind == "!":
                data.append(16 + ASKED.index(letter))
            else:
                data.append(38 + HEARD.index(letter))
        return bytes(data)

    yield "simple", events("Q> T< D< C< Z<I")
    yield "extended", events("P> B> D> E> S> 1< 2< T< D< C< Z<I")
    yield "describe_statement", events("P> d> S> 1< t< n< Z<I")
    yield "error_in_a_batch", events("P> B> E> S> Q> E< Z<I C< Z<I")
    yield "error_behind_flush", events("P> B> 1< E< E> S> Z<I")
    yield "copy_out", events("Q> H< d< d< c< C< Z<I")
    yield "copy_in", events("Q> G< c> C< Z<I")
    yield "copy_in_fails", events("Q> G< E< Z<I c>")
    yield "copy_in_early_sync", events("E> S> G< S> c> C< Z<I")
    yield "copy_in_early_sync_fails", events("E> G< S> S> E< Z<I Z<I C> S> 3< Z<I")
    yield "copy_in_lost", events("E> G< Q> E< S> Z<I")
    yield "copy_both", events("Q> W< d< c< c> C< Z<I")
    yield "unasked", events("Z<I T< C< E< N< S< A< 1< 3<")
    yield "bad_ready", events("Q> Z<?")
    yield "transaction", events("Q> C< Z<T Q> E< Z<E Q> C< Z<I")
    yield "client_goes", events("P> B> E> * S! 1< 2< E< Z<T Q! C< Z<I")
    yield "injected", events("Q! Q> C< Z<I C< Z<I")
    yield "function_call", events("F> V< Z<I F> E< Z<I")
    yield "suspended", events("B> E> S> 2< s< Z<I")
    yield "many", events("P> B> E> S> " * 100)
    yield "copy_end_unasked", events("c> c> S> Z<I Q> c> C< Z<I")


def exchange_server():
    send = dict(zip(ASKED, range(10)))
    for name, script in {
        "simple": "Q", "extended": "PBDES", "batches": "PBDESPBDES", "mixed": "QPBESQFdS", "no_sync": "PBDE",
        "closes": "CCS", "copy_ends": "QcPcBcEcS", "describes": "PdBDS", "functions": "FFQ",
    }.items():  # fmt: skip
        asked = bytes(send[letter] for letter in script)
        yield name, asked
        for dice in range(0, 64, 7):
            yield f"{name}_{dice}", asked + bytes([128 + (dice + step * 5) % 64 for step in range(len(asked))]) + b"\xc0"
        yield f"{name}_in_turn", b"".join(bytes([byte + 64 * (at % 2), 131]) for at, byte in enumerate(asked))


# --- configuration ------------------------------------------------------------------------------------

MAIN = "[databases]\napp = host=127.0.0.1 port=5432 dbname=app\n* = host=/tmp\n[users]\napp = pool_mode=session\n" \
    "[pgbouncer]\nlisten_port = 6432\nlisten_addr = 127.0.0.1\nauth_type = trust\npool_mode = transaction\n"


def connstr():
    for name, data in {
        "usual": "host=127.0.0.1 port=5432 dbname=app", "quoted": "password='it''s' user='a b'", "blanks": " host = 'x' ",
        "empty_value": "host= port=1", "empty_quoted": "host=''", "open": "host='a", "no_equals": "host", "no_key": "=a",
        "behind_quote": "host='a'b port=1", "comment": "host=a # b", "semicolon": "host=a ; b", "semicolon_in_value": "password=a;b#c",
        "key_quote": "'host'=a", "zero": "host=a\0b", "utf8": "dbname=é", "nothing": "", "tabs": "\thost=a\v\fport=1\r\n",
    }.items():  # fmt: skip
        yield name, data.encode()


def configurations():
    for name, data in {
        "empty": "", "usual": MAIN, "crlf": MAIN.replace("\n", "\r\n"), "mark": "\ufeff" + MAIN, "no_newline": MAIN[:-1],
        "comments": "; a\n# b\n" + MAIN.replace("6432", "6432 ; c"), "section_twice": MAIN + "[pgbouncer]\nlisten_port=1\n",
        "unknown_section": "[nobody]\na=b\n", "open_section": "[pgbouncer\n", "before_section": "a=b\n" + MAIN,
        "unknown_key": MAIN + "nobody = 1\n", "quoted_key": "[databases]\n'a b' = host=x\n", "two_sections_one_line": "[users][pgbouncer] listen_port=1\n",
        "include": MAIN + "%include a\n\x1c[users]\nother = pool_size=3\n", "include_missing": "%include z\n", "include_itself": "%include main\n",
        "include_chain": "%include a\n\x1c%include b\n\x1c%include c\n\x1c[pgbouncer]\n", "include_open": "%include", "include_nothing": "%include \n",
        "include_twice_itself": "%include a\n%include a\n\x1c%include a\n%include a\n", "zero": "[pgbouncer]\na=\0\n", "equals": "[pgbouncer]\n=\n",
        "userlist": MAIN.replace("trust", "md5\nauth_file = a") + "\x1c\"app\" \"secret\"\n", "userlist_missing": MAIN + "auth_file = nowhere\n",
        "peers": MAIN + "[peers]\n1 = host=a port=1\n", "negative": MAIN + "default_pool_size = -1\n", "large": MAIN + "max_client_conn = 99999999999\n",
        "durations": MAIN + "server_lifetime = 1.5h\nquery_timeout = 20ms\nserver_idle_timeout = 1e9\n", "value_comment": MAIN + "server_check_query = select 1 -- a ; b\n",
        "sizes": MAIN + "default_pool_size=20\nmin_pool_size=5\nreserve_pool_size=5\nmax_db_connections=50\n", "hexadecimal": MAIN + "listen_backlog = 0x20\n",
        "database_keys": "[databases]\na = host=a,b port=1 user=u password='p' auth_user=v pool_size=1 min_pool_size=1 reserve_pool=1 max_db_connections=9"
        " pool_mode=statement connect_query='select 1' client_encoding=UTF8 timezone=UTC datestyle=ISO application_name=x load_balance_hosts=disable\n[pgbouncer]\n",
        "user_keys": "[users]\nu = pool_mode=session pool_size=1 reserve_pool_size=1 max_user_connections=5 query_timeout=1 idle_transaction_timeout=2\n[pgbouncer]\n",
        "name_63": f"[databases]\n{'d' * 63} = host=a\n[pgbouncer]\n", "name_64": f"[databases]\n{'d' * 64} = host=a\n[pgbouncer]\n",
        "console_name": "[databases]\npgbouncer = host=a\n[pgbouncer]\n", "bad_mode": MAIN + "pool_mode = sometimes\n", "conffile": MAIN + "conffile = b\n",
    }.items():  # fmt: skip
        yield name, data.encode()


def console_line():
    for name, data in {
        "show": "SHOW POOLS", "semicolon": "show pools ; ", "two_semicolons": "SHOW POOLS;;", "blanks": "\t\r\n SHOW\tPOOLS\n", "alone": "RELOAD",
        "argument": 'PAUSE "my db"', "quotes": 'PAUSE "a""b"', "open": 'PAUSE "a', "empty_quotes": '""', "empty_argument": 'PAUSE ""',
        "set": "SET pool_mode = 'session'", "set_to": "set pool_mode TO session;", "set_word": "SET a=1", "set_quotes": "SET a = 'it''s'",
        "set_empty": "SET a = ''", "set_no_value": "SET a =", "set_alone": "SET", "set_as_word": "SET a", "set_quoted": '"set" "a" = "b"', "nothing": "",
        "explain": "explain route select 'a;' ; ", "explain_quoted": "EXPLAIN ROUTE 'select ''a''' ;", "explain_open": "EXPLAIN ROUTE 'a",
        "explain_nothing": "EXPLAIN ROUTE ;", "explain_no_route": "EXPLAIN SELECT 1",
        "zero": "SHOW\0POOLS", "three": "SHOW POOLS NOW", "comment": "SHOW POOLS -- x", "long": "X" * 16, "long_argument": "PAUSE " + "d" * 64,
        "long_value": "SET a = '" + "v" * 256 + "'", "utf8": "PAUSE é", "glued": 'PAUSE"a"', "percent": "SHOW 100%",
    }.items():  # fmt: skip
        yield name, data.encode()


def console_protocol():
    def query(sql):
        return message("Q", text(sql))

    def parse(sql, name="", types=()):
        return message("P", text(name, sql) + short(len(types)) + integer(*types))

    def bind(statement="", portal="", formats=(), values=()):
        given = short(0) + short(len(values)) + b"".join(map(value, values))
        return message("B", text(portal, statement) + given + short(len(formats), *formats))

    def execute(portal="", rows=0):
        return message("E", text(portal) + integer(rows))

    def describe(kind, name=""):
        return message("D", kind + text(name))

    sync, shows = message("S"), "SHOW CLIENTS"
    yield "query", query(shows) + query("NONSENSE") + query("SHOW HELP") + query("RELOAD")
    yield "extended", parse(shows) + bind() + describe(b"P") + execute() + sync
    yield "named", parse(shows, "s") + describe(b"S", "s") + bind("s", "p") + execute("p") + sync + message("C", b"S" + text("s")) + sync
    yield "binary", parse("SHOW STATS") + bind(formats=(1,)) + describe(b"P") + execute() + sync
    yield "formats", parse("SHOW MEM") + bind(formats=(0, 1, 0, 1, 1)) + execute() + sync + bind(formats=(0, 1)) + sync
    yield "in_parts", parse(shows) + bind() + execute(rows=1) * 5 + sync
    yield "negative_rows", parse(shows) + bind() + execute(rows=-1) + sync
    yield "again", parse(shows) + bind() + execute() * 2 + execute() + query(shows) + sync + query(shows)
    yield "parameters", parse(shows, types=(23,)) + sync + parse(shows) + bind(values=(b"1", None)) + sync
    yield "unknown", bind("x") + sync + execute("x") + sync + describe(b"P", "x") + sync + describe(b"S", "x") + sync + describe(b"?") + sync
    yield "same_name", parse(shows, "s") * 2 + sync + bind("s", "p") * 2 + sync
    yield "many", b"".join(parse(shows, str(i)) for i in range(130)) + sync + b"".join(bind("1", str(i)) for i in range(40)) + sync
    yield "not_yours", parse("SHOW FDS") + sync + parse("SHUTDOWN") + sync + query("KILL_CLIENT 1")
    yield "flush", message("H") + parse("SHOW HELP") + message("H") + bind() + describe(b"P") + execute() + sync
    yield "broken", query(shows) + message("B", b"x")


def quote_literal():
    for name, data in {
        "empty": b"", "plain": b"UTC", "quote": b"it's", "quotes": b"''''", "backslash": b"a\\b", "both": b"\\'; DROP TABLE t; --",
        "last_backslash": b"a\\", "half_a_character": b"\x95\\' x", "zero": b"a\0b", "newline": b"a\n'b", "utf8": "é'".encode(),
        "all": bytes(range(256)), "dollar": b"$$'$$",
    }.items():  # fmt: skip
        yield name, data


def metric_labels():
    names = (b"app", b'quo"te', b"back\\slash", b"new\nline", b"\xff\xfe", "gr\u00f6\u00dfe \U0001f600".encode(), "\ufffdFF".encode(),
             b"\xed\xa0\x80", b"cut \xf0\x9f\x98", b"zero\0", b'} 1\nevil{a="')  # fmt: skip
    for number, name in enumerate(names):
        yield f"name{number}", pieces(name, "*/*", "Basic YTpi")
    for number, accept in enumerate((
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1", "text/*;q=", ";;,,", "q=1e400;q=-1",
        "application/openmetrics-text ; q = 1")):  # fmt: skip
        yield f"accept{number}", pieces("", accept, "")
    for number, authorization in enumerate(("Basic", "basic  YTpi", "Basic YTpi=", "Bearer x", "Basic " + "A" * 3000, "Basic Og==")):
        yield f"authorization{number}", pieces("", "", authorization)


def parameters():
    mine = ["UTF8", "ISO", "UTC", "postgres", "on", "psql"]
    yield "equal", pieces(*mine, *mine)
    yield "all_differ", pieces(*mine, *(word + "x" for word in mine))
    yield "case", pieces(*mine, *(word.upper() for word in mine))
    yield "unknown_to_the_server", pieces(*mine)
    yield "unknown_to_the_client", pieces(*[""] * 6, *mine)
    yield "quotes", pieces(*(b"'\\\x95\\;" + word.encode() for word in mine), *mine)
    yield "zero", pieces("a\0b", *mine[1:], "a\0c", *mine[1:])


def handover():
    def text(value):
        value = value.encode() if isinstance(value, str) else value
        return struct.pack("!i", len(value)) + value

    def pairs(*names):
        return struct.pack("!i", len(names)) + b"".join(text(name) + text("value") for name in names)

    def statement(name):
        return text(name) + text(b"SELECT $1\0\0\0") + b"\0"

    client = text("shop") + text("app") + text("") + bytes(32) + b"\1" + pairs("client_encoding")
    yield "hello", b"H" + struct.pack("!ii", 1, 4711)
    yield "socket", b"L\0\1\0"
    yield "held", b"P" + text("shop") + text("app") + struct.pack("!i", 7)
    yield "timeline", b"N" + text("10.0.0.1") + struct.pack("!ii", 5432, 7)
    yield "taken", b"T" + struct.pack("!i", 1)
    yield "cancel", b"X" + bytes(8) + struct.pack("!i", 7)
    yield "bare", b"C" + client + pairs() * 4 + b"\1" + bytes(4) + text("") + bytes(3)
    yield "full", (b"C" + client + pairs("work_mem", "search_path") + pairs("a") + pairs("b") + pairs("c") + b"\0"
                   + struct.pack("!i", 2) + statement("one") + statement("two") + text(b"SELECT 1\0") + b"\1" + statement("")
                   + b"\1" + text(bytes(32)) + text(bytes(32)) + text("4096:salt") + b"\1" + text("typed"))  # fmt: skip


def intern():
    yield "equal", pieces("UTC", "UTC", "UTC", "UTC")
    yield "differ", pieces(*map(str, range(30)))
    yield "empty", pieces("", "", "")
    yield "zero", pieces("a\0b", "a\0c", "a")
    yield "prefixes", pieces(*("x" * size for size in range(40)))


SEEDS = {
    **{seeds.__name__: seeds for seeds in (
        framer, startup, frontend, backend, error_fields, exchange, exchange_server, secret, auth_packets, scram, server_auth,
        client_auth, login, userlist, hba, ldap_options, connstr, console_line, console_protocol, metric_labels, quote_literal,
        parameters, intern, handover, session_marks, read_verdict, session_state)},
    "sql_scanner": sql, "sql_statements": sql, "ini": configurations, "config": configurations,
}  # fmt: skip


def main():
    top = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "corpus"
    for target, seeds in SEEDS.items():
        folder, seen = top / target, set()
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in seeds():
            digest = hashlib.sha256(data).digest()
            if digest not in seen and len(data) <= 70_000:
                (folder / name).write_bytes(data)
            seen.add(digest)


if __name__ == "__main__":
    main()
