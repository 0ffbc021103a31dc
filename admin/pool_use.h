// What the servers of a pool are busy with, and all else that decides how long its clients wait:
// copies for whoever explains it (explain_wait.h) or shows it. Each worker knows its own share; the
// parts add up.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "conf/settings.h"
#include "protocol/session_marks.h"

namespace headgate {

/// What a client does with the server that it holds.
enum class Holding : uint8_t { running, idle_in_transaction, between_transactions };
/// "running", "idle in transaction", "idle".
View name_of(Holding holding);

/// A client that holds a server.
struct HolderRow {
  std::string database, user;    // user: as the client logged in
  std::string client;            // where it comes from: 10.0.0.7:5123, unix(4711):6432
  std::string application_name;  // what it calls itself
  std::string address;           // of the client, "unix" for unix sockets
  int port = 0;
  uint32_t process = 0;  // of its server
  std::string server_address;
  int server_port = 0;
  int64_t held_us = 0;
  std::optional<int64_t> transaction_us;  // the age of the open one
  Holding holding = Holding::running;
  uint64_t id = 0;      // of the client, for KILL_CLIENT
  std::string kept_by;  // what keeps the server with it beyond its transaction; empty: nothing
};

/// What a holder does with its server, and what keeps it there: "idle; pinned: advisory lock".
std::string what_it_does(const HolderRow& holder);

/// The servers of a pool by what they are busy with.
struct PoolUse {
  uint32_t running = 0, idle_in_transaction = 0;  // for clients
  uint32_t between_transactions = 0;              // kept by their clients
  uint32_t own = 0;      // for Headgate: they listen for clients, or look up secrets
  uint32_t unready = 0;  // being cleaned, checked or closed
  uint32_t idle = 0, opening = 0;
  uint32_t waiting = 0;    // clients in the queue
  Pins pins;               // why some are kept
  int64_t opening_us = 0;  // the oldest of those being opened
  std::optional<HolderRow> longest;

  uint32_t lent() const { return running + idle_in_transaction + between_transactions; }
  uint32_t counted() const { return lent() + own + unready + idle + opening; }
};

/// Adds another worker's part.
void add(PoolUse& into, const PoolUse& part);

/// A pool, as it stands for those who wait for its servers. The limits are the same on every
/// worker; 0: there is none.
struct PoolNeed {
  std::string database, user, host;  // host: the standby that it is for; empty for a home pool
  PoolUse use;
  PoolMode mode = PoolMode::session;
  int open = 0, pool_size = 0, reserve = 0;
  int database_open = 0, database_limit = 0;  // max_db_connections
  int user_open = 0, user_limit = 0;          // max_user_connections
  bool paused = false;
  std::string missing_role;  // no host is known to have it; empty: there is one, or none is asked
  std::string failure;       // of the last log-in, while they fail; empty: they do not
  int64_t retry_us = 0;      // until the next attempt
};

}  // namespace headgate
