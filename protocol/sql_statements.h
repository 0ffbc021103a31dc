// Statements that a client makes by PREPARE in SQL, and that follow it from server to server: what
// it has, and what one server has of that. A statement is told by its name and the text of its
// PREPARE, which is said again where it is missing. What became of a PREPARE or DEALLOCATE is asked
// of the server when the transaction is over, as with settings (protocol/session_state.h).
//
// A name of a statement of the protocol that is used in SQL gets a stand-in on the server
// (proxy/relay_statements.cc). One that was left there is known by its text, and dropped.
//
// No I/O: SQL comes out, rows go in.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace headgate {

/// The texts of PREPARE by the names that they give. A client and the servers that have its
/// statements share one.
using SqlStatements = std::map<std::string, std::string, std::less<>>;
using SqlStatementsPtr = std::shared_ptr<const SqlStatements>;  // null: none

/// The text of a stand-in.
constexpr View stand_in_text = "SELECT";

/// The PREPARE that gives this name, out of a query that has one of them; nothing where it could
/// mean something else in another session.
std::optional<std::string> prepare_of(View query, View name);

std::string deallocate_sql(View name);

/// What one server has of them.
class ServerSqlStatements {
 public:
  /// The most that a client may have, and bytes of texts, to go from server to server.
  static constexpr size_t max_statements = 100;
  static constexpr size_t max_bytes = size_t{64} * 1024;
  /// The longest query that a PREPARE is taken out of.
  static constexpr size_t max_query = 16 * 1024;
  /// The most of which one question asks, and bytes that these may answer.
  static constexpr size_t max_unknown = 400;
  static constexpr size_t max_answer = size_t{512} * 1024;

  /// What makes its statements those of another client.
  struct Difference {
    std::vector<std::string> dropped;  // names
    SqlStatements made;
  };
  Difference adopt(const SqlStatementsPtr& wanted);
  /// Its PREPARE was refused.
  void not_made(View name);

  /// It may have another text now, or none. False: they are too many.
  bool touch(std::string name);
  void touch_all();
  /// Texts in another encoding than the client's are of no use any more.
  void encoding_changed();
  /// It is known that the client has made one of this name here.
  bool has(View name) const;
  /// The client may have done so.
  bool may_have(View name) const;
  /// Or Headgate, for one of the client's statements of the protocol.
  bool may_have_stand_in(View name) const;
  /// What it is known to have.
  SqlStatements all() const { return has_ ? *has_ : SqlStatements(); }
  bool any() const { return has_ || !unknown_.empty(); }

  bool must_ask() const { return !unknown_.empty(); }
  /// The columns that ask for all that is not known.
  std::vector<std::string> question();
  size_t asked() const { return asked_.size(); }
  /// What limits a question for other statements to those that are neither known nor asked for.
  std::string all_others() const;
  /// Their values. False: there are some that cannot be carried.
  bool answered(std::span<const std::optional<View>> cells, SqlStatementsPtr& of_client);
  void question_failed(bool again);
  /// Its client has gone, before it was asked: DISCARD ALL is to come.
  void client_left();
  /// DISCARD ALL.
  void clear();

 private:
  SqlStatementsPtr has_;
  std::set<std::string, std::less<>> unknown_;
  std::vector<std::string> asked_;
};

}  // namespace headgate
