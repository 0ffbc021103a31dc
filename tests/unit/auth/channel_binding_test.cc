#include <doctest/doctest.h>

#include "auth/packets.h"
#include "auth/scram_client.h"
#include "auth/scram_server.h"
#include "tests/unit/auth/rig.h"

using namespace headgate;
using namespace headgate::auth_tests;

namespace {

constexpr auto scram = AuthMethod::scram_sha_256;
const Bytes certificate_hash = sha256("a certificate");

Outcome meet(const Bytes& gate_binding, const Bytes& visitor_binding, const Meddle& meddle = {}) {
  KeyCache cache;
  ClientAuth::Who gate = client(scram, as_scram());
  ServerAuth::Who visitor = server(as_plain());
  gate.server_end_point = gate_binding;
  visitor.server_end_point = visitor_binding;
  return talk(std::move(gate), std::move(visitor), cache, meddle);
}

View mechanism_of(const Outcome& outcome) {
  return decode_sasl_initial(outcome.messages.at(1))->mechanism;
}

/// What a gate with TLS says to a client-first of this mechanism.
AuthStep first_step(View mechanism, View client_first, const Bytes& binding = certificate_hash) {
  KeyCache cache;
  ClientAuth::Who gate = client(scram, as_scram());
  gate.server_end_point = binding;
  ClientAuth auth(std::move(gate), cache);
  CHECK(offers_mechanism(View(auth.start().out).substr(9), scram_plus_mechanism) ==
        !binding.empty());
  return auth.answer(encode_sasl_initial(mechanism, client_first).substr(5));
}

}  // namespace

TEST_CASE("channel binding: over TLS both sides choose it") {
  const Outcome outcome = meet(certificate_hash, certificate_hash);
  CHECK(outcome.good());
  CHECK(mechanism_of(outcome) == scram_plus_mechanism);
}

TEST_CASE("channel binding: it is neither offered nor chosen without TLS") {
  for (const auto& [gate, visitor] :
       {std::pair(certificate_hash, Bytes()), {Bytes(), certificate_hash}, {Bytes(), Bytes()}}) {
    const Outcome outcome = meet(gate, visitor);
    CHECK(outcome.good());
    CHECK(mechanism_of(outcome) == scram_mechanism);
  }
}

TEST_CASE("channel binding: two channels with somebody in between are noticed") {
  const Outcome outcome = meet(certificate_hash, sha256("the certificate of a liar"));
  CHECK_FALSE(outcome.let_in);
  CHECK(outcome.refusal->code == ErrorCode::sasl_failed);
}

TEST_CASE("channel binding: an offer that was taken away is noticed") {
  const auto hide_plus = [](size_t index, Bytes body) {
    return index == 0 ? encode_sasl_request({scram_mechanism}).substr(5) : std::move(body);
  };
  const Outcome outcome = meet(certificate_hash, certificate_hash, hide_plus);
  CHECK_FALSE(outcome.let_in);
  CHECK(outcome.refusal->code == ErrorCode::sasl_failed);
}

TEST_CASE("channel binding: what the client says of itself must fit the mechanism and the offer") {
  const auto taken = [](const AuthStep& step) { return step.next == AuthStep::Next::read; };
  CHECK(taken(first_step(scram_mechanism, "n,,n=,r=abc")));
  CHECK(taken(first_step(scram_plus_mechanism, "p=tls-server-end-point,,n=,r=abc")));
  CHECK(taken(first_step(scram_mechanism, "y,,n=,r=abc", "")));
  CHECK(first_step(scram_mechanism, "y,,n=,r=abc").error->code == ErrorCode::sasl_failed);
  CHECK(first_step(scram_plus_mechanism, "n,,n=,r=abc").error->code == ErrorCode::sasl_failed);
  CHECK(first_step(scram_plus_mechanism, "y,,n=,r=abc").error->code == ErrorCode::sasl_failed);
  CHECK(first_step(scram_plus_mechanism, "p=tls-unique,,n=,r=abc").error->code ==
        ErrorCode::sasl_failed);
  CHECK(first_step(scram_mechanism, "p=tls-server-end-point,,n=,r=abc").error->code ==
        ErrorCode::sasl_failed);
  CHECK(first_step(scram_plus_mechanism, "p=tls-server-end-point,,n=,r=abc", "").error->code ==
        ErrorCode::sasl_mechanism);
}

TEST_CASE("directory: the password is asked for in clear and handed on once") {
  KeyCache cache;
  for (const AuthMethod method : {AuthMethod::pam, AuthMethod::ldap}) {
    for (const bool right : {true, false}) {
      ClientAuth auth(client(method, std::nullopt), cache);
      CHECK(auth.start().out == encode_request(AuthRequest::cleartext));
      const AuthStep asked = auth.answer(Bytes("secret") + '\0');
      REQUIRE(asked.next == AuthStep::Next::ask);
      CHECK(asked.password == "secret");
      const AuthStep told = auth.directory_said(right);
      CHECK((told.next == AuthStep::Next::done) == right);
      CHECK(auth.typed().has_value() == right);
      if (!right) {
        CHECK(told.error->message == (method == AuthMethod::pam ? "PAM authentication failed"
                                                                : "LDAP authentication failed"));
      }
      CHECK(auth.directory_said(true).next == AuthStep::Next::failed);
    }
  }
}

TEST_CASE("directory: nobody is asked about an empty password, or without having been asked") {
  KeyCache cache;
  ClientAuth auth(client(AuthMethod::ldap, std::nullopt), cache);
  CHECK(auth.directory_said(true).next == AuthStep::Next::failed);
  ClientAuth empty(client(AuthMethod::ldap, std::nullopt), cache);
  empty.start();
  CHECK(empty.answer(Bytes(1, '\0')).error->code == ErrorCode::empty_password);
  CHECK(empty.directory_said(true).next == AuthStep::Next::failed);
}
