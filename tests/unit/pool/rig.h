// A house of pools in one thread, for stories and for the randomized model: every worker's share of
// every pool, clients and servers with names, and a post office that delivers when and in which
// order the test likes. It does what pool.h says the caller owes, and nothing else.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "pool/pool.h"

namespace headgate {

struct RigShare;

struct RigServer : PooledServer {
  int number = 0;
  size_t pool = 0;
  RigShare* at = nullptr;  // null while on its way between workers
  struct RigClient* client = nullptr;
};

struct RigClient : Waiter {
  std::string name;
  RigShare* at = nullptr;
  RigServer* server = nullptr;
};

/// One worker's share of one pool.
struct RigShare {
  RigShare(SharedPool& shared, WorkerId id, size_t index, const PoolRules& rules)
      : worker(id), pool_index(index), pool(shared, id, rules) {}
  WorkerId worker;
  size_t pool_index;
  Pool pool;
};

class PoolRig {
 public:
  struct Options {
    size_t workers = 1;
    size_t pools = 1;  // pool p is of database p / 2 and user p % 2
    PoolRules rules{};
    int database_limit = 0;
    int user_limit = 0;
    /// Log-ins succeed and messages arrive as soon as they can. Else the test says when.
    bool prompt = true;
  };
  explicit PoolRig(Options options);
  ~PoolRig() noexcept(false);

  // --- clients; `worker` and `pool` are those of a new client
  /// The client asks. True: it has a server at once.
  bool ask(const std::string& name, WorkerId worker = 0, size_t pool = 0);
  void give_back(const std::string& name);
  /// The client has used its server in a way that asks for a reset; the test runs until
  /// finish_test().
  void give_back_dirty(const std::string& name);
  void withdraw(const std::string& name);
  /// The server of this client died as it was lent; the client asks again with its old time.
  void server_dies_at_once(const std::string& name, Instant waiting_since);
  /// The number of the client's server; 0 if it has none.
  int server_of(const std::string& name);
  bool waiting(const std::string& name) { return client(name).waiting(); }
  /// The names of those who were lent a server since the last call, in order.
  std::vector<std::string> lent_to();

  // --- servers
  void finish_login(RigServer& server);
  void finish_logins();
  void fail_login(RigServer& server);
  void finish_test(RigServer& server);
  void fail_test(RigServer& server);
  /// The connection breaks, whatever it is doing; its client is left without.
  void crash(RigServer& server);
  /// A closing connection is gone.
  void finish_close(RigServer& server);
  std::vector<RigServer*> in_state(ServerState state);
  std::vector<std::unique_ptr<RigServer>>& servers() { return servers_; }
  /// Why servers were closed, in order, since the last call.
  std::vector<std::string> closed_because();
  int opened_in_all() const { return opened_; }
  int reserve_opened() const { return reserve_opened_; }

  // --- post
  size_t letters() const { return post_.size(); }
  void deliver(size_t index);
  void deliver_all();

  // --- time and rules
  Instant now{seconds(1000)};
  void advance(Duration by) { now += by; }
  /// Looks after every share whose deadline has passed.
  void tend();
  void tend(RigShare& share, bool has_clients);
  void set_rules(const PoolRules& rules);
  void pause(size_t pool, bool paused);
  void look_after(RigShare& share);

  RigShare& share(WorkerId worker = 0, size_t pool = 0) { return *shares_[pool][worker]; }
  Pool& pool(WorkerId worker = 0, size_t pool = 0) { return share(worker, pool).pool; }
  SharedPool& shared(size_t pool = 0) { return *shared_[pool]; }
  size_t pools() const { return shared_.size(); }
  WorkerId workers() const { return static_cast<WorkerId>(options_.workers); }
  Permits& database_permits(size_t pool) { return *databases_[pool / 2]; }
  Permits& user_permits(size_t pool) { return *users_[pool % 2]; }
  std::map<std::string, std::unique_ptr<RigClient>>& clients() { return clients_; }
  RigClient& client(const std::string& name) { return *clients_.at(name); }
  bool has_clients(RigShare& share);
  /// Everybody leaves and everything is closed; then nothing may be left anywhere.
  void close_down();

 private:
  struct Letter {
    enum class Kind : uint8_t { server, fetch, none, look_again, turn_end } kind;
    WorkerId to;
    size_t pool;
    WorkerId from = 0;
    RigServer* server = nullptr;
    bool fetched = false;
  };
  void post(Letter letter);
  void carry_out(RigShare& share, RigServer& server, const Grant& grant);
  void pass_on_later(RigShare& share);
  void send(RigShare& share, RigServer& server, WorkerId to);
  void lend(RigServer& server, Waiter& waiter);
  void tell(size_t pool, const SharedPool::Freed& freed);
  void tell(size_t pool, WorkerMask told);
  void open(RigShare& share, bool reserve);
  void evict(size_t for_pool, bool same_database);
  void close(RigServer& server, const std::string& reason);

  Options options_;
  std::vector<std::unique_ptr<Permits>> databases_, users_;
  std::vector<std::unique_ptr<SharedPool>> shared_;
  std::vector<std::unique_ptr<RigServer>> servers_;
  std::map<std::string, std::unique_ptr<RigClient>> clients_;
  std::vector<std::vector<std::unique_ptr<RigShare>>> shares_;  // [pool][worker]
  std::vector<Letter> post_;
  std::vector<std::string> lent_, closed_;
  int opened_ = 0;
  int reserve_opened_ = 0;
};

}  // namespace headgate
