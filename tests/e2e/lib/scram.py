"""The client's side of md5 and SCRAM-SHA-256, and the secrets that servers store."""

import base64
import hashlib
import hmac
import os


def md5_answer(user, password, salt):
    inner = hashlib.md5((password + user).encode()).hexdigest()
    return "md5" + hashlib.md5(inner.encode() + salt).hexdigest()


def md5_secret(user, password):
    return "md5" + hashlib.md5((password + user).encode()).hexdigest()


def scram_secret(password, iterations=4096, salt=None):
    """SCRAM-SHA-256$iterations:salt$stored:server, as pg_authid and userlist.txt hold it."""
    salt = salt or os.urandom(16)
    client, server = _keys(password, salt, iterations)
    stored = hashlib.sha256(client).digest()
    parts = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${iterations}:{parts[0]}${parts[1]}:{parts[2]}"


def _keys(password, salt, iterations):
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    return (_mac(salted, b"Client Key"), _mac(salted, b"Server Key"))


def _mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


class ScramClient:
    """first() -> server-first -> final() -> server-final -> verify()."""

    def __init__(self, password):
        self._password = password
        self._nonce = base64.b64encode(os.urandom(18)).decode()
        self._bare = f"n=,r={self._nonce}"
        self._server_signature = None

    def first(self):
        return ("n,," + self._bare).encode()

    def final(self, server_first):
        text = server_first.decode()
        fields = dict(part.split("=", 1) for part in text.split(","))
        if not fields["r"].startswith(self._nonce):
            raise ValueError("the server changed our nonce")
        client, server = _keys(self._password, base64.b64decode(fields["s"]), int(fields["i"]))
        without_proof = f"c=biws,r={fields['r']}"
        transcript = f"{self._bare},{text},{without_proof}".encode()
        signature = _mac(hashlib.sha256(client).digest(), transcript)
        proof = bytes(left ^ right for left, right in zip(client, signature))
        self._server_signature = _mac(server, transcript)
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def verify(self, server_final):
        return server_final == b"v=" + base64.b64encode(self._server_signature)
