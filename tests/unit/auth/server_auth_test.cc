#include <doctest/doctest.h>

#include "auth/login.h"
#include "auth/packets.h"
#include "auth/scram_server.h"
#include "tests/unit/auth/rig.h"

namespace headgate {

using namespace auth_tests;
using Next = AuthStep::Next;

namespace {

Bytes request(AuthRequest number, View data = {}) { return encode_request(number, data).substr(5); }
Bytes sasl(View mechanism = scram_mechanism) { return encode_sasl_request({mechanism}).substr(5); }
const Bytes cleartext = request(AuthRequest::cleartext);
const Bytes md5_request = request(AuthRequest::md5, "salt");

AuthStep ask(const ServerAuth::Who& who, View what) {
  KeyCache cache;
  ServerAuth auth(who, cache);
  return settle(auth, auth.request(what));
}

std::optional<ErrorCode> code(const AuthStep& step) {
  return step.error ? std::optional(step.error->code) : std::nullopt;
}

// A server of PostgreSQL's kind in the hands of somebody who may bend each of its messages.
struct FakeServer {
  ScramServer scram{"theirs"};
  ScramVerifier verifier = *parse_scram_verifier(scram_secret(password));

  Bytes challenge(View initial) {
    REQUIRE(scram.read_first(decode_sasl_initial(initial)->data));
    return request(AuthRequest::sasl_continue, scram.challenge(verifier));
  }
  Bytes confirmation(View final_message) {
    scram.read_final(final_message);
    return request(AuthRequest::sasl_final, scram.confirmation());
  }
};

ScramKeys keys_for(View word = password) {
  const View salt = "sixteen byte salt";
  const DerivedKeys keys = derive_scram_keys(word, salt, rounds);
  return {keys.client_key, keys.server_key, verifier_name(salt, rounds)};
}

}  // namespace

TEST_CASE("server auth: what answers which request") {
  const Bytes word = Bytes(password) + '\0';
  CHECK(body(ask(server(as_plain()), cleartext)) == word);
  CHECK(body(ask(server(as_plain()), md5_request)) == *md5_answer(as_plain(), user, "salt") + '\0');
  CHECK(body(ask(server(as_md5()), md5_request)) == *md5_answer(as_plain(), user, "salt") + '\0');
  CHECK(ask(server(as_plain()), sasl()).next == Next::read);
  CHECK(ask(server(std::nullopt, keys_for()), sasl()).next == Next::read);
  CHECK(ask(server(as_scram(), keys_for()), sasl()).next == Next::read);
}

TEST_CASE("server auth: a secret of the wrong kind is never sent") {
  const std::optional<Secret> secrets[] = {std::nullopt, Secret(), as_md5(), as_scram()};
  for (const auto& secret : secrets) {
    CHECK(ask(server(secret), cleartext).error->message ==
          "server login failed: wrong password type");
    CHECK(code(ask(server(secret), sasl())) == ErrorCode::server_wrong_password_type);
    const bool is_md5 = secret && secret->kind() == SecretKind::md5;
    CHECK((code(ask(server(secret), md5_request)) == ErrorCode::server_wrong_password_type) ==
          !is_md5);
  }
  CHECK(code(ask(server(Secret(Bytes("a\0b", 3))), cleartext)) ==
        ErrorCode::server_wrong_password_type);
  CHECK(code(ask(server(as_scram(), keys_for()), cleartext)) ==
        ErrorCode::server_wrong_password_type);
  CHECK(code(ask(server(as_scram(), keys_for()), md5_request)) ==
        ErrorCode::server_wrong_password_type);
}

TEST_CASE("server auth: methods that nobody here speaks are named") {
  for (const int number : {1, 2, 4, 6, 7, 8, 9, 13, -1, 0x7fffffff}) {
    const AuthStep step = ask(server(as_plain()), request(static_cast<AuthRequest>(number)));
    CHECK(code(step) == ErrorCode::server_login_failed);
    CHECK(step.error->message == "unknown/unsupported auth method: " + std::to_string(number));
  }
}

TEST_CASE(
    "server auth: the mechanism is found among others, and never taken with channel binding") {
  const auto offer = [](const Bytes& names) {
    return ask(server(as_plain()), request(AuthRequest::sasl, names));
  };
  const Bytes name("SCRAM-SHA-256\0", 14), plus("SCRAM-SHA-256-PLUS\0", 19), end("\0", 1);
  const AuthStep step = offer(plus + name + end);
  REQUIRE(step.next == Next::read);
  CHECK(body(step).starts_with(name));
  CHECK(step.out[0] == 'p');
  const Bytes offers[] = {Bytes(),
                          end,
                          plus + end,
                          plus,
                          Bytes("SCRAM-SHA-256"),
                          name,
                          name + "x",
                          name + end + "x",
                          end + name + end,
                          Bytes("scram-sha-256\0\0", 15)};
  for (const Bytes& names : offers) {
    CHECK(code(offer(names)) == ErrorCode::server_no_mechanism);
  }
  Bytes many;
  while (many.size() < 64 * 1024) many += plus;
  CHECK(code(offer(many + name + end)) == ErrorCode::server_protocol);
}

TEST_CASE("server auth: malformed requests") {
  for (const Bytes& body :
       {Bytes(), Bytes("\0\0\0", 3), cleartext + "x", md5_request + "x", md5_request.substr(0, 7),
        request(AuthRequest::md5), request(AuthRequest::ok, "x"),
        request(AuthRequest::md5, Bytes(65536, 's'))}) {
    CHECK(code(ask(server(as_plain()), body)) == ErrorCode::server_protocol);
  }
}

TEST_CASE("server auth: a server that trusts us may say so at once") {
  KeyCache cache;
  CHECK(ServerAuth(server(std::nullopt), cache).ok().next == Next::done);
  CHECK(ask(server(std::nullopt), request(AuthRequest::ok)).next == Next::done);
}

TEST_CASE("server auth: a good SCRAM login derives its keys once") {
  KeyCache cache;
  for (int login = 0; login < 3; ++login) {
    FakeServer fake;
    ServerAuth auth(server(as_plain(), {}, login), cache);
    const Bytes challenge = fake.challenge(body(auth.request(sasl())));
    int jobs = 0;
    const AuthStep final_step = settle(auth, auth.request(challenge), jobs);
    CHECK(jobs == (login == 0 ? 1 : 0));
    CHECK(auth.request(fake.confirmation(body(final_step))).next == Next::read);
    CHECK(auth.ok().next == Next::done);
    CHECK(cache.size() == 1);
  }
}

TEST_CASE("server auth: keys are not kept for a server that cannot prove itself") {
  KeyCache cache;
  FakeServer fake;
  fake.verifier.server_key[0] ^= 1;
  ServerAuth auth(server(as_plain()), cache);
  const AuthStep step = settle(auth, auth.request(fake.challenge(body(auth.request(sasl())))));
  CHECK(code(auth.request(fake.confirmation(body(step)))) == ErrorCode::server_invalid_signature);
  CHECK(code(auth.ok()) == ErrorCode::server_protocol);
  CHECK(cache.size() == 0);
}

TEST_CASE("server auth: SCRAM cannot be cut short by AuthenticationOk") {
  for (const bool as_request : {false, true}) {
    for (int steps = 0; steps < 3; ++steps) {
      KeyCache cache;
      FakeServer fake;
      ServerAuth auth(server(as_plain()), cache);
      AuthStep step = auth.request(sasl());
      if (steps > 0) step = auth.request(fake.challenge(body(step)));
      if (steps > 1) step = settle(auth, std::move(step));
      const AuthStep end = as_request ? auth.request(request(AuthRequest::ok)) : auth.ok();
      CHECK(code(end) == ErrorCode::server_invalid_signature);
    }
  }
}

TEST_CASE("server auth: requests out of order are refused") {
  const Bytes requests[] = {cleartext, md5_request, sasl(),
                            request(AuthRequest::sasl_continue, "r=x,s=c2FsdA==,i=1"),
                            request(AuthRequest::sasl_final, "v=AAAA")};
  for (const Bytes& second : requests) {
    KeyCache cache;
    ServerAuth answered(server(as_plain()), cache);
    answered.request(cleartext);
    CHECK(code(answered.request(second)) == ErrorCode::server_protocol);
    CHECK(code(answered.ok()) == ErrorCode::server_protocol);  // not even after that

    ServerAuth begun(server(as_plain()), cache);
    begun.request(sasl());
    CHECK(code(begun.request(second)) == ErrorCode::server_protocol);
  }
  CHECK(code(ask(server(as_plain()), requests[3])) == ErrorCode::server_protocol);
  CHECK(code(ask(server(as_plain()), requests[4])) == ErrorCode::server_protocol);
  KeyCache cache;
  ServerAuth idle(server(as_plain()), cache);
  CHECK(code(idle.worked()) == ErrorCode::server_protocol);
}

TEST_CASE("server auth: a second challenge gets no second proof") {
  KeyCache cache;
  FakeServer fake;
  ServerAuth auth(server(as_plain()), cache);
  const Bytes challenge = fake.challenge(body(auth.request(sasl())));
  REQUIRE(settle(auth, auth.request(challenge)).next == Next::read);
  CHECK(code(auth.request(challenge)) == ErrorCode::server_protocol);
}

TEST_CASE("server auth: a hostile challenge is refused before any work") {
  const auto challenge = [](auto&& bend) {
    KeyCache cache;
    FakeServer fake;
    ServerAuth auth(server(as_plain()), cache);
    Bytes message = fake.challenge(body(auth.request(sasl())));
    bend(message);
    return auth.request(message);
  };
  const auto instead = [&](View what, const Bytes& other) {
    return challenge([&](Bytes& message) {
      const size_t at = message.find(what);
      REQUIRE(at != Bytes::npos);
      message.replace(at, what.size(), other);
    });
  };
  CHECK(instead("theirs", "theirs").next == Next::work);
  CHECK(instead("i=16", "i=10000000").next == Next::work);
  for (const View count : {"0", "-1", "", "10000001", "2147483648", "4294967296", "1e3"}) {
    const AuthStep step = instead("i=16", "i=" + Bytes(count));
    CHECK(code(step) == ErrorCode::server_protocol);
    CHECK(step.error->message == "server login failed: bad SCRAM challenge");
  }
  for (const size_t size : {size_t{2000}, size_t{64 * 1024}}) {
    CHECK(code(instead("theirs", Bytes(size, 'n'))) == ErrorCode::server_protocol);
    CHECK(code(instead("s=", "s=" + Bytes(size, 'A'))) == ErrorCode::server_protocol);
  }
  CHECK(code(instead("s=", "s=*")) == ErrorCode::server_protocol);
  CHECK(code(instead("theirs", "")) == ErrorCode::server_protocol);
  CHECK(code(instead(",i=16", "")) == ErrorCode::server_protocol);
  CHECK(code(challenge([](Bytes& message) { message.resize(4); })) == ErrorCode::server_protocol);
}

TEST_CASE("server auth: a server that reports an error in place of a signature") {
  KeyCache cache;
  FakeServer fake;
  ServerAuth auth(server(as_plain()), cache);
  settle(auth, auth.request(fake.challenge(body(auth.request(sasl())))));
  CHECK(code(auth.request(request(AuthRequest::sasl_final, "e=invalid-proof"))) ==
        ErrorCode::server_login_failed);
}

TEST_CASE("server auth: learnt keys fit one verifier only") {
  const auto log_in = [](const ScramVerifier& verifier) {
    KeyCache cache;
    FakeServer fake{.verifier = verifier};
    ServerAuth auth(server(as_scram(), keys_for()), cache);
    AuthStep step = auth.request(fake.challenge(body(auth.request(sasl()))));
    if (step.next == Next::failed) return step;
    step = auth.request(fake.confirmation(body(step)));
    return step.next == Next::failed ? step : auth.ok();
  };
  const auto verifier = [](View salt, int iterations) {
    return *parse_scram_verifier(scram_secret(password, salt, iterations));
  };
  CHECK(log_in(verifier("sixteen byte salt", rounds)).next == Next::done);
  CHECK(code(log_in(verifier("sixteen byte Salt", rounds))) ==
        ErrorCode::server_wrong_password_type);
  CHECK(code(log_in(verifier("sixteen byte salt", rounds + 1))) ==
        ErrorCode::server_wrong_password_type);
}

TEST_CASE("server auth: a job may outlive its login") {
  KeyCache cache;
  AuthStep step;
  {
    FakeServer fake;
    ServerAuth auth(server(as_plain()), cache);
    step = auth.request(fake.challenge(body(auth.request(sasl()))));
  }
  REQUIRE(step.next == Next::work);
  step.work();
  CHECK(cache.size() == 0);
}

}  // namespace headgate
