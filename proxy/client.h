// A client's connection: its whole life on one worker. It is logging in, idle, waiting for a
// server, linked to one by a relay, or talking to the admin console; one function moves it. It owns
// no buffer while idle.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/buffer.h"
#include "base/deadlines.h"
#include "base/error.h"
#include "pool/pool.h"
#include "protocol/cancel_key.h"
#include "protocol/client_channels.h"
#include "protocol/framer.h"
#include "protocol/session_state.h"
#include "protocol/startup.h"
#include "protocol/statements.h"
#include "proxy/borrower.h"
#include "proxy/herd.h"
#include "proxy/hold.h"
#include "proxy/link.h"
#include "proxy/parameters.h"
#include "proxy/pool_settings.h"

namespace headgate {

namespace handover {
struct ClientRecord;
}

class AdminSession;
struct Explanation;
struct Requester;
class ClientLogin;
struct RequestScan;
class Server;
class Worker;
class WorkerPool;
struct DatabaseState;
struct LogSubject;
struct ReadAge;
struct RouteShape;
struct Unanswered;
struct UserState;
enum class LoneStatement : uint8_t;
enum class RouteHint : uint8_t;

enum class ClientState : uint8_t {
  login,           // start-up and authentication
  login_waiting,   // authenticated; the pool must learn its welcome from a first server, or
                   // it is to be linked to one before it hears that it is in
  idle,            // no transaction, no server
  waiting,         // in the queue of its pool
  active,          // linked
  admin,           // the console
  cancel_request,  // came only to cancel somebody's query
  closed,
};

/// What a client waits for.
enum class WaitsFor : uint8_t {
  nothing,
  server,
  welcome,     // what the first server of its pool says of itself
  own_server,  // one for replication
  listener,    // the connection that listens for several clients
};

/// A BEGIN that was answered and that no server has heard of yet.
struct DeferredBegin {
  std::string sql;
  Instant since;
  bool failed = false;  // a request of it was cancelled before it could run, say
};

class Client final : public LinkUser, public Borrower, public HerdMember {
 public:
  /// What a client may send ahead while it waits for a server.
  static constexpr size_t max_pending = 64 * 1024;

  Client(Worker& worker, uint64_t id);
  ~Client();

  void start(ParcelPtr connection, bool from_unix);

  // --- told by the pool
  /// A server was lent: what is pending goes to it.
  void serve(Server& server) override;
  /// The relay has ended well; the client is idle again. Its pending input is dealt with by
  /// go_on(), once the server has found its next client.
  void relay_over();
  void go_on();
  /// The server died before it touched the request: wait for another, in front of the queue.
  void serve_again(const Unanswered& unanswered);
  /// No server can be had: FATAL for one that waits.
  void fail_waiting(const Error& error) override;
  /// The pool knows its welcome now.
  void welcome_known() override;

  // --- replicas: client_route.cc
  /// The largest request that may go to one.
  static constexpr size_t max_routed = 16 * 1024;
  /// The request at hand, where databases have replicas.
  struct ReadRequest {
    bool writes_nothing = false;  // as far as its texts tell
    bool for_replica = false;
    bool withheld = false;  // as a whole, until it has succeeded: it runs several statements
    uint64_t shape = 0;     // its number in the RouteBook; 0: it was not looked at
  };
  const ReadRequest& read_request() const { return read_; }
  /// It came to read_port: what it asks is for replicas first.
  bool came_to_read() const;
  /// A transaction of it that may have written is over.
  void has_written();
  /// A replica says that it is no read.
  void read_was_refused();
  void serve_on_primary(const Unanswered& unanswered);
  void lender_is_out() override;

  // --- replication (proxy/replication.cc)
  Replication replication() const { return replication_; }
  /// A server is being opened for this client alone, and has logged in.
  void opening_own(Server& server) { server_ = &server; }
  void serve_own(Server& server);
  /// What it says to its own server at the start.
  void add_startup_parameters(std::vector<std::pair<std::string, std::string>>& parameters) const;

  /// Somebody sent a cancel request with this client's key. `requester` is closed when it is done.
  void cancel_requested(Requester requester);

