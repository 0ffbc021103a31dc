// The same rules with real threads: one for each worker, with a mailbox. No time-out helps anybody
// here, so a wake-up that gets lost leaves a thread asleep for good, and the test fails. Run under
// ThreadSanitizer it also shows that a server is only ever touched by the worker that has it.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <deque>
#include <latch>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <utility>

#include "pool/pool.h"

namespace headgate {
namespace {

constexpr size_t workers = 4;
constexpr int pool_size = 6;
constexpr int clients_each = 10;
constexpr int turns_each = 3000;  // of every client
constexpr auto lost = std::chrono::seconds(60);

struct Server : PooledServer {
  int users = 0;  // not atomic: only one thread may have it
};

struct Client : Waiter {
  Server* server = nullptr;
  int turns_left = turns_each;
};

struct Letter {
  enum class Kind : uint8_t { server, fetch, none, look_again } kind;
  WorkerId from = 0;
  Server* server = nullptr;
  bool fetched = false;
};

struct House;

class Worker {
 public:
  Worker(House& house, WorkerId id);
  void run();
  void post(Letter letter) {
    std::scoped_lock lock(mutex_);
    mail_.push_back(letter);
    wake_.notify_one();
  }
  /// After all threads have ended: closes what is left, here and in the mailbox.
  void clear_up();
  bool stuck = false;

 private:
  bool read_mail(bool wait);
  void handle(const Letter& letter);
  bool work();
  bool serve(Client& client);
  void finish_servers();
  void carry_out(Server& server, const Grant& grant);
  void lend(PooledServer& server, Waiter& client);
  void free_from(Client& client);
  void look_after();
  void tell(WorkerMask told);
  void close(Server& server);
  bool chance(unsigned percent) { return dice_() % 100 < percent; }

  House& house_;
  const WorkerId me_;
  Pool pool_;
  Instant now_{};
  bool done_ = false;
  bool spare_ = false;  // pass_on() is due
  std::minstd_rand dice_;
  std::array<Client, clients_each> clients_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Letter> mail_;
};

struct House {
  explicit House(bool churning) : churn(churning) {
    for (WorkerId id = 0; id < workers; ++id) all[id] = std::make_unique<Worker>(*this, id);
  }
  void finished() {
    if (working.fetch_sub(1) == 1) wake_all();
  }
  void wake_all() {
    for (auto& worker : all) worker->post({.kind = Letter::Kind::look_again});
  }

