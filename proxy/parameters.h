// The parameters that a server reports and a client may differ in: PgBouncer's five and
// IntervalStyle (setting track_extra_parameters). Values are interned for the whole process, so
// that a client and a server are compared by pointers, and ten thousand clients share their texts.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace headgate {

using Text = std::shared_ptr<const std::string>;

/// The one copy of a text; from any thread.
Text intern(View text);

enum class Tracked : uint8_t {
  client_encoding,
  date_style,
  time_zone,
  interval_style,
  standard_conforming_strings,
  application_name,
};
constexpr size_t tracked_count = 6;

/// The name as the server reports it.
View tracked_name(Tracked parameter);
/// The parameter with this name, compared without regard to case; false where it is not tracked.
bool find_tracked(View name, Tracked& out);

class TrackedValues {
 public:
  /// The value, or null where none is known.
  const Text& get(Tracked parameter) const { return values_[static_cast<size_t>(parameter)]; }
  void set(Tracked parameter, Text value) {
    values_[static_cast<size_t>(parameter)] = std::move(value);
  }
  /// Takes over the values of `defaults` where this has none.
  void fill_from(const TrackedValues& defaults);
  bool operator==(const TrackedValues&) const = default;

  /// The `SET a='x';SET b='y'` that makes a server with `server`'s values have these; empty where
  /// nothing differs. What the server has never reported is left alone.
  std::string difference(const TrackedValues& server) const;

 private:
  std::array<Text, tracked_count> values_;
};

/// What a server says of itself when a client logs in: all its ParameterStatus, in its order.
struct Welcome {
  std::vector<std::pair<std::string, std::string>> parameters;
  TrackedValues tracked;
};
using WelcomePtr = std::shared_ptr<const Welcome>;

/// A value as an SQL string literal, safe whatever it contains and whatever
/// standard_conforming_strings says. The one place where SQL is built from values. All but
/// printable ASCII becomes '?', as PostgreSQL itself does with application_name: in some client
/// encodings half a character looks like a backslash.
std::string quote_literal(View value);

}  // namespace headgate
