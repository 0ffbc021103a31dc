// The process: its workers, its configuration, its listeners, and what an operator asks of it as a
// whole (reload, pause, shutdown). It lives on worker 0's thread but for what says otherwise.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "admin/console.h"
#include "auth/login.h"
#include "conf/load.h"
#include "protocol/handover.h"
#include "protocol/startup.h"
#include "proxy/cancel.h"
#include "proxy/drain.h"
#include "proxy/host_monitor.h"
#include "proxy/names.h"
#include "proxy/peers.h"
#include "proxy/recent_writes.h"
#include "proxy/registry.h"
#include "proxy/statement_registry.h"
#include "proxy/stats_history.h"
#include "proxy/worker.h"

namespace headgate {

class Directories;
class Handover;
class Takeover;
struct DescriptorsFound;

/// A socket of the process that this one takes over from. It listens already.
struct InheritedSocket {
  handover::Socket facts;
  int descriptor = -1;
  Address address;
};

/// What the program tells its pooler about the process it runs in.
struct ProcessFacts {
  FileReader read_file;
  std::vector<Address> listen_on;
  std::vector<int> passed;  // descriptors that listen already; if any, they are used instead
  uint32_t uid = 0;
  Bytes mock_key;        // random; the salts of unknown users are made from it
  Bytes statement_salt;  // 16 random bytes
  Bytes channel_salt;    // 8 of them
  std::function<void(const Settings&)> set_up_log;
  Start start;                                     // what is there beside the file
  std::function<std::string(int)> describe_error;  // of an errno
  std::function<void(int status)> stop;            // ends all loops, soon, and then the process
  Tls tls;                                         // by the settings at the start
  std::function<void(std::string_view)> notify;    // news for the service manager
  /// The name of a user of the operating system. May take its time; called on any thread.
  std::function<std::optional<std::string>(uint32_t uid)> os_user_name;
  std::vector<InheritedSocket> inherited;                // for clients, and for a handover
  std::optional<Address> handover_at;                    // where another process finds this one
  std::function<std::vector<ParcelPtr>()> http_sockets;  // holds on those of HTTP
  std::function<void()> handed_over;   // what is left to the process is to end quietly
  Directories* directories = nullptr;  // outlives the pooler's workers; null: none can be asked
};

class Pooler final : public ListenerUser {
 public:
  /// Sockets beyond max_client_conn that may be logging in, cancelling or on the console.
  static constexpr int max_extra_sockets = 512;

  Pooler(ConfigPtr config, size_t workers, ProcessFacts facts);
  ~Pooler();

  // --- for every thread
  Worker& worker(WorkerId id) { return *workers_[id]; }
  size_t workers() const { return workers_.size(); }
  Registry& registry() { return registry_; }
  /// The channel on which clients cross over to listening connections (protocol/client_channels.h).
  const std::string& crossing_channel() const { return crossing_channel_; }
  CancelKeys& cancel_keys() { return cancel_keys_; }
  KeyCache& key_cache() { return key_cache_; }
  StatementRegistry& statements() { return statements_; }
  /// The parameters that follow a client from server to server.
  const TrackedNames& tracked() const { return tracked_; }
  /// When clients have written who share a consistency key.
  RecentWrites& recent_writes() { return recent_writes_; }
  /// What numbers of the shapes of statements are made with.
  uint64_t shape_seed() const { return shape_seed_; }
  const Bytes& mock_key() const { return facts_.mock_key; }
  std::string describe_error(int error) const { return facts_.describe_error(error); }
  uint32_t own_uid() const { return facts_.uid; }
  const auto& os_user_name() const { return facts_.os_user_name; }
  Directories* directories() const { return facts_.directories; }
  Permits& client_permits() { return client_permits_; }
  uint64_t next_id() { return next_id_.fetch_add(1) + 1; }
  bool shutting_down() const { return shutdown_.load() != Shutdown::no; }
  /// Whether a log-in that ends now comes too late. Without a drain TCP is closed since the
  /// shutdown began: who logs in by it had connected before, and is served like all who were there.
  bool turns_away(bool from_unix) const {
    return waits_for_servers() || drain_->under_way() || (shutting_down() && from_unix);
  }
  /// Clients are being closed, since the process is to end in time.
  const Drain& drain() const { return *drain_; }
  bool waits_for_servers() const { return shutdown_.load() == Shutdown::wait_for_servers; }
  /// It listens, and its loops are about to run.
  bool started() const { return started_wall_us_.load() != 0; }
  /// Another process is taking over: this one ends when it has no client left.
  bool handing_over() const { return handing_over_.load(); }
  bool paused() const { return paused_.load(); }
  bool suspended() const { return suspended_.load(); }
  bool paused(const DatabaseState& database) const { return paused() || database.paused.load(); }
  /// A client's socket has gone from a worker.
  void client_gone(Worker& worker);
  /// Servers or clients have gone: a pause or a shutdown that waits for that may be at its end.
  void check_progress();
  /// Finds the client with that key, on whatever worker, and has its query cancelled.
  void cancel(const CancelRequest& request, Requester requester);
  /// Finds the addresses of a host, by whatever kind of name, and tells them on the asker's thread,
  /// the one to try first in front; none where there are none.
  void find_host(Worker& asker, const std::string& host, uint16_t port, Names::Told told);
  /// What the requester came for has been done, or cannot be.
  void tell_requester(Requester requester, const char* outcome);
  /// Posts a letter to every worker, the caller's own included.
  void post_to_all(const std::function<void(Worker&)>& open);
  /// Runs `open` on worker 0.
  void post(std::function<void(Pooler&)> open);

