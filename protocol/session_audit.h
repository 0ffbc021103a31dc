// A look at a server between two clients: what PostgreSQL says of its session, against what
// Headgate believes. A difference is a setting, a statement, a lock or an object that one client
// has left and the next would find: the setting session_audit.
//
// Where the server is reset before anybody else gets it, it is looked at once more: what is still
// there was no client's (connect_query, ALTER DATABASE), and is believed from then on.
//
// Settings that are in no catalog (app.tenant) are asked for by name: those that texts and clients'
// sessions have named, and those that functions and policies of the database name in theirs.
//
// No I/O: SQL and findings come out, texts and rows go in.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "protocol/session_state.h"

namespace headgate {

/// One thing that is not as it is believed to be.
struct AuditDifference {
  View kind;  // "setting", "prepared statement", ...
  std::string name;
  std::optional<std::string> expected, found;  // nothing: it is not there
};

/// In one line, for the log: setting "app.tenant" is "7" where it is believed to be unset.
std::string to_text(const AuditDifference& difference);

class SessionAudit {
 public:
  /// The most settings in no catalog that are asked for, and rows and bytes of an answer.
  static constexpr size_t max_names = 200;
  static constexpr size_t max_rows = 2000;
  static constexpr size_t max_bytes = size_t{1024} * 1024;
  /// What is kept of the texts of clients: the last ones, and the first bytes of each.
  static constexpr size_t kept_texts = 3;
  static constexpr size_t kept_bytes = 300;

  /// What Headgate believes of a server that is in nobody's use.
  struct Belief {
    SettingValues settings;
    /// Their values are in the words of a start-up packet, and the server may have others for the
    /// same.
    SettingNames in_other_words;
    /// Nobody knows the values of these yet: whoever gets the server next has them set.
    SettingNames unknown;
    SettingValues reported;                       // by ParameterStatus
    SqlStatements made;                           // by PREPARE
    std::set<std::string, std::less<>> prepared;  // in the protocol
    Pins ignored;                                 // kinds that the operator does not care for
  };

  /// A client says this text.
  void heard(View sql);
  void forget_texts() { texts_.clear(); }
  /// The last texts, for the log.
  std::string texts() const;

  /// The SQL that asks for everything. `first`: see ServerSession::undeferred().
  std::string question(const Belief& belief, View first);
  void row(const std::vector<std::optional<View>>& cells);
  void failed(View message) { failure_ = message; }
  /// All rows are here. Empty: it is as it is believed to be.
  std::vector<AuditDifference> compare(const Belief& belief) const;
  /// The server was reset since and looked at again: those of `before` that were a client's doing.
  /// The others are believed from now on.
  std::vector<AuditDifference> confirm(std::vector<AuditDifference> before, const Belief& belief);
  /// They have been told: they are believed from now on.
  void believe(const std::vector<AuditDifference>& told);

 private:
  using Key = std::pair<View, std::string>;  // kind and name
  using Things = std::map<Key, std::optional<std::string>>;

  static Things must_have(const Belief& belief);
  void name_setting(View name);

  SettingNames names_;  // settings that may be in no catalog
  std::deque<std::string> texts_;
  Things found_;
  Things own_;  // there without any client's doing
  size_t rows_ = 0, bytes_ = 0;
  std::string failure_;
};

}  // namespace headgate
