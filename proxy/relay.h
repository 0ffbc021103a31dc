// The link of one client and one server: it exists exactly as long as they are linked, and is the
// one place that knows both. Messages pass; headers are looked at; the exchange is kept; the times
// are taken. It lives inside the server (no heap for a transaction) and never destroys anybody: the
// sessions read its verdict after each step and act.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "admin/pool_use.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/time.h"
#include "protocol/database_command.h"
#include "protocol/error_fields.h"
#include "protocol/exchange.h"
#include "protocol/framer.h"
#include "protocol/session_marks.h"
#include "protocol/session_state.h"
#include "protocol/statements.h"

namespace headgate {

class Client;
class Server;
struct PoolSettings;

/// What a client has asked for and was told nothing of: for another server.
struct Unanswered {
  Bytes request;
  bool canceled = false;  // the client has asked to cancel it meanwhile
  std::string overdue;    // query_timeout has: the DETAIL of its error
};

class Relay {
 public:
  /// The most answers that a server may owe a client; more requests wait unread.
  static constexpr size_t max_owed = 4096;
  /// Messages up to this size reach a server whole or not at all.
  static constexpr uint32_t max_whole = 48 * 1024;
  /// The longest text that is read for what it may leave in the session.
  static constexpr uint32_t max_text = 256 * 1024;
  /// The longest Parse in which a name can be replaced.
  static constexpr uint32_t max_statement = 4 * 1024 * 1024;
  /// Requests up to this size can be sent again to another server when the first turns out dead.
  static constexpr size_t max_replay = 16 * 1024;
  /// The largest message that is withheld.
  static constexpr size_t max_withheld = 16 * 1024;

  Relay(Client& client, Server& server, Instant now);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  /// Whether a client may say this at all once it is logged in.
  static bool is_request(char tag);
  /// So many bytes of a message must be there before a server is taken for it, so that a client
  /// that stalls in the middle holds none. Of those that are too long to be kept, the beginning.
  static size_t bytes_to_begin(char tag, uint32_t body_size, const PoolSettings& settings);

  Client& client() { return client_; }
  /// What the client leaves in its session is looked at.
  bool tracks_session() const { return tracks_session_; }

  /// What the client has said; returns how much of it was taken. Less than all: a reason to stop is
  /// in one of the questions below.
  size_t from_client(View in);
  bool client_said_goodbye() const { return goodbye_; }
  const std::optional<Error>& client_error() const { return client_error_; }
  /// Too many answers are owed, a cancel is under way that could strike the next request, it is not
  /// settled yet which statements the server has, or whether it takes the client's settings: the
  /// client is not heard until room_again().
  bool full() const { return full_; }
  bool room_again() const;

  // --- told by the server, which reads its messages
  /// Answers of the server have come.
  void answered() { untouched_ = false; }
  /// The client is about to be told something of them.
  void told() {
    replayable_ = false;
    if (withholds_) release();
    tell_parse_due();
  }
  /// Tells the client that its Parse has worked, which the server had no part in: what is repeated
  /// need not tell it again.
  void tell_parsed();
  /// The server has ended before it came to the request.
  void never_read() { never_read_ = true; }
  void query_ended(TransactionStatus status);
  /// No cancel is under way any more.
  void cancels_over() { restore_settings(false); }
  /// The client is about to be told that its query has ended.
  void tell_notices();
  /// An ErrorResponse for the client: true if it was re-written (57014 of a timeout of ours), or if
  /// the client need not know of it, since its request is going to be repeated.
  bool rewrite_error(View body);
  /// The request is to be repeated when the exchange is over, because a prepared statement was out
  /// of date, or idle servers stood in the way; nothing has run.
  bool repeats() const { return repeats_; }
  void repeat();
  void fatal_passed() { fatal_passed_ = true; }

  /// What the client does with its server, for an operator.
  Holding doing() const {
    if (query_since_) return Holding::running;
    return in_transaction_ ? Holding::idle_in_transaction : Holding::between_transactions;
  }
  /// Since when its transaction is open, if one is.
  std::optional<Instant> open_since() const {
    return in_transaction_ || query_since_ ? std::optional(begun()) : std::nullopt;
  }

