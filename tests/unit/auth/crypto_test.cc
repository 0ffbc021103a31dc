#include "auth/crypto.h"

#include <doctest/doctest.h>

#include "auth/md5.h"

namespace headgate {

namespace {

Bytes hex(View data) {
  Bytes text;
  for (const char c : data) {
    text += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
    text += "0123456789abcdef"[c & 15];
  }
  return text;
}

}  // namespace

TEST_CASE("crypto: the hashes give the published answers") {
  CHECK(hex(sha256("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(hex(sha256("")) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(md5_hex("message digest") == "f96b697d7cb7938d525a2f31aaf161d0");
  CHECK(md5_hex("") == "d41d8cd98f00b204e9800998ecf8427e");
  // RFC 4231, case 2.
  CHECK(hex(hmac_sha256("Jefe", "what do ya want for nothing?")) ==
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  // RFC 7914, section 11 (its first 32 bytes).
  CHECK(hex(pbkdf2_sha256("passwd", "salt", 1)) ==
        "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc");
  CHECK(hex(pbkdf2_sha256("Password", "NaCl", 80000)) ==
        "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56");
}

TEST_CASE("crypto: base64 comes back as it went") {
  CHECK(base64_encode("") == "");
  CHECK(base64_encode("f") == "Zg==");
  CHECK(base64_encode("fo") == "Zm8=");
  CHECK(base64_encode("foobar") == "Zm9vYmFy");
  for (size_t size = 0; size < 100; ++size) {
    const Bytes data = Bytes(size, '\xfb') + '\0';
    CHECK(base64_decode(base64_encode(data)) == data);
  }
}

TEST_CASE("crypto: base64 takes its one form only") {
  for (const View text : {"Z", "Zg", "Zg=", "Zg===", "====", "=",
                          "Zh==", "Zm9=", "Zg==Zg==", "Z=g=", " Zg==", "Zg==\n",
                          "Zg== ", "Zm9v\nZm9v", "Zm9-", "Zm9_", "Zm9,", "    "}) {
    CAPTURE(Bytes(text));
    CHECK_FALSE(base64_decode(text).has_value());
  }
  CHECK_FALSE(base64_decode(View("Zm9\0", 4)).has_value());
  CHECK_FALSE(base64_decode("Zm9\xff").has_value());
}

TEST_CASE("crypto: the comparison sees every byte and the length") {
  const Bytes text = "0123456789abcdef";
  CHECK(equal_in_constant_time(text, Bytes(text)));
  CHECK(equal_in_constant_time("", ""));
  CHECK_FALSE(equal_in_constant_time(text, text + "g"));
  CHECK_FALSE(equal_in_constant_time(text, ""));
  for (size_t at = 0; at < text.size(); ++at) {
    Bytes other = text;
    other[at] ^= 1;
    CHECK_FALSE(equal_in_constant_time(text, other));
  }
}

TEST_CASE("crypto: md5 passwords are hashed as PostgreSQL does") {
  CHECK(md5_secret("secret", "alice") == "md54a0a68b43b6cd5cf266fa02f196e2371");
  const View salt = "\x01\x02\x03\x04";
  const View answer = "md598a0412b9c31436fc53776e863350083";
  CHECK(md5_answer(Secret("secret"), "alice", salt) == answer);
  CHECK(md5_answer(Secret("md54a0a68b43b6cd5cf266fa02f196e2371"), "alice", salt) == answer);
  CHECK_FALSE(md5_answer(Secret(), "alice", salt).has_value());
}

}  // namespace headgate
