// Why a client waits, or was told that it has waited too long: the DETAIL and the HINT of the
// error, and the reason in SHOW WAITS. Says what there is to know of the client's own pool and of
// nobody else's, no SQL and no secrets, within a few hundred bytes.
#pragma once

#include <string>

#include "admin/pool_use.h"
#include "base/bytes.h"
#include "base/error.h"
#include "base/time.h"

namespace headgate {

/// What stands between a client and a server.
enum class Obstacle : uint8_t {
  paused,         // PAUSE
  no_host,        // none has the role that is wanted
  refused,        // log-ins to the server fail, and none is open
  opening,        // one is on its way
  pool_full,      // pool_size, and the reserve
  database_full,  // max_db_connections
  user_full,      // max_user_connections
  its_turn,       // nothing: others come first, for a moment
};
Obstacle obstacle_of(const PoolNeed& pool);
/// A word or two for it: "pool_size", "paused".
View name_of(Obstacle obstacle);

/// In words: "All 20 of 20 servers of pool app/web are in use: 14 idle in transaction, 6 running".
std::string describe(const PoolNeed& pool);

struct Explanation {
  std::string detail, hint;
};
/// For a client of this name that has waited for so long. What another user's client calls itself,
/// and where it comes from, is not told.
Explanation explain_wait(const PoolNeed& pool, View user, Duration waited);
/// For a client that waits until somebody listens for it.
std::string describe_listener_wait(const PoolNeed& pool);
Explanation explain_listener_wait(const PoolNeed& pool, Duration waited);
/// For a client that does not wait because log-ins to the server have been failing.
Explanation explain_failing(const PoolNeed& pool);

/// For a client that has come while as many as may be are there already.
Explanation explain_full(ErrorCode limit, View name, int most);
/// For a client that was too slow itself: idle_transaction_timeout and its like.
Explanation explain_overdue(ErrorCode timeout, Duration took, Duration limit);

/// Gives the error what it lacks.
void explain(Error& error, Explanation explanation);

}  // namespace headgate