  /// The exchange is over, and the mode gives the server back now if nothing pins it.
  bool between_transactions() const;
  /// It gives it back now.
  bool complete() const;
  /// The server ended. True: it provably did nothing with the request, which can be sent again;
  /// unanswered() holds it.
  bool untouched() const;
  /// What the server has got of the request.
  View replay() const;
  Unanswered unanswered() const;
  /// The client asks to cancel its query.
  void cancel_requested() { canceled_ = true; }
  /// A message that has not been sent yet, because BEGIN is to be answered first.
  View held() const { return held_; }
  bool fatal_was_passed() const { return fatal_passed_; }
  // --- at a replica: relay_read.cc
  /// The client is not told this yet: its request may have to run elsewhere.
  bool withholds(char tag, size_t body_size) const {
    return withholds_ && body_size <= max_withheld && is_withheld(tag);
  }
  void withhold(View message);
  /// Something passes that need not be.
  void passes() {
    if (withholds_) release();
  }
  /// This server is a replica and will not do what was asked, or has ended: the primary can, and
  /// the client was told nothing.
  bool may_go_elsewhere() const { return withholds_ && replayable_; }
  bool goes_elsewhere() const { return goes_elsewhere_; }

  // --- a BEGIN that came before there was a server: relay_begin.cc
  /// It is not answered yet, or it has failed.
  bool begins() const { return begin_ != Begin::none; }
  /// Answers of the server were looked at.
  void begin_progressed();
  /// This error answers something that Headgate has said.
  void begin_failed(const ErrorFields& fields, View body);
  bool begin_is_refused() const { return begin_ == Begin::refused; }
  /// Then: all of the request behind it was said.
  bool request_ended() const;
  /// Then: the client cannot go on at all.
  const std::optional<Error>& begin_error() const { return begin_error_; }
  /// A cancel of the request behind it may strike it: that has the same end.
  bool begin_shares_batch() const;

  /// Time is up for something: what to do about it.
  enum class Overdue : uint8_t { nothing, cancel, close };
  Overdue overdue(Instant now);
  const std::optional<Error>& overdue_error() const { return overdue_error_; }
  std::optional<Instant> deadline() const;

 private:
  struct Input;

  const PoolSettings& settings() const;  // of now: a reload replaces them
  void asked(char tag, View body = {});
  void begin_request();
  void set_overdue(ErrorCode timeout, std::optional<Instant> since, Duration limit, Instant now);
  bool must_wait(char tag) const;
  void tell(View message);
  void tell_parse_due();
  void keep_for_replay(View bytes);
  bool send_begin();
  bool awaits_begin() const;
  bool waits_for_begin(const SessionMarks& marks);
  void flush_begin();
  Instant begun() const { return transaction_since_ - deferred_for_; }

  // --- for the log: relay_log.cc
  void note_statement(char tag, View body);
  void log_slow(Duration taken);

  // --- at a replica: relay_read.cc
  bool is_withheld(char tag) const;
  void release();
  bool is_for_primary(const ErrorFields& fields);
  bool one_at_a_time() const;

  // --- what may stay behind in the session: relay_session.cc
  bool standard_strings() const;
  SessionMarksPtr marks_of(View sql) const;
  bool can_read() const;
  bool look_at(char tag, View body);
  bool awaits_end() const;
  void unread_is_sent();
  void request_is_sent(char tag);
  void restore_settings(bool failed);
  SessionMarksPtr unnamed_marks(View parse, bool cut);
  void bind_is_sent(View portal, const SessionMarksPtr& marks, View bound);
  void hold(View message);
  bool send_held(Input& input);
  void marks_are_sent(const SessionMarks& marks, View bound);
  void touch(const std::string& setting);

  // --- databases that must be left for a statement: relay_databases.cc
  /// A statement that wants a database to itself, and is all that the client has asked for.
  struct DatabaseRequest {
    std::string sql;
    std::optional<std::string> prepared_as;  // where it came in a Parse
    DatabaseCommand command;
    int repetitions = 0;
    bool executed = false;
    bool ended = false;  // nothing of it is still to come
    bool again = false;
  };
  /// How often such a statement is repeated: PostgreSQL itself waits five seconds each time.
  static constexpr int max_repetitions = 3;
  void note_database_request(char tag, View body);
  bool goes_on_with_it(char tag);
  bool makes_room(const ErrorFields& fields);
  void repeat_database_request();

  // --- what it may leave there: relay_policy.cc
  bool is_governed() const;
  Pins kinds_of(const SessionMarks& marks) const;
  std::optional<Bytes> instead_of(char tag, View body);
  bool may_pin(Pins kinds, Pins begins);
  void warn(Pins kinds, View sql);
  bool tell_refusal(const ErrorFields& fields);