  // --- on worker 0
  /// Opens the listeners; an error is fatal for the process.
  Result<Done> listen();
  const Config& config() const { return *config_; }
  Peers& peers() { return peers_; }
  HostMonitors& monitors() { return monitors_; }
  /// Reads the files again; false (and logged) where they are bad, and nothing has changed.
  bool reload();
  /// Changes one setting. The text of a notice for who asked, if there is something to say that is
  /// no failure; else empty.
  Result<std::string> set(const std::string& key, const std::string& value);
  /// Gathers the parts of all workers, then calls `done`.
  void snapshot(std::function<void(Snapshot)> done, const SnapshotWish& wish = {});
  /// What no worker knows but the process: its part of a snapshot.
  Snapshot own_part();
  /// The connections that another process could take over; `attach`: and a hold on each.
  void descriptors(bool attach, std::function<void(std::shared_ptr<DescriptorsFound>)> done);
  /// Everything stands: begins what goes on without clients (min_pool_size, statistics).
  void start();
  /// Forgets databases and pools that nobody has used for long.
  void tidy();
  /// The connection to the process that this one takes over from; behind listen().
  void take_over(ParcelPtr channel);
  Handover& handover() { return *handover_; }
  /// The old process says something that concerns everybody.
  void accept_clients();
  void take_in(handover::ClientRecord record, ParcelPtr connection);
  void servers_elsewhere(const handover::Held& held);
  void predecessor_gone();
  /// A new process is there, has all it needs, and takes over: sockets are left to it, clients go.
  void hand_over(int process);
  /// A hold on every socket that listens for clients, with what another process must know of it.
  std::vector<std::pair<handover::Socket, ParcelPtr>> listening();
  std::vector<ParcelPtr> http_sockets() const;
  /// Nothing that was handed over is still here, and no older process needs this one.
  bool may_end() const;
  /// Nothing stands in the way of a handover now.
  bool may_hand_over();
  /// Stops accepting for good.
  void close_listeners();

  // --- the console and signals; an empty database means all
  using Finished = std::function<void(std::optional<Error>)>;
  /// Who waits for the end of a command, so that it can be called off: a client's id; 0: nobody.
  using ConsoleId = uint64_t;
  /// `done` is called when every server is closed.
  void pause(const std::string& database, Finished done, ConsoleId console = 0);
  std::optional<Error> resume(const std::string& database);
  std::optional<Error> reconnect(const std::string& database);
  std::optional<Error> kill(const std::string& database);
  std::optional<Error> disable(const std::string& database, bool disabled);
  /// `done` is called when all clients and servers are at rest.
  void suspend(Finished done, ConsoleId console = 0);
  /// `done` is called when no server is left that is to be closed.
  void wait_close(const std::string& database, Finished done, ConsoleId console = 0);
  void kill_client(const std::string& id, Finished done);
  /// The console's user has cancelled its command: what it waits for is undone.
  void cancel_console(ConsoleId console);
  /// A console has come (+1) or left (-1). From any thread.
  void count_console(int change);
  void shut_down(ShutdownMode mode);
  /// Ends all loops, soon; the process exits with this status.
  void stop(int status = 0) { facts_.stop(status); }
  void on_sighup();
  void on_sigterm();
  void on_sigint();
  void on_sigquit();
  void on_sigusr1();
  void on_sigusr2();

