// What the process knows of databases and users, as rows for an operator.
#include "admin/snapshot.h"
#include "proxy/pool_settings.h"
#include "proxy/registry.h"

namespace headgate {

namespace {

const char* mode_name(PoolMode mode) {
  switch (mode) {
    case PoolMode::session:
      return "session";
    case PoolMode::transaction:
      return "transaction";
    case PoolMode::statement:
      return "statement";
  }
  return "";
}

DatabaseRow describe(const DatabaseEntry& entry, const Settings& settings) {
  DatabaseRow row;
  row.name = entry.name;
  row.host = entry.host;
  row.port = entry.port;
  row.dbname = entry.dbname;
  row.force_user = entry.user.value_or("");
  row.pool_size = entry.pool_size.value_or(settings.default_pool_size);
  row.min_pool_size = entry.min_pool_size.value_or(settings.min_pool_size);
  row.reserve_pool_size = entry.reserve_pool_size.value_or(settings.reserve_pool_size);
  const Duration lifetime = entry.server_lifetime.value_or(settings.server_lifetime);
  row.server_lifetime = static_cast<int>(std::chrono::duration_cast<seconds>(lifetime).count());
  if (entry.pool_mode) row.pool_mode = mode_name(*entry.pool_mode);
  row.load_balance_hosts = shown_balance(entry);
  return row;
}

}  // namespace

void Registry::describe(const Config& config, Snapshot& snapshot) {
  std::map<std::string, DatabaseEntry> entries(config.databases.begin(), config.databases.end());
  for (const DatabaseState* state : databases()) {
    // Those made from `*` are shown while they are used.
    const bool idle = state->clients.used() == 0 && state->servers.used() == 0;
    if (idle && !state->paused.load() && !state->disabled.load()) continue;
    const auto entry = config.find_database(state->name);
    if (entry) entries.emplace(state->name, *entry);
  }
  for (const auto& [name, entry] : entries) {
    DatabaseRow row = headgate::describe(entry, config.settings);
    const auto state = database(name);
    row.max_connections = state->servers.limit();
    row.current_connections = state->servers.used();
    row.max_client_connections = state->clients.limit();
    row.current_client_connections = state->clients.used();
    row.paused = state->paused.load();
    row.disabled = state->disabled.load();
    snapshot.databases.push_back(std::move(row));
    if (entry.user) user(*entry.user);
  }

  for (const PoolEntry* pool : pools()) {
    const auto& audits = pool->audits;
    if (audits.looks() == 0) continue;
    AuditRow row;
    row.database = pool->database.name;
    row.user = pool->user.name;
    row.looks = audits.looks();
    row.differences = audits.differences();
    if (const auto last = audits.last()) {
      row.wall_us = last->wall_us;
      row.difference = to_text(last->difference);
      row.texts = last->texts;
    }
    snapshot.audits.push_back(std::move(row));
  }

  for (const auto& [name, secret] : config.user_list.all()) user(name);
  for (const auto& [name, entry] : config.users) user(name);
  for (const UserState* state : users()) {
    if (state->name.empty()) continue;  // those whom no file names
    UserRow row;
    row.name = state->name;
    if (const auto entry = config.users.find(state->name); entry != config.users.end()) {
      row.pool_size = entry->second.pool_size.value_or(-1);
      row.reserve_pool_size = entry->second.reserve_pool_size.value_or(-1);
      if (entry->second.pool_mode) row.pool_mode = mode_name(*entry->second.pool_mode);
    }
    row.max_connections = state->servers.limit();
    row.current_connections = state->servers.used();
    row.max_client_connections = state->clients.limit();
    row.current_client_connections = state->clients.used();
    snapshot.users.push_back(std::move(row));
  }
  snapshot.memory.push_back(MemoryRow::of("user_cache", sizeof(UserState), users().size()));
  snapshot.memory.push_back(MemoryRow::of("db_cache", sizeof(DatabaseState), databases().size()));
  snapshot.memory.push_back(MemoryRow::of("peer_cache", sizeof(PeerEntry), config.peers.size()));
}

}  // namespace headgate
