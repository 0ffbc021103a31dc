#include "admin/explain_wait.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "conf/values.h"

namespace headgate {

namespace {

constexpr size_t longest_name = 63;
constexpr size_t longest_failure = 200;

// Cut between characters, if it is UTF-8.
std::string cut(View text, size_t size) {
  if (text.size() <= size) return printable(text);
  const auto continues = [&](size_t at) { return (text[at] & 0xC0) == 0x80; };
  for (size_t i = 0; i < 3 && size > 0 && continues(size); ++i) --size;
  return printable(text.substr(0, size)) + "...";
}

std::string shown(View name) { return cut(name, longest_name); }

// Of other clients, whose encoding may be another.
std::string foreign(View text) {
  std::string name = shown(text);
  std::ranges::replace_if(
      name, [](char c) { return (c & 0x80) != 0; }, '?');
  return name;
}

// "0.4 s", "31 s".
std::string lasting(int64_t us) {
  constexpr int64_t second = 1'000'000, exactly_until = 10 * second;
  if (us < exactly_until) return fmt::format("{:.1f} s", static_cast<double>(us) / second);
  return fmt::format("{} s", us / second);
}
std::string lasting(Duration span) { return lasting(span.count()); }

std::string counted(uint64_t count, View one, View many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

std::string name_of(const PoolNeed& pool) {
  std::string name = shown(pool.database) + "/" + shown(pool.user);
  if (!pool.host.empty()) name += " at replica " + shown(pool.host);
  return name;
}

// "14 idle in transaction, 6 running"
std::string busy_with(const PoolNeed& pool) {
  const PoolUse& use = pool.use;
  const std::string kept = pool.mode == PoolMode::session ? "idle in their clients' sessions"
                           : use.pins.any()
                               ? "kept between transactions (" + name_of(use.pins) + ")"
                               : "kept between transactions";
  struct Part {
    uint32_t count;
    std::string what;
  };
  const uint32_t rest = pool.open > 0 && static_cast<uint32_t>(pool.open) > use.counted()
                            ? static_cast<uint32_t>(pool.open) - use.counted()
                            : 0;
  std::vector<Part> parts = {{use.idle_in_transaction, "idle in transaction"},
                             {use.running, "running"},
                             {use.between_transactions, kept},
                             {use.own, "working for Headgate itself"},
                             {use.opening, "being opened"},
                             {use.unready, "being cleaned or closed"},
                             {use.idle, "idle"},
                             {rest, "changing hands"}};
  std::erase_if(parts, [](const Part& part) { return part.count == 0; });
  std::ranges::stable_sort(parts, std::greater(), &Part::count);
  std::string text;
  for (const Part& part : parts) {
    fmt::format_to(std::back_inserter(text), "{}{} {}", text.empty() ? "" : ", ", part.count,
                   part.what);
  }
  return text;
}

// "All 20 of 20 servers"
std::string so_many(int open, int limit) {
  if (limit == 0) return counted(static_cast<uint64_t>(open), "server", "servers");
  return fmt::format("{}{} of {} {}", open >= limit ? "All " : "", open, limit,
                     limit == 1 ? "server" : "servers");
}

int most_of(const PoolNeed& pool) {
  if (pool.pool_size == 0) return 0;
  return pool.open > pool.pool_size ? pool.pool_size + pool.reserve : pool.pool_size;
}

std::string with_use(std::string text, const PoolNeed& pool) {
  const std::string use = busy_with(pool);
  return use.empty() ? text : text + ": " + use;
}

// Of a limit that several pools have in common.
std::string shared_limit(const PoolNeed& pool, View of, int open, int limit, View setting) {
  return with_use(fmt::format("{} of {} are in use ({}), {} of them in pool {}",
                              so_many(open, limit), of, setting, pool.open, name_of(pool)),
                  pool);
}

std::string who_holds_longest(const PoolNeed& pool, View user) {
  if (!pool.use.longest) return {};
  const HolderRow& holder = *pool.use.longest;
  std::string who = "another user's client";
  if (holder.user == user) {
    who = holder.application_name.empty()
              ? "client " + foreign(holder.client)
              : fmt::format("application {} ({})", foreign(holder.application_name),
                            foreign(holder.client));
  }
  return fmt::format("; the longest for {} by {}, pid {}", lasting(holder.held_us), who,
                     holder.process);
}

constexpr View show_holders = "SHOW HOLDERS on the admin console names";

// What to do about those who hold servers.
std::string hint_about_use(const PoolNeed& pool) {
  const PoolUse& use = pool.use;
  const uint32_t most =
      std::max({use.idle_in_transaction, use.running, use.between_transactions, 1U});
  if (use.between_transactions == most) {
    if (pool.mode == PoolMode::session) {
      return "In pool_mode = session a client has its server until it disconnects: let clients "
             "that "
             "rest disconnect, raise pool_size, or see whether pool_mode = transaction suits them.";
    }
    return fmt::format(
        "What clients have left in their sessions keeps servers with them{}: {} them, "
        "docs/sessions.md tells what pins a server and what does not.",
        use.pins.any() ? " (" + name_of(use.pins) + ")" : "", show_holders);
  }
  if (use.idle_in_transaction == most) {
    return fmt::format(
        "Look for transactions that the application leaves open: {} them, "
        "idle_transaction_timeout ends them.",
        show_holders);
  }
  if (use.running == most) {
    return fmt::format(
        "Look for slow statements: {} who runs them. If PostgreSQL has room for more, "
        "raise pool_size.",
        show_holders);
  }
  return "Nobody holds servers for long: this may pass, or pool_size is too small for so many "
         "clients.";
}

std::string hint_about(const PoolNeed& pool, Obstacle obstacle) {
  switch (obstacle) {
    case Obstacle::paused:
      return "RESUME on the admin console ends the pause.";
    case Obstacle::no_host:
      return "SHOW HOSTS on the admin console tells what each host says of itself.";
    case Obstacle::refused:
      return "Look at PostgreSQL, the way to it, and the user and password that Headgate has for "
             "it; "
             "its log has each failure as \"server login failed\".";
    case Obstacle::opening:
      return "PostgreSQL takes its time to let Headgate in: look at its load and at the network; "
             "min_pool_size keeps servers open.";
    case Obstacle::database_full:
      return "The limit is max_db_connections, which pools of the same database share. " +
             hint_about_use(pool);
    case Obstacle::user_full:
      return "The limit is max_user_connections, which pools of the same user share. " +
             hint_about_use(pool);
    case Obstacle::pool_full:
    case Obstacle::its_turn:
      break;
  }
  return hint_about_use(pool);
}

std::string next_attempt(const PoolNeed& pool) {
  if (pool.retry_us <= 0) return {};
  return fmt::format("; the next attempt is due in {} (server_login_retry)",
                     lasting(pool.retry_us));
}

}  // namespace

View name_of(Holding holding) {
  switch (holding) {
    case Holding::running:
      return "running";
    case Holding::idle_in_transaction:
      return "idle in transaction";
    case Holding::between_transactions:
      break;
  }
  return "idle";
}

std::string what_it_does(const HolderRow& holder) {
  const View does = name_of(holder.holding);
  return holder.kept_by.empty() ? std::string(does) : fmt::format("{}; {}", does, holder.kept_by);
}

void add(PoolUse& into, const PoolUse& part) {
  into.running += part.running;
  into.idle_in_transaction += part.idle_in_transaction;
  into.between_transactions += part.between_transactions;
  into.own += part.own;
  into.unready += part.unready;
  into.idle += part.idle;
  into.opening += part.opening;
  into.waiting += part.waiting;
  into.pins.add(part.pins);
  into.opening_us = std::max(into.opening_us, part.opening_us);
  if (part.longest && (!into.longest || into.longest->held_us < part.longest->held_us)) {
    into.longest = part.longest;
  }
}

Obstacle obstacle_of(const PoolNeed& pool) {
  const auto reached = [](int open, int limit) { return limit > 0 && open >= limit; };
  const bool lent = pool.use.lent() + pool.use.own > 0;
  if (pool.paused) return Obstacle::paused;
  if (!pool.missing_role.empty()) return Obstacle::no_host;
  if (!pool.failure.empty() && !lent) return Obstacle::refused;
  if (pool.use.opening > 0 && !lent) return Obstacle::opening;
  if (reached(pool.database_open, pool.database_limit)) return Obstacle::database_full;
  if (reached(pool.user_open, pool.user_limit)) return Obstacle::user_full;
  if (reached(pool.open, pool.pool_size)) return Obstacle::pool_full;
  if (!pool.failure.empty()) return Obstacle::refused;
  return pool.use.opening > 0 ? Obstacle::opening : Obstacle::its_turn;
}

View name_of(Obstacle obstacle) {
  switch (obstacle) {
    case Obstacle::paused:
      return "paused";
    case Obstacle::no_host:
      return "no host";
    case Obstacle::refused:
      return "login failing";
    case Obstacle::opening:
      return "opening";
    case Obstacle::pool_full:
      return "pool_size";
    case Obstacle::database_full:
      return "max_db_connections";
    case Obstacle::user_full:
      return "max_user_connections";
    case Obstacle::its_turn:
      break;
  }
  return "its turn";
}

std::string describe(const PoolNeed& pool) {
  const std::string name = name_of(pool);
  switch (obstacle_of(pool)) {
    case Obstacle::paused:
      return with_use(fmt::format("Pool {} is paused", name), pool);
    case Obstacle::no_host:
      return fmt::format("No host of database {} is known to be {}", shown(pool.database),
                         pool.missing_role);
    case Obstacle::refused:
      return fmt::format("No server of pool {} can be opened: {}", name,
                         cut(pool.failure, longest_failure)) +
             next_attempt(pool);
    case Obstacle::opening:
      return with_use(fmt::format("A server of pool {} is being opened, for {} now", name,
                                  lasting(pool.use.opening_us)),
                      pool);
    case Obstacle::database_full:
      return shared_limit(pool, "database " + shown(pool.database), pool.database_open,
                          pool.database_limit, "max_db_connections");
    case Obstacle::user_full:
      return shared_limit(pool, "server user " + shown(pool.user), pool.user_open, pool.user_limit,
                          "max_user_connections");
    case Obstacle::pool_full:
      return with_use(fmt::format("{} of pool {} {} in use", so_many(pool.open, most_of(pool)),
                                  name, pool.open == 1 ? "is" : "are"),
                      pool);
    case Obstacle::its_turn:
      break;
  }
  return with_use(fmt::format("Pool {} has {} open", name, so_many(pool.open, 0)), pool);
}

Explanation explain_wait(const PoolNeed& pool, View user, Duration waited) {
  std::string detail = describe(pool) + who_holds_longest(pool, user);
  const uint32_t waiting = std::max(pool.use.waiting, 1U);
  fmt::format_to(std::back_inserter(detail), "; {}, this one for {}.",
                 counted(waiting, "client waits", "clients wait"), lasting(waited));
  return {detail, hint_about(pool, obstacle_of(pool))};
}

std::string describe_listener_wait(const PoolNeed& pool) {
  return fmt::format("The connection that listens for the clients of pool {} is not ready",
                     name_of(pool));
}

Explanation explain_listener_wait(const PoolNeed& pool, Duration waited) {
  return {
      fmt::format("{}; this client has waited for {}.", describe_listener_wait(pool),
                  lasting(waited)),
      "It is one of the pool's servers, and waits for room among them: docs/sessions.md, LISTEN."};
}

Explanation explain_failing(const PoolNeed& pool) {
  return {fmt::format("Pool {} has no server{}.", name_of(pool), next_attempt(pool)),
          hint_about(pool, Obstacle::refused)};
}

Explanation explain_full(ErrorCode limit, View name, int most) {
  switch (limit) {
    case ErrorCode::max_client_conn:
      return {
          fmt::format("All {} client connections that max_client_conn allows are there.", most),
          "Raise max_client_conn, or have clients disconnect: SHOW CLIENTS on the admin console "
          "tells who they are and since when they are idle."};
    case ErrorCode::max_db_client_connections:
      return {fmt::format("All {} client connections that max_db_client_connections allows to "
                          "database {} are there.",
                          most, shown(name)),
              "SHOW CLIENTS on the admin console tells who they are."};
    default:
      return {fmt::format("All {} client connections that max_user_client_connections allows to "
                          "user {} are there.",
                          most, shown(name)),
              "SHOW CLIENTS on the admin console tells who they are."};
  }
}

Explanation explain_overdue(ErrorCode timeout, Duration took, Duration limit) {
  switch (timeout) {
    case ErrorCode::idle_transaction_timeout:
      return {fmt::format("The transaction was idle for {}; idle_transaction_timeout is {}.",
                          lasting(took), lasting(limit)),
              "Commit or roll back before doing something else. The transaction was rolled back."};
    case ErrorCode::transaction_timeout:
      return {fmt::format("The transaction was open for {}; transaction_timeout is {}.",
                          lasting(took), lasting(limit)),
              "The transaction was rolled back. Make it shorter, or raise transaction_timeout for "
              "this user or database."};
    case ErrorCode::client_idle_timeout:
      return {fmt::format("The client was idle for {}; client_idle_timeout is {}.", lasting(took),
                          lasting(limit)),
              "Have the client's own pool close connections sooner than that."};
    case ErrorCode::client_login_timeout:
      return {fmt::format("The log-in was not complete after {}; client_login_timeout is {}.",
                          lasting(took), lasting(limit)),
              ""};
    default:
      return {
          fmt::format("The query ran for {}; query_timeout is {}.", lasting(took), lasting(limit)),
          ""};
  }
}

void explain(Error& error, Explanation explanation) {
  if (error.detail.empty()) error.detail = std::move(explanation.detail);
  if (error.hint.empty()) error.hint = std::move(explanation.hint);
}

}  // namespace headgate
