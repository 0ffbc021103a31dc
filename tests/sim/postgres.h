// A simulated PostgreSQL: one host, and a process for each connection that speaks the protocol as
// the real one does, and checks what it hears: statements whole and in order, a transaction of one
// client alone, cancels only for those who may be cancelled.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/sim/language.h"
#include "tests/sim/ledger.h"
#include "tests/sim/network.h"
#include "tests/sim/passwords.h"

namespace headgate::sim {

class Cluster;
class Postgres;

/// Who asks hosts for their roles.
constexpr const char* monitor = "monitor";

class Backend : public std::enable_shared_from_this<Backend> {
 public:
  Backend(Postgres& host, EndPtr end, int process);

  void hear();
  /// What may befall it.
  void crash();                // the connection breaks
  void terminate();            // FATAL 57P01, as by pg_terminate_backend
  void freeze(Duration time);  // SIGSTOP for that long
  void cancel(int32_t secret);
  /// Somebody has notified the channel of a client.
  void notify(int client, int number);
  /// Somebody crosses over.
  void notify_crossing(const std::string& channel, const std::string& payload);

  bool gone() const { return gone_; }
  bool session() const { return started_; }  // not a cancel request, nor silent
  bool frozen() const;
  /// It is frozen, or was, and has yet to deal with what came meanwhile.
  bool lags() const { return lags_; }
  const std::string& database() const { return database_; }
  const std::string& user() const { return user_; }
  int process() const { return process_; }
  bool in_transaction() const { return status_ != 'I'; }
  const SessionModel& model() const { return model_; }
  /// It listens where clients cross over.
  bool meets() const { return meets_.has_value(); }

 private:
  struct Step {
    enum class Kind : uint8_t { execute, describe, message, sync, prove } kind;
    Statement statement{};
    Bytes message{};
    bool simple = false;
    bool last = false;  // of its simple query
  };

  void pump();
  bool take_packet();
  bool take_message();
  void startup(View packet);
  void take_proof(char tag, View body);
  void proceed(AuthStep step);
  void welcome();
  void query(View text);
  void message(char tag, View body);
  void parse(View body);
  void bind(View body);
  void describe(View body);
  void close_one(View body);
  void may_take_time(Statement& statement);
  void do_step(Step step);
  bool start_work(const Step& step);
  void check_row(View body) const;
  bool copy_is_bad() const;
  void execute(const Statement& statement);
  bool session_refuses(const Statement& statement);
  void end_transaction(bool committed);
  void answer_rows(const Statement& statement);
  void copy_message(char tag, View body);
  void change_session(const Statement& statement);
  bool of_protocol(const Statement& statement);
  std::optional<std::string> text_of(const std::string& name) const;
  void check_stand_ins(int client);
  void discard(const Statement& statement);
  void reset_reported();
  bool report_changed(const Statement& statement);
  void answer_question(const Statement& statement);
  void answer_audit(const Statement& statement);
  std::optional<std::string> not_set_by_session(View names) const;
  void settings_settle(bool committed);
  void check_session(const Statement& statement);
  void complete(View tag);
  void fail(View sqlstate, View text, bool fatal = false);
  void ready();
  void tell_notified();
  void crossing_settles(bool committed);
  void tell_role();
  void tell_promotion();
  void check_asker(const Statement& statement);
  // --- of several hosts
  void fault();
  void abandon();
  std::optional<std::pair<View, View>> standby_refuses(const Statement& statement);
  void note_execution(const Statement& statement);
  void answer_data(const Statement& statement);
  void answer_role(const Statement& statement);
  void answer_functions();
  void call_function(View body);
  void say_cells(const std::vector<std::optional<std::string>>& cells);
  void say(char tag, View body);
  void flush();
  void close();
  void report(View name);
  static const std::map<std::string, std::string>& values_at_start();

  Postgres& host_;
  EndPtr end_;
  const int process_;
  int32_t secret_ = 0;
  Bytes in_, out_;
  /// Of a client, or of those who cross over; told between two transactions.
  struct Notified {
    int client;
    std::string channel, payload;
  };
  std::deque<Notified> notified_;
  // Where clients cross over: what its transaction is to listen to and to notify.
  std::optional<std::string> meets_, to_meet_;
  std::optional<std::string> crossing_;
  std::deque<Step> steps_;
  std::unique_ptr<ClientAuth> proof_;          // as long as it has to be given
  std::map<std::string, std::string> values_;  // those that are reported
  SessionModel model_;
  int secret_of_ = 0;  // the client whose function has left something
  std::map<std::string, Statement> statements_;
  std::map<std::string, int> stand_ins_;  // of these, by the client for whom; 0: not known yet
  std::map<std::string, Statement> portals_;
  std::optional<Statement> parsed_;   // the unnamed statement
  std::optional<Statement> working_;  // what it is busy with
  std::optional<Statement> copying_;
  int copied_ = 0;
  bool copy_simple_ = false, copy_last_ = false;
  Instant frozen_until_{};
  bool lags_ = false;
  uint64_t work_ = 0;  // tells one piece of work from the next
  std::string database_, user_;
  int owner_ = 0;  // the client whose transaction or batch it is
  char status_ = 'I';
  bool implicit_ = false;  // a batch is open since the last Sync
  bool locked_ = false;    // no proof is good enough
  bool started_ = false, skipping_ = false, gone_ = false, pending_cancel_ = false;
  bool cancel_when_thawed_ = false, step_failed_ = false;
  // Of several hosts: what its transaction has written; whether its client has been told of what
  // it asks, or has made something of the session that nobody else knows yet; the monitor has
  // asked.
  std::optional<int> written_;
  bool exposed_ = false, unasked_ = false, asked_role_ = false;
  bool told_standby_ = false;  // that its host is one
};

class Postgres {
 public:
  /// One of a cluster, the so-and-so-manieth.
  Postgres(World& world, Network& network, Ledger& ledger, Address address, Cluster& cluster,
           size_t number);

  /// How new connections fare.
  enum class Door : uint8_t { open, refusing, silent, failing, locked };
  void set_door(Door door);
  Door door() const { return door_; }

  World& world() { return world_; }
  Ledger& ledger() { return ledger_; }
  Cluster& cluster() { return cluster_; }
  size_t number() const { return number_; }
  const Address& address() const { return address_; }
  /// All its processes end, with a word or without one.
  void end_all(bool politely);
  /// Processes that serve a session, but for those that lag: they see late that it has ended; and
  /// for the monitor's.
  size_t sessions(const std::string& database, const std::string& user) const;
  std::vector<Backend*> backends();
  /// Null: it is gone.
  const Backend* find(int process) const;
  void cancel(int process, int32_t secret);
  /// Notifies the channel of a client.
  void notify(const std::string& database, int client);
  /// The same where clients cross over, in the session of `from`.
  void notify_crossing(const std::string& channel, const std::string& payload, Backend& from);
  /// What is demanded of those who come.
  Passwords passwords;
  KeyCache keys;
  /// Time that a cancel request takes at most.
  Duration cancel_delay = milliseconds(1);
  /// What Headgate itself says about sessions takes time too, and can be cancelled.
  bool busy = false;
  /// Called when a session has begun.
  std::function<void()> on_session;

 private:
  World& world_;
  Network& network_;
  Ledger& ledger_;
  const Address address_;
  Cluster& cluster_;
  const size_t number_;
  Door door_ = Door::open;
  int next_process_;
  std::vector<std::shared_ptr<Backend>> backends_;
};

}  // namespace headgate::sim
