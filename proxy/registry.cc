#include "proxy/registry.h"

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

DatabaseState& Registry::database(const std::string& name) {
  const std::lock_guard lock(mutex_);
  return find_database(name);
}

UserState& Registry::user(const std::string& name) {
  const std::lock_guard lock(mutex_);
  return find_user(name);
}

DatabaseState& Registry::find_database(const std::string& name) {
  const auto [place, made] = databases_.try_emplace(name, name);
  if (made) apply_limits(place->second);
  return place->second;
}

UserState& Registry::find_user(const std::string& name) {
  const auto [place, made] = users_.try_emplace(name, name);
  if (made) apply_limits(place->second);
  return place->second;
}

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

PoolEntry& Registry::pool(const std::string& database, const std::string& user) {
  const std::lock_guard lock(mutex_);
  PoolEntry*& entry = by_name_[{database, user}];
  if (entry == nullptr) {
    pools_.push_back(std::make_unique<PoolEntry>(
        static_cast<uint32_t>(pools_.size()), find_database(database), find_user(user), workers_));
    entry = pools_.back().get();
  }
  return *entry;
}

std::vector<DatabaseState*> Registry::databases() {
  const std::lock_guard lock(mutex_);
  std::vector<DatabaseState*> all;
  for (auto& [name, state] : databases_) all.push_back(&state);
  return all;
}

std::vector<UserState*> Registry::users() {
  const std::lock_guard lock(mutex_);
  std::vector<UserState*> all;
  for (auto& [name, state] : users_) all.push_back(&state);
  return all;
}

std::vector<PoolEntry*> Registry::pools() {
  const std::lock_guard lock(mutex_);
  std::vector<PoolEntry*> all;
  for (const auto& entry : pools_) all.push_back(entry.get());
  return all;
}

}  // namespace headgate
