// A simulated client: it logs in, does what its script says, checks every byte that it is answered,
// and leaves, politely or not. It knows what it may be told: what it asked for, in order, and
// errors only with a reason.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/language.h"
#include "tests/sim/ledger.h"
#include "tests/sim/network.h"
#include "tests/sim/passwords.h"

namespace headgate::sim {

/// What the settings of a story allow to happen to a client.
struct Allowances {
  bool transactions = true;  // not in statement mode
  Duration query_timeout{};  // 0: none
  Duration query_wait_timeout{};
  bool closing_timeouts = false;  // idle_transaction_timeout, transaction_timeout, ...
  bool limits = false;            // logins may be refused for a limit
  bool late_cancels = false;      // a cancel may strike long after it was asked for
  bool late_news = false;         // what was said last may be lost with the connection
  bool sessions = false;          // what clients set is theirs wherever they go
  bool shares = false;            // its server is others' too
  bool strict = false;            // nothing at all is left to others
  bool own_writes = false;        // what it has written is there when it reads
};

/// How a client behaves, in permille of its steps.
struct Manners {
  int prepared = 0;  // of the statements in batches
  int batches = 300, copies = 80, failing = 60, transactions = 300, dying = 0;
  int cancelling = 0, vanishing = 0, stalling = 0, dawdling = 20, fleeing = 0;
  int longest_work = 20;  // milliseconds
  int largest_row = 200;
  int settings = 0;                                      // of the statements
  int locks = 0, things = 0, secrets = 0, prepares = 0;  // of these
  int discards = 0;                                      // of the requests
  int listening = 0;                                     // of the requests: LISTEN and UNLISTEN
  // Of several hosts: of the statements that are no others, so many read or write; so many of the
  // transactions are READ ONLY; so many requests are declared to read.
  int data = 0, reading = 0, declared = 0;
};

class Actor {
 public:
  Actor(World& world, Network& network, Ledger& ledger, int number, int requests,
        const Allowances& allowances, const Manners& manners, const Passwords& passwords);

  std::string database, user, application_name, password;
  /// It cannot come in: nobody knows it, or its password is wrong.
  bool unwelcome = false;
  /// What its start-up packet asks for besides; bad, if servers will not take it.
  Settings start_settings;
  bool bad_start = false;

  void start(const Address& pooler);
  /// Its script is done, or it was legitimately sent away.
  bool finished() const { return phase_ == Phase::gone; }
  /// Its network connection breaks.
  void break_connection();
  bool connected() const { return static_cast<bool>(end_); }
  Ledger::ClientFacts facts() const;
  int number() const { return number_; }
  std::string describe() const;
  int answered() const { return answered_; }

 private:
  enum class Phase : uint8_t { connecting, login, ready, gone };
  static constexpr int unsure = -1;  // of the unnamed statement
  struct Expected {
    char tag;
    Statement statement;
    int row = 0;
    bool maybe = false;   // comes or does not, and nobody can know
    std::string name{};   // of the statement that was prepared or closed
    int shape = 0;        // of what was prepared; 0: nothing that can be bound again
    std::string words{};  // of a planned error, if they are not the statement's signature
  };
  /// A COPY FROM STDIN whose rows wait for the server, or are sent one by one.
  struct Copying {
    Statement statement{};
    bool batch = false;       // in the extended protocol, to be closed by a Sync
    bool early_sync = false;  // one was sent right behind Execute, as libpq does
    bool fails = false;       // by the client's own CopyFail
    bool slowly = false;
    bool started = false, ended = false;  // sending
    bool begun = false;                   // the server has said that it copies
    int next_row = 0;
  };

  void hear();
  void message(char tag, View body);
  void login_message(char tag, View body);
  void prove(View body);
  void come_in();
  void vanish();
  void answer(char tag, View body);
  void check_content(const Expected& expected, View body);
  void error(View body);
  void check_excuse(View sqlstate, View message, View detail, bool fatal);
  void check_parameter(View body);
  void over(const char* how);

