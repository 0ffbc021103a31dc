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

HERE = Path(__file__).resolve().parent
INT_MAX = 0x7FFFFFFF


def text(*parts):
    return b"".join(part.encode() + b"\0" for part in parts)


def piece(data):
    """Behind its length of two bytes, as FuzzInput::piece reads it."""
    data = data.encode() if isinstance(data, str) else data
    return struct.pack("!H", len(data)) + data


def pieces(*parts):
    return b"".join(map(piece, parts))


def message(tag, body=b"", length=None):
    return tag.encode() + struct.pack("!I", len(body) + 4 if length is None else length) + body


def value(data):
    return struct.pack("!i", -1) if data is None else struct.pack("!i", len(data)) + data


def short(*numbers):
    return struct.pack(f"!{len(numbers)}h", *numbers)


def integer(*numbers):
    return struct.pack(f"!{len(numbers)}i", *numbers)


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


# --- SQL ----------------------------------------------------------------------------------------------

SQL = {
    "empty": "", "blanks": " \t\n\v\f\r", "semicolons": ";;;", "one": "SELECT 1", "two": "BEGIN; SELECT 1",
    "comment": "-- SELECT 1\nSELECT 2", "comment_at_end": "SELECT 1 -- x", "nested_comment": "/* /* */ */ SELECT",
    "open_comment": "/* /* */", "open_string": "SELECT 'a", "string": "'it''s'", "escape_string": r"E'a\'b'",
    "backslash": r"'a\'; b", "continued_string": "'a'\n 'b'", "continued_by_comment": "'a' -- c\n'b'",
    "unicode": "U&'\\0041' U&\"x\"", "bits": "B'01' X'1F' x'", "national": "N'a'", "dollar": "$$a;b$$",
    "dollar_tag": "$tag$ $$ ; $tag$", "dollar_open": "$a$ $b$", "dollar_alone": "$ $1 $1a a$b$c",
    "quoted_name": '"a""b;c"', "open_name": '"a', "numbers": "1 1.5 .5 1e5 1e 0x1F 1_000 1..2 1.", "operators": "a:=b=>c::d<>e!=-1",
    "operator_comment": "a+--b\n c*/**/d @-1 ~-1 +-1", "utf8": "SELECT 'é' AS naïve", "high_bytes": b"\xff\xfe\x80;\xc3",
    "zero": b"SELECT\0 1;\0", "with": "WITH a AS (INSERT INTO t VALUES (1)) SELECT 1; WITH a AS (SELECT 1) DELETE FROM t",
    "with_recursive": "WITH RECURSIVE a(x) AS NOT MATERIALIZED (SELECT 1) SEARCH DEPTH FIRST BY x SET y SELECT 1",
    "rule": "CREATE RULE r AS ON INSERT TO t DO ALSO (SELECT 1; SELECT 2); SELECT 3",
    "atomic": "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END; END; SELECT 2",
    "or_replace": "CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC END; COMMIT", "parentheses": "((SELECT 1)); )(;",
    "transactions": "START TRANSACTION; SAVEPOINT a; ROLLBACK TO SAVEPOINT a; RELEASE a; COMMIT PREPARED 'x'; ROLLBACK PREPARED 'x'; ABORT; END",
    "prepare": "PREPARE a AS SELECT 1; EXECUTE a; DEALLOCATE ALL; PREPARE TRANSACTION 'x'; DISCARD ALL",
    "set": "SET a = b; SET LOCAL a = b; SET SESSION a TO 'b'; SET TRANSACTION READ ONLY; SET LOCAL TRANSACTION READ WRITE; SET CONSTRAINTS ALL DEFERRED; RESET ALL; SHOW a",
    "listen": "LISTEN a; NOTIFY a; UNLISTEN *; LOAD 'x'; DO $$ $$; CALL p(); LOCK t; TRUNCATE t; VACUUM; ANALYZE",
    "locking": "SELECT 1 FOR UPDATE; SELECT 1 FOR NO KEY UPDATE; SELECT 1 FOR KEY SHARE OF t SKIP LOCKED",
    "into": "SELECT 1 INTO t; INSERT INTO t VALUES (1)", "cursors": "DECLARE c CURSOR FOR SELECT 1; FETCH c; MOVE c; CLOSE c",
    "copy": "COPY t FROM STDIN; COPY t TO STDOUT; EXPLAIN SELECT 1; VALUES (1); TABLE t; MERGE INTO t USING s ON true WHEN MATCHED THEN DELETE",
    "schema": "CREATE TABLE t(); ALTER TABLE t ADD a int; DROP TABLE t; GRANT a TO b; COMMENT ON TABLE t IS ''",
    "ends_in_case": "CREATE FUNCTION f() BEGIN ATOMIC SELECT CASE x WHEN 1 THEN 2; END; END", "deep": "(" * 200 + ";" + ")" * 200,
}  # fmt: skip


