#include "protocol/session_state.h"

#include <algorithm>
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
