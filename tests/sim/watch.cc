#include "tests/sim/watch.h"

#include <algorithm>

namespace headgate::sim {

void Watch::after_event() {
  check_limits();
  check_forgotten();
  check_sessions();
  for (PoolEntry* entry : house_.pooler().registry().pools()) {
    check_waiting(*entry);
    check_fairness(*entry);
  }
}

void Watch::excuse_waiting(Duration time) {
  excused_until_ = std::max(excused_until_, world_.now() + time);
}

// --- exact limits

void Watch::check_limits() {
  Registry& registry = house_.pooler().registry();
  const auto check = [&](const char* what, const std::string& name, int used, int limit) {
    if (limit > 0 && used > limit)
      world_.violated("{} {} has {} servers of {}", what, name, used, limit);
  };
  for (PoolEntry* entry : registry.pools()) {
    check("pool of", entry->database.name, entry->shared.open(), limits_.pool);
  }
  for (DatabaseState* database : registry.databases()) {
    check("database", database->name, database->servers.used(), limits_.database);
  }
  for (UserState* user : registry.users()) {
    check("user", user->name, user->servers.used(), limits_.user);
  }
}

// --- what is not forgotten

// Nor what has been counted there. Who fails to log in is no use of a database.
void Watch::check_forgotten() {
  Registry& registry = house_.pooler().registry();
  for (const PoolEntry* pool : registry.pools()) {
    if (pool->clients.load() > 0) uses_[pool->database.name].last = world_.now();
  }
  for (const DatabaseState* database : registry.databases()) {
    Use& use = uses_[database->name];
    use.let_in |= database->registered.load();
    const bool kept = database->paused.load() || database->disabled.load();
    if (kept) use.last = world_.now();
  }
  const Config& config = house_.pooler().config();
  std::erase_if(uses_, [&](const auto& named) {
    const auto& [name, use] = named;
    if (registry.known_database(name)) return false;
    const Duration idle = world_.now() - use.last;
    const Duration timeout = config.settings.autodb_idle_timeout;
    const bool too_early = use.let_in && (timeout.count() == 0 || idle < timeout);
    if (too_early || config.databases.contains(name)) {
      world_.violated("database {} was forgotten, {} us after it was used", name, idle.count());
    }
    ++ledger_.forgotten[name];
    return true;
  });
}

// With several hosts there is one for the reads of each.
size_t Watch::pools_of(const PoolEntry& entry) {
  size_t count = 0;
  for (const PoolEntry* other : house_.pooler().registry().pools()) {
    count += &other->database == &entry.database && &other->user == &entry.user;
  }
  return count;
}

void Watch::count_sessions() {
  for (PoolEntry* entry : house_.pooler().registry().pools()) {
    const size_t there = cluster_.sessions(entry->database.name, entry->user.name);
    const size_t most = static_cast<size_t>(limits_.pool) * pools_of(*entry);
    if (limits_.pool > 0 && there > most) {
      world_.violated("PostgreSQL sees {} sessions of {}/{}, the limit is {}", there,
                      entry->database.name, entry->user.name, most);
    }
    const size_t in_database = cluster_.sessions(entry->database.name, "");
    if (limits_.database > 0 && in_database > static_cast<size_t>(limits_.database)) {
      world_.violated("PostgreSQL sees {} sessions of database {}, the limit is {}", in_database,
                      entry->database.name, limits_.database);
    }
    const size_t of_user = cluster_.sessions("", entry->user.name);
    if (limits_.user > 0 && of_user > static_cast<size_t>(limits_.user)) {
      world_.violated("PostgreSQL sees {} sessions of user {}, the limit is {}", of_user,
                      entry->user.name, limits_.user);
    }
  }
}

// --- what cannot go from client to client

// It never comes to rest in a pool, and pins nobody longer than it is there.
void Watch::check_sessions() {
  for (WorkerId id = 0; id < house_.workers(); ++id) {
    house_.pooler().worker(id).servers().for_each([&](Server& server) {
      const bool idle = server.task() == Server::Task::idle;
      const bool pinned = server.session().pins().any();
      if (!idle && !pinned) return;
      const Backend* backend = cluster_.find(server.process());
      if (!backend) return;
      const SessionModel& there = backend->model();
      constexpr std::pair<Pin, View> kinds[] = {
          {Pin::advisory_lock, "lock"}, {Pin::temporary, "temporary"}, {Pin::cursor, "cursor"},
          {Pin::prepared, "prepared"},  {Pin::listen, "listen"},       {Pin::load, "load"}};
      const bool settled = server.relay() && server.exchange().clean() &&
                           !server.session().asking() && !server.session().must_ask();
      for (const auto& [pin, kind] : kinds) {
        const bool holds = there.has_any(kind) || (pin == Pin::listen && backend->meets());
        if (idle && (holds || pinned)) {
          world_.violated("server {} is idle and has{}{}", server.process(), there.told(),
                          pinned ? ", pinned" : "");
        }
        if (settled && server.session().pins().has(pin) && !holds && pin != Pin::load) {
          world_.violated("server {} is pinned by a {} that is not there", server.process(), kind);
        }
      }
    });
  }
}

// --- nobody waits beside an idle server

// A server that is being checked for a client, or opened, is as good as lent, for a while.
void Watch::check_waiting(PoolEntry& entry) {
  size_t waiting = 0, idle = 0, coming = 0;
  std::string shares;  // for the report
  for (WorkerId id = 0; id < house_.workers(); ++id) {
    WorkerPool* pool = house_.pooler().worker(id).find_pool(entry.shared.id);
    if (!pool) continue;
    waiting += pool->share().waiters().size();
    const auto counts = pool->share().counts(world_.now());
    idle += counts.idle + counts.used;
    coming += counts.tested + counts.login;
    if (world_.recording) {
      shares +=
          fmt::format(" [{} waiting, {} idle, {} used, {} active, {} tested, {} login, {} closing]",
                      pool->share().waiters().size(), counts.idle, counts.used, counts.active,
                      counts.tested, counts.login, counts.closing);
    }
  }
  if (world_.recording && shares != idle_beside_waiter_[entry.shared.id].shares) {
    idle_beside_waiter_[entry.shared.id].shares = shares;
    world_.note("pool {}/{}:{} hungry {}", entry.database.name, entry.user.name, shares,
                entry.shared.hungry());
  }
  Idle& seen = idle_beside_waiter_[entry.shared.id];
  if (house_.pooler().paused(entry.database)) seen.paused_at = world_.now();
  const bool excused =
      world_.now() < excused_until_ ||
      (seen.paused_at != Instant{} && world_.now() - seen.paused_at <= after_pause);
  const auto check = [&](Instant& since, bool wrong, Duration longest) {
    if (!wrong || excused) {
      since = {};
    } else if (since == Instant{}) {
      since = world_.now();
    } else if (world_.now() - since > longest) {
      world_.violated("{} clients of {} wait beside {} idle servers for {} us{}", waiting,
                      entry.database.name, idle, (world_.now() - since).count(), shares);
    }
  };
  check(seen.in_vain_since, idle > 0 && waiting > coming, longest_idle_beside_waiter);
  check(seen.since, idle > 0 && waiting > 0, longest_check);
}

// --- first come, first served

Watch::Waits Watch::waits_of(PoolEntry& entry) {
  Waits waits;
  for (WorkerId id = 0; id < house_.workers(); ++id) {
    WorkerPool* pool = house_.pooler().worker(id).find_pool(entry.shared.id);
    if (!pool) continue;
    pool->share().waiters().for_each([&](const Waiter& waiter) {
      const auto* client = dynamic_cast<const Client*>(static_cast<const Borrower*>(&waiter));
      if (client) waits[client->id()] = {id, waiter.waiting_since()};
    });
  }
  return waits;
}

// By this pool: what it had waited for here may have been cancelled, and the next goes elsewhere.
bool Watch::is_active(const PoolEntry& entry, WorkerId worker, uint64_t id) {
  bool active = false;
  house_.pooler().worker(worker).clients().for_each([&](Client& client) {
    active |= client.id() == id && client.state() == ClientState::active;
  });
  house_.pooler().worker(worker).servers().for_each([&](Server& server) {
    const bool serves = server.relay() && server.relay()->client().id() == id;
    active &= !serves || &server.pool().entry() == &entry;
  });
  return active;
}

// Who has left the queue and has a server was served: were there others before him?
void Watch::check_fairness(PoolEntry& entry) {
  Waits now = waits_of(entry);
  Waits& before = waits_[entry.shared.id];
  for (auto& [id, wait] : now) {
    const auto known = before.find(id);
    if (known != before.end() && known->second.since == wait.since) {
      wait.overtaken = known->second.overtaken;
      wait.is_new = false;
    }
  }
  for (const auto& [id, wait] : before) {
    if (!now.contains(id) && is_active(entry, wait.worker, id)) served(entry, now, wait, id);
  }
  before = std::move(now);
}

void Watch::served(PoolEntry& entry, Waits& waits, const Wait& one, uint64_t id) {
  if (world_.now() < excused_until_) return;
  for (auto& [other, wait] : waits) {
    if (!wait.is_new && wait.worker == one.worker && wait.since < one.since) {
      world_.violated("client {} was served before client {} of the same worker, who waits longer",
                      id, other);
    }
    if (wait.since + Pool::fairness_bound + Pool::hunger_step >= one.since) continue;
    WorkerPool& pool = *house_.pooler().worker(wait.worker).find_pool(entry.shared.id);
    if (pool.share().counts(world_.now()).tested > 0) {  // one is being checked for it
      wait.overtaken = {};
      continue;
    }
    if (wait.overtaken == Instant{}) wait.overtaken = world_.now();
    if (world_.now() - wait.overtaken > longest_overtaking) {
      world_.violated("client {} waits for {} us and is still overtaken, now by client {}", other,
                      (world_.now() - wait.since).count(), id);
    }
  }
}

// --- nothing is left

void Watch::check_empty() {
  const auto none = [&](const char* what, auto count) {
    if (count != 0) world_.violated("{} {} left at the end", count, what);
  };
  Pooler& pooler = house_.pooler();
  for (WorkerId id = 0; id < house_.workers(); ++id) {
    Worker& worker = pooler.worker(id);
    none("clients", worker.clients().size());
    none("servers", worker.servers().size());
    none("cancel connections", worker.cancellers().size());
    none("requesters", worker.cancel_requesters().size());
    const size_t probes = id == 0 && cluster_.has_standbys() ? 2 * cluster_.size() : 0;
    none("streams", house_.outside(id).streams() - std::min(house_.outside(id).streams(), probes));
    none("clients counted", worker.load());
    worker.for_each_pool([&](WorkerPool& pool) {
      none("clients of a pool", pool.clients());
      none("waiters", pool.share().waiters().size());
    });
  }
  for (PoolEntry* entry : pooler.registry().pools()) {
    none("servers open", entry->shared.open());
    none("servers staying", entry->shared.staying());
    none("servers opening", entry->shared.opening());
    none("hungry workers", entry->shared.hungry());
  }
  for (DatabaseState* database : pooler.registry().databases()) {
    none("permits of a database", database->servers.used());
    none("clients of a database", database->clients.used());
  }
  for (UserState* user : pooler.registry().users()) none("permits of a user", user->servers.used());
  none("client permits", pooler.client_permits().used());
  none("sessions of PostgreSQL", cluster_.sessions("", ""));
}

}  // namespace headgate::sim
