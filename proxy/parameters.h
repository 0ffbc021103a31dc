// The parameters that a server reports and a client may differ in: five always, and those of the
// setting track_extra_parameters. Values are interned for the whole process, so that a client and a
// server are compared by pointers, and ten thousand clients share their texts.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "conf/settings.h"

namespace headgate {

using Text = std::shared_ptr<const std::string>;

/// The one copy of a text; from any thread.
Text intern(View text);

/// The place of a parameter among those tracked: the five named here, then the others.
enum class Tracked : uint8_t {
  client_encoding,
  date_style,
  time_zone,
  standard_conforming_strings,
  application_name,
};

/// Which parameters are tracked. Decided when the process starts, the same for all sessions.
class TrackedNames {
 public:
  static constexpr size_t most = 5 + most_extra_parameters;

  /// The five and `extra`, as far as there is room; names that stand there already are left out.
  explicit TrackedNames(const std::vector<std::string>& extra);

  size_t size() const { return names_.size(); }
  /// The name as the server reports it.
  View name(Tracked parameter) const { return names_[static_cast<size_t>(parameter)]; }
  /// The parameter with this name, compared without regard to case; nothing if it is not tracked.
  std::optional<Tracked> find(View name) const;

 private:
  std::vector<std::string> names_;
};

class TrackedValues {
 public:
  /// The value, or null where none is known.
  const Text& get(Tracked parameter) const { return at(static_cast<size_t>(parameter)); }
  void set(Tracked parameter, Text value);
  /// Takes over the values of `defaults` where this has none.
  void fill_from(const TrackedValues& defaults);

  /// Takes over the spelling of `server`'s where this has the same value in other letters.
  void spell_as(const TrackedValues& server);
  /// Spells what can be spelled without a server as one would.
  void make_canonical();

  /// The `SET a='x';SET b='y'` that makes a server with `server`'s values have these; empty where
  /// nothing differs. What the server has never reported is left alone.
  std::string difference(const TrackedValues& server, const TrackedNames& names) const;

 private:
  const Text& at(size_t place) const;
  size_t size() const { return first_.size() + more_.size(); }

  std::array<Text, 6> first_;  // no memory of their own for as many as there are by default
  std::vector<Text> more_;
};

/// What a server says of itself when a client logs in: all its ParameterStatus, in its order.
struct Welcome {
  struct Parameter {
    std::string name, value;
    std::optional<Tracked> tracked;
    size_t end;  // of its message
  };

  /// The server has told one more; `place`: that among those tracked.
  void learn(View name, View value, std::optional<Tracked> place);
  /// What it says of this parameter; empty: nothing.
  View value_of(View name) const;
  /// Appends what a client hears that has these values. `at_standby`: as if a standby told it.
  void tell(Bytes& out, const TrackedValues& values, bool at_standby) const;

  std::vector<Parameter> parameters;
  Bytes messages;  // all of them, as the server told them
  TrackedValues tracked;
};
using WelcomePtr = std::shared_ptr<const Welcome>;

/// A value as an SQL string literal, safe whatever it contains and whatever
/// standard_conforming_strings says. The one place where SQL is built from values. All but
/// printable ASCII becomes '?', as PostgreSQL itself does with application_name: in some client
/// encodings half a character looks like a backslash.
std::string quote_literal(View value);

/// A value of `SET name=` as SQL: a literal, or for parameters that are lists of names, such as
/// search_path, one literal for each of them.
std::string quote_value(View name, View value);

}  // namespace headgate
