// The randomized model: many workers and pools, every event in any order, messages delivered in any
// order. After every step the limits are exact and nothing is lost; whenever everything has come to
// rest, nobody waits who could be served. A failure names the seed that repeats it.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "tests/unit/pool/rig.h"

namespace headgate {
namespace {

class Model {
 public:
  explicit Model(uint64_t seed) : dice_(seed), rig_(options()) {
    rules_ = rig_.pool().rules();
    paused_.resize(rig_.pools());
    ceiling_.assign(rig_.pools(), limit_of(rules_));
  }

  void run(int steps) {
    for (int step = 0; step < steps; ++step) {
      do_something();
      check_always();
      if (roll(60) == 0) {
        come_to_rest();
        check_at_rest();
        rig_.set_rules(rules_);
      }
    }
    come_to_rest();
    check_at_rest();
    rig_.close_down();
  }

 private:
  uint64_t roll(uint64_t sides) { return dice_() % sides; }
  bool chance(int percent) { return roll(100) < static_cast<uint64_t>(percent); }

  PoolRules random_rules() {
    PoolRules rules;
    rules.pool_size = static_cast<int>(chance(10) ? 0 : 1 + roll(6));
    rules.min_pool_size = static_cast<int>(chance(50) ? 0 : roll(4));
    rules.reserve_pool_size = static_cast<int>(chance(50) ? 0 : roll(3));
    rules.reserve_pool_timeout = milliseconds(200);
    rules.server_lifetime = chance(10) ? Duration{} : Duration(seconds(1 + roll(20)));
    rules.server_idle_timeout = chance(30) ? Duration{} : Duration(seconds(1 + roll(5)));
    rules.server_login_retry = milliseconds(500);
    rules.server_check_delay = milliseconds(300);
    if (chance(30)) rules.server_check_delay.reset();
    if (chance(10)) rules.server_check_delay = Duration{};
    rules.round_robin = chance(30);
    rules.forced_user = chance(30);
    return rules;
  }

  PoolRig::Options options() {
    return {.workers = 1 + roll(4),
            .pools = 1 + roll(4),
            .rules = random_rules(),
            .database_limit = static_cast<int>(chance(40) ? 1 + roll(8) : 0),
            .user_limit = static_cast<int>(chance(40) ? 1 + roll(8) : 0),
            .prompt = false};
  }

  static int limit_of(const PoolRules& rules) {
    return rules.pool_size == 0 ? 0 : rules.pool_size + rules.reserve_pool_size;
  }

  template <class T>
  T* any_of(const std::vector<T*>& all) {
    return all.empty() ? nullptr : all[roll(all.size())];
  }

  RigClient* any_client(bool (*wanted)(RigClient&)) {
    std::vector<RigClient*> found;
    for (auto& [name, client] : rig_.clients()) {
      if (wanted(*client)) found.push_back(client.get());
    }
    return any_of(found);
  }
  RigClient* any_served() {
    return any_client([](RigClient& client) { return client.server != nullptr; });
  }

  void do_something() {
    rig_.now += microseconds(roll(2000));
    switch (roll(20)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return ask();
      case 4:
      case 5:
      case 6:
        return finish_exchange();
      case 7:
      case 8:
      case 9:
      case 10:
        if (rig_.letters() > 0) rig_.deliver(roll(rig_.letters()));
        return;
      case 11:
      case 12:
        return something_with_login();
      case 13:
        return something_with_test();
      case 14:
        if (auto* server = any_of(rig_.in_state(ServerState::closing))) rig_.finish_close(*server);
        return;
      case 15:
        if (auto* client = any_client([](RigClient& c) { return c.waiting(); })) {
          rig_.withdraw(client->name);
        }
        return;
      case 16:
        return crash();
      case 17:
        rig_.advance(milliseconds(roll(chance(10) ? 3000 : 100)));
        return rig_.tend();
      case 18:
        return rig_.tend();
      default:
        return rare();
    }
  }

  void ask() {
    auto* client = any_client([](RigClient& c) { return !c.waiting() && c.server == nullptr; });
    if (client && chance(70)) {
      rig_.ask(client->name);
    } else if (rig_.clients().size() < 40) {
      rig_.ask("c" + std::to_string(rig_.clients().size()),
               static_cast<WorkerId>(roll(rig_.workers())), roll(rig_.pools()));
    }
  }

  void finish_exchange() {
    auto* client = any_served();
    if (!client) return;
    uint64_t way = roll(20);
    if (way < 16) return rig_.give_back(client->name);
    if (way < 19) return rig_.give_back_dirty(client->name);
    rig_.server_dies_at_once(client->name, rig_.now - milliseconds(roll(20)));
  }

  void something_with_login() {
    auto* server = any_of(rig_.in_state(ServerState::login));
    if (!server) return;
    if (chance(90)) return rig_.finish_login(*server);
    rig_.fail_login(*server);
  }

  void something_with_test() {
    auto* server = any_of(rig_.in_state(ServerState::tested));
    if (!server) return;
    if (chance(80)) return rig_.finish_test(*server);
    rig_.fail_test(*server);
  }

  void crash() {
    std::vector<RigServer*> candidates;
    for (auto& server : rig_.servers()) {
      if (server->at && server->state() != ServerState::closing) candidates.push_back(server.get());
    }
    if (auto* server = any_of(candidates); server && chance(30)) rig_.crash(*server);
  }

