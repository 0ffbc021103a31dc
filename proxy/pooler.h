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
#include "protocol/startup.h"
#include "proxy/cancel.h"
#include "proxy/registry.h"
#include "proxy/stats_history.h"
#include "proxy/worker.h"

namespace headgate {

/// What the program tells its pooler about the process it runs in.
struct ProcessFacts {
  FileReader read_file;
  std::vector<Address> listen_on;
  uint32_t uid = 0;
  Bytes mock_key;  // random; the salts of unknown users are made from it
  std::function<void(const Settings&)> set_up_log;
  int verbose = 0;                                 // how often -v was given
  std::function<std::string(int)> describe_error;  // of an errno
  std::function<void()> stop;                      // ends all loops, soon
  Tls tls;                                         // by the settings at the start
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
  CancelKeys& cancel_keys() { return cancel_keys_; }
  KeyCache& key_cache() { return key_cache_; }
  const Bytes& mock_key() const { return facts_.mock_key; }
  std::string describe_error(int error) const { return facts_.describe_error(error); }
  uint32_t own_uid() const { return facts_.uid; }
  Permits& client_permits() { return client_permits_; }
  uint64_t next_id() { return next_id_.fetch_add(1) + 1; }
  bool shutting_down() const { return shutdown_.load() != Shutdown::no; }
  bool waits_for_servers() const { return shutdown_.load() == Shutdown::wait_for_servers; }
  bool paused() const { return paused_.load(); }
  bool paused(const DatabaseState& database) const { return paused() || database.paused.load(); }
  /// A client's socket has gone from a worker.
  void client_gone(Worker& worker);
  /// Servers or clients have gone: a pause or a shutdown that waits for that may be at its end.
  void check_progress();
  /// Finds the client with that key, on whatever worker, and has its query cancelled.
  void cancel(const CancelRequest& request, Requester requester);
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
  /// Reads the files again; false (and logged) where they are bad, and nothing has changed.
  bool reload();
  struct SetOutcome {
    bool tls_kept = false;  // the setting is changed, but TLS goes on as it was: files do not fit
  };
  Result<SetOutcome> set(const std::string& key, const std::string& value);
  /// Gathers the parts of all workers, then calls `done`.
  void snapshot(std::function<void(Snapshot)> done);
  /// Everything stands: begins what goes on without clients (min_pool_size, statistics).
  void start();
  /// Stops accepting for good.
  void close_listeners() { listeners_.clear(); }

  // --- the console and signals; an empty database means all
  using Finished = std::function<void(std::optional<Error>)>;
  /// `done` is called when every server is closed.
  void pause(const std::string& database, Finished done);
  std::optional<Error> resume(const std::string& database);
  std::optional<Error> reconnect(const std::string& database);
  std::optional<Error> kill(const std::string& database);
  std::optional<Error> disable(const std::string& database, bool disabled);
  void shut_down(ShutdownMode mode);
  void on_sighup();
  void on_sigterm();
  void on_sigint();
  void on_sigquit();
  void on_sigusr1();
  void on_sigusr2();

 private:
  enum class Shutdown : uint8_t { no, wait_for_clients, wait_for_servers };
  struct PendingPause {
    std::string database;
    Finished done;
  };

  void on_accept(ParcelPtr connection, bool from_unix) override;
  void on_accept_failed(int error) override;
  static uint64_t key_of(const CancelRequest& request);
  std::optional<Error> check_database(const std::string& database, std::string_view verb);
  void publish(ConfigPtr config, Tls tls);
  void renew_ticket_key();
  void apply_limits();
  void apply_pauses();
  void add_totals(Snapshot& snapshot);
  void end_stats_period();
  bool servers_gone(const std::string& database);
  void progress();
  void close_tcp_listeners();

  ConfigPtr config_;
  const ProcessFacts facts_;
  Tls tls_;
  Instant ticket_key_since_{};
  Registry registry_;
  CancelKeys cancel_keys_;
  KeyCache key_cache_;
  Permits client_permits_, sockets_;
  StatsHistory stats_;
  std::atomic<uint64_t> next_id_{0};
  std::atomic<Shutdown> shutdown_{Shutdown::no};
  std::atomic<bool> paused_{false};
  std::atomic<bool> watching_{false};  // somebody waits for progress
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<PendingPause> pending_pauses_;
  std::optional<Deadline> stats_period_;
};

}  // namespace headgate
