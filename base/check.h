// MUST(condition): on in every build, for what only a bug of ours can break. Never for the bytes of
// a peer. (Not named CHECK, because doctest owns that name in the tests.)
#pragma once

namespace headgate {

/// Prints the failed condition and its place to stderr and aborts.
[[noreturn]] void must_failed(const char* condition, const char* file, int line);

}  // namespace headgate

#define MUST(condition)                                        \
  do {                                                         \
    if (!(condition)) [[unlikely]]                             \
      ::headgate::must_failed(#condition, __FILE__, __LINE__); \
  } while (false)
