// What an operator lets clients leave in the sessions of servers that they share, for each kind of
// state: the setting session_policy.
#pragma once

#include <array>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "protocol/session_marks.h"

namespace headgate {

enum class StatePolicy : uint8_t {
  track,   // it follows the client from server to server
  pin,     // the server stays with the client as long as it is there
  warn,    // as it is by default, and the client gets a NOTICE
  refuse,  // an error, SQLSTATE 0A000
  ignore,  // nobody cares: the next client may find it
};

class StatePolicies {
 public:
  StatePolicy of(Pin kind) const { return policies_[static_cast<size_t>(kind)]; }
  /// The kinds of which this is to become.
  Pins with(StatePolicy policy) const;
  /// What a client of its own server may do without anybody being asked: the default.
  bool are_default() const { return *this == StatePolicies(); }
  bool operator==(const StatePolicies&) const = default;

  /// Whether what is of this kind can go from server to server.
  static bool can_follow(Pin kind);

 private:
  friend std::optional<std::string> parse_state_policies(View text, StatePolicies& into);

  std::array<StatePolicy, pin_count> policies_ = {
      StatePolicy::pin,   StatePolicy::pin, StatePolicy::pin,  StatePolicy::track,
      StatePolicy::track, StatePolicy::pin, StatePolicy::track};
};

/// The word for a kind in files: "advisory_lock".
View word_of(Pin kind);

/// Reads `advisory_lock=refuse, temporary=warn`, upper or lower case, commas or blanks between.
/// What is not named has its default. If it is not valid, changes nothing and says what would be.
std::optional<std::string> parse_state_policies(View text, StatePolicies& into);

/// In the words of the file: what differs from the default.
std::string to_text(const StatePolicies& policies);

}  // namespace headgate
