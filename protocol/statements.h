// Prepared statements of the extended protocol, when clients share servers: which statements there
// are, what each client calls them, and which of them each server has.
//
// A statement is told by its text and parameter types alone, so that clients that prepare the same
// share what servers know. What was sent to a server is written down as a change, which takes place
// at once and is taken back when the server fails or skips the message. Changes of one batch depend
// on each other in order, so the server's skipping keeps them right; those of a later batch must
// wait until the earlier ones are settled (unsettled()).
//
// No I/O. A Statement may be used by every thread, the rest by its owner's.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <list>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>

#include "base/bytes.h"
#include "protocol/session_marks.h"

namespace headgate {

struct Statement {
  Statement(uint64_t number, Bytes text_and_copy);
  static Bytes key_of(View parse, uint8_t copy) { return Bytes(parse) + static_cast<char>(copy); }

  const uint64_t id;
  /// The text and a number: a client that gives two names to one text has two statements, so that
  /// an error tells the right name.
  const Bytes key;
  /// The body of Parse behind the name: the query, and the types of its parameters.
  View text() const { return View(key).substr(0, key.size() - 1); }
  uint8_t copy() const { return static_cast<uint8_t>(key.back()); }
  /// What it may leave in a session each time that it runs. Set before anybody else sees it.
  SessionMarksPtr marks;
  /// Raised when servers have to prepare it anew: "cached plan must not change result type".
  std::atomic<uint32_t> edition{0};

  /// What it is called on servers.
  const std::string server_name;
};
using StatementPtr = std::shared_ptr<Statement>;

/// What names on servers begin with.
constexpr View statement_prefix = "headgate_";

/// The number in a server's name of a statement, or 0 where it is none.
uint64_t statement_number(View server_name);

/// What one client calls its statements.
class ClientStatements {
 public:
  /// The most names, and bytes of texts, that one client may hold.
  static constexpr size_t max_names = 10'000;
  static constexpr size_t max_bytes = size_t{16} * 1024 * 1024;
  /// The longest unnamed statement that is remembered beyond a transaction.
  static constexpr size_t max_unnamed = 16 * 1024;

  /// Null where the name is not known. The reference holds until the name is forgotten.
  const StatementPtr& find(View name) const;
  void set(View name, StatementPtr statement);
  void forget(View name);
  void clear();
  size_t size() const { return names_.size(); }
  /// Calls visit(name, statement) for each, in no order.
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const auto& [name, statement] : names_) visit(View(name), *statement);
  }
  bool full() const { return names_.size() >= max_names || bytes_ >= max_bytes; }
  /// The name under which the client knows a statement; empty where there is none.
  View name_of(uint64_t id) const;

  /// The unnamed statement, as the body of a Parse behind the name; empty: there is none, or it is
  /// a shared one.
  View unnamed() const { return unnamed_; }
  /// The statement that servers have in place of the unnamed one; null: none. (prepare_unnamed)
  const StatementPtr& unnamed_shared() const { return unnamed_shared_; }
  void set_unnamed(std::string parse, SessionMarksPtr marks, StatementPtr shared = nullptr) {
    unnamed_ = std::move(parse);
    unnamed_marks_ = std::move(marks);
    unnamed_shared_ = std::move(shared);
  }
  /// What it may leave in a session.
  const SessionMarksPtr& unnamed_marks() const { return unnamed_marks_; }

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(View text) const { return std::hash<View>()(text); }
  };
  std::unordered_map<std::string, StatementPtr, Hash, std::equal_to<>> names_;
  std::unordered_map<uint64_t, View> by_id_;  // of the names above
  size_t bytes_ = 0;
  Bytes unnamed_;
  SessionMarksPtr unnamed_marks_;
  StatementPtr unnamed_shared_;
};

/// What a message that was sent to a server changes, if the server carries it out.
struct StatementChange {
  enum class OnServer : uint8_t { nothing, added, removed };
  enum class OfClient : uint8_t {
    nothing,
    named,
    forgotten,
    unnamed,
    deallocated,  // forgotten, by a simple query: that drops the unnamed one in any case
  };
  StatementPtr statement;  // of the unnamed one: which the server has in its place, if any
  OnServer on_server = OnServer::nothing;
  OfClient of_client = OfClient::nothing;
  std::string name{};       // the client's; or the new unnamed statement, empty for none
  SessionMarksPtr marks{};  // of the new unnamed statement
};