def sql():
    for name, statement in SQL.items():
        data = statement.encode() if isinstance(statement, str) else statement
        yield name, b"\1" + data
        if b"'" in data or b"\\" in data:
            yield f"{name}_not_standard", b"\0" + data


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


# --- logging in ---------------------------------------------------------------------------------------

SCRAM_SECRET = "SCRAM-SHA-256$4096:c2FsdA==$" + "A" * 43 + "=:" + "B" * 42 + "A="


def secret():
    for name, data in {
        "none": "", "plain": "secret", "md5": "md5" + "0123456789abcdef" * 2, "md5_upper": "md5" + "0123456789ABCDEF" * 2,
        "md5_short": "md5" + "0" * 31, "scram": SCRAM_SECRET, "scram_no_salt": SCRAM_SECRET.replace("c2FsdA==", ""),
        "scram_zero": SCRAM_SECRET.replace("4096", "0"), "scram_many": SCRAM_SECRET.replace("4096", "2147483647"),
        "scram_too_many": SCRAM_SECRET.replace("4096", "2147483648"), "scram_zeros": SCRAM_SECRET.replace("4096", "0004096"),
        "scram_long_salt": SCRAM_SECRET.replace("c2FsdA==", "c2Fs" * 342), "scram_cut": SCRAM_SECRET[:-1],
        "base64": "c2FsdA==", "base64_loose": "c2FsdB==", "base64_blank": "c2Fs dA==", "base64_open": "c2FsdA",
    }.items():  # fmt: skip
        yield name, data.encode()


