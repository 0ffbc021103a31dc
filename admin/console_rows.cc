#include "admin/console_rows.h"

#include <algorithm>

#include "admin/commands.h"
#include "conf/values.h"

namespace headgate {

namespace {

int whole_seconds(Duration duration) {
  return static_cast<int>(
      std::min<int64_t>(std::chrono::duration_cast<seconds>(duration).count(), INT32_MAX));
}

uint32_t console_clients(const Snapshot& snapshot) {
  return static_cast<uint32_t>(
      std::ranges::count(snapshot.clients, console_database, &ConnectionRow::database));
}

}  // namespace

DatabaseRow console_database_row(const Snapshot& snapshot, const Settings& settings) {
  DatabaseRow row;
  row.name = row.dbname = row.force_user = console_database;
  row.port = settings.listen_port;
  row.pool_size = 2;  // PgBouncer's number; the console has no servers
  row.server_lifetime = whole_seconds(settings.server_lifetime);
  row.pool_mode = name_of(PoolMode::statement).data();
  row.max_connections = settings.max_db_connections;
  row.max_client_connections = settings.max_db_client_connections;
  row.current_client_connections = static_cast<int>(console_clients(snapshot));
  return row;
}

PoolRow console_pool_row(const Snapshot& snapshot) {
  PoolRow row;
  row.database = row.user = console_database;
  row.clients_active = console_clients(snapshot);
  row.mode = PoolMode::statement;
  return row;
}

UserRow console_user_row(const Settings& settings) {
  UserRow row;
  row.name = console_database;
  row.max_connections = settings.max_user_connections;
  row.max_client_connections = settings.max_user_client_connections;
  return row;
}

bool is_of_console(const DatabaseRow& row) { return row.name == console_database; }
bool is_of_console(const PoolRow& row) { return row.database == console_database; }
bool is_of_console(const UserRow& row) { return row.name == console_database; }

}  // namespace headgate
