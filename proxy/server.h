// A connection to PostgreSQL: from the connect to the last goodbye. It knows what it owes and to
// whom, and goes back to its pool only when it is provably clean: ReadyForQuery 'I', nothing owed,
// no byte unread, no cancel under way. Owned by the worker it is on; moves to another only idle.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/deadlines.h"
#include "pool/pool.h"
#include "protocol/client_channels.h"
#include "protocol/exchange.h"
#include "protocol/framer.h"
#include "protocol/session_state.h"
#include "protocol/startup.h"
#include "protocol/statements.h"
#include "proxy/herd.h"
#include "proxy/link.h"
#include "proxy/names.h"
#include "proxy/parameters.h"
#include "proxy/relay.h"
#include "proxy/server_audit.h"
#include "proxy/server_login.h"

namespace headgate {

class AuthQuery;
class Canceller;
class SharedListener;
struct LogSubject;
struct Requester;
class Client;
class Worker;
class WorkerPool;

class Server final : public LinkUser, public LoginUser, public PooledServer, public HerdMember {
 public:
  /// What it is busy with.
  enum class Task : uint8_t {
    login,          // connecting, logging in
    connect_query,  // the setting connect_query, before the first client
    idle,           // in the pool
    relay,          // linked to a client
    auth_query,     // looking up a secret
    listening,      // hears notifications for clients that share servers
    cleanup,        // its client has gone or its lease is over: bring it back to a clean state
    reset,          // server_reset_query
    check,          // server_check_query
    audit,          // looked at for what its client may have left (session_audit)
    closing,        // said goodbye, waiting for the server to close
  };
  /// How long a server gets to come clean after its client has gone, and to close after goodbye.
  static constexpr Duration cleanup_time = seconds(10);
  static constexpr Duration goodbye_time = seconds(5);
  /// How long no server is opened after this process ran out of descriptors or memory.
  static constexpr Duration local_pause = milliseconds(100);
  /// While it is brought back to a clean state and something still runs, it is cancelled this
  /// often.
  static constexpr Duration cancel_again = milliseconds(100);
  /// The largest error or parameter message that is looked at; larger ones pass unseen.
  static constexpr uint32_t max_gather = 64 * 1024;
  /// The largest answer to what a client has made of its session.
  static constexpr uint32_t max_session_row = 1024 * 1024;

  Server(Worker& worker, WorkerPool& pool, uint64_t id);
  ~Server();

  /// Starts the connection; what follows comes back through the pool.
  void start();

  // --- replication (proxy/replication.cc)
  /// The same, for one client alone, who hears how it went.
  void start_for(Client& owner);
  Client* owner() { return owner_; }
  Replication replication() const { return replication_; }
  /// The database is another now: both connections are closed at once.
  void end_replication();

  // --- lending
  /// Begins a relay. The caller then hands over the client's messages.
  Relay& lend_to(Client& client);
  /// The relay's client has gone: its mess is cleaned up.
  enum class Leaving : uint8_t { vanished, orderly };
  void client_left(Leaving how);
  /// Asks for the next step when something may have come to an end.
  void advance();
  /// Runs the check query; the pool has put the server into state tested.
  void start_check();

  /// Begins a look-up of a secret.
  void lend_to(AuthQuery& query);
  /// Its host is no primary any more, another is: the connection is dropped, and its client hears
  /// why. Nobody there is waited for, or a host that hangs would keep its place in the pool.
  void leave_former_primary();
  /// Whoever wanted it has gone.
  void auth_query_left();

  /// Becomes the listening connection of its pool (proxy/shared_listener.cc), is told what to
  /// listen to, and ceases to be it.
  void lend_to(SharedListener& listener, const std::string& setup);
  void listen(View sql);
  void listener_left();
  /// What it listens to for its client somebody else may listen to as well.
  void ask_channels();

  /// It was lent to a client that only wanted to know that it is there.
  void not_wanted();

  /// Says goodbye and closes; the reason is PgBouncer's word for the log.
  void close(std::string_view reason);

  /// Drops the connection; the worker is at its end.
  void abandon();