def auth_packets():
    yield "password", text("secret")
    yield "empty_password", text("")
    yield "open_password", b"secret"
    yield "sasl_initial", text("SCRAM-SHA-256") + value(b"n,,n=,r=x")
    yield "sasl_initial_none", text("SCRAM-SHA-256") + value(None)
    yield "sasl_initial_long", text("SCRAM-SHA-256") + integer(INT_MAX) + b"n,,"
    yield "mechanisms", text("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "")
    yield "mechanisms_open", text("SCRAM-SHA-256")
    yield "mechanisms_behind", text("SCRAM-SHA-256", "", "MORE")


PROOF = "A" * 43 + "="
FIRST, CHALLENGE = "n,,n=,r=clientnonce", "r=#more,s=c2FsdA==,i=4096"
CLIENT_FIRSTS = {
    "": FIRST, "_y": "y,,n=,r=x", "_p": "p=tls-unique,,n=,r=x", "_authzid": "n,a=me,n=,r=x", "_mandatory": "n,,m=x,n=,r=x",
    "_extension": FIRST + ",x=y", "_no_nonce": "n,,n=", "_empty_nonce": "n,,n=,r=", "_long_nonce": "n,,n=,r=" + "x" * 1000,
    "_huge_nonce": "n,,n=,r=" + "x" * 5000, "_bad_nonce": "n,,n=,r=a b",
}  # fmt: skip
CHALLENGES = {
    "": CHALLENGE, "_own_nonce_only": CHALLENGE.replace("more", ""), "_other_nonce": CHALLENGE.replace("#", ""),
    "_nonce_64k": CHALLENGE.replace("more", "m" * 60000), "_nonce_1k": CHALLENGE.replace("more", "m" * 990),
    "_no_salt": CHALLENGE.replace("c2FsdA==", ""), "_bad_salt": CHALLENGE.replace("c2FsdA==", "?"),
    "_long_salt": CHALLENGE.replace("c2FsdA==", "c2Fs" * 400), "_zero": CHALLENGE.replace("4096", "0"),
    "_negative": CHALLENGE.replace("4096", "-1"), "_most": CHALLENGE.replace("4096", "10000000"),
    "_too_many": CHALLENGE.replace("4096", "10000001"), "_overflow": CHALLENGE.replace("4096", "99999999999999999999"),
    "_not_a_number": CHALLENGE.replace("4096", "4096x"), "_extension": CHALLENGE + ",x=y", "_order": "i=1,s=c2FsdA==,r=#m",
}  # fmt: skip
CLIENT_FINALS = {
    "": f"c=biws,r=#,p={PROOF}", "_no_proof": "c=biws,r=#", "_two_proofs": f"c=biws,r=#,p={PROOF},p={PROOF}",
    "_other_binding": f"c=eSws,r=#,p={PROOF}", "_other_nonce": f"c=biws,r=x,p={PROOF}", "_short_proof": "c=biws,r=#,p=AAAA",
}  # fmt: skip
SERVER_FINALS = {"": f"v={PROOF}", "_error": "e=other-error", "_none": "", "_no_signature": "x=y", "_empty": "v="}


def scram():
    for name, first in CLIENT_FIRSTS.items():
        yield f"client_first{name}", pieces(first, CLIENT_FINALS[""], "") + b""
    for name, last in CLIENT_FINALS.items():
        yield f"client_final{name}", pieces(FIRST, last, "")
    for name, challenge in CHALLENGES.items():
        yield f"challenge{name}", pieces("", "", challenge) + SERVER_FINALS[""].encode()
    for name, last in SERVER_FINALS.items():
        yield f"server_final{name}", pieces("", "", CHALLENGE) + last.encode()


def request(number, data=b""):
    return integer(number) + (data.encode() if isinstance(data, str) else data)


def server_auth():
    """A byte for the secret: 0 none, 1 plain, 2 md5, 3 scram, 4 scram with keys."""
    offer = request(10, text("SCRAM-SHA-256", ""))
    for name, bodies in {
        "cleartext": [request(3)], "cleartext_behind": [request(3, b"x")], "md5": [request(5, b"salt")],
        "md5_short": [request(5, b"sal")], "ok": [request(0)], "unknown": [request(99)], "short": [b"\0\0"],
        "gss": [request(7)], "kerberos": [request(2)], "twice": [request(3), request(3)], "md5_behind": [request(3), request(5, b"salt")],
        "no_mechanism": [request(10, b"\0")], "other_mechanism": [request(10, text("SCRAM-SHA-1", ""))],
        "offer": [offer], "offer_twice": [offer, offer], "continue_unasked": [request(11, CHALLENGE)],
        "final_unasked": [request(12, "v=x")], "final_too_early": [offer, request(12, f"v={PROOF}")],
        "ok_too_early": [offer, request(0)], "keys_verifier": [offer, request(11, "r=#m,s=c2FsdA==,i=16"), request(12, f"v={PROOF}")],
        "cleartext_instead": [offer, request(3)], "no_final": [offer, request(11, CHALLENGE), request(0)],
        **{f"challenge{name}": [offer, request(11, text_)] for name, text_ in CHALLENGES.items() if name != "_nonce_64k"},
        **{f"final{name}": [offer, request(11, CHALLENGE), request(12, text_)] for name, text_ in SERVER_FINALS.items()},
        "nonce_of_60000": [offer, request(11, CHALLENGES["_nonce_64k"])],
    }.items():  # fmt: skip
        wanted = range(5) if name in ("cleartext", "md5", "offer", "ok", "keys_verifier") else [1]
        for kind in wanted:
            yield f"{name}_{kind}", bytes([kind]) + pieces(*bodies)


def client_auth():
    """Bytes for the method (plain, md5, scram, trust) and the secret (unknown, none, plain, md5, scram)."""
    answers = {
        "right": [text("correct horse")], "wrong": [text("wrong")], "empty": [text("")], "open": [b"correct horse"],
        "nothing": [b""], "long": [b"x" * 65000], "twice": [text("wrong"), text("correct horse")],
        "md5": [text("md5" + "0" * 32)],
    }  # fmt: skip
    for method in (0, 1, 3):
        for kind in range(5):
            for name, said in answers.items() if kind == 2 else list(answers.items())[:2]:
                yield f"{name}_{method}_{kind}", bytes([method, kind]) + pieces(*said)
    for kind in range(5):
        for name, first in CLIENT_FIRSTS.items() if kind == 2 else list(CLIENT_FIRSTS.items())[:1]:
            initial = text("SCRAM-SHA-256") + value(first.encode())
            yield f"scram{name}_{kind}", bytes([2, kind]) + pieces(initial, f"c=biws,r=clientnonce#,p={PROOF}")
    yield "scram_other_mechanism", b"\2\2" + pieces(text("SCRAM-SHA-1") + value(b"n,,n=,r=x"))
    yield "scram_no_first", b"\2\2" + pieces(text("SCRAM-SHA-256") + value(None))
    yield "scram_length", b"\2\2" + pieces(text("SCRAM-SHA-256") + integer(INT_MAX) + b"n,,n=,r=x")


def login():
    """Bytes for the method (scram, md5, plain) and the secrets (odd: the right password), then changes."""
    for method in range(3):
        for secrets in range(6):
            yield f"unchanged_{method}_{secrets}", bytes([method, secrets])
    for index in range(5):
        for how in range(4):
            yield f"changed_{index}_{how}", bytes([0, 1, index, 20, how, 1])
            yield f"changed_stored_{index}_{how}", bytes([0, 3, index, 9, how, 2])


def userlist():
    for name, data in {
        "usual": '"app" "secret"\n"other" ""\n; comment\n', "quotes": '"a""b" "c""d"\n', "md5": '"a" "md5' + "0" * 32 + '"\n',
        "scram": f'"a" "{SCRAM_SECRET}"\n', "more": '"a" "b" "c" d\n', "between": '"a" x "b"\n', "no_blank": '"a""b"\n',
        "open_name": '"a\n', "open_secret": '"a" "b\n', "no_secret": '"a"\n', "no_quotes": "a b\n", "no_newline": '"a" "b"',
        "crlf": '"a" "b"\r\n', "blank_lines": "\n \n\t\n", "zero": '"a\0" "b"\n', "twice": '"a" "1"\n"a" "2"\n',
        "name_127": f'"{"n" * 127}" "x"\n', "name_128": f'"{"n" * 128}" "x"\n', "utf8": '"é" "ü"\n',
        "error_in_the_middle": '"a" "b"\nbroken\n"c" "d"\n', "comment_like": '"a" ";b" # c\n', "password_65530": f'"a" "{"x" * 65530}"\n',
        "password_65531": f'"a" "{"x" * 65531}"\n',
    }.items():  # fmt: skip
        yield name, data.encode()


def hba():
    """The HBA file, the file that @names reads, the ident file."""
    for name, line in {
        "usual": "host all all 127.0.0.1/32 md5", "mask": "host all all 10.0.0.0 255.0.0.0 trust", "six": "host all all ::1/128 password",
        "local": "local all all peer map=m", "cert": "hostssl all all all cert map=m", "reject": "hostnossl a,b c,d all reject",
        "ldap": 'host all all all ldap ldapserver="a b" ldapprefix="cn=" # why', "ldap_bad": "host all all all ldap ldapserver",
        "keywords": "host sameuser,replication all all trust", "quoted": 'host "all" "a ""b"", #" all trust', "file": "host @names @/etc/names all trust",
        "missing": "host @nowhere all all trust", "group": "host all +g all trust", "outside": "host all all 127.0.0.1/8 trust",
        "bits": "host all all 127.0.0.1/33 trust", "name": "host all all localhost trust", "method": "host all all all gss",
        "short": "host all", "open": 'host "all', "commas": "host ,, , all", "map": "local all all peer map=none", "zero": "host a\0 all all trust",
        "blanks": "\tlocal  all\v\fall trust\r", "comment": "# host", "inside": 'host a"b c"d all all trust', "empty_name": 'host "" "" all trust',
    }.items():  # fmt: skip
        yield name, pieces(line + "\nhost all all all trust\n", "bob, carl\n@names # himself\n", 'm os bob\nm "o s" all\nbad\n')


def ldap_options():
    for name, data in {
        "simple": 'ldapserver=h ldapprefix="cn=" ldapsuffix=", dc=x"', "search": "ldapserver=h ldapport=1389 ldapbasedn=dc=x ldapsearchattribute=uid",
        "filter": 'ldapserver="a b" ldapbasedn=x ldapsearchfilter="(|(uid=$username)(mail=$username))"', "tls": "ldapserver=h ldaptls=1",
        "bind": "ldapserver=h ldapbasedn=x ldapbinddn=y ldapbindpasswd=z", "url": 'ldapurl="ldap://h:389/dc=x?uid?one?"',
        "url_percent": "ldapurl=ldaps://[::1]:1/o=%20x??sub?(a=%2a)", "url_bad": "ldapurl=ldap://h/%z", "dns": "ldapbasedn=dc=example,dc=net",
        "both": "ldapserver=h ldapprefix=a ldapbasedn=b", "open": 'ldapserver="a', "unknown": "server=a", "placeholders": "ldapbasedn=b ldapsearchfilter=$user$usernamename",
        "scheme": "ldapserver=h ldapscheme=ldaps", "nothing": "", "equals": "=", "zero": "ldapserver=a\0b",
    }.items():  # fmt: skip
        yield name, data.encode()


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
        "zero": "SHOW\0POOLS", "three": "SHOW POOLS NOW", "comment": "SHOW POOLS -- x", "long": "X" * 16, "long_argument": "PAUSE " + "d" * 64,
        "long_value": "SET a = '" + "v" * 256 + "'", "utf8": "PAUSE é", "glued": 'PAUSE"a"', "percent": "SHOW 100%",
    }.items():  # fmt: skip
        yield name, data.encode()


