// Can it be true, what the console says? The parts of an answer are taken on each worker at another
// moment, so a server that has been opened meanwhile may stand beside the one that it replaces.
#include <algorithm>
#include <charconv>
#include <set>

#include "tests/sim/operator.h"

namespace headgate::sim {

const std::string& Shown::at(size_t row, View column) const {
  const auto found = std::find(columns.begin(), columns.end(), column);
  if (found == columns.end()) throw Violation(fmt::format("there is no column {}", column));
  return rows[row][static_cast<size_t>(found - columns.begin())];
}

int64_t Shown::number(size_t row, View column) const {
  const std::string& text = at(row, column);
  int64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc() || end != text.data() + text.size()) {
    throw Violation(fmt::format("{} is '{}', which is no number", column, text));
  }
  return value;
}

void Operator::check_done() {
  if (role_ == Role::viewer && !is("SHOW")) world_.violated("a viewer may {}", command_);
  if (is("PAUSE")) check_paused();
  if (is("SHOW")) check_shown();
  if (is("SET")) lifetime_set_ = command_.substr(command_.rfind(' ') + 1);
  end();
}

// Every server has gone, unless somebody has ended the pause meanwhile.
void Operator::check_paused() {
  Ledger& ledger = scene_.ledger;
  const bool still = ledger.resumes[database_].none_since(resumes_before_) &&
                     ledger.resumes[""].none_since(all_resumed_before_);
  if (!still) return;
  for (PoolEntry* entry : scene_.house.pooler().registry().pools()) {
    if (!database_.empty() && entry->database.name != database_) continue;
    if (entry->shared.open() > 0) {
      world_.violated("{} was answered with {} servers left", command_, entry->shared.open());
    }
  }
}

void Operator::check_shown() {
  if (is("SHOW POOLS")) return check_pools();
  if (is("SHOW SERVERS")) return check_servers();
  if (is("SHOW CLIENTS")) return check_clients();
  if (is("SHOW DATABASES")) return check_databases();
  if (command_ == "SHOW STATS_TOTALS") return check_totals();
  if (is("SHOW CONFIG")) return check_config();
  if (shown_.rows.empty() && !is("SHOW HELP") && !is("SHOW STATS") && !is("SHOW TOTALS")) {
    world_.violated("{} shows nothing", command_);
  }
}

void Operator::check_number(View what, const std::string& of, int64_t number, int64_t most) {
  if (number < 0 || number > most) {
    world_.violated("{}: {} {} of {}, there are at most {}", command_, number, what, of, most);
  }
}

size_t Operator::actors_of(const std::string& database, const std::string& user) const {
  return static_cast<size_t>(
      std::count_if(scene_.actors.begin(), scene_.actors.end(), [&](const auto& actor) {
        return actor->database == database && (user.empty() || actor->user == user);
      }));
}

namespace {

int64_t limit_or_any(int limit) { return limit > 0 ? limit : 100000; }

}  // namespace

void Operator::check_pools() {
  constexpr const char* servers_in[] = {"sv_active", "sv_being_canceled", "sv_idle",
                                        "sv_used",   "sv_tested",         "sv_login"};
  const auto opened = static_cast<int64_t>(scene_.house.pooler().next_id() - ids_before_);
  std::map<std::string, int64_t> of_database, of_user;
  for (size_t row = 0; row < shown_.rows.size(); ++row) {
    const std::string &database = shown_.at(row, "database"), &user = shown_.at(row, "user");
    if (database == "pgbouncer") continue;
    int64_t servers = 0;
    for (const char* state : servers_in) servers += shown_.number(row, state);
    of_database[database] += servers;
    of_user[user] += servers;
    const std::string pool = fmt::format("{}/{}", database, user);
    check_number("servers", pool, servers, limit_or_any(scene_.limits.pool) + opened);
    check_number("clients", pool,
                 shown_.number(row, "cl_active") + shown_.number(row, "cl_waiting"),
                 static_cast<int64_t>(actors_of(database, user)));
  }
  for (const auto& [name, servers] : of_database) {
    check_number("servers", name, servers, limit_or_any(scene_.limits.database) + opened);
  }
  for (const auto& [name, servers] : of_user) {
    check_number("servers", name, servers, limit_or_any(scene_.limits.user) + opened);
  }
}

