#include "protocol/session_state.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/check.h"

namespace headgate {

namespace {

constexpr View role = "role", session_authorization = "session_authorization";

bool is_identity(View name) { return name == role || name == session_authorization; }

/// Settings whose values are lists of names, which SET would take for one name (PostgreSQL:
/// GUC_LIST_QUOTE).
bool is_list_of_names(View name) {
  constexpr View lists[] = {"local_preload_libraries",   "search_path",
                            "session_preload_libraries", "shared_preload_libraries",
                            "temp_tablespaces",          "unix_socket_directories"};
  return std::ranges::find(lists, name) != std::end(lists);
}

bool is_ascii(View text) {
  return std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 128; });
}

std::string set_to(View name, View value) {
  if (!is_list_of_names(name)) {
    return "SET " + quote_setting(name) + "=" + quote_dollar(value) + ";";
  }
  return "SELECT pg_catalog.set_config(" + quote_dollar(name) + "," + quote_dollar(value) +
         ",false);";
}

struct PinQuestion {
  Pin pin;
  View exists;  // what there is while it pins
};
constexpr PinQuestion pin_questions[] = {
    {Pin::advisory_lock,
     "(SELECT FROM pg_catalog.pg_locks WHERE locktype OPERATOR(pg_catalog.=) 'advisory' AND pid "
     "OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid())"},
    {Pin::temporary,  // whatever it is, it depends on its schema
     "(SELECT FROM pg_catalog.pg_depend WHERE refclassid OPERATOR(pg_catalog.=) "
     "'pg_catalog.pg_namespace'::pg_catalog.regclass AND refobjid OPERATOR(pg_catalog.=) "
     "pg_catalog.pg_my_temp_schema())"},
    {Pin::cursor, "(SELECT FROM pg_catalog.pg_cursors WHERE is_holdable)"},
    {Pin::prepared, "(SELECT FROM pg_catalog.pg_prepared_statements WHERE from_sql)"},
    {Pin::listen, "(SELECT FROM pg_catalog.pg_listening_channels())"},
};

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
  values_ = std::make_shared<const SettingValues>(std::move(values));
  values_at_start_ = values_;
}

std::string ClientSession::restore(const SessionMarks& marks) const {
  std::string sql;
  if (!at_start_) return sql;
  for (const auto& [name, value] : *at_start_) {
    const bool reset = std::ranges::find(marks.settings_reset, name) != marks.settings_reset.end();
    if (reset || marks.discards || (marks.every_setting && !is_identity(name))) {
      sql += set_to(name, value);
    }
  }
  return sql;
}

bool ClientSession::set(SettingValues values) {
  size_t bytes = 0;
  for (const auto& [name, value] : values) bytes += name.size() + value.size();
  const bool fits = values.size() <= max_settings && bytes <= max_bytes;
  if (values_ && *values_ == values) return fits;
  values_ = values.empty() ? nullptr : std::make_shared<const SettingValues>(std::move(values));
  return fits;
}

// --- the server goes to a client