def quote_literal():
    for name, data in {
        "empty": b"", "plain": b"UTC", "quote": b"it's", "quotes": b"''''", "backslash": b"a\\b", "both": b"\\'; DROP TABLE t; --",
        "last_backslash": b"a\\", "half_a_character": b"\x95\\' x", "zero": b"a\0b", "newline": b"a\n'b", "utf8": "é'".encode(),
        "all": bytes(range(256)), "dollar": b"$$'$$",
    }.items():  # fmt: skip
        yield name, data


def parameters():
    mine = ["UTF8", "ISO", "UTC", "postgres", "on", "psql"]
    yield "equal", pieces(*mine, *mine)
    yield "all_differ", pieces(*mine, *(word + "x" for word in mine))
    yield "case", pieces(*mine, *(word.upper() for word in mine))
    yield "unknown_to_the_server", pieces(*mine)
    yield "unknown_to_the_client", pieces(*[""] * 6, *mine)
    yield "quotes", pieces(*(b"'\\\x95\\;" + word.encode() for word in mine), *mine)
    yield "zero", pieces("a\0b", *mine[1:], "a\0c", *mine[1:])


def intern():
    yield "equal", pieces("UTC", "UTC", "UTC", "UTC")
    yield "differ", pieces(*map(str, range(30)))
    yield "empty", pieces("", "", "")
    yield "zero", pieces("a\0b", "a\0c", "a")
    yield "prefixes", pieces(*("x" * size for size in range(40)))


SEEDS = {
    **{seeds.__name__: seeds for seeds in (
        framer, startup, frontend, backend, error_fields, exchange, exchange_server, secret, auth_packets, scram, server_auth,
        client_auth, login, userlist, hba, ldap_options, connstr, console_line, quote_literal, parameters, intern)},
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