  // --- cancelling
  /// Sends a cancel request for what it is doing now; the requester is told when it has reached the
  /// server or has become pointless.
  void cancel(Requester requester);
  void cancel_done(Canceller& canceller);

  // --- moving to another worker
  ParcelPtr unmount();
  void mount(Worker& worker, WorkerPool& pool, ParcelPtr parcel);

  // --- what others read
  Task task() const { return task_; }
  Worker& worker() { return *worker_; }
  WorkerPool& pool() { return *pool_; }
  Link& link() { return link_; }
  Exchange& exchange() { return exchange_; }
  ServerStatements& statements() { return statements_; }
  ServerSession& session() { return session_; }
  /// Sets what its client has reset to what that began with.
  void restore_settings(const std::vector<std::string>& statements);
  /// The client's settings are on their way and may be refused: no request should follow them yet.
  bool may_refuse_values() const { return values_may_fail_; }
  /// Null where nobody looks at it behind this client.
  ServerAudit* audit() { return audit_ && audit_->due() ? &*audit_ : nullptr; }
  Relay* relay() { return relay_ ? &*relay_ : nullptr; }
  const TrackedValues& values() const { return values_; }
  const Framer& framer() const { return framer_; }
  /// Its client has got a message of it in part: nothing else can be said to that client.
  bool mid_answer() const { return framer_.passing(); }
  /// Nothing can be written there: its host is a standby, and it tells when it is one no more.
  /// (PostgreSQL does both since version 14; of one that tells nothing it is not known.)
  bool in_recovery() const { return in_recovery_; }
  /// How it introduced itself when it logged in.
  const WelcomePtr& welcome() const { return welcome_; }
  Bytes& replay_memory() { return replay_memory_; }
  /// What the request at hand begins with, where slow ones are logged.
  Bytes& noted_statement() { return noted_statement_; }
  /// What its client is not told yet: Relay::withhold().
  Bytes& withheld() { return withheld_; }
  uint64_t id() const { return id_; }
  int32_t process() const { return process_; }
  const Bytes& secret() const { return secret_; }
  const Address& address() const { return address_; }
  /// The host that it was found by, if that was a name.
  const HostUse& host() const { return host_; }
  /// The same as it is written in the list of its database.
  const std::string& listed_host() const { return listed_host_; }
  size_t cancels() const { return cancels_.size(); }
  /// It is busy with what Headgate has asked of it in front of its client's query.
  bool answers_headgate() const {
    if (values_queries_ > 0) return true;
    return relay_ && exchange_.next_is_swallowed() && !relay_->begin_shares_batch();
  }
  /// How many ReadyForQuery it has sent: tells one query from the next.
  uint64_t ready_count() const { return ready_count_; }
  int64_t connect_wall() const { return connect_wall_; }
  /// For the log.
  LogSubject log_subject() const;
  /// The relay's deadlines have changed.
  void arm_for_relay();

 private:
  struct Input;

  void on_link_connected() override;
  void on_link_secured() override;
  void on_link_unsafe(const std::string& why) override;
  void on_link_bytes(View bytes) override;
  void on_link_drained() override;
  void on_link_end(int error) override;
  const PoolSettings& login_settings() const override;
  std::optional<std::string> pick_host() override;
  Identity identity() const override;
  void set_host(HostUse host) override { host_ = std::move(host); }
  void connect_to(const Address& address, size_t others) override;
  void login_went_on() override { login_progressed(login_->progress()); }
  bool gives_up_login() const override { return state() == ServerState::closing; }
  void on_deadline();
  void login_progressed(ServerLogin::Progress progress, View rest = {});