// Settings first and the identity last: who takes another role may have no right to set them then.
std::string ServerSession::adopt(const ClientSession& client) {
  if (values_ == client.values() && unknown_.empty()) return {};
  static const SettingValues none;
  const SettingValues& has = values_ ? *values_ : none;
  const SettingValues& wants = client.values() ? *client.values() : none;
  in_time_ = !has.contains("statement_timeout") && !has.contains("transaction_timeout");
  own_rights_ = !has.contains(role) && !has.contains(session_authorization);
  bool other_identity = false;
  std::string settings;
  const auto differs = [&](View name, View value) {
    const auto found = has.find(name);
    return unknown_.contains(name) || found == has.end() || found->second != value;
  };
  const auto reset = [&](const std::string& name) {
    if (wants.contains(name)) return;
    other_identity |= is_identity(name);
    if (!is_identity(name)) settings += "RESET " + quote_setting(name) + ";";
  };
  for (const std::string& name : unknown_) reset(name);
  for (const auto& [name, value] : has) {
    if (!unknown_.contains(name)) reset(name);
  }
  for (const auto& [name, value] : wants) {
    if (!differs(name, value)) continue;
    other_identity |= is_identity(name);
    if (!is_identity(name)) settings += set_to(name, value);
  }
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

// --- what is sent to it

void ServerSession::sent(const SessionMarks& marks) {
  for (const std::string& name : marks.settings_reset) reset_.insert(name);
  if (marks.every_setting) {
    if (values_) {
      for (const auto& [name, value] : *values_) unknown_.insert(name);
    }
    unknown_.insert(asked_.begin(), asked_.end());  // the answer will tell what was before
    for (const std::string& name : unknown_) {
      if (!is_identity(name)) reset_.insert(name);
    }
  }
  Pins not_askable = marks.begins;
  not_askable.remove(askable());
  pins_.add(not_askable);
  may_.add(marks.begins.common(askable()));
  Pins held = pins_;
  held.add(asked_pins_);
  may_.add(marks.ends.common(held));
}

void ServerSession::touch(std::string setting) { unknown_.insert(std::move(setting)); }

void ServerSession::encoding_changed() {
  if (!values_) return;
  for (const auto& [name, value] : *values_) {
    if (!is_ascii(value)) unknown_.insert(name);
  }
}

// --- the transaction is over

std::string ServerSession::question() {
  std::string sql = "SELECT ";
  const auto column = [&](const std::string& text) {
    if (sql.back() != ' ') sql.push_back(',');
    sql += text;
  };
  asked_.assign(unknown_.begin(), unknown_.end());
  asked_default_.clear();
  for (const std::string& name : asked_) {
    column("pg_catalog.current_setting(" + quote_dollar(name) + ",true)");
    asked_default_.push_back(reset_.contains(name));
    if (!asked_default_.back()) continue;
    column(
        "(SELECT setting OPERATOR(pg_catalog.=) reset_val FROM pg_catalog.pg_settings WHERE name "
        "OPERATOR(pg_catalog.=) " +
        quote_dollar(name) + ")");
  }
  for (const PinQuestion& one : pin_questions) {
    if (may_.has(one.pin)) column("EXISTS" + std::string(one.exists));
  }
  asked_pins_ = std::exchange(may_, {});
  unknown_.clear();
  reset_.clear();
  asking_ = true;
  return sql;
}

void ServerSession::answered(const std::vector<std::optional<View>>& row, ClientSession& client) {
  if (!std::exchange(asking_, false)) return;
  size_t columns = asked_.size();
  columns += static_cast<size_t>(std::ranges::count(asked_default_, true));
  for (const PinQuestion& one : pin_questions) columns += asked_pins_.has(one.pin) ? 1 : 0;
  if (row.size() != columns) return question_failed();
  auto cell = row.begin();
  SettingValues values = client.values() ? *client.values() : SettingValues();
  for (size_t i = 0; i < asked_.size(); ++i) {
    const std::string& name = asked_[i];
    const std::optional<View> value = *cell++;
    const bool is_default = asked_default_[i] && *cell++ == View("t");
    const bool by_itself = is_default && !client.starts_with(name);
    if (!value || by_itself || (name == role && *value == "none")) {
      values.erase(name);
    } else {
      values.insert_or_assign(name, std::string(*value));
    }
  }
  asked_.clear();
  for (const PinQuestion& one : pin_questions) {
    if (!asked_pins_.has(one.pin)) continue;
    pins_.remove(one.pin);
    if (*cell++ == View("t")) pins_.add(one.pin);
  }
  asked_pins_ = {};
  if (!client.set(std::move(values))) pins_.add(Pin::setting);
  values_ = client.values();
}

void ServerSession::question_failed() {
  asking_ = false;
  if (!asked_.empty()) pins_.add(Pin::setting);
  pins_.add(std::exchange(asked_pins_, {}));
  asked_.clear();
}

// --- the end

void ServerSession::discarded(ClientSession* client, bool more) {
  if (more) {
    nothing_is_known();
    reset_ = unknown_;
    may_.add(pins_.common(askable()));
    return;
  }
  values_ = nullptr;
  unknown_.clear();
  reset_.clear();
  may_ = {};
  pins_ = pins_.common(Pin::load);
  taint_ = 0;
  if (client) client->back_to_start();
}

bool ServerSession::client_left() {
  const bool dirty = asking_ || !unknown_.empty() || pins_.any() || may_.any();
  unknown_.clear();
  reset_.clear();
  asked_.clear();
  asking_ = false;
  pins_.add(std::exchange(may_, {}));
  pins_.add(std::exchange(asked_pins_, {}));
  return dirty;
}

void ServerSession::nothing_is_known() {
  if (!values_) return;
  for (const auto& [name, value] : *values_) unknown_.insert(name);
}

// --- SQL

// A tag that does not begin in the text. That it may end it with a dollar of its own does no harm:
// what closes a string is the whole tag.
std::string quote_dollar(View text) {
  std::string tag = "$h";
  while (text.find(tag) != View::npos) tag.push_back('h');
  tag.push_back('$');
  std::string quoted;
  quoted.reserve(text.size() + 2 * tag.size());
  return quoted.append(tag).append(text).append(tag);
}

std::string quote_setting(View name) {
  std::string quoted = "\"";
  for (const char c : name) {
    if (c == '.') {
      quoted += "\".\"";
      continue;
    }
    if (c == '"') quoted.push_back(c);
    quoted.push_back(c);
  }
  return quoted + '"';
}

}  // namespace headgate
