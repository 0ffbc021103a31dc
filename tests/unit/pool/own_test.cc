// Connections that belong to one client alone: how they find room in a pool of others.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "pool/pool.h"

namespace headgate {
namespace {

/// One share of one pool, its servers named by their order, and what is done to it in one line.
struct OwnRig {
  explicit OwnRig(PoolRules rules) : pool(shared, 0, rules) {}
  ~OwnRig() {
    for (Waiter& client : waiters) {
      if (client.waiting()) pool.withdraw(client, now);
    }
    std::vector<PooledServer*> all;
    pool.for_each_server([&](PooledServer& server) { all.push_back(&server); });
    for (PooledServer* server : all) close(*server);
    CHECK(shared.open() == 0);
    CHECK(shared.staying() == 0);
    CHECK(shared.lendable() == 0);
  }

  /// A server for a client who asks; false where there is no room.
  bool lend() {
    Waiter& client = waiters[clients++];
    if (pool.ask(client, now)) return true;
    if (pool.wish(now).want != Wish::Want::open) return false;
    PooledServer& server = servers[opened++];
    pool.opening(server, now);
    return pool.opened(server, now).to == Grant::To::waiter;
  }
  bool open_own(PooledServer& server) {
    if (pool.take_own() != SharedPool::Take::taken) return false;
    pool.opening(server, now, true);
    pool.opened_own(server, now);
    return true;
  }
  std::vector<std::string> retire() {
    std::vector<Pool::Retired> retired;
    pool.retire(now, retired);
    std::vector<std::string> reasons;
    for (const auto& one : retired) {
      reasons.emplace_back(one.reason);
      pool.gone(*one.server);
    }
    return reasons;
  }
  void close(PooledServer& server) {
    pool.close(server, now);
    pool.gone(server);
  }

  Instant now{seconds(1000)};
  Permits database, user;
  SharedPool shared{0, "shop", "ann", {database, user}, 2};
  Waiter waiters[16];
  PooledServer servers[16];
  size_t clients = 0, opened = 0;
  PooledServer own[4];
  Pool pool;
};

TEST_CASE("own: it is counted with the others, and its place is free again when it has gone") {
  OwnRig rig({.pool_size = 2});
  REQUIRE(rig.open_own(rig.own[0]));
  CHECK(rig.own[0].state() == ServerState::active);
  CHECK(rig.shared.open() == 1);
  CHECK(rig.shared.lendable() == 0);
  CHECK(rig.lend());
  CHECK(rig.shared.lendable() == 1);
  CHECK_FALSE(rig.open_own(rig.own[1]));
  rig.close(rig.own[0]);
  CHECK(rig.shared.lendable() == 1);
  CHECK(rig.open_own(rig.own[1]));
}

TEST_CASE("own: an idle server is evicted for it, one for each that waits") {
  OwnRig rig({.pool_size = 3});
  for (int i = 0; i < 3; ++i) REQUIRE(rig.lend());
  for (int i = 0; i < 3; ++i) rig.pool.give_back(rig.servers[i], rig.now);
  CHECK(rig.retire().empty());
  rig.pool.want_own();
  CHECK(rig.retire() == std::vector<std::string>{"evicted"});
  CHECK(rig.retire().empty());
  rig.pool.want_own();
  CHECK(rig.retire() == std::vector<std::string>{"evicted"});
  CHECK(rig.shared.open() == 1);
}

TEST_CASE("own: a server that comes back is not kept, though others wait for it") {
  OwnRig rig({.pool_size = 1});
  REQUIRE(rig.lend());
  REQUIRE_FALSE(rig.lend());  // an ordinary client waits
  rig.pool.want_own();
  const Grant grant = rig.pool.give_back(rig.servers[0], rig.now);
  REQUIRE(grant.to == Grant::To::close);
  CHECK(grant.reason == std::string("evicted"));
  const auto freed = rig.pool.gone(rig.servers[0]);
  CHECK((freed.hungry & mask_of(0)) != 0);
  CHECK(rig.pool.wish(rig.now).want == Wish::Want::nothing);  // the place is kept
  CHECK(rig.open_own(rig.own[0]));
  rig.pool.forget_own(true);
  rig.close(rig.own[0]);
  CHECK(rig.pool.wish(rig.now).want == Wish::Want::open);
  rig.pool.opening(rig.servers[1], rig.now);
  CHECK(rig.pool.opened(rig.servers[1], rig.now).to == Grant::To::waiter);
}

TEST_CASE("own: who waits no longer leaves the place to others, who are told") {
  OwnRig rig({.pool_size = 1});
  rig.pool.want_own();
  REQUIRE_FALSE(rig.lend());
  CHECK((rig.pool.forget_own(true) & mask_of(0)) != 0);
  CHECK(rig.pool.wish(rig.now).want == Wish::Want::open);
  rig.pool.opening(rig.servers[0], rig.now);
  CHECK(rig.pool.opened(rig.servers[0], rig.now).to == Grant::To::waiter);
}

TEST_CASE("own: nobody counts on one that logs in for another") {
  OwnRig rig({.pool_size = 2});
  REQUIRE(rig.pool.take_own() == SharedPool::Take::taken);
  rig.pool.opening(rig.own[0], rig.now, true);
  CHECK(rig.lend());
  rig.close(rig.own[0]);
  CHECK(rig.shared.opening() == 0);
  CHECK(rig.shared.open() == 1);
}

TEST_CASE("own: it may have a place of the reserve at once, and no more than that") {
  OwnRig rig({.pool_size = 1, .reserve_pool_size = 1});
  CHECK(rig.open_own(rig.own[0]));
  CHECK(rig.open_own(rig.own[1]));
  CHECK_FALSE(rig.open_own(rig.own[2]));
}

}  // namespace
}  // namespace headgate