  void make_deadline();
  void login_failed(const Error& error);
  bool try_next_address();
  bool fast_close_due() const;
  void enter_pool();
  void enter_replication();
  void owner_left();
  void disown();
  void feed(View bytes);
  void take_parameter(View body);
  bool take_error(View body, Answer answer);
  void settle_statements(char tag, Answer answer);
  void take_ready(Fate fate);
  void tell_cancels();
  void give_values(Client& client);
  void say_value(View sql);
  void drop_statements(const std::vector<std::string>& names);
  void make_statements(const SqlStatements& statements);
  bool value_was_taken();
  void values_answered();
  void tell_values(Client& client, const TrackedValues& agreed);
  void keep_values_error(const ErrorFields& fields);
  void fail_values();
  void refuse_begin();
  bool struck_by_another() const;
  void serve_elsewhere();
  void serve_on_primary();
  void give_up_read();
  void ask_session();
  void take_session_row(View body);
  void question_failed();
  bool takes_notification(View body);
  bool settle_channels();
  void unlistens_end();
  void take_channels(bool understood);
  void unlisten();
  void unlisten_answered(bool failed);
  void channels_not_told();
  ChannelNames own_channels();
  bool in_forbidden_transaction() const;
  void test_over();
  bool must_audit() const;
  void look();
  void look_in_time();
  void reset_and_look();
  void part(const Error& error);
  void finish_relay();
  void finish_auth_query();
  std::string loss_reason() const;
  void relay_overdue();
  void after_lease();
  void discard_all();
  void nobody_has_looked();
  void settle(Grant grant);
  bool may_ask();
  void settle_doubt();
  void cleanup_overdue();
  bool complete_copy_data(uint32_t missing);
  void fail_copy();
  void abort_batch();
  void await_drained();
  void roll_back();
  void send_sync();
  void inject(View sql);
  void inject_batch(const std::vector<std::string>& statements);
  void arm(std::optional<Instant> at);
  void out_of_resources(int error);
  void lost(std::string_view reason);
  void gone();

  Worker* worker_;
  WorkerPool* pool_;
  const uint64_t id_;
  Link link_;
  Framer framer_;
  Exchange exchange_;
  ServerStatements statements_;
  ServerSession session_;
  std::optional<ServerAudit> audit_;
  Answer answer_;       // what the message means that is coming in
  bool early_ = false;  // it began to come in before the relay
  Task task_ = Task::login;
  bool broken_ = false;  // the server broke the protocol
  bool dirty_ = false;   // it said something that nobody asked for
  bool connected_ = false;
  bool cut_off_ = false;  // it was sent a part of a message whose rest will never come
  bool ended_ = false;    // the connection is no more
  bool in_recovery_ = false;
  bool used_ = false;  // a client may have left something in its session
  bool gone_ = false;
  bool injected_failed_ = false;   // an error answered what was injected
  size_t values_queries_ = 0;      // so many, that give it the client's settings, are on their way
  size_t drops_ = 0;               // the first of these drop statements
  std::vector<std::string> made_;  // the last make these statements
  bool values_may_fail_ = false;
  bool settings_given_ = false;  // settings of its session are among them
  bool restoring_ = false;       // they are those that its client began with, and has reset
  bool values_failed_ = false;
  bool must_reset_ = false;  // its client has left what others must not get
  std::optional<Error> values_error_;
  bool copy_failed_ = false;  // CopyFail was sent in place of the client that has gone
  Replication replication_ = Replication::none;
  Client* owner_ = nullptr;  // the client it was opened for
  std::optional<Relay> relay_;
  AuthQuery* auth_query_ = nullptr;
  SharedListener* listener_ = nullptr;
  std::unique_ptr<ServerLogin> login_;
  std::optional<Deadline> deadline_;
  std::vector<Canceller*> cancels_;
  TrackedValues values_;
  WelcomePtr welcome_;
  Address address_;
  HostUse host_;
  std::string listed_host_;
  int32_t process_ = 0;
  Bytes secret_;
  Bytes noted_statement_;
  Bytes replay_memory_;
  Bytes withheld_;
  Bytes last_words_;  // the error with which it ends its connection, while it is linked
  uint64_t ready_count_ = 0;
  int64_t connect_wall_ = 0;
  Instant started_{};
  Instant cleanup_until_{};
  Instant asked_until_{};  // what the client has left in its session
  uint64_t crossing_ = 0;  // the number that it is notifying
};

}  // namespace headgate
