#include "auth/scram.h"

#include <doctest/doctest.h>

#include "auth/scram_client.h"
#include "auth/scram_server.h"
#include "tests/unit/auth/rig.h"

namespace headgate {

namespace {

// RFC 7677, section 3.
constexpr View client_nonce = "rOprNGfwEbeRWgbNEkqO";
constexpr View server_nonce = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
constexpr View server_first =
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
constexpr View final_bare = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
constexpr View secret =
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

bool first_is_taken(View message) { return ScramServer("ours").read_first(message); }

// Whether the server's side takes this client-final after a good beginning.
bool final_is_taken(View message, View first = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO") {
  ScramServer server{Bytes(server_nonce)};
  REQUIRE(server.read_first(first));
  server.challenge(*parse_scram_verifier(secret));
  return server.read_final(message);
}

bool challenge_is_taken(View message) {
  return ScramClient(Bytes(client_nonce)).read_challenge(message).has_value();
}

}  // namespace

TEST_CASE("scram: the server's side speaks RFC 7677's example") {
  ScramServer server{Bytes(server_nonce)};
  REQUIRE(server.read_first("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"));
  CHECK(server.challenge(*parse_scram_verifier(secret)) == server_first);
  CHECK(server.read_final(Bytes(final_bare) + ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="));
  CHECK(server.confirmation() == "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
  CHECK(sha256(server.client_key()) == parse_scram_verifier(secret)->stored_key);
}

// The same numbers but for the name, which PostgreSQL's clients leave empty: the proof and the
// signature were computed by Python's hashlib and hmac.
TEST_CASE("scram: the client's side speaks RFC 7677's example") {
  ScramClient client{Bytes(client_nonce)};
  CHECK(client.first() == "n,,n=,r=rOprNGfwEbeRWgbNEkqO");
  const auto challenge = client.read_challenge(server_first);
  REQUIRE(challenge);
  CHECK(challenge->iterations == 4096);
  const Bytes answer =
      client.answer(derive_scram_keys("pencil", challenge->salt, challenge->iterations));
  CHECK(answer == Bytes(final_bare) + ",p=qvT2SWdEH5Q06albL+hjSYuUhCG7VndFyzIb7CK4n9k=");
  CHECK(client.verify("v=3HO6Qt1M4MKJrmlKaoOqLAI0/0TV0HZe7J9H3MBtSOg="));
  CHECK_FALSE(client.verify("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
  CHECK_FALSE(client.verify("v="));
  CHECK_FALSE(client.verify("e=other-error"));
  CHECK_FALSE(client.verify(""));
}

TEST_CASE("scram: client-first") {
  SUBCASE("taken") {
    for (const View message : {"n,,n=,r=abc", "y,,n=,r=abc", "n,,n=whoever=2C,r=abc", "n,,n=*,r=!~",
                               "n,,n=,r=abc,x=extension", "n,,n=,r=a=b"}) {
      CAPTURE(Bytes(message));
      CHECK(first_is_taken(message));
    }
  }
  SUBCASE("refused") {
    for (const View message : {"",
                               "n",
                               "n,",
                               "n,,",
                               "n,,n=",
                               "n,,n=,",
                               "n,,n=,r=",
                               "n,,r=abc",
                               "n,,n=,s=abc",
                               "n,,r=abc,n=",
                               "N,,n=,r=abc",
                               "x,,n=,r=abc",
                               ",,n=,r=abc",
                               "p=tls-server-end-point,,n=,r=abc",
                               "p,,n=,r=abc",
                               "p=,,n=,r=abc",
                               "n,a=other,n=,r=abc",
                               "n,,m=mandatory,n=,r=abc",
                               "n,,n=,r=a\x7f",
                               "n,,n=,r=a b",
                               "n,,n=,r=\xc3\xa4",
                               "n=,r=abc",
                               "n,,n,r=abc",
                               "n,,n=r=abc"}) {
      CAPTURE(Bytes(message));
      CHECK_FALSE(first_is_taken(message));
    }
    CHECK_FALSE(first_is_taken(View("n,,n=,r=a\0b", 11)));
  }
  SUBCASE("bounded") {
    const Bytes front = "n,,n=,r=";
    const size_t most = max_scram_nonce - View("ours").size();
    CHECK(first_is_taken(front + Bytes(most, 'r')));
    CHECK_FALSE(first_is_taken(front + Bytes(most + 1, 'r')));
    CHECK_FALSE(first_is_taken(front + Bytes(65536, 'r')));
    CHECK_FALSE(first_is_taken("n,,n=" + Bytes(65536, 'u') + ",r=abc"));
    CHECK_FALSE(first_is_taken(front + "abc,x=" + Bytes(65536, 'x')));
  }
}

TEST_CASE("scram: client-final") {
  const Bytes proof = ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
  const Bytes good = Bytes(final_bare) + proof;
  REQUIRE(final_is_taken(good));
  for (size_t size = 0; size < good.size(); ++size)
    CHECK_FALSE(final_is_taken(good.substr(0, size)));
  for (const Bytes& message :
       {good + "=", good + ",", good + ",x=1", good + proof, "x=1," + good, Bytes(final_bare),
        Bytes(final_bare) + ",x=1" +
            proof,  // an extension is signed too, so the proof does not fit
        Bytes(final_bare) + ",p=",
        Bytes(final_bare) + ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ",
        Bytes(final_bare) + ",p=dHzb", proof, Bytes("c=biws") + proof, Bytes(64 * 1024, 'c')}) {
    CAPTURE(Bytes(message));
    CHECK_FALSE(final_is_taken(message));
  }
}

// The proof is right in each case, but for other words than these.
TEST_CASE("scram: client-final must repeat the header of client-first and both nonces") {
  const auto taken = [](View header, View repeated, View nonce) {
    ScramServer server{Bytes(server_nonce)};
    const Bytes first_bare = "n=,r=" + Bytes(client_nonce);
    REQUIRE(server.read_first(Bytes(header) + first_bare));
    const auto verifier = *parse_scram_verifier(secret);
    const Bytes challenge = server.challenge(verifier);
    const Bytes bare = "c=" + base64_encode(repeated) + ",r=" + Bytes(nonce);
    const DerivedKeys keys = derive_scram_keys("pencil", verifier.salt, verifier.iterations);
    const Bytes signature =
        hmac_sha256(sha256(keys.client_key), scram_auth_message(first_bare, challenge, bare));
    return server.read_final(bare +
                             ",p=" + base64_encode(exclusive_or(keys.client_key, signature)));
  };
  const Bytes nonce = Bytes(client_nonce) + Bytes(server_nonce);
  for (const View header : {"n,,", "y,,"}) {
    for (const View repeated : {"n,,", "y,,", "p=tls-server-end-point,,", ""}) {
      CAPTURE(Bytes(header));
      CAPTURE(Bytes(repeated));
      CHECK(taken(header, repeated, nonce) == (header == repeated));
    }
  }
  for (const Bytes& other : {nonce + "x", nonce.substr(1), Bytes(client_nonce), Bytes(server_nonce),
                             Bytes(server_nonce) + Bytes(client_nonce), Bytes()}) {
    CAPTURE(other);
    CHECK_FALSE(taken("n,,", "n,,", other));
  }
}

TEST_CASE("scram: server-first") {
  const Bytes nonce = "r=" + Bytes(client_nonce) + "x";
  CHECK(challenge_is_taken(nonce + ",s=c2FsdA==,i=1"));
  CHECK(challenge_is_taken(nonce + ",s=c2FsdA==,i=10000000"));
  CHECK(challenge_is_taken(nonce + ",s=c2FsdA==,i=4096,x=extension"));
  const Bytes ours = "r=" + Bytes(client_nonce);
  for (const Bytes& message : {Bytes(),
                               ours,
                               ours + ",s=c2FsdA==,i=1",
                               Bytes("r=other,s=c2FsdA==,i=1"),
                               Bytes("r=,s=c2FsdA==,i=1"),
                               Bytes("r=rOpr,s=c2FsdA==,i=1"),
                               nonce + " ,s=c2FsdA==,i=1",
                               nonce,
                               nonce + ",s=c2FsdA==",
                               nonce + ",i=1",
                               nonce + ",i=1,s=c2FsdA==",
                               nonce + ",s=,i=1",
                               nonce + ",s=c2FsdA,i=1",
                               nonce + ",s=****,i=1",
                               nonce + ",s=c2FsdA==,i=",
                               nonce + ",s=c2FsdA==,i=0",
                               nonce + ",s=c2FsdA==,i=-1",
                               nonce + ",s=c2FsdA==,i=+1",
                               nonce + ",s=c2FsdA==,i=1x",
                               nonce + ",s=c2FsdA==,i= 1",
                               nonce + ",s=c2FsdA==,i=0x10",
                               nonce + ",s=c2FsdA==,i=10000001",
                               nonce + ",s=c2FsdA==,i=2147483647",
                               nonce + ",s=c2FsdA==,i=2147483648",
                               nonce + ",s=c2FsdA==,i=4294967297",
                               nonce + ",s=c2FsdA==,i=18446744073709551617",
                               "m=mandatory," + nonce + ",s=c2FsdA==,i=1",
                               Bytes("e=other-error")}) {
    CAPTURE(Bytes(message));
    CHECK_FALSE(challenge_is_taken(message));
  }
}

TEST_CASE("scram: what a server sends is bounded") {
  const Bytes ours = "r=" + Bytes(client_nonce);
  const size_t most = max_scram_nonce - client_nonce.size();
  CHECK(challenge_is_taken(ours + Bytes(most, 'x') + ",s=c2FsdA==,i=1"));
  CHECK_FALSE(challenge_is_taken(ours + Bytes(most + 1, 'x') + ",s=c2FsdA==,i=1"));
  CHECK_FALSE(challenge_is_taken(ours + Bytes(64 * 1024, 'x') + ",s=c2FsdA==,i=1"));
  CHECK(challenge_is_taken(ours + "x,s=" + base64_encode(Bytes(max_scram_salt, 's')) + ",i=1"));
  CHECK_FALSE(
      challenge_is_taken(ours + "x,s=" + base64_encode(Bytes(max_scram_salt + 1, 's')) + ",i=1"));
  CHECK_FALSE(challenge_is_taken(ours + "x,s=" + base64_encode(Bytes(64 * 1024, 's')) + ",i=1"));
  CHECK_FALSE(challenge_is_taken(ours + "x,s=c2FsdA==,i=" + Bytes(64 * 1024, '0') + "1"));
  ScramClient client{Bytes(client_nonce)};
  CHECK_FALSE(client.verify("v=" + Bytes(64 * 1024, 'v')));
}

}  // namespace headgate
