// The session of a client where clients share servers: the settings that it has made, which go with
// it from server to server, and what cannot go with it and pins it to one. What a text may have
// changed is told by its marks (protocol/session_marks.h); whether it did is asked of the server
// when the transaction is over (protocol/session_question.cc), so that ROLLBACK, savepoints,
// functions of values and all else count as they did there.
//
// No I/O: SQL comes out, rows go in.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "protocol/session_marks.h"
#include "protocol/sql_statements.h"

namespace headgate {

/// Settings by name, in lower case, as current_setting() tells them. A client and the servers that
/// have its settings share one.
using SettingValues = std::map<std::string, std::string, std::less<>>;
using SettingNames = std::set<std::string, std::less<>>;
using SettingValuesPtr = std::shared_ptr<const SettingValues>;  // null: none

/// What one client has set in its session.
class ClientSession {
 public:
  /// The most that a client may set and still go from server to server.
  static constexpr size_t max_settings = 100;
  static constexpr size_t max_bytes = size_t{64} * 1024;

  const SettingValuesPtr& values() const { return values_; }
  /// The parameters of its start-up packet: what RESET returns to. Those that servers report follow
  /// the client by themselves. `known`: where another client has started, which may be the same.
  void start_with(SettingValues values, const SettingValues& reported, SettingValuesPtr& known);
  void back_to_start() {
    take(values_at_start_);
    statements_ = nullptr;
  }
  bool has_start() const { return at_start_ != nullptr; }
  SettingNames names_at_start() const;
  bool starts_with(View name) const { return at_start_ && at_start_->contains(name); }
  /// A text with these marks is sent: what it resets of all that the client has started with is
  /// added to `names`, what it sets is taken off.
  void note_resets(const SessionMarks& marks, SettingNames& names) const;
  /// The statements that make RESET and its like return to what the client has started with.
  std::vector<std::string> restore(const SettingNames& names) const;
  /// False: they are too many, or too long, and are not remembered.
  bool set(SettingValues values);
  /// The statements that it has made by PREPARE.
  const SqlStatementsPtr& statements() const { return statements_; }
  void set_statements(SqlStatementsPtr statements) { statements_ = std::move(statements); }
  /// What it creates without a word may be temporary: pg_temp stands in its search_path.
  bool creates_temporary() const { return creates_temporary_; }
  /// A server has taken them all. What a start-up packet says may be refused.
  void proved() { proved_ = true; }
  bool is_proved() const { return proved_; }

  /// All of it, to be carried to another process.
  struct Saved {
    SettingValues values, values_at_start, at_start;
    SqlStatements statements;
    bool proved = true;
  };
  Saved saved() const;
  /// The client comes from another process. `known` as in start_with().
  void resume(Saved saved, SettingValuesPtr& known);

 private:
  void take(SettingValuesPtr values);

  SettingValuesPtr values_;
  SettingValuesPtr values_at_start_;
  SettingValuesPtr at_start_;  // with those that servers report
  SqlStatementsPtr statements_;
  bool proved_ = true;
  bool creates_temporary_ = false;
};

/// What one server has of that.
class ServerSession {
 public:
  /// No client has this number.
  static constexpr uint64_t nobody = UINT64_MAX;
  /// The most settings of which one question asks.
  static constexpr size_t max_unknown = 400;

  // --- when it goes to a client
  /// Something unseen may have been left in it by another than this client: DISCARD ALL must come
  /// before anything else.
  bool must_be_discarded_for(uint64_t client) const { return taint_ != 0 && taint_ != client; }
  /// The SQL that gives it the settings of its client; empty where it has them. It counts as said.
  std::string adopt(const ClientSession& client);
  /// The same of its statements.
  ServerSqlStatements::Difference adopt_statements(const ClientSession& client) {
    return statements_.adopt(client.statements());
  }
  /// What it has of them.
  ServerSqlStatements& statements() { return statements_; }
  /// The client may have made one of this name here.
  bool may_have_statement(View name) const;
  /// A stand-in of this name may have been left here for one of its statements of the protocol.
  bool may_have_stand_in(View name) const;
  /// What comes first in a query of ours, lest it waits for all others.
  View undeferred() const;
  /// With its values a query of ours may end before its time.
  bool has_time_limit() const { return values_ && values_->contains("statement_timeout"); }
  /// The SQL that was made last may be refused: for want of a right, since the client made it up,
  /// or since whoever was here before has left it no time. Nothing of the client's should be sent
  /// behind it unseen.
  bool may_refuse(const ClientSession& client) const;
  /// That SQL may be struck by the time limit of whoever was here before.
  bool may_be_struck() const { return !in_time_; }