  void think();
  void act();
  void ask_simple();
  void ask_transaction_step();
  void ask_batch();
  void ask_one_batch(bool last, bool only);
  void ask_extended(const Statement& statement, bool described);
  void ask_prepared_batch();
  void ask_prepared(bool& failed);
  void ask_run(const std::string& name, int shape, const Statement& statement, bool& failed);
  void plan_failure(const Statement& statement);
  std::string choose_name(bool failed);
  void say_parse(const std::string& name, const std::string& text);
  void say_bind(const std::string& name, int shape, const Statement& statement);
  bool asks_of_session();
  Statement new_session_statement(bool alone, bool batch = false);
  void choose_setting(Statement& statement, bool alone);
  void choose_thing(Statement& statement);
  void choose_statement(Statement& statement, bool alone);
  std::string new_value(const std::string& name);
  void ask_discard();
  void ask_listening();
  void check_notification(View body);
  bool has_heard_all();
  void note_session(const Expected& expected, View body);
  void commit_session();
  void note_names(const Expected& expected);
  Statement new_work(bool alone);
  Statement new_reading_statement();
  void ask_call();
  void ask_pipeline();
  int choose_data_shape();
  bool check_read(const Expected& expected, View body);
  void note_data(const Expected& expected, View body);
  bool may_conflict() const;
  bool was_told_much() const;
  void ask_copy_in();
  Statement new_copy();
  void expect_copy(const Copying& copy);
  void say_rows(const Copying& copy);
  void begin_copy(Copying copy);
  void start_rows();
  void send_rows();
  void end_copy();
  void copy_failed();
  void stall();
  Statement new_statement(Statement::Kind kind);
  void expect(const Statement& statement, bool described);
  std::string refusal(const Statement& statement) const;
  void say(char tag, View body);
  void send_out();
  void cancel();
  void leave();
  bool asked_to_cancel() const;
  bool waits_for_answer() const;

  World& world_;
  Network& network_;
  Ledger& ledger_;
  const int number_;
  int requests_left_;
  const Allowances allowances_;
  const Manners manners_;
  const Passwords& passwords_;
  std::unique_ptr<Visitor> visitor_;
  Address pooler_;
  std::shared_ptr<Actor*> self_;  // for events that come too late
  EndPtr end_;
  Phase phase_ = Phase::connecting;
  Bytes in_, out_;
  std::deque<Expected> expected_;
  std::optional<Copying> copying_;
  // Prepared statements by name: those that the server has confirmed, those that this request has
  // used up, and names that are free again.
  std::map<std::string, int> names_;
  std::map<std::string, int> new_names_;  // of this batch
  std::set<std::string> closing_;
  std::vector<std::string> free_names_;
  int next_name_ = 0;
  int unnamed_ = 0;  // the shape of the unnamed one; 0: none that can be bound again
  char status_ = 'I';
  int last_heard_ = 0, older_than_listen_ = 0;
  // Of the number that it writes: the last that it has asked for, what its transaction has made of
  // it, and what is committed.
  int last_value_ = 0, value_ = 0, kept_value_ = 0;
  bool reading_ = false;  // a transaction that is READ ONLY
  SessionModel session_;  // as the answers that have come make it
  int32_t key_process_ = 0, key_secret_ = 0;
  bool sending_ = false;
  bool stalling_ = false;  // the end of what it says stays away: that is
  Bytes later_;
  bool told_ = false;  // a FATAL has come
  bool broke_ = false;
  Instant asked_at_{}, transaction_at_{};
  size_t told_bytes_ = 0;  // since the last ReadyForQuery
  uint64_t server_faults_before_ = 0, operator_faults_before_ = 0;
  int cancels_under_way_ = 0;
  bool ever_cancelled_ = false;
  Instant last_cancel_over_{};
  int answered_ = 0;
};

}  // namespace headgate::sim
