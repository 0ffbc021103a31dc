// What SQL may leave behind in its session: settings, and things that cannot be carried to another
// server. It looks at words, not at meaning, and says "may": whether something was left is for the
// server to say. What functions do inside is hidden from it, and texts whose names are computed
// (EXECUTE of a plpgsql function, U&"..." names) as well.
//
// No I/O, no state.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace headgate {

/// Why a server cannot go to another client.
enum class Pin : uint8_t {
  advisory_lock,  // pg_advisory_lock() and its like, held by the session
  temporary,      // a temporary table, view, sequence, type or function
  cursor,         // a cursor WITH HOLD
  prepared,       // a statement made by PREPARE in SQL
  listen,         // LISTEN
  load,           // LOAD: a library cannot be unloaded (its answer tells that it was loaded)
  setting,        // a setting whose name cannot be known, or more of them than are remembered
};
constexpr size_t pin_count = 7;

class Pins {
 public:
  constexpr Pins() = default;
  constexpr Pins(Pin pin) : bits_(static_cast<uint8_t>(1U << static_cast<unsigned>(pin))) {}

  constexpr bool any() const { return bits_ != 0; }
  constexpr bool has(Pin pin) const { return (bits_ & Pins(pin).bits_) != 0; }
  constexpr void add(Pins other) { bits_ |= other.bits_; }
  constexpr void remove(Pins other) { bits_ &= static_cast<uint8_t>(~other.bits_); }
  constexpr Pins common(Pins other) const {
    other.bits_ &= bits_;
    return other;
  }
  bool operator==(const Pins&) const = default;

  static constexpr Pins all() {
    Pins pins;
    pins.bits_ = (1U << pin_count) - 1;
    return pins;
  }

 private:
  uint8_t bits_ = 0;
};

/// In words, for operators: "advisory lock, temporary object"; empty for none.
std::string name_of(Pins pins);

struct SessionMarks {
  /// Settings that may have another value behind it, by name in lower case.
  std::vector<std::string> settings;
  /// Of these: the ones that were reset last (RESET, SET ... TO DEFAULT), and not set behind it.
  std::vector<std::string> settings_reset;
  /// The same, named by the values of these parameters: 1 for $1.
  std::vector<uint16_t> named_by;
  bool every_setting = false;       // RESET ALL
  bool discards = false;            // DISCARD ALL
  bool forgets_statements = false;  // DISCARD ALL, DEALLOCATE ALL
  /// Statements that it may make or drop in SQL, by the names that PostgreSQL gives them.
  std::vector<std::string> statements;
  bool prepares = false;  // PREPARE
  /// It is one PREPARE, or DEALLOCATE, of the first of these, and nothing else; the latter perhaps
  /// between SAVEPOINT and RELEASE.
  bool only_prepares = false, only_deallocates = false;
  bool loads = false;  // LOAD
  Pins begins, ends;
  /// Channels that it may begin or cease to listen to, as the server knows them; but for those
  /// whose names it does not tell (U&"...").
  std::vector<std::string> listens, unlistens;
  bool unlistens_all = false;
  /// It calls a function, or runs code, that may do any of this unseen.
  bool opaque = false;
  /// Where the text can be read in two ways: what it does if standard_conforming_strings is as was
  /// said. Null: there is but one.
  std::shared_ptr<const SessionMarks> first_reading;

  bool any() const {
    return !settings.empty() || !named_by.empty() || every_setting || forgets_statements || loads ||
           !statements.empty() || begins.any() || ends.any();
  }
};

using SessionMarksPtr = std::shared_ptr<const SessionMarks>;  // null: none

/// A quick look: false where session_marks() would find nothing but `opaque`.
bool may_have_marks(View sql);

/// A text with a backslash is read both ways, and may do what it does in either of them. For the
/// encodings in which the text can be read, see protocol/sql_scanner.h.
SessionMarks session_marks(View sql, bool standard_conforming_strings = true);

/// Whether this text, blanks in front of it aside, begins with LISTEN.
bool begins_with_listen(View sql);

/// Whether a part of a setting's name is so long that the server would cut it where it is no
/// string.
bool has_long_part(View name);

/// ASCII letters in lower case, as PostgreSQL compares names of settings.
std::string lower_case(View text);

/// Whether a function of this name, in lower case, leaves nothing in a session; or it is no
/// function, but a keyword that parentheses follow.
bool is_harmless_function(View name);

}  // namespace headgate
