#include "auth/login.h"

#include <doctest/doctest.h>

#include "tests/unit/auth/rig.h"

namespace headgate {

using namespace auth_tests;

namespace {

struct Row {
  std::string name;
  AuthMethod method;
  std::optional<Secret> secret;
  bool passes;  // with the right password
  const char* refusal;
};

const char* const password_failed = "password authentication failed";
const char* const sasl_failed = "SASL authentication failed";

// Every method with every kind of secret, for a client that knows its password.
std::vector<Row> table() {
  const std::optional<Secret> unknown;
  using Method = AuthMethod;
  return {
      {"plain, unknown", Method::plain, unknown, false, password_failed},
      {"plain, empty", Method::plain, Secret(), false, password_failed},
      {"plain, plain", Method::plain, as_plain(), true, password_failed},
      {"plain, md5", Method::plain, as_md5(), true, password_failed},
      {"plain, scram", Method::plain, as_scram(), true, password_failed},
      {"md5, unknown", Method::md5, unknown, false, password_failed},
      {"md5, empty", Method::md5, Secret(), false, password_failed},
      {"md5, plain", Method::md5, as_plain(), true, password_failed},
      {"md5, md5", Method::md5, as_md5(), true, password_failed},
      {"md5, scram", Method::md5, as_scram(), true, sasl_failed},
      {"scram, unknown", Method::scram_sha_256, unknown, false, sasl_failed},
      {"scram, empty", Method::scram_sha_256, Secret(), false, sasl_failed},
      {"scram, plain", Method::scram_sha_256, as_plain(), true, sasl_failed},
      {"scram, md5", Method::scram_sha_256, as_md5(), false, sasl_failed},
      {"scram, scram", Method::scram_sha_256, as_scram(), true, sasl_failed},
  };
}

}  // namespace

TEST_CASE("login: every method with every kind of secret") {
  for (const Row& row : table()) {
    CAPTURE(row.name);
    KeyCache cache;
    for (int login = 0; login < 2; ++login) {
      const Outcome right = talk(client(row.method, row.secret), server(as_plain()), cache);
      CHECK(right.good() == row.passes);
      if (!row.passes) CHECK(right.refusal->message == row.refusal);

      const Outcome wrong = talk(client(row.method, row.secret), server(as_plain("wrong")), cache);
      CHECK_FALSE(wrong.let_in);
      CHECK(wrong.refusal->message == row.refusal);
    }
  }
}

TEST_CASE("login: who has only the md5 hash can answer md5 and nothing else") {
  for (const Row& row : table()) {
    CAPTURE(row.name);
    KeyCache cache;
    const Outcome outcome = talk(client(row.method, row.secret), server(as_md5()), cache);
    const bool asked_for_md5 =
        row.method == AuthMethod::md5 && !(row.secret && row.secret->kind() == SecretKind::scram);
    CHECK(outcome.good() == (asked_for_md5 && row.passes));
    if (!asked_for_md5) CHECK(outcome.complaint->code == ErrorCode::server_wrong_password_type);
  }
}

TEST_CASE("login: refusals of a SCRAM login look alike up to the last message") {
  for (const auto& secret :
       {std::optional<Secret>(), std::optional(Secret()), std::optional(as_md5()),
        std::optional(as_scram()), std::optional(as_plain())}) {
    KeyCache cache;
    const Outcome outcome =
        talk(client(AuthMethod::scram_sha_256, secret), server(as_plain("wrong")), cache);
    CHECK(outcome.refusal->message == sasl_failed);
    CHECK(outcome.messages.size() == 4);
  }
}

TEST_CASE("login: a plain secret costs its rounds once, whoever logs in afterwards") {
  KeyCache gate_cache, visitor_cache;
  for (int login = 0; login < 3; ++login) {
    ClientAuth gate(client(AuthMethod::scram_sha_256, as_plain(), login), gate_cache);
    ServerAuth visitor(server(as_plain(), {}, 100 + login), visitor_cache);
    const Outcome outcome = talk(gate, visitor);
    CHECK(outcome.good());
    CHECK(outcome.gate_jobs == (login == 0 ? 1 : 0));
    CHECK(outcome.visitor_jobs == (login == 0 ? 1 : 0));
  }
}

TEST_CASE("login: a SCRAM secret costs the gate no rounds at all") {
  KeyCache cache;
  CHECK(talk(client(AuthMethod::scram_sha_256, as_scram()), server(as_plain()), cache).gate_jobs ==
        0);
  CHECK(talk(client(AuthMethod::scram_sha_256, {}), server(as_plain()), cache).gate_jobs == 0);
}

TEST_CASE("login: keys learnt from a client open the server with the same verifier") {
  for (const AuthMethod method : {AuthMethod::scram_sha_256, AuthMethod::md5}) {
    KeyCache cache;
    ClientAuth gate(client(method, as_scram()), cache);
    ServerAuth visitor(server(as_plain()), cache);
    REQUIRE(talk(gate, visitor).good());
    REQUIRE(gate.keys());
    CHECK(gate.keys()->verifier == verifier_name("sixteen byte salt", rounds));

    // The same secret on another machine: no password is needed, and no rounds.
    const Outcome passed = talk(client(AuthMethod::scram_sha_256, as_scram(), 5),
                                server(as_scram(), *gate.keys(), 6), cache);
    CHECK(passed.good());
    CHECK(passed.visitor_jobs == 0);

    const Secret elsewhere(scram_secret(password, "another salt"));
    const Outcome refused = talk(client(AuthMethod::scram_sha_256, elsewhere, 7),
                                 server(as_scram(), *gate.keys(), 8), cache);
    CHECK_FALSE(refused.let_in);
    CHECK(refused.complaint->code == ErrorCode::server_wrong_password_type);
  }
}

TEST_CASE("login: keys are learnt from a good SCRAM login against a real SCRAM secret only") {
  for (const Row& row : table()) {
    for (const View word : {password, View("wrong")}) {
      CAPTURE(row.name);
      CAPTURE(Bytes(word));
      KeyCache cache;
      ClientAuth gate(client(row.method, row.secret), cache);
      ServerAuth visitor(server(as_plain(word)), cache);
      talk(gate, visitor);
      const bool stored = row.secret && row.secret->kind() == SecretKind::scram;
      const bool spoke_scram =
          row.method == AuthMethod::scram_sha_256 || row.method == AuthMethod::md5;
      CHECK(gate.keys().has_value() == (stored && spoke_scram && word == password));
    }
  }
}

// A bent message may end a login in any way but one: both sides content.
TEST_CASE("login: no message can be cut short or altered and still be believed") {
  for (const Row& row : table()) {
    if (!row.passes) continue;
    KeyCache cache;
    const auto meet = [&](const Meddle& meddle) {
      return talk(client(row.method, row.secret), server(as_plain()), cache, meddle);
    };
    const Outcome straight = meet({});
    REQUIRE(straight.good());
    for (size_t message = 0; message < straight.messages.size(); ++message) {
      const size_t size = straight.messages[message].size();
      for (size_t at = 0; at < size; ++at) {
        CAPTURE(row.name);
        CAPTURE(message);
        CAPTURE(at);
        const auto bent = [&](auto&& bend) {
          return meet(
              [&](size_t index, Bytes body) { return index == message ? bend(body) : body; });
        };
        CHECK_FALSE(bent([&](const Bytes& body) { return body.substr(0, at); }).good());
        CHECK_FALSE(bent([&](Bytes body) { return body.insert(at, 1, '='); }).good());
        for (const char bits : {'\x01', '\x20', '\x7f', '\x80', '\xff'}) {
          const auto flip = [&](Bytes body) {
            body[at] = static_cast<char>(body[at] ^ bits);
            return body;
          };
          CHECK_FALSE(bent(flip).good());
        }
      }
    }
  }
}

TEST_CASE("login: a message of another exchange is not believed again") {
  KeyCache cache;
  const auto gate = [](int seed) { return client(AuthMethod::scram_sha_256, as_scram(), seed); };
  const Outcome first = talk(gate(1), server(as_plain()), cache);
  REQUIRE(first.good());
  for (size_t replayed = 1; replayed < first.messages.size(); ++replayed) {
    const Outcome second =
        talk(gate(3), server(as_plain(), {}, 4), cache, [&](size_t index, const Bytes& body) {
          return index == replayed ? first.messages[index] : body;
        });
    CHECK_FALSE(second.good());
  }
  // The client's whole part again, against a gate with other random bytes.
  const Outcome third =
      talk(gate(3), server(as_plain()), cache, [&](size_t index, const Bytes& body) {
        return index % 2 == 1 ? first.messages[index] : body;
      });
  CHECK_FALSE(third.let_in);
}

}  // namespace headgate
