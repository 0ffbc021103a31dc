// The console is a database too, with a pool and a user, all named pgbouncer, and SHOW lists them
// with the others. They exist in no configuration and no worker, so they are made up here; a
// snapshot that brings rows of its own for them keeps those.
#pragma once

#include "admin/snapshot.h"

namespace headgate {

DatabaseRow console_database_row(const Snapshot& snapshot, const Settings& settings);
PoolRow console_pool_row(const Snapshot& snapshot);
UserRow console_user_row(const Settings& settings);

bool is_of_console(const DatabaseRow& row);
bool is_of_console(const PoolRow& row);
bool is_of_console(const UserRow& row);

/// The rows, and the console's own among them.
template <class Row>
std::vector<Row> with_console(std::vector<Row> rows, Row console_row) {
  for (const Row& row : rows) {
    if (is_of_console(row)) return rows;
  }
  rows.push_back(std::move(console_row));
  return rows;
}

}  // namespace headgate
