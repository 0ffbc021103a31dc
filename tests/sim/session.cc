#include "tests/sim/session.h"

#include <fmt/format.h>

#include "tests/sim/language_settings.h"

namespace headgate::sim {

namespace {

using Kind = Statement::Kind;

struct Known {
  const char* name;
  const char* otherwise;  // its default
};
constexpr Known known[] = {{"app.x", ""},
                           {"app.y", ""},
                           {"log_statement", "none"},  // not to be set in another role
                           {"role", "none"},
                           {"search_path", "public"},
                           {"work_mem", "4MB"}};

// Made up by their clients: they exist when somebody has set them.
bool is_custom(View name) { return name.starts_with("app."); }

}  // namespace

void SessionModel::start_with(Settings settings) {
  start_ = std::move(settings);
  now_ = kept_ = start_;
}

void SessionModel::reset(const std::string& name) {
  local_.erase(name);
  if (name == "session_authorization") return reset("role");
  const auto at_start = start_.find(name);
  if (at_start != start_.end()) {
    now_[name] = at_start->second;
  } else if (is_custom(name)) {
    now_[name] = "";
  } else {
    now_.erase(name);
  }
}

void SessionModel::apply(const Statement& statement) {
  switch (statement.kind) {
    case Kind::assign:
      local_.erase(statement.name);
      now_[statement.name] = statement.value;
      return;
    case Kind::assign_local:
      local_[statement.name] = statement.value;
      return;
    case Kind::reset:
      return reset(statement.name);
    case Kind::reset_all:
    case Kind::discard:
      for (const Known& one : known) {
        const bool identity = View(one.name) == "role";
        if (!identity && (now_.contains(one.name) || local_.contains(one.name))) reset(one.name);
      }
      if (statement.kind == Kind::reset_all) return;
      reset("role");
      statements_.clear();
      std::erase_if(things_, [](const auto& one) { return one.first != "load"; });
      return;
    case Kind::prepare:
      statements_[statement.name] = {statement.value, statement.query};
      return;
    case Kind::deallocate:
      statements_.erase(statement.name);
      return;
    case Kind::lock:
      ++things_["lock"][statement.client];
      return;
    case Kind::unlock:
      return lose("lock", statement.client, statement.spelling % 2 == 1);
    case Kind::make:
      ++things_[statement.name][statement.client];
      return;
    case Kind::unmake:
      return lose(statement.name, statement.client, true);
    case Kind::hear:
      things_["listen"][statement.size] = 1;
      return;
    case Kind::unhear:
      if (statement.size == 0) {
        things_.erase("listen");
      } else {
        lose("listen", statement.size, true);
      }
      return;
    default:
      return;
  }
}

std::string SessionModel::refusal(const Statement& statement, bool role_exists) const {
  const bool has = statements_.contains(statement.name);
  if (statement.kind == Kind::prepare && has) {
    return fmt::format("prepared statement \"{}\" already exists", statement.name);
  }
  if ((statement.kind == Kind::run_made || statement.kind == Kind::deallocate) && !has) {
    return fmt::format("prepared statement \"{}\" does not exist", statement.name);
  }
  const bool sets = statement.kind == Kind::assign || statement.kind == Kind::assign_local;
  if (!sets && statement.kind != Kind::reset) return "";
  const std::string& name = statement.name;
  if (name == "log_statement" && effective("role", "none") != "none") {
    return "permission denied to set parameter \"log_statement\"";
  }
  if (!sets) return "";
  if (name == "work_mem" && !View(statement.value).ends_with("MB")) {
    return fmt::format("invalid value for parameter \"work_mem\": \"{}\"", statement.value);
  }
  if (name == "role" && statement.value != "none" && !role_exists) {
    return fmt::format("role \"{}\" does not exist", statement.value);
  }
  return "";
}

void SessionModel::lose(const std::string& kind, int client, bool all) {
  const auto of_kind = things_.find(kind);
  if (of_kind == things_.end()) return;
  const auto held = of_kind->second.find(client);
  if (held != of_kind->second.end() && (all || --held->second == 0)) of_kind->second.erase(held);
  if (of_kind->second.empty()) things_.erase(of_kind);
}

void SessionModel::commit() {
  local_.clear();
  kept_ = now_;
  kept_things_ = things_;
}

void SessionModel::rollback() {
  local_.clear();
  now_ = kept_;
  for (const Thing& thing : things) {
    if (!thing.rolls_back) continue;
    things_.erase(std::string(thing.kind));
    const auto kept = kept_things_.find(thing.kind);
    if (kept != kept_things_.end()) things_.insert(*kept);
  }
}

bool SessionModel::has(View kind, int client) const {
  const auto found = things_.find(kind);
  return found != things_.end() && found->second.contains(client);
}

bool SessionModel::keeps(View kind, int client) const {
  const auto found = kept_things_.find(kind);
  return found != kept_things_.end() && found->second.contains(client);
}

bool SessionModel::has_any(View kind) const {
  return things_.contains(kind) || (kind == "prepared" && has_fixed_statement(""));
}

std::vector<std::string> SessionModel::statements() const {
  std::vector<std::string> names;
  for (const auto& [name, made] : statements_) names.push_back(name);
  return names;
}

std::optional<std::string> SessionModel::query_of(View name) const {
  const auto found = statements_.find(name);
  return found == statements_.end() ? std::nullopt : std::optional(found->second.query);
}

// A backslash is read by the settings of its session.
bool SessionModel::has_fixed_statement(View but) const {
  for (const auto& [name, made] : statements_) {
    const bool named = fmt::format(",{},", but).find(fmt::format(",{},", name)) != View::npos;
    if (!named && made.value.find('\\') != View::npos) return true;
  }
  return false;
}

std::vector<int> SessionModel::heard() const {
  std::vector<int> clients;
  const auto found = things_.find("listen");
  if (found == things_.end()) return clients;
  for (const auto& [client, times] : found->second) clients.push_back(client);
  return clients;
}

std::string SessionModel::effective(const std::string& name, const std::string& otherwise) const {
  if (const auto found = local_.find(name); found != local_.end()) return found->second;
  const auto found = now_.find(name);
  return found == now_.end() ? otherwise : found->second;
}

std::optional<std::string> SessionModel::value(const std::string& name) const {
  const bool exists = now_.contains(name) || local_.contains(name);
  if (is_custom(name) && !exists) return std::nullopt;
  for (const Known& one : known) {
    if (one.name == name) return effective(name, one.otherwise);
  }
  return std::nullopt;
}

// The row of pg_settings; it has none about custom settings and roles.
bool SessionModel::is_default(const std::string& name) const {
  for (const Known& one : known) {
    if (one.name == name) return effective(name, one.otherwise) == one.otherwise;
  }
  return false;
}

std::vector<std::array<std::string, 3>> SessionModel::rows_of_audit() const {
  std::vector<std::array<std::string, 3>> rows;
  for (const auto& [name, value] : now_) {
    if (!is_default(name)) rows.push_back({"s", name, value});
  }
  for (const auto& [name, made] : statements_) rows.push_back({"p", name, ""});
  for (const auto& [kind, held] : things_) {
    const View letter = kind == "lock"     ? "l"
                        : kind == "cursor" ? "h"
                        : kind == "listen" ? "c"
                                           : "t";
    if (kind == "load") continue;  // no catalog tells
    for (const auto& [client, times] : held) {
      rows.push_back({std::string(letter), std::to_string(client), ""});
    }
  }
  return rows;
}

std::string SessionModel::told() const {
  std::string all;
  for (const Known& one : known) {
    const std::string value = effective(one.name, one.otherwise);
    if (value != one.otherwise) all += fmt::format(" {}='{}'", one.name, value);
  }
  for (const auto& [kind, held] : things_) {
    if (kind == "listen") continue;  // another server may do that for it
    for (const auto& [client, times] : held)
      all += fmt::format(" {} of c{}*{}", kind, client, times);
  }
  for (const auto& [name, made] : statements_) all += fmt::format(" {} is '{}'", name, made.value);
  return all;
}

Bytes SessionModel::row(const Statement& statement, int row) const {
  switch (statement.kind) {
    case Kind::look:
      return signature(statement) + " sees" + told();
    case Kind::run_made: {
      const auto made = statements_.find(statement.name);
      return signature(statement) + " is " +
             (made == statements_.end() ? "nothing" : made->second.value);
    }
    case Kind::unlock:
      return signature(statement) + (has("lock", statement.client) ? " t" : " f");
    default:
      return row_content(statement, row);
  }
}

}  // namespace headgate::sim