void Operator::check_servers() {
  const std::set<View> words = {"new", "idle", "used", "active", "tested", "being_canceled"};
  const auto opened = static_cast<int64_t>(scene_.house.pooler().next_id() - ids_before_);
  std::map<std::string, int64_t> of_pool;
  std::set<std::string> links;
  for (size_t row = 0; row < shown_.rows.size(); ++row) {
    const std::string &state = shown_.at(row, "state"), &link = shown_.at(row, "link");
    if (state == "active_cancel") continue;  // the way of a cancel request, in no pool
    const std::string pool = shown_.at(row, "database") + "/" + shown_.at(row, "user");
    check_number("servers", pool, ++of_pool[pool], limit_or_any(scene_.limits.pool) + opened);
    if (!words.contains(state)) world_.violated("a server is '{}'", state);
    if (link.empty()) continue;
    if (state != "active") world_.violated("a server that is '{}' has a client", state);
    if (!links.insert(link).second) world_.violated("two servers have one client");
  }
}

void Operator::check_clients() {
  const std::set<View> words = {"active", "waiting", "idle"};
  std::map<std::string, int64_t> of_database;
  std::set<std::string> links;
  for (size_t row = 0; row < shown_.rows.size(); ++row) {
    const std::string &state = shown_.at(row, "state"), &link = shown_.at(row, "link");
    const std::string& database = shown_.at(row, "database");
    if (state.ends_with("_cancel_req")) continue;
    if (!words.contains(state)) world_.violated("a client is '{}'", state);
    if ((state == "active") != !link.empty() && database != "pgbouncer") {
      world_.violated("a client is '{}', and its link is '{}'", state, link);
    }
    if (!link.empty() && !links.insert(link).second) world_.violated("two clients have one server");
    if (database.starts_with("db")) {
      check_number("clients", database, ++of_database[database],
                   static_cast<int64_t>(actors_of(database, "")));
    }
  }
}

void Operator::check_databases() {
  std::set<std::string> names;
  for (size_t row = 0; row < shown_.rows.size(); ++row) {
    const std::string& name = shown_.at(row, "name");
    names.insert(name);
    check_number("connections", name, shown_.number(row, "current_connections"),
                 limit_or_any(scene_.limits.database));
    check_number("client connections", name, shown_.number(row, "current_client_connections"),
                 static_cast<int64_t>(scene_.actors.size()));
    check_number("pauses", name, shown_.number(row, "paused"), 1);
  }
  // Made from `*`, it is seen only while it is used.
  if (!scene_.house.pooler().config().databases.contains("db1")) names.insert("db1");
  if (names != std::set<std::string>{"db0", "db1", "pgbouncer"}) {
    world_.violated("SHOW DATABASES has {} names", names.size());
  }
}

// What was counted once is not uncounted, unless its database was forgotten (that it may be is
// checked by the Watch): who comes there again makes it anew, and its counts begin anew, as
// PgBouncer's do. What an answer tells was counted at some time since it was asked for, so one that
// comes after the forgetting may still be from before.
void Operator::check_totals() {
  for (size_t row = 0; row < shown_.rows.size(); ++row) {
    const std::string& database = shown_.at(row, "database");
    for (const std::string& column : shown_.columns) {
      if (column == "database") continue;
      Total& before = totals_[fmt::format("{} {}", database, column)];
      const int64_t now = shown_.number(row, column);
      if (now < before.value && scene_.ledger.forgotten[database] == before.forgotten) {
        world_.violated("{} of {} was {} and is {}", column, database, before.value, now);
      }
      before = {now, forgotten_before_[database]};
    }
  }
}

// A setting that was set has its value, if nobody has set or reloaded since.
void Operator::check_config() {
  const auto wanted = std::exchange(lifetime_set_, std::nullopt);
  if (shown_.rows.size() < 50) world_.violated("SHOW CONFIG has {} rows", shown_.rows.size());
  if (!wanted || !scene_.ledger.new_settings.none_since(settings_before_)) return;
  for (size_t row = 0; row < shown_.rows.size(); ++row) {
    if (shown_.at(row, "key") == "server_lifetime" && shown_.at(row, "value") != *wanted) {
      world_.violated("server_lifetime was set to {} and is {}", *wanted, shown_.at(row, "value"));
    }
  }
}

}  // namespace headgate::sim
