#include "auth/secret.h"

#include <doctest/doctest.h>

#include "auth/scram.h"
#include "tests/unit/auth/rig.h"

namespace headgate {

namespace {

// RFC 7677's user, in the form that PostgreSQL stores.
constexpr View scram_text =
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

SecretKind kind(View text) { return Secret(Bytes(text)).kind(); }

}  // namespace

TEST_CASE("secret: the kind follows from the form") {
  CHECK(Secret().kind() == SecretKind::none);
  CHECK(kind("") == SecretKind::none);
  CHECK(kind("hunter2") == SecretKind::plain);
  CHECK(kind("md5") == SecretKind::plain);
  CHECK(kind("md54a0a68b43b6cd5cf266fa02f196e2371") == SecretKind::md5);
  CHECK(kind("md54a0a68b43b6cd5cf266fa02f196e237") == SecretKind::plain);
  CHECK(kind("md54a0a68b43b6cd5cf266fa02f196e23711") == SecretKind::plain);
  CHECK(kind("md54a0a68b43b6cd5cf266fa02f196e237g") == SecretKind::plain);
  CHECK(kind("md54A0A68B43B6CD5CF266FA02F196E2371") == SecretKind::plain);
  CHECK(kind(scram_text) == SecretKind::scram);
}

TEST_CASE("secret: what only resembles a SCRAM verifier is a plain password") {
  const auto with = [](View what, View instead) {
    Bytes text(scram_text);
    return text.replace(text.find(what), what.size(), instead);
  };
  for (const Bytes& text :
       {with("SHA-256", "SHA-512"), with("SCRAM", "scram"), with("$4096", "$0"),
        with("$4096", "$-1"), with("$4096", "$+1"), with("$4096", "$ 1"), with("$4096", "$"),
        with("$4096", "$4096x"), with("$4096", "$2147483648"),
        with("$4096", "$99999999999999999999"), with("W22ZaJ0SNY7soEsUEjb6gQ==", ""),
        with("gQ==", "gQ="), with("$WG5d", "$"), with("wfPL", ""), with("wfPL", "wfPLwfPL"),
        with("wfPL", ":"), with("$WG5d", ":WG5d")}) {
    CAPTURE(Bytes(text));
    CHECK(kind(text) == SecretKind::plain);
  }
  for (size_t size = 1; size < scram_text.size(); ++size) {
    CHECK(kind(scram_text.substr(0, size)) == SecretKind::plain);
  }
}

TEST_CASE("secret: a verifier is read in all its parts") {
  const auto verifier = parse_scram_verifier(scram_text);
  REQUIRE(verifier);
  CHECK(verifier->iterations == 4096);
  CHECK(verifier_name(verifier->salt, verifier->iterations) == "4096:W22ZaJ0SNY7soEsUEjb6gQ==");
  const DerivedKeys keys = derive_scram_keys("pencil", verifier->salt, verifier->iterations);
  CHECK(sha256(keys.client_key) == verifier->stored_key);
  CHECK(keys.server_key == verifier->server_key);
}

TEST_CASE("secret: copies and moves keep text and kind together") {
  Secret first("hunter2");
  Secret copy = first;
  CHECK(copy == first);
  Secret moved = std::move(copy);
  CHECK(moved == first);
  moved = Secret(Bytes(scram_text));
  CHECK(moved.kind() == SecretKind::scram);
  CHECK(moved.text() == scram_text);
  CHECK_FALSE(moved == first);
  moved = first;
  CHECK(moved.kind() == SecretKind::plain);
  CHECK(moved == first);
  CHECK_FALSE(first == Secret("hunter3"));
}

}  // namespace headgate