 private:
  enum class Shutdown : uint8_t { no, wait_for_clients, drain, wait_for_servers };
  /// A command of the console that is not over yet.
  struct ConsoleWait {
    enum class For : uint8_t { pause, suspend, close };
    For what;
    std::string database;
    ConsoleId console;
    Finished done;
    bool counting = false, count_again = false;  // close: servers are being counted
  };
  using ConsoleWaitPtr = std::shared_ptr<ConsoleWait>;

  void on_accept(ParcelPtr connection, bool from_unix) override;
  void on_accept_failed(int error) override;
  enum class Lookup : uint8_t { make, find };
  std::optional<Error> check_database(const std::string& database, std::string_view verb,
                                      Lookup lookup);
  bool known_database(const std::string& name);
  bool any_database_paused();
  void begin_pause(const std::string& database);
  std::optional<Error> end_pause(const std::string& database);
  void end_suspend();
  void suspend_step();
  void count_close_needed(const ConsoleWaitPtr& wait);
  void answer_waits(ConsoleWait::For what, const std::string& database);
  void finish_wait(const ConsoleWaitPtr& wait, std::optional<Error> error = std::nullopt);
  void watch();
  /// Calls `count` on every worker, then `done` here with the sum.
  void sum_over_workers(std::function<size_t(Worker&)> count, std::function<void(size_t)> done);
  void publish(ConfigPtr config, Tls tls);
  void renew_ticket_key();
  void apply_limits();
  void apply_pauses();
  void add_totals(Snapshot& snapshot);
  void end_stats_period();
  bool servers_gone(const std::string& database);
  void progress();
  void close_tcp_listeners();
  void close_listeners_for_drain();
  void tend_forced_pools();
  void arm_tidying();
  Names& names();
  void set_name_lifetimes();
  void look_up(const std::string& host);
  void arm_refresh();
  void addresses_vanished(const HostUse& host, const std::vector<Address>& addresses);
  void stop_suspended();
  Result<Done> listen_on(const Address& address, const ListenOptions& options);
  ListenOptions listen_options() const;
  const InheritedSocket* inherited(const Address& at, handover::SocketUse use) const;
  void listen_for_handover(ListenOptions options);
  void own_inherited_sockets();
  Worker& least_loaded();
  void begin_handover();
  void notify(std::string_view news) const {
    if (facts_.notify) facts_.notify(news);
  }

  ConfigPtr config_;
  const ProcessFacts facts_;
  const TrackedNames tracked_;
  Tls tls_;
  Instant ticket_key_since_{};
  Registry registry_;
  CancelKeys cancel_keys_;
  KeyCache key_cache_;
  StatementRegistry statements_;
  RecentWrites recent_writes_;
  const uint64_t shape_seed_;
  const std::string crossing_channel_;
  Permits client_permits_, sockets_;
  StatsHistory stats_;
  std::atomic<uint64_t> next_id_{0};
  std::atomic<Shutdown> shutdown_{Shutdown::no};
  std::atomic<bool> paused_{false};
  std::atomic<bool> suspended_{false};
  std::atomic<bool> handing_over_{false};
  std::atomic<int> consoles_{0};
  std::atomic<int64_t> started_wall_us_{0};
  uint64_t suspensions_ = 0;  // tells an answer to this one from those to earlier ones
  Instant suspended_since_{};
  std::optional<Deadline> suspend_tick_;
  std::atomic<bool> watching_{false};  // somebody waits for progress
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<Drain> drain_;
  std::unique_ptr<Handover> handover_;
  std::unique_ptr<Takeover> takeover_;
  std::atomic<bool> has_predecessor_{false};
  std::map<std::pair<std::string, std::string>, Hold<PoolEntry>> shared_pools_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  Peers peers_{*this};
  HostMonitors monitors_{*this};
  std::vector<ConsoleWaitPtr> waits_;
  std::optional<Names> names_;
  std::optional<Deadline> stats_period_, tidying_, refresh_;
};

}  // namespace headgate