/// Which statements a server has, the least recently used first to go, and the changes that it has
/// not confirmed yet.
class ServerStatements {
 public:
  /// It goes to a client: what is used from here on is not evicted before the next call, and its
  /// unnamed statement is somebody else's.
  void begin_lease();

  /// Whether it has the statement in its present edition; a use of it.
  bool use(const Statement& statement);
  /// Whether it has it in whatever edition.
  bool has(const Statement& statement) const { return places_.contains(statement.id); }
  /// What has to go before one more statement fits under `limit`; null: nothing has to, or can.
  StatementPtr evictable(size_t limit) const;
  size_t size() const { return known_.size(); }
  /// What all of them are called on the server.
  std::set<std::string, std::less<>> names() const;
  /// A plan of a statement that was used in this lease is out of date: all of these are to be
  /// prepared anew, by every server.
  void renew_used();

  /// The message of this change was sent: it takes place. `client` may be null if it is not about
  /// the client.
  void change(StatementChange change, ClientStatements* client);
  /// The same of what cannot fail, where nothing else is unanswered: the server is not asked.
  void change_at_once(StatementChange change, ClientStatements& client);
  /// A Sync was sent: what follows is another batch.
  void batch_ended();
  /// A change of an earlier batch may still fail: nothing can be built upon it yet.
  bool unsettled() const { return unsettled_ > 0; }
  /// A simple query of ours has dropped the server's unnamed statement.
  void unnamed_was_dropped() { unnamed_known_ = false; }
  /// The server's unnamed statement is, or will be when it comes to it, the client's own.
  bool unnamed_is_here() const { return unnamed_in_batch_ || unnamed_known_; }
  /// What it may leave in a session then.
  const SessionMarksPtr& unnamed_marks(const ClientStatements& client) const;
  /// What the server has, or will have, in place of the client's unnamed statement; null: nothing.
  /// The reference holds until that is answered.
  const StatementPtr& unnamed_shared(const ClientStatements& client) const;
  /// Whether the client's unnamed statement is, or was until it is answered, this shared one.
  bool was_unnamed(uint64_t id, const ClientStatements& client) const;
  /// Whether it is here cannot be told yet: an earlier batch was about it and may still fail.
  bool unnamed_is_unsettled() const { return unnamed_unsettled_ > 0 && !unnamed_in_batch_; }
  /// The oldest change was confirmed; or its simple query has failed.
  void confirmed(ClientStatements* client, bool failed = false);
  /// The `count` oldest changes did not take place: they are taken back.
  void take_back(size_t count, ClientStatements* client);
  void take_back_all(ClientStatements& client) { take_back(changes_.size(), &client); }
  /// The oldest change failed, instead of being skipped: a Parse that fails has dropped the unnamed
  /// statement all the same. To be told before it is taken back.
  void oldest_failed(ClientStatements* client);
  /// What the client called a statement before a Close that is not confirmed yet; empty: none.
  View name_being_closed(uint64_t id) const;
  /// The client has gone: the rest of its changes are the server's alone.
  void forget_client();
  /// DISCARD ALL or DEALLOCATE ALL: server and client have forgotten all but what was sent behind
  /// that.
  void clear(ClientStatements* client);

 private:
  struct Known {
    StatementPtr statement;
    uint32_t edition;
    uint64_t lease;
  };
  struct Sent {
    StatementChange change;
    uint32_t batch;
    uint32_t edition;  // of what was removed
  };

  const StatementChange* latest_unnamed() const;
  void add(StatementPtr statement, uint32_t edition);
  uint32_t remove(const Statement& statement);
  void drop_changes(size_t count);

  std::list<Known> known_;                                           // the most recently used first
  std::unordered_map<uint64_t, std::list<Known>::iterator> places_;  // by id
  std::deque<Sent> changes_;
  size_t unsettled_ = 0;  // changes of earlier batches, but for those of unnamed statements alone
  size_t in_batch_ = 0;   // the same of this batch
  size_t unnamed_unsettled_ = 0;
  size_t unnamed_in_batch_ = 0;
  bool unnamed_known_ = false;  // in this lease the client has had a word on it
  uint64_t lease_ = 0;
  uint32_t batch_ = 0;
};

}  // namespace headgate