  void rare() {
    size_t pool = roll(rig_.pools());
    switch (roll(8)) {
      case 0:
        paused_[pool] = !paused_[pool];
        return rig_.pause(pool, paused_[pool]);
      case 1:
        rules_ = random_rules();
        for (size_t p = 0; p < rig_.pools(); ++p) {
          // What is open may stay until it is given back, but the excess must not grow.
          int limit = limit_of(rules_);
          ceiling_[p] = limit == 0 ? 0 : std::max(limit, rig_.shared(p).open());
        }
        return rig_.set_rules(rules_);
      case 2:
        for (auto& server : rig_.servers()) {
          if (server->pool == pool) server->set_close_needed();
        }
        for (WorkerId worker = 0; worker < rig_.workers(); ++worker) {
          auto& share = rig_.share(worker, pool);
          rig_.tend(share, rig_.has_clients(share));
        }
        return;
      default:
        return;
    }
  }

  // --- what must hold at every moment

  void check_always() {
    std::vector<int> open(rig_.pools());
    std::vector<int> staying(rig_.pools());
    for (auto& server : rig_.servers()) {
      ++open[server->pool];
      staying[server->pool] += server->state() != ServerState::closing;
      if (server->client) REQUIRE(server->client->server == server.get());
      REQUIRE((server->client != nullptr) == (server->state() == ServerState::active));
    }
    std::map<Permits*, int> used;
    for (size_t pool = 0; pool < rig_.pools(); ++pool) {
      REQUIRE(rig_.shared(pool).open() == open[pool]);
      REQUIRE(rig_.shared(pool).staying() == staying[pool]);
      REQUIRE(rig_.shared(pool).opening() <= SharedPool::max_opening);
      if (ceiling_[pool] > 0) REQUIRE(open[pool] <= ceiling_[pool]);
      used[&rig_.database_permits(pool)] += open[pool];
      used[&rig_.user_permits(pool)] += open[pool];
    }
    for (auto [permits, count] : used) {
      REQUIRE(permits->used() == count);
      if (permits->limit() > 0) REQUIRE(count <= permits->limit());
    }
  }

  // --- what must hold when everything has come to rest

  // Everything that others do gets done, and time passes while it helps, until nothing moves. Not
  // even age may move anything: a pool that renews its servers never rests.
  void come_to_rest() {
    PoolRules calm = rules_;
    calm.server_lifetime = seconds(1000000);
    calm.server_idle_timeout = Duration{};
    rig_.set_rules(calm);
    int quiet = 0;
    for (int round = 0; quiet < 3; ++round) {
      REQUIRE(round < 20000);
      quiet = finish_one_thing() ? 0 : quiet + 1;
      if (quiet == 0) continue;
      rig_.advance(std::max(Pool::eviction_time, rules_.server_login_retry));
      rig_.tend();
    }
  }

  bool finish_one_thing() {
    if (rig_.letters() > 0) {
      rig_.deliver(roll(rig_.letters()));
    } else if (auto* login = any_of(rig_.in_state(ServerState::login))) {
      rig_.finish_login(*login);
    } else if (auto* test = any_of(rig_.in_state(ServerState::tested))) {
      rig_.finish_test(*test);
    } else if (auto* closing = any_of(rig_.in_state(ServerState::closing))) {
      rig_.finish_close(*closing);
    } else {
      return false;
    }
    check_always();
    return true;
  }

  void check_at_rest() {
    for (size_t pool = 0; pool < rig_.pools(); ++pool) {
      size_t waiting = 0;
      int idle = 0;
      for (WorkerId worker = 0; worker < rig_.workers(); ++worker) {
        waiting += rig_.pool(worker, pool).waiters().size();
        auto counts = rig_.pool(worker, pool).counts(rig_.now);
        idle += static_cast<int>(counts.idle + counts.used);
        REQUIRE(rig_.shared(pool).idle_of(worker) == counts.idle + counts.used);
      }
      if (paused_[pool]) {
        REQUIRE(idle == 0);
      } else if (waiting > 0) {
        REQUIRE(idle == 0);
        check_no_room(pool);
      } else {
        REQUIRE(rig_.shared(pool).hungry() == 0);
      }
    }
  }

  // Somebody waits: then some limit must be exhausted, and nobody else's idle server be in the way.
  void check_no_room(size_t pool) {
    bool pool_full = rules_.pool_size > 0 && rig_.shared(pool).open() >= rules_.pool_size;
    if (pool_full) return;
    auto full = [](Permits& permits) {
      return permits.limit() > 0 && permits.used() >= permits.limit();
    };
    Permits& database = rig_.database_permits(pool);
    Permits& user = rig_.user_permits(pool);
    bool somewhere = full(database) || full(user);
    REQUIRE(somewhere);
    Permits& wall = full(database) ? database : user;
    for (size_t other = 0; other < rig_.pools(); ++other) {
      bool concerned = &rig_.database_permits(other) == &wall || &rig_.user_permits(other) == &wall;
      if (other == pool || !concerned) continue;
      for (WorkerId worker = 0; worker < rig_.workers(); ++worker) {
        REQUIRE(rig_.pool(worker, other).counts(rig_.now).idle == 0);
      }
    }
  }

  std::mt19937_64 dice_;
  PoolRig rig_;
  PoolRules rules_;
  std::vector<bool> paused_;
  std::vector<int> ceiling_;
};

TEST_CASE("pool: whatever happens in whatever order, limits are exact and nobody waits in vain") {
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    CAPTURE(seed);
    Model model(seed);
    model.run(400);
  }
}

}  // namespace
}  // namespace headgate