  /// Sends the error and closes; in the middle of a server's message it only closes, because the
  /// error would be read as a part of that. A linked server is cleaned up or closed by its own
  /// rules.
  void fail(const Error& error);
  /// The same where nothing has gone wrong: it is not told as trouble to those who look for that.
  void dismiss(const Error& error);
  /// Closes without a word to the client; the reason is for the log.
  void close(std::string_view reason);
  /// The same, once it has got what it was sent: the server's own last words.
  void close_behind_answer(std::string_view reason);

  // --- to another process: client_move.cc
  /// All that there is of it can be told in a record: it has no server, and no byte of it is here.
  bool can_move() const;
  handover::ClientRecord record() const;
  /// It has gone from here; what is left of it is its connection.
  ParcelPtr move_out();
  /// In place of start(), for one that another process has let go.
  void move_in(handover::ClientRecord record, ParcelPtr connection);

  /// Drops the connection; the worker is at its end and owns no loop any more.
  void abandon();

  // --- what others read
  ClientState state() const { return state_; }
  uint64_t id() const { return id_; }
  Worker& worker() { return worker_; }
  Link& link() { return link_; }
  Framer& framer() { return framer_; }
  WorkerPool* pool() { return pool_; }
  /// The pool whose server it waits for; of a client that waits.
  WorkerPool* lender() { return lender_; }
  WaitsFor waits_for() const;
  Server* server() { return server_; }
  TrackedValues& values() { return values_; }
  const TrackedValues& values() const { return values_; }
  /// Its prepared statements; made on first use.
  ClientStatements& statements() {
    if (!statements_) statements_ = std::make_unique<ClientStatements>();
    return *statements_;
  }
  bool has_statements() const { return statements_ != nullptr; }
  /// What it listens to where clients share servers; made on first use.
  ClientChannels& channels() {
    if (!channels_) channels_ = std::make_unique<ClientChannels>();
    return *channels_;
  }
  const ClientChannels& channels() const { return *channels_; }
  bool has_channels() const { return channels_ != nullptr; }
  /// It waits for somebody to listen for it.
  bool awaits_channels() const;
  /// What has become of that it can go on with.
  void channels_ready();
  /// Something was notified that it listens to, maybe: it is told when it may be.
  void hear(const NotificationPtr& notification);
  /// Tells it what it may be told now. False: it is closed, it has not read what it was told
  /// before.
  bool tell_notifications();
  /// What it has set in its session.
  ClientSession& session() { return session_; }
  /// Null: none.
  const DeferredBegin* deferred_begin() const { return deferred_.get(); }
  /// Its server has carried that out.
  void begin_is_answered() { deferred_.reset(); }
  /// Its server has not, and skips the request behind it. The client was told the error.
  void begin_has_failed(bool request_ended);
  /// The first time that it is to be warned of a statement of this shape; false as well if there
  /// were very many.
  bool warns_first_of(uint64_t shape);
  /// The name it logged in with; empty before.
  View user() const { return user_name_ ? View(*user_name_) : View(); }
  /// The same, or the one it is logging in with.
  View name() const;
  /// The server has ended the relay: it is linked to nobody.
  void unlinked() { server_ = nullptr; }
  bool from_unix() const { return from_unix_; }
  Instant request_since() const { return request_since_; }
  int64_t connect_wall() const { return connect_wall_; }
  LogSubject log_subject() const;
  /// From where it came: "127.0.0.1:40000", "[::1]:40000", "unix(4711):6432".
  std::string peer_name() const;
  CancelKey cancel_key() const { return cancel_key_; }
  /// It has its server's process number, so no other server will do.
  bool knows_server() const { return knows_server_; }
  /// While it logs in, else null.
  const ClientLogin* login() const { return login_.get(); }
  /// What it has said and nobody has heard yet.
  size_t held_bytes() const { return pending_.size() + framer_.held().size(); }
  /// Everything it said was heard and everything for it was sent: its whole state is in its socket.
  bool at_rest() const;
  /// It is at rest and has no transaction, with a server of its own or without.
  bool between_transactions() const;
  bool packet_too_large(uint32_t body_size) const;
  /// The answers that the server still owes have become few enough to read on.
  void room_again();

  /// The log-in has come to an end, or not yet.
  void login_progressed();
  /// A new configuration is in force.
  void settings_changed();

 private:
  void on_link_secured() override;
  void on_link_unsafe(const std::string& why) override;
  void on_link_bytes(View bytes) override;
  void on_link_drained() override;
  void on_link_end(int error) override;
  void on_deadline();

