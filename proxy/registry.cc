#include "proxy/registry.h"

#include <algorithm>

#include "proxy/log.h"

namespace headgate {

WelcomePtr PoolEntry::welcome() const {
  const std::lock_guard lock(mutex_);
  return welcome_;
}

void PoolEntry::set_welcome(WelcomePtr welcome) {
  const std::lock_guard lock(mutex_);
  welcome_ = std::move(welcome);
}

std::optional<ScramKeys> PoolEntry::keys() const {
  const std::lock_guard lock(mutex_);
  return keys_;
}

void PoolEntry::set_keys(const ScramKeys& keys) {
  const std::lock_guard lock(mutex_);
  keys_ = keys;
}

std::optional<Secret> PoolEntry::secret() const {
  const std::lock_guard lock(mutex_);
  return secret_;
}

void PoolEntry::set_secret(const Secret& secret) {
  const std::lock_guard lock(mutex_);
  secret_ = secret;
}

std::optional<Error> PoolEntry::last_failure() const {
  const std::lock_guard lock(mutex_);
  return last_failure_;
}

void PoolEntry::set_last_failure(std::optional<Error> error) {
  const std::lock_guard lock(mutex_);
  last_failure_ = std::move(error);
}

void PoolEntry::keep(WorkerId worker, const PoolMeters& meters) {
  const std::lock_guard lock(mutex_);
  kept_[worker] += meters;
}

PoolMeters PoolEntry::kept(WorkerId worker) const {
  const std::lock_guard lock(mutex_);
  const auto found = kept_.find(worker);
  return found == kept_.end() ? PoolMeters{} : found->second;
}

void DatabaseState::keep(WorkerId worker, const PoolStats& stats) {
  const std::lock_guard lock(mutex_);
  kept_[worker] += stats;
}

PoolStats DatabaseState::kept(WorkerId worker) const {
  const std::lock_guard lock(mutex_);
  const auto found = kept_.find(worker);
  return found == kept_.end() ? PoolStats{} : found->second;
}

// --- entries by name

Hold<DatabaseState> Registry::database(const std::string& name) {
  const std::lock_guard lock(mutex_);
  return Hold(find_database(name));
}

Hold<UserState> Registry::user(const std::string& name) {
  const std::lock_guard lock(mutex_);
  return Hold(find_user(name));
}

Hold<DatabaseState> Registry::known_database(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto found = databases_.find(name);
  return found == databases_.end() ? Hold<DatabaseState>() : Hold(found->second);
}

DatabaseState& Registry::find_database(const std::string& name) {
  if (const auto found = databases_.find(name); found != databases_.end()) return found->second;
  forget_strangers();
  DatabaseState& made = databases_.try_emplace(name, name).first->second;
  apply_limits(made);
  return made;
}

UserState& Registry::find_user(const std::string& name) {
  const auto [place, made] = users_.try_emplace(name, name);
  if (made) apply_limits(place->second);
  return place->second;
}

Hold<PoolEntry> Registry::pool(const std::string& database, const std::string& user) {
  const std::lock_guard lock(mutex_);
  return find_pool({database, user, {}}, {});
}

Hold<PoolEntry> Registry::reader(const Hold<PoolEntry>& home, const std::string& host) {
  const std::lock_guard lock(mutex_);
  return find_pool({home->database.name, home->user.name, host}, home);
}

Hold<PoolEntry> Registry::find_pool(Names names, const Hold<PoolEntry>& home) {
  const auto& [database, user, host] = names;
  PoolEntry*& entry = by_name_[names];
  if (entry == nullptr) {
    const uint32_t id = next_pool_++;
    auto made = std::make_unique<PoolEntry>(id, Hold(find_database(database)),
                                            Hold(find_user(user)), workers_, host, home);
    entry = pools_.emplace(id, std::move(made)).first->second.get();
  }
  return Hold(*entry);
}

Hold<PoolEntry> Registry::pool(uint32_t id) {
  const std::lock_guard lock(mutex_);
  const auto found = pools_.find(id);
  return found == pools_.end() ? Hold<PoolEntry>() : Hold(*found->second);
}

bool Registry::made_from_fallback(const DatabaseState& database) const {
  return !config_->databases.contains(database.name);
}

void Registry::remember(DatabaseState& database) {
  // Either tidy() is told of the visit, however short it is, or this is told that it is given up.
  const std::lock_guard lock(mutex_);
  database.idle_since_.reset();
  if (database.registered.exchange(true)) return;
  if (made_from_fallback(database)) {
    log(LogLevel::log, "registered new auto-database: {}", field("database", database.name));
  }
}

void Registry::drop(DatabaseState& database) {
  const std::lock_guard lock(mutex_);
  forget_visits(database);
}

void Registry::forget_visits(DatabaseState& database) const {
  log(LogLevel::warning,
      "dropping database '{}' as it does not exist anymore or inactive auto-database",
      field("database", database.name));
  database.idle_since_.reset();
  database.registered.store(false);
}

// --- limits

void Registry::set_limits(ConfigPtr config) {
  const std::lock_guard lock(mutex_);
  config_ = std::move(config);
  for (auto& [name, database] : databases_) apply_limits(database);
  for (auto& [name, user] : users_) apply_limits(user);
}

void Registry::apply_limits(DatabaseState& database) const {
  const Settings& settings = config_->settings;
  const auto entry = config_->find_database(database.name).value_or(DatabaseEntry{});
  database.servers.set_limit(entry.max_db_connections.value_or(settings.max_db_connections));
  database.clients.set_limit(
      entry.max_db_client_connections.value_or(settings.max_db_client_connections));
}

void Registry::apply_limits(UserState& user) const {
  const Settings& settings = config_->settings;
  const auto found = config_->users.find(user.name);
  const UserEntry entry = found == config_->users.end() ? UserEntry{} : found->second;
  user.servers.set_limit(entry.max_user_connections.value_or(settings.max_user_connections));
  user.clients.set_limit(
      entry.max_user_client_connections.value_or(settings.max_user_client_connections));
}

// --- forgetting

// Names that clients have asked for and not been let in to. Looked for whenever there are twice as
// many entries as the last time.
void Registry::forget_strangers() {
  if (databases_.size() < strangers_at_most_) return;
  std::erase_if(databases_, [this](const auto& named) {
    return !named.second.held() && given_up(named.second);
  });
  strangers_at_most_ = std::max(most_idle, 2 * databases_.size());
}

bool Registry::crowded() {
  const std::lock_guard lock(mutex_);
  if (databases_.size() < config_->databases.size() + 2 * most_idle) return false;
  return !std::exchange(crowded_told_, true);
}

std::vector<uint32_t> Registry::tidy(Instant now) {
  const std::lock_guard lock(mutex_);
  crowded_told_ = false;
  forget_unheld();
  give_up_idle_databases(now);
  std::vector<uint32_t> idle;
  for (const auto& [id, pool] : pools_) {
    if (overdue(*pool, now) || given_up(pool->database)) idle.push_back(id);
  }
  return idle;
}

// Made from `*`, and nobody is or was to be remembered there.
bool Registry::given_up(const DatabaseState& database) const {
  const bool switched = database.paused.load() || database.disabled.load();
  return !switched && !database.registered.load() && made_from_fallback(database);
}

// Pools that no worker has any more, and databases and users that have no pool and no client.
void Registry::forget_unheld() {
  for (auto place = pools_.begin(); place != pools_.end();) {
    const PoolEntry& pool = *place->second;
    if (pool.held() || pool.shared.open() > 0) {
      ++place;
      continue;
    }
    by_name_.erase({pool.database.name, pool.user.name, pool.host});
    place = pools_.erase(place);
  }
  std::erase_if(databases_, [this](const auto& named) {
    return !named.second.held() && given_up(named.second);
  });
  std::erase_if(users_, [this](const auto& named) {
    return !named.second.held() && !config_->users.contains(named.first) &&
           !config_->user_list.find(named.first);
  });
}

// Databases made from `*` whose time is up: unused for autodb_idle_timeout, or the first to be left
// of too many. Who comes there again makes them anew.
void Registry::give_up_idle_databases(Instant now) {
  std::vector<DatabaseState*> idle;
  for (auto& [name, database] : databases_) {
    if (!database.registered.load() || !made_from_fallback(database)) continue;
    const bool used = database.clients.used() > 0 || database.servers.used() > 0;
    if (used || database.paused.load() || database.disabled.load()) {
      database.idle_since_.reset();
    } else {
      if (!database.idle_since_) database.idle_since_ = now;
      idle.push_back(&database);
    }
  }
  std::ranges::sort(idle, {}, [](const DatabaseState* one) { return *one->idle_since_; });
  const size_t too_many = idle.size() > most_idle ? idle.size() - most_idle : 0;
  const Duration timeout = config_->settings.autodb_idle_timeout;
  for (size_t i = 0; i < idle.size(); ++i) {
    const bool over = timeout.count() > 0 && *idle[i]->idle_since_ + timeout <= now;
    if (!over && i >= too_many) continue;
    forget_visits(*idle[i]);
  }
}

bool Registry::overdue(PoolEntry& pool, Instant now) const {
  if (pool.clients.load() > 0 || pool.shared.open() > 0) {
    pool.idle_since_.reset();
    return false;
  }
  if (!pool.idle_since_) pool.idle_since_ = now;
  const Duration timeout = config_->settings.pool_idle_timeout;
  return timeout.count() > 0 && *pool.idle_since_ + timeout <= now;
}

// --- all of them

std::vector<Hold<DatabaseState>> Registry::databases() {
  const std::lock_guard lock(mutex_);
  std::vector<Hold<DatabaseState>> all;
  for (auto& [name, state] : databases_) all.emplace_back(state);
  return all;
}

std::vector<Hold<UserState>> Registry::users() {
  const std::lock_guard lock(mutex_);
  std::vector<Hold<UserState>> all;
  for (auto& [name, state] : users_) all.emplace_back(state);
  return all;
}

std::vector<Hold<PoolEntry>> Registry::pools() {
  const std::lock_guard lock(mutex_);
  std::vector<Hold<PoolEntry>> all;
  for (const auto& [id, entry] : pools_) all.emplace_back(*entry);
  return all;
}

}  // namespace headgate
