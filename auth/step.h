// The five ways a log-in goes on, in short words for those who decide it.
#pragma once

#include <utility>

#include "auth/login.h"

namespace headgate {

/// Send this (it may be empty), then wait for the peer.
inline AuthStep reply(Bytes out) {
  AuthStep step;
  step.out = std::move(out);
  return step;
}

inline AuthStep put_aside(std::function<void()> work) {
  AuthStep step;
  step.next = AuthStep::Next::work;
  step.work = std::move(work);
  return step;
}

inline AuthStep ask_directory(View password) {
  AuthStep step;
  step.next = AuthStep::Next::ask;
  step.password = password;
  return step;
}

inline AuthStep finish(Bytes out = {}) {
  AuthStep step;
  step.next = AuthStep::Next::done;
  step.out = std::move(out);
  return step;
}

inline AuthStep fail(Error error) {
  AuthStep step;
  step.next = AuthStep::Next::failed;
  step.error = std::move(error);
  return step;
}

inline AuthStep fail(ErrorCode code) { return fail(Error(code)); }

}  // namespace headgate
