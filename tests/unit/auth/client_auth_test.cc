#include <doctest/doctest.h>

#include "auth/login.h"
#include "auth/packets.h"
#include "tests/unit/auth/rig.h"

namespace headgate {

using namespace auth_tests;
using Next = AuthStep::Next;

namespace {

Bytes word_message(View word) { return Bytes(word) + '\0'; }

Bytes sasl_initial(View data, View mechanism = scram_mechanism) {
  return encode_sasl_initial(mechanism, data).substr(5);
}

// The end of a login in which the client answers the first request with this body.
AuthStep answer_with(ClientAuth::Who who, View answer, KeyCache& cache, int& jobs) {
  ClientAuth auth(std::move(who), cache);
  REQUIRE(auth.start().next == Next::read);
  return settle(auth, auth.answer(answer), jobs);
}

AuthStep answer_with(ClientAuth::Who who, View answer) {
  KeyCache cache;
  int jobs = 0;
  return answer_with(std::move(who), answer, cache, jobs);
}

std::optional<ErrorCode> code(const AuthStep& step) {
  return step.error ? std::optional(step.error->code) : std::nullopt;
}

AuthStep start(ClientAuth::Who who) {
  KeyCache cache;
  return ClientAuth(std::move(who), cache).start();
}

// The salt and iterations that are shown to a client, "s=...,i=...".
Bytes shown_verifier(ClientAuth::Who who) {
  const Bytes challenge = body(answer_with(std::move(who), sasl_initial("n,,n=,r=abc")));
  return challenge.substr(challenge.find(",s="));
}

}  // namespace

TEST_CASE("client auth: the requests are those of the protocol") {
  CHECK(start(client(AuthMethod::plain, as_plain())).out == Bytes("R\0\0\0\x08\0\0\0\x03", 9));
  const Bytes request = start(client(AuthMethod::md5, as_plain())).out;
  CHECK(request.starts_with(Bytes("R\0\0\0\x0c\0\0\0\x05", 9)));
  CHECK(request.size() == 13);
  CHECK(request != start(client(AuthMethod::md5, as_plain(), 7)).out);  // other random, other salt
  const Bytes sasl("R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0", 24);
  CHECK(start(client(AuthMethod::scram_sha_256, as_plain())).out == sasl);
  CHECK(start(client(AuthMethod::md5, as_scram())).out == sasl);
}

TEST_CASE("client auth: methods that are decided elsewhere let nobody in") {
  for (const AuthMethod method : {AuthMethod::any, AuthMethod::cert, AuthMethod::hba,
                                  AuthMethod::peer, AuthMethod::reject, AuthMethod::trust}) {
    CHECK(code(start(client(method, as_plain()))) == ErrorCode::no_auth_method);
  }
}

TEST_CASE("client auth: names and passwords are bounded") {
  auto who = client(AuthMethod::plain, as_plain());
  who.user = Bytes(127, 'u');
  CHECK(start(who).next == Next::read);
  who.user += 'u';
  CHECK(code(start(who)) == ErrorCode::username_too_long);

  const Bytes longest(65530, 'p');
  for (const AuthMethod method : {AuthMethod::plain, AuthMethod::md5}) {
    const auto gate = client(method, as_plain(longest));
    CHECK(code(answer_with(gate, word_message(longest + 'p'))) == ErrorCode::password_too_long);
    CHECK(code(answer_with(gate, Bytes(1 << 20, 'p'))) == ErrorCode::password_too_long);
  }
  CHECK(answer_with(client(AuthMethod::plain, as_plain(longest)), word_message(longest)).next ==
        Next::done);
}

TEST_CASE("client auth: malformed and empty passwords") {
  for (const AuthMethod method : {AuthMethod::plain, AuthMethod::md5}) {
    for (const auto& secret :
         {std::optional<Secret>(), std::optional(Secret()), std::optional(as_plain())}) {
      const auto gate = client(method, secret);
      CHECK(code(answer_with(gate, word_message(""))) == ErrorCode::empty_password);
      CHECK(code(answer_with(gate, "")) == ErrorCode::bad_packet);
      CHECK(code(answer_with(gate, "no end")) == ErrorCode::bad_packet);
      CHECK(code(answer_with(gate, word_message(password) + "x")) == ErrorCode::bad_packet);
      CHECK(code(answer_with(gate, word_message(password) + '\0')) == ErrorCode::bad_packet);
      CHECK(code(answer_with(gate, word_message("wrong"))) == ErrorCode::password_failed);
    }
  }
}

TEST_CASE("client auth: a stored hash is no password") {
  for (const Secret& secret : {as_md5(), as_scram()}) {
    CHECK(code(answer_with(client(AuthMethod::plain, secret), word_message(secret.text()))) ==
          ErrorCode::password_failed);
  }
  CHECK(code(answer_with(client(AuthMethod::md5, as_md5()), word_message(as_md5().text()))) ==
        ErrorCode::password_failed);
}

TEST_CASE("client auth: a refused password costs the same work whoever asks") {
  for (const auto& secret :
       {std::optional<Secret>(), std::optional(Secret()), std::optional(as_plain()),
        std::optional(as_md5()), std::optional(as_scram())}) {
    KeyCache cache;
    for (int attempt = 0; attempt < 3; ++attempt) {
      int jobs = 0;
      const AuthStep step =
          answer_with(client(AuthMethod::plain, secret), word_message("wrong"), cache, jobs);
      CHECK(step.error->message == "password authentication failed");
      CHECK(jobs == 1);
    }
    CHECK(cache.size() == 0);  // strangers cannot push out what others need
  }
}

TEST_CASE("client auth: a good password against a SCRAM secret is derived once") {
  KeyCache cache;
  int jobs = 0;
  const auto gate = client(AuthMethod::plain, as_scram());
  CHECK(answer_with(gate, word_message(password), cache, jobs).next == Next::done);
  CHECK(jobs == 1);
  CHECK(answer_with(gate, word_message(password), cache, jobs).next == Next::done);
  CHECK(jobs == 1);
  CHECK(code(answer_with(gate, word_message("wrong"), cache, jobs)) == ErrorCode::password_failed);
}

TEST_CASE("client auth: a stored verifier with absurdly many rounds is not computed") {
  Bytes text = scram_secret(password);
  text.replace(text.find("$16:"), 4, "$2147483647:");
  REQUIRE(Secret(text).kind() == SecretKind::scram);
  CHECK(code(answer_with(client(AuthMethod::plain, Secret(text)), word_message(password))) ==
        ErrorCode::password_failed);
}

TEST_CASE("client auth: only SCRAM-SHA-256 without channel binding is spoken") {
  const auto gate = client(AuthMethod::scram_sha_256, as_scram());
  for (const View mechanism : {"SCRAM-SHA-256-PLUS", "SCRAM-SHA-1", "", "scram-sha-256", "PLAIN"}) {
    const AuthStep step = answer_with(gate, sasl_initial("n,,n=,r=abc", mechanism));
    CHECK(step.error->message == "client selected an invalid SASL authentication mechanism");
  }
  CHECK(answer_with(gate, sasl_initial("n,,n=,r=abc")).next == Next::read);
  CHECK(answer_with(gate, sasl_initial("y,,n=,r=abc")).next == Next::read);
  CHECK(code(answer_with(gate, sasl_initial("p=tls-unique,,n=,r=abc"))) == ErrorCode::sasl_failed);
}

TEST_CASE("client auth: the first SASL message is measured before it is believed") {
  const auto gate = client(AuthMethod::scram_sha_256, as_scram());
  const Bytes name("SCRAM-SHA-256\0", 14);
  const Bytes data = "n,,n=,r=abc";
  const Bytes messages[] = {Bytes(),
                            name,
                            name + Bytes("\0\0", 2),
                            name + Bytes("\xff\xff\xff\xff", 4),
                            name + Bytes("\xff\xff\xff\xff", 4) + data,
                            name + Bytes("\x80\0\0\0", 4) + data,
                            name + Bytes("\x7f\xff\xff\xff", 4) + data,
                            name + Bytes("\0\0\0\x0c", 4) + data,
                            name + Bytes("\0\0\0\x0a", 4) + data,
                            name + Bytes("\0\0\0\0", 4),
                            name + Bytes("\0\0\0\x0b", 4) + data + '\0',
                            Bytes(64 * 1024, 'x'),
                            name + Bytes(1 << 20, '\0'),
                            sasl_initial("n,,n=,r=" + Bytes(64 * 1024, 'r'))};
  for (const Bytes& message : messages) {
    CHECK(code(answer_with(gate, message)) == ErrorCode::sasl_failed);
  }
}

TEST_CASE("client auth: unknown users are shown what real ones are") {
  const AuthMethod method = AuthMethod::scram_sha_256;
  const Bytes unknown = shown_verifier(client(method, std::nullopt));
  CHECK(unknown == shown_verifier(client(method, std::nullopt, 9)));  // asking again shows the same
  CHECK(unknown == shown_verifier(client(method, Secret())));
  CHECK(unknown == shown_verifier(client(method, as_md5())));
  // A user with a plain secret is shown the same salt as if unknown: creating one shows nothing.
  CHECK(unknown == shown_verifier(client(method, as_plain())));

  const Bytes real = shown_verifier(client(method, Secret(scram_secret("x", Bytes(16, 's')))));
  CHECK(unknown.size() == real.size());
  auto other = client(method, std::nullopt);
  other.user = "bob";
  CHECK(shown_verifier(other) != unknown);
  other = client(method, std::nullopt);
  other.mock_key = "another process";
  CHECK(shown_verifier(other) != unknown);
}

TEST_CASE("client auth: scram_iterations is what a plain secret is derived with") {
  auto who = client(AuthMethod::scram_sha_256, as_plain());
  who.scram_iterations = 77;
  CHECK(shown_verifier(who).ends_with(",i=77"));
  who.scram_iterations = 0;
  CHECK(shown_verifier(who).ends_with(",i=1"));
}

TEST_CASE("client auth: a message that nobody asked for ends the login") {
  KeyCache cache;
  SUBCASE("before the start") {
    ClientAuth auth(client(AuthMethod::plain, as_plain()), cache);
    CHECK(code(auth.answer(word_message(password))) == ErrorCode::protocol_violation);
  }
  SUBCASE("after a good end") {
    ClientAuth auth(client(AuthMethod::plain, as_plain()), cache);
    auth.start();
    CHECK(auth.answer(word_message(password)).next == Next::done);
    CHECK(code(auth.answer(word_message(password))) == ErrorCode::protocol_violation);
  }
  SUBCASE("after a refusal") {
    ClientAuth auth(client(AuthMethod::md5, as_plain()), cache);
    auth.start();
    CHECK(auth.answer(word_message("wrong")).next == Next::failed);
    CHECK(code(auth.answer(word_message(password))) == ErrorCode::protocol_violation);
  }
  SUBCASE("while a job runs") {
    ClientAuth auth(client(AuthMethod::plain, as_scram()), cache);
    auth.start();
    const AuthStep step = auth.answer(word_message(password));
    REQUIRE(step.next == Next::work);
    CHECK(code(auth.answer(word_message(password))) == ErrorCode::protocol_violation);
    step.work();
    CHECK(code(auth.worked()) == ErrorCode::protocol_violation);
  }
}

TEST_CASE("client auth: a job may outlive its login") {
  KeyCache cache;
  std::function<void()> work;
  {
    ClientAuth auth(client(AuthMethod::scram_sha_256, as_plain()), cache);
    auth.start();
    work = auth.answer(sasl_initial("n,,n=,r=abc")).work;
  }
  REQUIRE(work);
  work();
  CHECK(cache.size() == 1);
}

}  // namespace headgate
