// What the tests of this room share: users, secrets, and a conversation in which ClientAuth and
// ServerAuth talk to each other, with a place to meddle with every message between them.
#pragma once

#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "auth/crypto.h"
#include "auth/login.h"
#include "auth/md5.h"
#include "auth/scram.h"
#include "base/bytes.h"

namespace headgate::auth_tests {

constexpr View user = "alice";
constexpr View password = "correct horse";
constexpr int rounds = 16;  // few, for speed

/// Bytes that differ for each seed.
inline Bytes some_random(int seed) { return sha256("random " + std::to_string(seed)); }

inline Bytes scram_secret(View word, View salt = "sixteen byte salt", int iterations = rounds) {
  const DerivedKeys keys = derive_scram_keys(word, salt, iterations);
  return "SCRAM-SHA-256$" + verifier_name(salt, iterations) + "$" +
         base64_encode(sha256(keys.client_key)) + ":" + base64_encode(keys.server_key);
}

inline Secret as_plain(View word = password) { return Secret(Bytes(word)); }
inline Secret as_md5(View word = password) { return Secret(*md5_secret(word, user)); }
inline Secret as_scram(View word = password) { return Secret(scram_secret(word)); }

inline ClientAuth::Who client(AuthMethod method, std::optional<Secret> secret, int seed = 1) {
  return {method, Bytes(user), std::move(secret), rounds, some_random(seed), "a key for mocks"};
}

inline ServerAuth::Who server(std::optional<Secret> secret, std::optional<ScramKeys> keys = {},
                              int seed = 2) {
  return {Bytes(user), std::move(secret), std::move(keys), some_random(seed)};
}

/// The body of the one message that a step sends.
inline Bytes body(const AuthStep& step) { return step.out.substr(5); }

/// Runs the job of a step, if it has one, and what follows from it.
template <class Auth>
AuthStep settle(Auth& auth, AuthStep step, int& jobs) {
  while (step.next == AuthStep::Next::work) {
    ++jobs;
    step.work();
    step = auth.worked();
  }
  return step;
}

template <class Auth>
AuthStep settle(Auth& auth, AuthStep step) {
  int jobs = 0;
  return settle(auth, std::move(step), jobs);
}

/// How a conversation ended: `let_in` is ClientAuth's word, `satisfied` ServerAuth's.
struct Outcome {
  bool let_in = false, satisfied = false;
  std::optional<Error> refusal, complaint;
  int gate_jobs = 0, visitor_jobs = 0;
  std::vector<Bytes> messages;  // the bodies, before the meddling

  bool good() const { return let_in && satisfied; }
};

using Meddle = std::function<Bytes(size_t index, Bytes body)>;

/// Lets `gate` check `visitor` until one of them has had enough.
inline Outcome talk(ClientAuth& gate, ServerAuth& visitor, const Meddle& meddle = {}) {
  Outcome outcome;
  const auto carry = [&](const AuthStep& step) {
    outcome.messages.push_back(body(step));
    return meddle ? meddle(outcome.messages.size() - 1, body(step)) : body(step);
  };
  AuthStep asked = settle(gate, gate.start(), outcome.gate_jobs);
  while (true) {
    outcome.refusal = asked.error;
    if (asked.next == AuthStep::Next::failed) return outcome;
    outcome.let_in = asked.next == AuthStep::Next::done;
    AuthStep answered;
    if (!asked.out.empty()) {
      answered = settle(visitor, visitor.request(carry(asked)), outcome.visitor_jobs);
    }
    if (outcome.let_in && answered.next == AuthStep::Next::read) answered = visitor.ok();
    outcome.complaint = answered.error;
    outcome.satisfied = answered.next == AuthStep::Next::done;
    if (answered.next != AuthStep::Next::read || answered.out.empty()) return outcome;
    asked = settle(gate, gate.answer(carry(answered)), outcome.gate_jobs);
  }
}

inline Outcome talk(ClientAuth::Who gate_who, ServerAuth::Who visitor_who, KeyCache& cache,
                    const Meddle& meddle = {}) {
  ClientAuth gate(std::move(gate_who), cache);
  ServerAuth visitor(std::move(visitor_who), cache);
  return talk(gate, visitor, meddle);
}

}  // namespace headgate::auth_tests
