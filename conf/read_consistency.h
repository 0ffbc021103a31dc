// How new what a replica shows must be: the setting read_consistency.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/time.h"

namespace headgate {

struct ReadConsistency {
  enum class Kind : uint8_t {
    session,   // what its client has written itself is there
    eventual,  // whatever the replica has
    lag,       // it is at most so far behind
  };
  Kind kind = Kind::session;
  Duration lag{};  // of Kind::lag
  bool operator==(const ReadConsistency&) const = default;
};

/// Reads `session`, `eventual` or `lag:TIME`, upper or lower case. If it is not valid, changes
/// nothing and says what would be.
std::optional<std::string> parse_read_consistency(View text, ReadConsistency& into);

/// In the words of the file.
std::string to_text(const ReadConsistency& consistency);

}  // namespace headgate
