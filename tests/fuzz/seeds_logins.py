"""Hand-made inputs of the fuzz targets that log in, in both roles."""

from seed_bytes import INT_MAX, integer, pieces, text, value

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