  // --- what is sent to it
  /// Nobody cares for what is left of these kinds.
  void ignore(Pins kinds) { ignored_ = kinds; }
  /// A text with these marks was sent. The names of settings are told one by one, by touch().
  void sent(const SessionMarks& marks);
  void touch(std::string setting);
  /// A request of this client was sent, whatever it says.
  void request_is_sent(const ClientSession& client) {
    if (client.creates_temporary()) may_begin(Pin::temporary);
  }
  /// For a reason that the server cannot be asked about.
  void pin(Pins reasons);
  /// Code was run that may have done anything in the session of this client.
  void taint(uint64_t client) { taint_ = client; }
  /// Values in another encoding than the client's are of no use any more.
  void encoding_changed();

  /// The settings of the client that it has, or had last; null: none.
  const SettingValuesPtr& values() const { return values_; }
  /// Those whose value must be asked for.
  const SettingNames& unknown() const { return unknown_; }

  // --- when the transaction is over
  bool must_ask() const {
    return !asking_ && (!unknown_.empty() || may_.any() || statements_.must_ask());
  }
  /// The SQL that asks for all that is not known. Its answer is one row.
  std::string question();
  bool asking() const { return asking_; }
  /// A row about statement_timeout comes before the answer: the client's own has struck before.
  bool stops_clock() const { return asking_ && stops_clock_; }
  void clock_stopped(const std::vector<std::optional<View>>& row);
  /// All that was sent has been answered.
  void all_answered() { may_load_ = false; }
  /// False: that was no answer to it.
  bool answered(const std::vector<std::optional<View>>& row, ClientSession& client);
  /// The question is also about channels, and these are in the answer.
  bool asks_channels() const { return asking_ && asked_pins_.has(Pin::listen); }
  const std::vector<std::string>& channels() const { return channels_; }
  /// It is to be asked about them once more.
  void doubt_channels() { may_begin(Pin::listen); }
  bool doubts_channels() const { return may_.has(Pin::listen); }
  /// All of them are listened to for the client by somebody else too: it is to cross over
  /// (protocol/client_channels.h), and then to UNLISTEN.
  void need_not_listen() { unlisten_due_ = pins_.has(Pin::listen); }
  bool must_unlisten() const { return unlisten_due_ && !asking_; }
  bool has_crossed() const { return crossed_; }
  /// A query about that was sent, and was answered. False: it is not to be sent again, the server
  /// goes on listening.
  void begin_unlisten() { unlisten_due_ = false, unlistening_ = true; }
  bool unlistening() const { return unlistening_; }
  bool crossed(bool failed);
  bool unlistened(bool failed);
  /// The SQL that notifies this number on this channel, which the session listens to from then on.
  std::string crossing(View channel, View number) const;
  /// It was answered with an error. It is to be asked again, or the client stays where it is.
  void question_failed();
  /// What keeps it with its client.
  Pins pins() const { return pins_; }

  // --- at the end
  /// DISCARD ALL was carried out. `client`: whose it was; null if it was ours. `more`: it has been
  /// sent something since.
  void discarded(ClientSession* client, bool more);
  /// The client has gone. True: DISCARD ALL is to be sent at once, for the sake of others.
  bool client_left();
  /// Nobody has looked at what was said, as in session mode.
  void nothing_is_known();
  /// Nothing that it has can be taken back.
  bool cannot_be_reset() const { return pins_.has(Pin::load); }
  /// It may differ from how it was when it logged in.
  bool changed() const {
    return values_ || !unknown_.empty() || pins_.any() || taint_ != 0 || statements_.any();
  }

 private:
  void may_begin(Pins kinds) {
    kinds.remove(ignored_);
    may_.add(kinds);
  }
  void every_setting_is_sent();
  void statements_are_sent(const SessionMarks& marks);
  /// Those of which the server can be asked whether it still has them.
  static Pins askable();
  bool unlisten_again(bool failed);
  std::string question_of_sources() const;
  void take_sources(View list, const ClientSession& client, SettingValues& values);
  void take_statements(std::span<const std::optional<View>> cells, ClientSession& client);

  SettingValuesPtr values_;
  SettingNames unknown_;
  SettingNames reset_;  // of these: some were reset, maybe
  std::vector<std::string> asked_;
  bool asked_sources_ = false;  // a column tells who has set those that may be at their default
  static constexpr int most_failures = 5;  // of one question, until the client is pinned
  bool stops_clock_ = false;
  std::optional<std::string> stopped_at_;  // what statement_timeout is for the client
  SettingNames asked_reset_;
  int failures_ = 0;
  bool asking_ = false;
  bool may_load_ = false;                    // a library is being loaded
  bool in_time_ = true, own_rights_ = true;  // as the last client to leave had them
  Pins pins_, may_, asked_pins_, ignored_;
  std::vector<std::string> channels_;
  bool unlisten_due_ = false, unlistening_ = false, crossed_ = false;
  ServerSqlStatements statements_;
  int discards_sent_ = 0;
  Pins behind_discard_;  // of those that cannot be asked for
  uint64_t taint_ = 0;
};

}  // namespace headgate
