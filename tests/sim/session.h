// What a simulated session holds beside its transaction: settings, which a rollback takes back, and
// advisory locks and statements made by PREPARE, which it does not. A server has one as it is; the
// ledger and a client keep one as it must be.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/language.h"

namespace headgate::sim {

using Settings = std::map<std::string, std::string, std::less<>>;

class SessionModel {
 public:
  /// What RESET returns to.
  void start_with(Settings settings);
  bool started_with(View name) const { return start_.contains(name); }

  /// The statement is carried out, if it is one of those that change a session.
  void apply(const Statement& statement);
  /// What PostgreSQL would say against that; empty: nothing.
  std::string refusal(const Statement& statement, bool role_exists) const;
  void commit();
  void rollback();

  /// As current_setting() tells it; nothing for a name that nobody has ever set here.
  std::optional<std::string> value(const std::string& name) const;
  bool is_default(const std::string& name) const;
  /// A thing of a kind, or a lock, of this client; of anybody.
  bool has(View kind, int client) const;
  bool has_any(View kind) const;
  /// The same, once its transaction is committed.
  bool keeps(View kind, int client) const;
  /// The clients for which it listens.
  std::vector<int> heard() const;
  /// A statement that was made by PREPARE.
  bool has_statement(View name) const { return statements_.contains(name); }
  std::vector<std::string> statements() const;
  /// As pg_prepared_statements tells it; nothing where there is none.
  std::optional<std::string> query_of(View name) const;
  /// One that cannot go to another server, and is none of these.
  bool has_fixed_statement(View but) const;
  /// Everything, as Headgate's audit asks for it: letter, name and value.
  std::vector<std::array<std::string, 3>> rows_of_audit() const;
  /// Everything, in words: equal for sessions that nobody can tell from one another.
  std::string told() const;
  /// The content of a row that a statement answers in this session.
  Bytes row(const Statement& statement, int row) const;

 private:
  std::string effective(const std::string& name, const std::string& otherwise) const;
  void reset(const std::string& name);
  void lose(const std::string& kind, int client, bool all);

  Settings start_, now_, kept_, local_;
  struct Made {
    std::string value, query;
  };
  std::map<std::string, Made, std::less<>> statements_;
  using Things = std::map<std::string, std::map<int, int>, std::less<>>;
  // Locks and other things by kind and client, each so often; and those that a rollback brings
  // back.
  Things things_, kept_things_;
};

}  // namespace headgate::sim