  // --- prepared statements: relay_statements.cc
  /// A message of the client about statements. `missing`: so many bytes of it are still to come.
  struct StatementInput {
    char tag;
    View body;
    bool lent;
    uint32_t missing;
  };
  static bool is_about_statements(char tag);
  static bool is_text(char tag, uint32_t body_size);
  static Treat treat_statement(char tag, uint32_t body_size);
  ServerStatements& on_server();
  ClientStatements& of_client();
  const std::string& unknown_name();
  void statement_message(const StatementInput& input);
  void take_parse(const StatementInput& input);
  bool parse_may_be_refused() const;
  bool needs_no_server(const StatementChange& naming) const;
  void take_shared_parse(const StatementInput& input, View rest, StatementChange naming);
  bool was_told();
  StatementPtr statement_for_unnamed(View text);
  void take_unnamed_parse(const StatementInput& input, View rest);
  void take_bind(const StatementInput& input);
  void take_describe_or_close(const StatementInput& input);
  void take_close(const StatementInput& input, View name);
  const StatementPtr& statement_called(View name);
  std::string name_on_server(View name, const StatementPtr& statement);
  void provide(const StatementPtr& statement);
  void provide_unnamed();
  void stand_in(const SessionMarks& marks, char tag);
  void refuse_if_made_in_sql(View name);
  void drop_stand_in(View name);
  void execute_is_sent(View body);
  void make_room_for_statement();
  void inject_parse(View name, View text);
  void inject_close(const StatementPtr& statement);
  void asked_instead(Asked asked, Fate fate, StatementChange about);
  void change(StatementChange change);
  void send_renamed(const StatementInput& input, View before, View name, View rest);
  void send_as_it_is(const StatementInput& input);
  void send_close(View name);
  bool is_surely_read(View query) const;
  bool speaks_utf8() const;
  void send_other_request(Asked asked, View body);
  StatementPtr statement_for(View text);
  bool restore_names(const ErrorFields& fields, View body);
  bool renew_statements(const ErrorFields& fields);
  bool may_repeat() const;

  Client& client_;
  Server& server_;
  enum class Begin : uint8_t { none, due, sent, refused };
  const Instant linked_;
  Instant transaction_since_;
  Duration deferred_for_{};             // so long it was open before
  std::optional<Instant> query_since_;  // something is running since
  std::optional<Instant> idle_since_;   // idle in transaction since
  std::optional<Instant> grace_until_;  // a cancel of ours is to have worked by then
  std::optional<Error> client_error_, overdue_error_, begin_error_;
  uint64_t written_before_ = 0;
  bool never_read_ = false;
  bool untouched_ = true;      // the server has not answered anything
  const bool writes_nothing_;  // as far as is known; others may follow
  const bool alone_;           // what is for a replica: others do not
  bool is_followed_ = false;
  bool withholds_;  // what it says first
  const bool withholds_all_;
  bool goes_elsewhere_ = false;
  bool replayable_ = true;  // the client was told nothing but parses_told_; replay() is complete
  int parses_told_ = 0;
  bool parse_due_ = false;  // one that was answered here is told in front of what comes next
  bool repeats_ = false;
  bool repeated_ = false;
  bool goodbye_ = false;
  bool full_ = false;
  bool fatal_passed_ = false;
  bool canceled_ = false;  // the query that runs
  bool in_transaction_ = false;
  Begin begin_;
  bool request_ended_ = false;  // the one that is sent with it
  const bool tracks_statements_;
  const bool tracks_session_, strict_;
  const bool restores_;  // what the client resets
  Bytes held_;
  bool holds_ = false;            // the message that is being looked at is to be held
  bool encoding_sent_ = false;    // the client has set its encoding in this lease
  bool parsed_in_batch_ = false;  // used where statements are not tracked
  bool forgetting_ = false;       // all statements: what follows waits until that is certain
  const bool notes_statements_;   // for the log
  const bool governed_;           // somebody has said what it may leave
  bool pinned_ = false;           // a place under max_pinned_servers is taken
  Bytes notices_;                 // for the client, when it is told the end of something
  SettingNames restoring_;        // what a request has reset that the client has started with
  bool restore_due_ = false;      // that request was sent, and the client waits
  SessionMarksPtr bound_;         // those of a portal that makes or drops a statement in SQL
  std::string bound_portal_;
  std::optional<StatementChange> deallocating_;  // what the next request forgets
  bool request_failed_ = false;
  std::optional<DatabaseRequest> database_request_;
};

}  // namespace headgate
