// What a server is asked about its session when the transaction of its client is over, and what it
// answers; and how a client that listens crosses over (protocol/client_channels.h).
#include <algorithm>
#include <span>
#include <utility>

#include "protocol/session_sql.h"
#include "protocol/session_state.h"

namespace headgate {

namespace {

constexpr View role = "role", search_path = "search_path", statement_timeout = "statement_timeout";

struct PinQuestion {
  Pin pin;
  View exists;  // what there is while it pins
};
constexpr PinQuestion pin_questions[] = {
    {Pin::advisory_lock,
     "SELECT FROM pg_catalog.pg_locks WHERE locktype OPERATOR(pg_catalog.=) 'advisory' AND pid "
     "OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()"},
    {Pin::temporary,
     "SELECT FROM pg_catalog.pg_depend WHERE refclassid OPERATOR(pg_catalog.=) 2615 AND refobjid "
     "OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()"},  // 2615: pg_namespace
    {Pin::cursor, "SELECT FROM pg_catalog.pg_cursors WHERE is_holdable"},
    {Pin::prepared, "SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql"},
    {Pin::listen, {}},  // see question_of_channels
};

/// Nothing behind this in the same text is struck by it; its row tells what it was.
constexpr View stop_of_clock =
    "SELECT pg_catalog.current_setting('statement_timeout'),"
    "pg_catalog.set_config('statement_timeout','0',true);";

/// All names at once, each in quotes, and no more than are of interest.
constexpr View question_of_channels =
    "(SELECT pg_catalog.string_agg(pg_catalog.concat('\"',pg_catalog.replace(c,'\"','\"\"'),"
    "'\"'),',') FROM (SELECT c FROM pg_catalog.pg_listening_channels() AS c LIMIT 101) AS "
    "channels)";

/// The names of that answer; none where it is something else.
std::vector<std::string> names_in(View list) {
  std::vector<std::string> names;
  while (!list.empty()) {
    if (list[0] != '"') return {};
    std::string& name = names.emplace_back();
    size_t at = 1;
    for (; at < list.size(); ++at) {
      if (list[at] == '"' && list.substr(++at, 1) != "\"") break;
      name.push_back(list[at]);
    }
    list.remove_prefix(std::min(at + 1, list.size()));  // a comma follows
  }
  return names;
}

}  // namespace

Pins ServerSession::askable() {
  Pins pins;
  for (const PinQuestion& one : pin_questions) pins.add(one.pin);
  return pins;
}

// --- the question

std::string ServerSession::question() {
  std::string sql(undeferred());
  stops_clock_ = failures_ > 0 && (has_time_limit() || unknown_.contains(statement_timeout));
  if (stops_clock_) sql += stop_of_clock;
  stopped_at_.reset();
  sql += "SELECT ";
  const auto column = [&](const std::string& text) {
    if (sql.back() != ' ') sql.push_back(',');
    sql += text;
  };
  asked_.assign(unknown_.begin(), unknown_.end());
  for (const std::string& name : asked_) {
    column("pg_catalog.current_setting(" + quote_dollar(name) + ",true)");
  }
  const std::string sources = question_of_sources();
  asked_sources_ = !sources.empty();
  if (asked_sources_) column(sources);
  for (const std::string& statement : statements_.question()) column(statement);
  for (const PinQuestion& one : pin_questions) {
    if (!may_.has(one.pin)) continue;
    if (one.pin == Pin::listen) {
      column(std::string(question_of_channels));
      continue;
    }
    const std::string others = one.pin == Pin::prepared ? statements_.all_others() : "";
    column("EXISTS(" + std::string(one.exists) + others + ")");
  }
  asked_pins_ = std::exchange(may_, {});
  discards_sent_ = 0;
  unknown_.clear();
  asked_reset_ = std::exchange(reset_, {});
  asking_ = true;
  return sql;
}

// Who has set a setting that was not the client's before, or that was reset: a SET may have been
// refused. One that this user could not set alone is marked with '!'.
std::string ServerSession::question_of_sources() const {
  std::string names;
  for (const std::string& name : asked_) {
    if (values_ && values_->contains(name) && !reset_.contains(name)) continue;
    names += (names.empty() ? "" : ",") + quote_dollar(name);
  }
  if (names.empty()) return {};
  return "(SELECT pg_catalog.string_agg(pg_catalog.concat(CASE WHEN source OPERATOR(pg_catalog.=) "
         "'session' THEN '!' END,pg_catalog.lower(name)),',') FROM pg_catalog.pg_settings WHERE "
         "pg_catalog.lower(name) OPERATOR(pg_catalog.=) ANY(ARRAY[" +
         names +
         "]) AND (source OPERATOR(pg_catalog.<>) 'session' OR context OPERATOR(pg_catalog.=) "
         "ANY(ARRAY['superuser','superuser-backend']) AND NOT EXISTS(SELECT FROM "
         "pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) SESSION_USER AND rolsuper)))";
}

// --- the answer

void ServerSession::clock_stopped(const std::vector<std::optional<View>>& row) {
  stops_clock_ = false;
  if (!row.empty() && row[0]) stopped_at_ = std::string(*row[0]);
}

bool ServerSession::answered(const std::vector<std::optional<View>>& row, ClientSession& client) {
  if (!std::exchange(asking_, false)) return false;
  size_t columns = asked_.size() + (asked_sources_ ? 1 : 0) + statements_.asked();
  for (const PinQuestion& one : pin_questions) columns += asked_pins_.has(one.pin) ? 1 : 0;
  if (row.size() != columns) {
    question_failed();
    return false;
  }
  auto cell = row.begin();
  SettingValues values = client.values() ? *client.values() : SettingValues();
  for (const std::string& name : asked_) {
    std::optional<View> value = *cell++;
    if (name == statement_timeout && stopped_at_) value = *stopped_at_;
    if (!value || (name == role && *value == "none")) {
      values.erase(name);
    } else {
      values.insert_or_assign(name, std::string(*value));
    }
  }
  if (asked_sources_) take_sources((*cell++).value_or(View()), client, values);
  stopped_at_.reset();
  const bool other_path = std::ranges::find(asked_, search_path) != asked_.end();
  asked_.clear();
  const std::span<const std::optional<View>> of_statements(cell, statements_.asked());
  cell += static_cast<std::ptrdiff_t>(of_statements.size());
  for (const PinQuestion& one : pin_questions) {
    if (!asked_pins_.has(one.pin)) continue;
    pins_.remove(one.pin);
    const std::optional<View> value = *cell++;
    if (one.pin == Pin::listen) {
      channels_ = names_in(value.value_or(View()));
      if (value) pins_.add(one.pin);
    } else if (value == View("t")) {
      pins_.add(one.pin);
    }
  }
  if (!of_statements.empty()) take_statements(of_statements, client);
  if (asked_pins_.has(Pin::listen)) unlisten_due_ = crossed_ = false;
  asked_pins_ = {};
  failures_ = 0;
  if (!client.set(std::move(values))) pins_.add(Pin::setting);
  if (other_path) request_is_sent(client);  // what was sent since counts already
  values_ = client.values();
  return true;
}

void ServerSession::take_sources(View list, const ClientSession& client, SettingValues& values) {
  while (!list.empty()) {
    const View name = list.substr(0, list.find(','));
    list.remove_prefix(std::min(name.size() + 1, list.size()));
    if (name.starts_with('!')) {
      pins_.add(Pin::setting);
    } else if (!client.starts_with(name)) {
      const auto found = values.find(name);
      if (found != values.end()) values.erase(found);
    }
  }
}

// What cannot be carried keeps the client where it is.
void ServerSession::take_statements(std::span<const std::optional<View>> cells,
                                    ClientSession& client) {
  SqlStatementsPtr of_client = client.statements();
  if (!statements_.answered(cells, of_client)) {
    pins_.add(Pin::prepared);
    if (statements_.must_ask()) may_.add(Pin::prepared);  // it may have gone meanwhile
  }
  client.set_statements(std::move(of_client));
}

// The client's own statement_timeout may have struck: it is asked once more.
void ServerSession::question_failed() {
  asking_ = stops_clock_ = false;
  stopped_at_.reset();
  const bool again = ++failures_ < most_failures;
  if (again) {
    unknown_.insert(asked_.begin(), asked_.end());
    reset_.insert(asked_reset_.begin(), asked_reset_.end());
    may_.add(asked_pins_);
  } else {
    if (!asked_.empty()) pins_.add(Pin::setting);
    if (statements_.asked() > 0) pins_.add(Pin::prepared);
    pins_.add(asked_pins_);
    failures_ = 0;
  }
  statements_.question_failed(again);
  asked_pins_ = {};
  asked_.clear();
}

// --- crossing over

std::string ServerSession::crossing(View channel, View number) const {
  std::string sql(undeferred());
  if (has_time_limit()) sql += stop_of_clock;
  const std::string quoted = quote_setting(channel);
  return sql + "LISTEN " + quoted + ";NOTIFY " + quoted + "," + quote_dollar(number);
}

// The client's own statement_timeout may have struck this too.
bool ServerSession::unlisten_again(bool failed) {
  unlistening_ = false;
  unlisten_due_ = failed && ++failures_ < most_failures;
  if (!unlisten_due_) failures_ = 0;
  return !failed || unlisten_due_;
}

bool ServerSession::crossed(bool failed) {
  const bool goes_on = unlisten_again(failed);
  if (!failed) crossed_ = unlisten_due_ = true;
  return goes_on;
}

bool ServerSession::unlistened(bool failed) {
  const bool goes_on = unlisten_again(failed);
  if (!failed) pins_.remove(Pin::listen);
  crossed_ = unlisten_due_;
  return goes_on;
}

}  // namespace headgate
