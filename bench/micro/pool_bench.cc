// What lending costs: a client asks, gets a server that is idle on its own worker, and gives it
// back. Prints nanoseconds for each such pair; the least of several rounds, because a shared
// machine only ever adds to it.
//
//   g++ -std=c++20 -O2 -I. bench/micro/pool_bench.cc pool/*.cc base/check.cc
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include "pool/pool.h"

namespace headgate {
namespace {

constexpr int pairs = 2'000'000;
constexpr int rounds = 7;

struct Bench {
  explicit Bench(size_t workers, int size) : shared(1, "db", "user", {database, user}, workers) {
    for (int i = 0; i < size; ++i) {
      // As a client's wish to open would; nobody waits, so the server becomes idle.
      MUST(shared.try_open(0) == SharedPool::Take::taken);
      pool.opening(servers[i], now);
      MUST(pool.opened(servers[i], now).to == Grant::To::idle);
    }
  }
  ~Bench() {
    pool.for_each_server([&](PooledServer& server) { pool.close(server, now); });
    pool.for_each_server([&](PooledServer& server) { pool.gone(server); });
  }

  Instant now{seconds(1)};
  Permits database, user;
  SharedPool shared;
  Pool pool{shared, 0, {}};
  PooledServer servers[20];
};

template <class Body>
void measure(const char* what, Body&& body) {
  double best = 1e9;
  for (int round = 0; round < rounds; ++round) {
    auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < pairs; ++i) body();
    std::chrono::duration<double, std::nano> spent = std::chrono::steady_clock::now() - start;
    best = std::min(best, spent.count() / pairs);
  }
  std::printf("%-52s %6.1f ns\n", what, best);
}

void lend_idle() {
  Bench bench(4, 20);
  Waiter client;
  measure("ask + give_back, server idle here", [&] {
    bench.now += microseconds(1);
    PooledServer* server = bench.pool.ask(client, bench.now);
    Grant grant = bench.pool.give_back(*server, bench.now);
    MUST(grant.to == Grant::To::idle);
  });
}

// At saturation: every client queues, and is lent a server as it is given back.
void lend_to_waiters() {
  Bench bench(4, 20);
  bench.pool.set_rules({.pool_size = 20});
  std::vector<Waiter> clients(32);
  std::vector<PooledServer*> lent;
  size_t next = 0;
  for (; next < 20; ++next) lent.push_back(bench.pool.ask(clients[next], bench.now));
  std::vector<size_t> free_clients;
  for (size_t i = 0; i < 20; ++i) free_clients.push_back(i);
  for (; next < 32; ++next) MUST(bench.pool.ask(clients[next], bench.now) == nullptr);
  size_t at = 0;
  measure("ask + wish + give_back, all busy, 12 wait", [&] {
    bench.now += microseconds(1);
    size_t asking = free_clients[at % 20];
    MUST(bench.pool.ask(clients[asking], bench.now) == nullptr);
    MUST(bench.pool.wish(bench.now).want == Wish::Want::nothing);
    Grant grant = bench.pool.give_back(*lent[at % 20], bench.now);
    MUST(grant.to == Grant::To::waiter);
    free_clients[at % 20] = static_cast<size_t>(grant.waiter - clients.data());
    ++at;
  });
  for (Waiter& client : clients) {
    if (client.waiting()) bench.pool.withdraw(client);
  }
}

}  // namespace
}  // namespace headgate

int main() {
  headgate::lend_idle();
  headgate::lend_to_waiters();
}
