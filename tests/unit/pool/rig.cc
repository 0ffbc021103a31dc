#include "tests/unit/pool/rig.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <exception>
#include <utility>

namespace headgate {

PoolRig::PoolRig(Options options) : options_(options) {
  for (size_t i = 0; i < options.pools / 2 + 1; ++i) {
    databases_.push_back(std::make_unique<Permits>(options.database_limit));
  }
  for (size_t i = 0; i < 2; ++i) users_.push_back(std::make_unique<Permits>(options.user_limit));
  for (size_t pool = 0; pool < options.pools; ++pool) {
    PoolLimits limits{database_permits(pool), user_permits(pool)};
    shared_.push_back(
        std::make_unique<SharedPool>(static_cast<uint32_t>(pool), "db" + std::to_string(pool / 2),
                                     "user" + std::to_string(pool % 2), limits, options.workers));
    auto& shares = shares_.emplace_back();
    for (WorkerId worker = 0; worker < workers(); ++worker) {
      shares.push_back(std::make_unique<RigShare>(shared(pool), worker, pool, options.rules));
    }
  }
}

PoolRig::~PoolRig() noexcept(false) {
  if (std::uncaught_exceptions() == 0) {
    close_down();
    return;
  }
  // A failed test leaves everything in the middle of something: it cannot be taken apart.
  new auto(std::move(shares_));
  new auto(std::move(servers_));
  new auto(std::move(clients_));
  new auto(std::move(shared_));
}

// --- clients

bool PoolRig::ask(const std::string& name, WorkerId worker, size_t pool) {
  auto& entry = clients_[name];
  if (!entry) {
    entry = std::make_unique<RigClient>();
    entry->name = name;
    entry->at = &share(worker, pool);
  }
  RigClient& client = *entry;
  RigShare& at = *client.at;
  PooledServer* server = at.pool.ask(client, now);
  if (!server) {
    look_after(at);
  } else if (server->state() == ServerState::active) {
    REQUIRE_FALSE(client.waiting());
    lend(static_cast<RigServer&>(*server), client);
  } else {
    REQUIRE(server->state() == ServerState::tested);
    REQUIRE(client.waiting());
  }
  return client.server != nullptr;
}

void PoolRig::give_back(const std::string& name) {
  RigServer& server = *client(name).server;
  server.client->server = nullptr;
  server.client = nullptr;
  carry_out(*server.at, server, server.at->pool.give_back(server, now));
}

void PoolRig::give_back_dirty(const std::string& name) {
  RigServer& server = *client(name).server;
  server.client->server = nullptr;
  server.client = nullptr;
  server.at->pool.start_test(server, now);
}

void PoolRig::withdraw(const std::string& name) {
  RigClient& leaving = client(name);
  leaving.at->pool.withdraw(leaving, now);
}

void PoolRig::server_dies_at_once(const std::string& name, Instant waiting_since) {
  RigClient& unlucky = client(name);
  RigServer& server = *unlucky.server;
  unlucky.server = nullptr;
  server.client = nullptr;
  close(server, "died");
  unlucky.at->pool.ask_again(unlucky, waiting_since, now);
  look_after(*unlucky.at);
}

int PoolRig::server_of(const std::string& name) {
  RigServer* server = client(name).server;
  return server ? server->number : 0;
}

std::vector<std::string> PoolRig::lent_to() { return std::exchange(lent_, {}); }
std::vector<std::string> PoolRig::closed_because() { return std::exchange(closed_, {}); }

bool PoolRig::has_clients(RigShare& share) {
  return std::any_of(clients_.begin(), clients_.end(),
                     [&](auto& entry) { return entry.second->at == &share; });
}

// --- servers

void PoolRig::finish_login(RigServer& server) {
  carry_out(*server.at, server, server.at->pool.opened(server, now));
}

void PoolRig::finish_logins() {
  for (auto logins = in_state(ServerState::login); !logins.empty();
       logins = in_state(ServerState::login)) {
    finish_login(*logins.front());
  }
}

void PoolRig::fail_login(RigServer& server) {
  server.at->pool.login_failed(now);
  close(server, "login failed");
}

void PoolRig::finish_test(RigServer& server) {
  carry_out(*server.at, server, server.at->pool.tested(server, now));
}

void PoolRig::fail_test(RigServer& server) { close(server, "test failed"); }

void PoolRig::crash(RigServer& server) {
  if (server.client) server.client->server = nullptr;
  server.client = nullptr;
  close(server, "crashed");
}

void PoolRig::close(RigServer& server, const std::string& reason) {
  closed_.push_back(reason);
  RigShare& share = *server.at;
  share.pool.close(server, now);
  share.pool.close(server, now);  // once or twice, it is the same
  look_after(share);
  if (options_.prompt) finish_close(server);
}

void PoolRig::finish_close(RigServer& server) {
  RigShare& share = *server.at;
  SharedPool::Freed freed = share.pool.gone(server);
  std::erase_if(servers_, [&](auto& entry) { return entry.get() == &server; });
  tell(share.pool_index, freed);
  look_after(share);
}

std::vector<RigServer*> PoolRig::in_state(ServerState state) {
  std::vector<RigServer*> found;
  for (auto& server : servers_) {
    if (server->at && server->state() == state) found.push_back(server.get());
  }
  return found;
}

void PoolRig::open(RigShare& share, bool reserve) {
  auto& server = servers_.emplace_back(std::make_unique<RigServer>());
  server->number = ++opened_;
  server->pool = share.pool_index;
  server->at = &share;
  reserve_opened_ += reserve;
  share.pool.opening(*server, now);
}

// What the program does by asking other workers is done here in one step.
void PoolRig::evict(size_t for_pool, bool same_database) {
  RigServer* victim = nullptr;
  for (size_t other = 0; other < pools(); ++other) {
    bool concerned = same_database ? &database_permits(other) == &database_permits(for_pool)
                                   : &user_permits(other) == &user_permits(for_pool);
    if (other == for_pool || !concerned) continue;
    for (auto& share : shares_[other]) {
      auto* candidate = static_cast<RigServer*>(share->pool.evict(now));
      if (candidate && (!victim || candidate->since() < victim->since())) victim = candidate;
    }
  }
  if (victim) close(*victim, "evicted");
}

void PoolRig::lend(RigServer& server, Waiter& waiter) {
  auto& client = static_cast<RigClient&>(waiter);
  REQUIRE(server.state() == ServerState::active);
  REQUIRE(server.client == nullptr);
  REQUIRE(client.server == nullptr);
  REQUIRE(server.at == client.at);
  server.client = &client;
  client.server = &server;
  lent_.push_back(client.name);
}

void PoolRig::carry_out(RigShare& share, RigServer& server, const Grant& grant) {
  tell(share.pool_index, grant.look_again);
  switch (grant.to) {
    case Grant::To::idle:
      REQUIRE(server.state() == ServerState::idle);
      if (grant.wanted_elsewhere) pass_on_later(share);
      break;
    case Grant::To::waiter:
      lend(server, *grant.waiter);
      break;
    case Grant::To::worker:
      send(share, server, grant.worker);
      break;
    case Grant::To::close:
      REQUIRE(server.state() == ServerState::closing);
      close(server, grant.reason);
      break;
  }
  look_after(share);
}

void PoolRig::pass_on_later(RigShare& share) {
  post({.kind = Letter::Kind::turn_end, .to = share.worker, .pool = share.pool_index});
}

void PoolRig::send(RigShare& share, RigServer& server, WorkerId to) {
  server.at = nullptr;
  post({.kind = Letter::Kind::server, .to = to, .pool = share.pool_index, .server = &server});
}

void PoolRig::look_after(RigShare& share) {
  bool opened = false;
  for (int round = 0;; ++round) {
    REQUIRE(round < 10000);
    Wish wish = share.pool.wish(now);
    if (wish.want == Wish::Want::nothing) {
      if (wish.wanted_elsewhere) pass_on_later(share);
      break;
    }
    switch (wish.want) {
      case Wish::Want::nothing:
        break;
      case Wish::Want::lend:
        lend(static_cast<RigServer&>(*wish.server), *wish.waiter);
        break;
      case Wish::Want::test:
        REQUIRE(wish.server->state() == ServerState::tested);
        break;
      case Wish::Want::open:
        open(share, wish.reserve);
        opened = true;
        break;
      case Wish::Want::fetch:
        post({.kind = Letter::Kind::fetch,
              .to = wish.from,
              .pool = share.pool_index,
              .from = share.worker});
        break;
      case Wish::Want::evict_database:
        evict(share.pool_index, true);
        break;
      case Wish::Want::evict_user:
        evict(share.pool_index, false);
        break;
    }
  }
  if (!options_.prompt) return;
  deliver_all();
  if (opened) finish_logins();
}

// --- post

void PoolRig::post(Letter letter) { post_.push_back(letter); }

void PoolRig::tell(size_t pool, WorkerMask told) {
  for (WorkerId worker = 0; worker < workers(); ++worker) {
    if (told & mask_of(worker)) {
      post({.kind = Letter::Kind::look_again, .to = worker, .pool = pool});
    }
  }
}

void PoolRig::tell(size_t pool, const SharedPool::Freed& freed) {
  if (!freed.others) return tell(pool, freed.hungry);
  for (size_t other = 0; other < pools(); ++other) tell(other, ~WorkerMask{0});
}

void PoolRig::deliver(size_t index) {
  Letter letter = post_[index];
  post_.erase(post_.begin() + static_cast<long>(index));
  RigShare& at = share(letter.to, letter.pool);
  switch (letter.kind) {
    case Letter::Kind::server:
      letter.server->at = &at;
      carry_out(at, *letter.server, at.pool.arrived(*letter.server, letter.fetched, now));
      break;
    case Letter::Kind::fetch: {
      auto* server = static_cast<RigServer*>(at.pool.hand_over(now));
      if (server) server->at = nullptr;
      post({.kind = server ? Letter::Kind::server : Letter::Kind::none,
            .to = letter.from,
            .pool = letter.pool,
            .server = server,
            .fetched = true});
      if (!server) look_after(at);
      break;
    }
    case Letter::Kind::none:
      at.pool.fetch_failed();
      look_after(at);
      break;
    case Letter::Kind::look_again:
      look_after(at);
      break;
    case Letter::Kind::turn_end:
      while (auto passed = at.pool.pass_on(now)) {
        send(at, static_cast<RigServer&>(*passed->server), passed->worker);
      }
      break;
  }
}

void PoolRig::deliver_all() {
  for (int count = 0; !post_.empty(); ++count) {
    REQUIRE(count < 100000);
    deliver(0);
  }
}

// --- time and rules

void PoolRig::tend() {
  for (auto& shares : shares_) {
    for (auto& share : shares) {
      auto due = share->pool.deadline(now);
      if (!due || *due > now) continue;
      tend(*share, has_clients(*share));
      due = share->pool.deadline(now);
      bool settled = !due || *due > now;
      REQUIRE(settled);  // or the program would spin
    }
  }
}

void PoolRig::tend(RigShare& share, bool has_clients) {
  std::vector<Pool::Retired> retired;
  share.pool.retire(now, retired);
  for (auto& [server, reason] : retired) close(static_cast<RigServer&>(*server), reason);
  bool opened = false;
  while (share.pool.wants_minimum(has_clients, now)) {
    open(share, false);
    opened = true;
  }
  if (share.pool.wants_replacement(now)) {
    open(share, false);
    opened = true;
  }
  look_after(share);
  if (options_.prompt && opened) finish_logins();
}

void PoolRig::set_rules(const PoolRules& rules) {
  for (auto& shares : shares_) {
    for (auto& share : shares) {
      share->pool.set_rules(rules);
      tend(*share, has_clients(*share));
    }
  }
}

void PoolRig::pause(size_t pool, bool paused) {
  for (auto& share : shares_[pool]) {
    share->pool.set_paused(paused, now);
    tend(*share, has_clients(*share));
  }
}

void PoolRig::close_down() {
  for (auto& [name, client] : clients_) {
    if (client->waiting()) client->at->pool.withdraw(*client, now);
  }
  options_.prompt = true;
  deliver_all();
  while (!servers_.empty()) {
    RigServer& server = *servers_.back();
    REQUIRE(server.at);
    if (server.state() == ServerState::closing) {
      finish_close(server);
    } else {
      crash(server);
    }
  }
  deliver_all();
  for (size_t pool = 0; pool < pools(); ++pool) {
    CHECK(shared(pool).open() == 0);
    CHECK(shared(pool).opening() == 0);
    CHECK(shared(pool).staying() == 0);
    CHECK(shared(pool).hungry() == 0);
    CHECK(database_permits(pool).used() == 0);
    CHECK(user_permits(pool).used() == 0);
    for (WorkerId worker = 0; worker < workers(); ++worker) {
      CHECK(shared(pool).idle_of(worker) == 0);
    }
  }
}

}  // namespace headgate