  const bool churn;  // servers are dirty, crash and fail to log in
  Permits database, user;
  SharedPool shared{1, "db", "user", {database, user}, workers};
  std::atomic<int64_t> clock{1};
  std::atomic<int> existing{0}, most_existing{0}, lent{0};
  std::atomic<size_t> working{workers};
  std::array<std::unique_ptr<Worker>, workers> all;
};

Worker::Worker(House& house, WorkerId id)
    : house_(house),
      me_(id),
      pool_(house.shared, id,
            {.pool_size = pool_size,
             .server_lifetime = seconds(1000000),
             .server_login_retry = seconds(-1)}),  // at once, whatever each worker's time is
      dice_(id + 1) {}

void Worker::run() {
  for (bool busy = true; house_.working.load() > 0;) {
    // Relaxed, lest the clock be what orders the threads.
    now_ = Instant(microseconds(house_.clock.fetch_add(50, std::memory_order_relaxed)));
    if (!read_mail(!busy)) return;
    busy = work();
    std::this_thread::yield();  // or each would do most of its work alone, in one slice of time
    if (done_ || std::any_of(clients_.begin(), clients_.end(),
                             [](Client& client) { return client.turns_left > 0; })) {
      continue;
    }
    done_ = true;
    house_.finished();
  }
}

// False: nothing came, although this worker has nothing to do but to wait for it.
bool Worker::read_mail(bool wait) {
  std::deque<Letter> mail;
  {
    std::unique_lock lock(mutex_);
    if (wait && !wake_.wait_for(lock, lost, [&] { return !mail_.empty(); }) && !done_) {
      stuck = true;
    }
    mail.swap(mail_);
  }
  if (stuck) {
    house_.working.store(0);
    house_.wake_all();
    return false;
  }
  for (const Letter& letter : mail) handle(letter);
  return true;
}

void Worker::handle(const Letter& letter) {
  switch (letter.kind) {
    case Letter::Kind::server:
      carry_out(*letter.server, pool_.arrived(*letter.server, letter.fetched, now_));
      break;
    case Letter::Kind::fetch: {
      auto* server = static_cast<Server*>(pool_.hand_over(now_));
      house_.all[letter.from]->post({.kind = server ? Letter::Kind::server : Letter::Kind::none,
                                     .server = server,
                                     .fetched = true});
      if (!server) look_after();
      break;
    }
    case Letter::Kind::none:
      pool_.fetch_failed();
      look_after();
      break;
    case Letter::Kind::look_again:
      look_after();
      break;
  }
}

// A turn of everything that does not depend on other workers; false if there is nothing of the
// kind.
bool Worker::work() {
  bool busy = false;
  for (Client& client : clients_) busy |= serve(client);
  finish_servers();
  while (const auto passed = std::exchange(spare_, false) ? pool_.pass_on(now_) : std::nullopt) {
    auto* server = static_cast<Server*>(passed->server);
    house_.all[passed->worker]->post({.kind = Letter::Kind::server, .server = server});
    spare_ = true;
  }
  pool_.for_each_server([&](PooledServer& server) {
    busy |= server.state() != ServerState::idle && server.state() != ServerState::closing;
  });
  return busy;
}

bool Worker::serve(Client& client) {
  if (client.server) {
    if (chance(60)) free_from(client);
  } else if (client.waiting()) {
    if (!chance(1)) return false;
    pool_.withdraw(client, now_);
  } else if (client.turns_left > 0 && chance(50)) {
    PooledServer* server = pool_.ask(client, now_);
    if (server) {
      lend(*server, client);
    } else {
      look_after();
    }
  }
  return client.turns_left > 0;
}

void Worker::free_from(Client& client) {
  Server& server = *client.server;
  client.server = nullptr;
  --client.turns_left;
  --server.users;
  if (house_.churn && chance(10)) return pool_.start_test(server, now_);
  if (house_.churn && chance(5)) return close(server);
  carry_out(server, pool_.give_back(server, now_));
}

// Log-ins, tests and closings end in the turn after they began.
void Worker::finish_servers() {
  std::vector<Server*> pending;
  pool_.for_each_server(
      [&](PooledServer& server) { pending.push_back(static_cast<Server*>(&server)); });
  for (Server* server : pending) {
    if (server->state() == ServerState::login) {
      if (house_.churn && chance(5)) {
        pool_.login_failed(now_);
        close(*server);
      } else {
        carry_out(*server, pool_.opened(*server, now_));
      }
    } else if (server->state() == ServerState::tested) {
      carry_out(*server, pool_.tested(*server, now_));
    }
  }
}

void Worker::close(Server& server) {
  pool_.close(server, now_);
  look_after();
  house_.existing.fetch_sub(1, std::memory_order_relaxed);
  SharedPool::Freed freed = pool_.gone(server);
  delete &server;
  tell(freed.hungry);
}

void Worker::lend(PooledServer& server, Waiter& waiter) {
  auto& client = static_cast<Client&>(waiter);
  client.server = static_cast<Server*>(&server);
  MUST(client.server->users++ == 0);
  house_.lent.fetch_add(1, std::memory_order_relaxed);
}

void Worker::carry_out(Server& server, const Grant& grant) {
  tell(grant.look_again);
  switch (grant.to) {
    case Grant::To::idle:
      spare_ |= grant.wanted_elsewhere;
      break;
    case Grant::To::waiter:
      lend(server, *grant.waiter);
      break;
    case Grant::To::worker:
      house_.all[grant.worker]->post({.kind = Letter::Kind::server, .server = &server});
      break;
    case Grant::To::close:
      return close(server);
  }
  look_after();
}

void Worker::tell(WorkerMask told) {
  for (WorkerId worker = 0; worker < workers; ++worker) {
    if (told & mask_of(worker)) {
      house_.all[worker]->post({.kind = Letter::Kind::look_again});
    }
  }
}

void Worker::look_after() {
  for (;;) {
    Wish wish = pool_.wish(now_);
    if (wish.want == Wish::Want::nothing) {
      spare_ |= wish.wanted_elsewhere;
      return;
    }
    if (wish.want == Wish::Want::lend) {
      lend(*wish.server, *wish.waiter);
    } else if (wish.want == Wish::Want::fetch) {
      house_.all[wish.from]->post({.kind = Letter::Kind::fetch, .from = me_});
    } else {
      MUST(wish.want == Wish::Want::open);
      int existing = house_.existing.fetch_add(1, std::memory_order_relaxed) + 1;
      if (existing > house_.most_existing.load()) house_.most_existing.store(existing);
      MUST(existing <= pool_size);
      pool_.opening(*new Server, now_);
    }
  }
}

void Worker::clear_up() {
  for (Client& client : clients_) {
    if (client.waiting()) pool_.withdraw(client, now_);
  }
  for (const Letter& letter : mail_) {
    if (letter.kind == Letter::Kind::server) {
      pool_.arrived(*letter.server, letter.fetched, now_);
    }
  }
  pool_.for_each_server([&](PooledServer& server) { pool_.close(server, now_); });
  pool_.for_each_server([&](PooledServer& server) {
    pool_.gone(server);
    delete static_cast<Server*>(&server);
  });
}

void check_house(bool churn) {
  House house(churn);
  std::latch start(workers);
  std::vector<std::thread> threads;
  for (auto& worker : house.all) {
    threads.emplace_back([&] {
      start.arrive_and_wait();
      worker->run();
    });
  }
  for (auto& thread : threads) thread.join();
  for (auto& worker : house.all) CHECK_FALSE(worker->stuck);
  for (auto& worker : house.all) worker->clear_up();
  CHECK(house.shared.open() == 0);
  CHECK(house.shared.staying() == 0);
  CHECK(house.shared.hungry() == 0);
  CHECK(house.database.used() == 0);
  CHECK(house.lent.load() >= static_cast<int>(workers) * clients_each * turns_each);
  CHECK(house.most_existing.load() <= pool_size);
}

TEST_CASE("threads: nobody is forgotten when many workers share few servers") {
  check_house(false);
}

TEST_CASE("threads: nobody is forgotten when servers also crash, are reset and fail to log in") {
  check_house(true);
}

}  // namespace
}  // namespace headgate