  void move_to(ClientState state);
  void rearm();
  std::optional<Instant> wait_deadline() const;
  bool waited_for(Duration limit) const;
  void waited_long();
  void notify_of_wait();
  Explanation explain_own_wait();
  void fail_wait(ErrorCode code);
  void fail_wait(Error error);
  Error overdue(ErrorCode timeout, Duration limit) const;
  Error login_overdue() const;
  void login_bytes(View bytes);
  void hold(View bytes);
  void while_idle(View in);
  void send_ready();
  void ask_for_server(View request);
  bool awaits_channels_first(View request);
  bool is_refused();
  // --- transactions that no server knows of: client_begin.cc
  bool is_deferring() const { return deferred_ != nullptr; }
  bool answer_here(char tag, uint32_t body_size, View rest);
  void defer(LoneStatement statement, View sql);
  void end_deferred(LoneStatement statement);
  void tell_completed(View command);
  char status_without_server() const;
  std::optional<Instant> deferred_deadline() const;
  Error deferred_overdue() const;

  bool awaits_rest(View rest);
  const ClientStatements* routed_statements();
  void judge(const RequestScan& scan);
  RouteHint declared(std::span<const View> texts, bool may_begin) const;
  enum class Judgement : uint8_t { reads, only_session, may_write };
  Judgement judge_texts(std::span<const View> texts);
  WorkerPool& choose_lender();
  RouteShape* shape_at_hand();
  ReadAge read_age() const;
  std::optional<uint64_t> consistency_key() const;

  bool may_be_told() const;
  void link_to(Server& server);
  void to_relay(View in);
  void take_pending();
  void count_wait(std::string_view how_it_ended);
  void unread_held();
  void answer_canceled(const std::string& detail = {});
  char first_said() const;
  void drop_first_message();
  void join_pool();
  void join_for_replication();
  bool awaits_own_server() const;
  void enter(const Welcome& welcome);
  void enter_linked(Server& server);
  void greet(const Welcome& welcome, int32_t process);
  void become_admin();
  void become_cancel_request();
  void login_over();
  void take_permits();
  void make_cancel_key(int32_t process = 0);
  void resume_statements(const handover::ClientRecord& record);
  void take_permits_again(const std::string& database);
  void note_failure(const Error& error);
  void tell_last(const Error& error);
  void end(std::string_view reason, bool linger);
  void leave_queue(std::string_view reason);
  void give_back_permits();

  Worker& worker_;
  const uint64_t id_;
  Link link_;
  Framer framer_;
  Buffer pending_;     // said while no server could hear it
  size_t wanted_ = 0;  // while idle: so much must be pending before it is worth another look
  ClientState state_ = ClientState::login;
  Replication replication_ = Replication::none;
  bool from_unix_ = false;
  bool counted_ = false;     // holds a permit of max_client_conn
  bool notified_ = false;    // query_wait_notify was sent for this wait
  bool surveyed_ = false;    // all workers were asked what they know of it
  bool discarding_ = false;  // after a batch was cancelled while it waited: all up to Sync
  bool said_goodbye_ = false;
  bool knows_server_ = false;
  WorkerPool* pool_ = nullptr;
  WorkerPool* lender_ = nullptr;  // whose server it waits for; of a client that waits for one
  ReadRequest read_;
  Instant wrote_ = Instant::min();  // the last transaction that may have
  Server* server_ = nullptr;
  Hold<DatabaseState> counted_database_;
  Hold<UserState> counted_user_;
  Text user_name_;
  std::unique_ptr<ClientLogin> login_;
  std::unique_ptr<AdminSession> admin_;
  std::unique_ptr<ClientStatements> statements_;
  std::unique_ptr<ClientChannels> channels_;
  std::unique_ptr<DeferredBegin> deferred_;
  TrackedValues values_;
  ClientSession session_;
  static constexpr size_t most_warnings = 100;
  std::unique_ptr<std::vector<uint64_t>> warned_of_;  // shapes of statements; few have any
  ClientTimeouts timeouts_;
  Deadline deadline_;
  CancelKey cancel_key_;
  Instant connected_{};
  Instant since_{};          // in this state
  Instant request_since_{};  // the request that waits or runs
  int64_t connect_wall_ = 0;
};

}  // namespace headgate
