#include "protocol/session_state.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "protocol/session_sql.h"
#include "protocol/statements.h"

namespace headgate {

namespace {

constexpr View role = "role", session_authorization = "session_authorization",
               search_path = "search_path";

bool is_identity(View name) { return name == role || name == session_authorization; }

/// With these a query of ours may end before its time, or wait for all others.
constexpr View statement_timeout = "statement_timeout";
bool is_timeout(View name) { return name == statement_timeout; }
constexpr View deferrable = "default_transaction_deferrable";

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

/// The server can be asked whether it still has these.
constexpr Pins askable() {
  Pins pins;
  for (const PinQuestion& one : pin_questions) pins.add(one.pin);
  return pins;
}

}  // namespace

// --- the client

void ClientSession::start_with(SettingValues values, const SettingValues& reported,
                               SettingValuesPtr& known) {
  SettingValues all = values;
  all.insert(reported.begin(), reported.end());
  if (all.empty()) return;
  if (!known || *known != all) known = std::make_shared<const SettingValues>(std::move(all));
  at_start_ = known;
  proved_ = at_start_->size() == 1 && at_start_->contains("application_name");  // any will do
  if (values.empty()) return;
  values_at_start_ = std::make_shared<const SettingValues>(std::move(values));
  take(values_at_start_);
}

ClientSession::Saved ClientSession::saved() const {
  const auto copy = [](const auto& shared) {
    using Map = std::remove_cvref_t<decltype(*shared)>;
    return shared ? *shared : Map();
  };
  return {copy(values_), copy(values_at_start_), copy(at_start_), copy(statements_), proved_};
}

void ClientSession::resume(Saved saved, SettingValuesPtr& known) {
  const auto share = [](auto map) {
    return map.empty() ? nullptr : std::make_shared<const decltype(map)>(std::move(map));
  };
  if (!saved.at_start.empty()) {
    if (!known || *known != saved.at_start) known = share(std::move(saved.at_start));
    at_start_ = known;
  }
  const bool as_at_start = saved.values == saved.values_at_start;
  values_at_start_ = share(std::move(saved.values_at_start));
  take(as_at_start ? values_at_start_ : share(std::move(saved.values)));
  statements_ = share(std::move(saved.statements));
  proved_ = saved.proved;
}

SettingNames ClientSession::names_at_start() const {
  SettingNames names;
  if (!at_start_) return names;
  for (const auto& [name, value] : *at_start_) names.insert(name);
  return names;
}

void ClientSession::take(SettingValuesPtr values) {
  values_ = std::move(values);
  creates_temporary_ = false;
  if (!values_) return;
  const auto path = values_->find("search_path");
  creates_temporary_ = path != values_->end() && path->second.find("pg_temp") != View::npos;
}

void ClientSession::note_resets(const SessionMarks& marks, SettingNames& names) const {
  if (!at_start_) return;
  const SessionMarks& read = marks.first_reading ? *marks.first_reading : marks;
  for (const auto& [name, value] : *at_start_) {
    const auto among = [&name = name](const std::vector<std::string>& all) {
      return std::ranges::find(all, name) != all.end();
    };
    const bool resets = among(read.settings_reset);
    if (among(read.settings) && !resets) {
      names.erase(name);
    } else if (resets || read.discards || (read.every_setting && !is_identity(name))) {
      names.insert(name);
    }
  }
}

// The identity last: who takes another role may have no right to set the rest then.
std::vector<std::string> ClientSession::restore(const SettingNames& names) const {
  std::vector<std::string> statements;
  for (const bool identity : {false, true}) {
    for (const std::string& name : names) {
      if (is_identity(name) != identity || !starts_with(name)) continue;
      statements.push_back(set_to(name, at_start_->find(name)->second));
    }
  }
  return statements;
}

bool ClientSession::set(SettingValues values) {
  size_t bytes = 0;
  for (const auto& [name, value] : values) bytes += name.size() + value.size();
  if (values.size() > max_settings || bytes > max_bytes) return false;
  if (values_ && *values_ == values) return true;
  take(values.empty() ? nullptr : std::make_shared<const SettingValues>(std::move(values)));
  return true;
}

// --- the server goes to a client

// Settings first and the identity last: who takes another role may have no right to set them then.
std::string ServerSession::adopt(const ClientSession& client) {
  if (values_ == client.values() && unknown_.empty()) return {};
  static const SettingValues none;
  const SettingValues& has = values_ ? *values_ : none;
  const SettingValues& wants = client.values() ? *client.values() : none;
  in_time_ = !has.contains(statement_timeout) && !has.contains("transaction_timeout");
  own_rights_ = !has.contains(role) && !has.contains(session_authorization);
  bool other_identity = false;
  std::string first, settings, last;  // what may disturb the rest is taken away first, given last
  const auto differs = [&](View name, View value) {
    const auto found = has.find(name);
    return unknown_.contains(name) || found == has.end() || found->second != value;
  };
  const auto reset = [&](const std::string& name) {
    if (wants.contains(name)) return;
    other_identity |= is_identity(name);
    if (!is_identity(name)) (is_timeout(name) ? first : settings) += reset_to_default(name);
  };
  for (const std::string& name : unknown_) reset(name);
  for (const auto& [name, value] : has) {
    if (!unknown_.contains(name)) reset(name);
  }
  for (const auto& [name, value] : wants) {
    if (!differs(name, value)) continue;
    other_identity |= is_identity(name);
    if (!is_identity(name)) (is_timeout(name) ? last : settings) += set_to(name, value);
  }
  const bool waits = has.contains(deferrable) || unknown_.contains(deferrable);
  if (waits && settings.find("SELECT") != View::npos) first += "SET TRANSACTION NOT DEFERRABLE;";
  settings = first + settings + last;
  const auto known = [&](View name) { return has.contains(name) || unknown_.contains(name); };
  std::string sql;
  const bool from_other = known(role) || known(session_authorization);
  if (other_identity || (from_other && !settings.empty())) {
    if (from_other) sql = "RESET ROLE;RESET SESSION AUTHORIZATION;";
    sql += settings;
    for (const View name : {session_authorization, role}) {
      const auto wanted = wants.find(name);
      if (wanted != wants.end()) sql += set_to(name, wanted->second);
    }
  } else {
    sql = std::move(settings);
  }
  values_ = client.values();
  unknown_.clear();
  reset_.clear();
  return sql;
}

bool ServerSession::may_refuse(const ClientSession& client) const {
  const SettingValuesPtr& values = client.values();
  return !client.is_proved() || !in_time_ || !own_rights_ ||
         (values && (values->contains(role) || values->contains(session_authorization)));
}

bool ServerSession::may_have_statement(View name) const {
  if (name.starts_with(statement_prefix)) return false;
  return pins_.has(Pin::prepared) || statements_.may_have(name);
}

bool ServerSession::may_have_stand_in(View name) const {
  if (name.starts_with(statement_prefix)) return false;
  return pins_.has(Pin::prepared) || statements_.may_have_stand_in(name);
}

View ServerSession::undeferred() const {
  const bool waits = unknown_.contains(deferrable) || (values_ && values_->contains(deferrable));
  return waits ? "SET TRANSACTION NOT DEFERRABLE;" : "";
}

// --- what is sent to it

void ServerSession::sent(const SessionMarks& marks) {
  for (const std::string& name : marks.settings_reset) reset_.insert(name);
  if (marks.every_setting) every_setting_is_sent();
  statements_are_sent(marks);
  if (marks.discards) {
    ++discards_sent_;
    behind_discard_ = {};
  }
  may_load_ |= marks.loads;
  Pins not_askable = marks.begins;
  not_askable.remove(askable());
  pin(not_askable);
  may_begin(marks.begins.common(askable()));
  Pins held = pins_;
  held.add(asked_pins_);
  may_.add(marks.ends.common(held));
}

// Names of Headgate's own are for nobody else: whoever takes one stays where that is.
void ServerSession::statements_are_sent(const SessionMarks& marks) {
  if (ignored_.has(Pin::prepared)) return;
  if (marks.forgets_statements) statements_.touch_all();
  for (const std::string& name : marks.statements) {
    if (name.starts_with(statement_prefix)) {
      may_.add(Pin::prepared);
    } else if (!statements_.touch(name)) {
      pin(Pin::setting);
    }
  }
}

// Those that are being asked for are known with the answer, which tells what they were before.
void ServerSession::every_setting_is_sent() {
  const auto reset = [this](const std::string& name) {
    if (is_identity(name)) return;
    unknown_.insert(name);
    reset_.insert(name);
  };
  for (const std::string& name : unknown_) reset(name);
  for (const std::string& name : asked_) reset(name);
  if (!values_) return;
  for (const auto& [name, value] : *values_) reset(name);
}

void ServerSession::touch(std::string setting) {
  if (ignored_.has(Pin::setting)) return;
  if (unknown_.size() >= max_unknown) return pin(Pin::setting);
  if (setting == search_path) may_begin(Pin::temporary);
  unknown_.insert(std::move(setting));
}

void ServerSession::pin(Pins reasons) {
  reasons.remove(ignored_);
  pins_.add(reasons);
  behind_discard_.add(reasons);
}

void ServerSession::encoding_changed() {
  statements_.encoding_changed();
  if (!values_) return;
  for (const auto& [name, value] : *values_) {
    if (!is_ascii(value)) unknown_.insert(name);
  }
}

// --- the transaction is over

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

std::string ServerSession::crossing(View channel, View number) const {
  std::string sql(undeferred());
  if (has_time_limit()) sql += stop_of_clock;
  const std::string quoted = quote_setting(channel);
  return sql + "LISTEN " + quoted + ";NOTIFY " + quoted + "," + quote_dollar(number);
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

// --- the end

void ServerSession::discarded(ClientSession* client, bool more) {
  if (more) {
    nothing_is_known();
    reset_ = unknown_;
    may_.add(pins_.common(askable()));
    if (discards_sent_ == 1 && !behind_discard_.has(Pin::setting)) pins_.remove(Pin::setting);
    return;
  }
  discards_sent_ = 0;
  unlisten_due_ = crossed_ = false;
  statements_.clear();
  values_ = nullptr;
  unknown_.clear();
  reset_.clear();
  may_ = {};
  pins_ = pins_.common(Pin::load);
  taint_ = 0;
  if (client) client->back_to_start();
}

bool ServerSession::client_left() {
  failures_ = 0;
  if (std::exchange(may_load_, false)) pin(Pin::load);
  const bool dirty = asking_ || must_ask() || pins_.any();
  unknown_.clear();
  reset_.clear();
  asked_.clear();
  statements_.client_left();
  asking_ = unlisten_due_ = unlistening_ = crossed_ = false;
  discards_sent_ = 0;
  pins_.add(std::exchange(may_, {}));
  pins_.add(std::exchange(asked_pins_, {}));
  return dirty;
}

void ServerSession::nothing_is_known() {
  statements_.touch_all();
  if (!values_) return;
  for (const auto& [name, value] : *values_) unknown_.insert(name);
}

}  // namespace headgate
