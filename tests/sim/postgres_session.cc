// The session of a simulated server's process: what clients and Headgate set in it, what Headgate
// asks about it, and whether it is what the client that has it must see.
#include <algorithm>
#include <cctype>

#include "tests/sim/cluster.h"

namespace headgate::sim {

namespace {

using Kind = Statement::Kind;

bool same_name(View left, View right) {
  return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                    [](char a, char b) { return std::tolower(a) == std::tolower(b); });
}

void append_cell(Bytes& row, const std::optional<std::string>& value) {
  char size[4];
  store_u32(size, value ? static_cast<uint32_t>(value->size()) : UINT32_MAX);
  row.append(size, sizeof size);
  if (value) row.append(*value);
}

}  // namespace

const std::map<std::string, std::string>& Backend::values_at_start() {
  static const std::map<std::string, std::string> values = {{"client_encoding", "UTF8"},
                                                            {"DateStyle", "ISO, MDY"},
                                                            {"TimeZone", "UTC"},
                                                            {"application_name", ""},
                                                            {"standard_conforming_strings", "on"},
                                                            {"server_version", "15.0"}};
  return values;
}

// It sees its own session: as it was left by its last transaction, wherever that was.
void Backend::check_session(const Statement& statement) {
  const std::string is = model_.told();
  const std::string must_be = host_.ledger().session_of(statement.client).told();
  if (is != must_be) {
    host_.world().violated("{} runs in a session with{} instead of{}", signature(statement),
                           is.empty() ? " nothing" : is, must_be.empty() ? " nothing" : must_be);
  }
  if (secret_of_ != 0 && secret_of_ != statement.client) {
    host_.world().violated("{} runs with what a function of c{} has left", signature(statement),
                           secret_of_);
  }
}

void Backend::change_session(const Statement& statement) {
  if (statement.client != 0) unasked_ = true;
  if (report_changed(statement)) return;
  const Bytes row = model_.row(statement, 0);
  model_.apply(statement);
  if (statement.client != 0) host_.ledger().session_of(statement.client).apply(statement);
  if (statement.kind == Kind::reset_all) reset_reported();
  if (statement.kind == Kind::secret) secret_of_ = statement.client;
  const bool loads = statement.kind == Kind::make && statement.name == "load";
  if (loads) return complete("LOAD");  // by which Headgate knows it
  if (statement.rows == 0) return complete(statement.kind == Kind::assign ? "SET" : "RESET");
  if (!implicit_) say('T', signature(statement));
  if (statement.client != 0) {
    say('D', row);
  } else {
    Bytes cells("\0\1", 2);
    append_cell(cells, statement.value);
    say('D', cells);
  }
  complete("SELECT 1");
}

// One of the parameters that Headgate knows of each client.
bool Backend::report_changed(const Statement& statement) {
  if (statement.kind != Kind::assign) return false;
  for (auto& [name, value] : values_) {
    if (!same_name(name, statement.name)) continue;
    value = statement.value;
    complete("SET");
    report(name);
    return true;
  }
  return false;
}

void Backend::discard(const Statement& statement) {
  if (status_ != 'I' || implicit_) {
    host_.world().violated("server {} is told DISCARD ALL in a transaction", process_);
  }
  statements_.clear();
  stand_ins_.clear();
  parsed_.reset();
  meets_.reset();
  model_.apply(statement);
  if (statement.client != 0) host_.ledger().session_of(statement.client).apply(statement);
  secret_of_ = 0;
  reset_reported();
  complete("DISCARD ALL");
}

void Backend::reset_reported() {
  for (const auto& [name, value] : values_at_start()) {
    if (values_[name] == value) continue;
    values_[name] = value;
    report(name);
  }
}

// Those of a list of settings that have their defaults. pg_settings does not have custom ones.
std::optional<std::string> Backend::not_set_by_session(View names) const {
  std::string found;
  while (!names.empty()) {
    const std::string name(names.substr(0, names.find(',')));
    names.remove_prefix(std::min(name.size() + 1, names.size()));
    const bool is_custom = name.starts_with("app.") || name == "role";
    if (!is_custom && model_.is_default(name)) found += (found.empty() ? "" : ",") + name;
  }
  return found.empty() ? std::nullopt : std::optional(found);
}

void Backend::answer_question(const Statement& statement) {
  if (status_ != 'I' || implicit_ || owner_ != 0) {
    host_.world().violated("server {} is asked about its session in a transaction of c{}", process_,
                           owner_);
  }
  unasked_ = false;
  Bytes row;
  for (const std::string& column : statement.columns) {
    const std::string name = column.substr(1);
    if (column[0] == '=') {
      append_cell(row, model_.value(name));
    } else if (column[0] == '&') {
      std::string channels;
      for (const int client : model_.heard()) {
        channels += fmt::format("{}\"n{}\"", channels.empty() ? "" : ",", client);
      }
      if (meets_) channels += fmt::format("{}\"{}\"", channels.empty() ? "" : ",", *meets_);
      append_cell(row, channels.empty() ? std::nullopt : std::optional(channels));
    } else if (column[0] == '@') {
      append_cell(row, text_of(name));
    } else if (name.starts_with("prepared")) {
      const size_t others = name.find(':');
      const View but = others == name.npos ? View() : View(name).substr(others + 1);
      append_cell(row, model_.has_fixed_statement(but) ? "t" : "f");
    } else if (column[0] == '?') {
      append_cell(row, not_set_by_session(name));
    } else {
      append_cell(row, model_.has_any(name) ? "t" : "f");
    }
  }
  host_.world().note("server {} answers, its session has{}", process_, model_.told());
  say('T', Bytes("\0\0", 2));
  char count[2] = {static_cast<char>(statement.columns.size() >> 8),
                   static_cast<char>(statement.columns.size())};
  say('D', Bytes(count, sizeof count) + row);
  complete("SELECT 1");
}

void Backend::answer_audit(const Statement& statement) {
  if (status_ != 'I' || owner_ != 0) {
    host_.world().violated("server {} is audited in a transaction of c{}", process_, owner_);
  }
  auto rows = model_.rows_of_audit();
  for (const auto& [name, value] : values_) {
    if (values_at_start().at(name) != value) rows.push_back({"s", name, value});
  }
  for (const std::string& name : statement.columns) {
    if (const auto value = model_.value(name)) rows.push_back({"s", name, *value});
  }
  for (const auto& [name, prepared] : statements_) rows.push_back({"p", name, ""});
  for (const auto& [name, client] : stand_ins_) rows.push_back({"p", name, ""});
  for (const auto& cells : rows) {
    Bytes row("\0\3", 2);
    for (const std::string& cell : cells) append_cell(row, cell);
    say('D', row);
  }
  complete(fmt::format("SELECT {}", rows.size()));
}

// The transaction is over; in it there was nobody but its owner.
void Backend::settings_settle(bool committed) {
  committed ? model_.commit() : model_.rollback();
  crossing_settles(committed);
  const auto written = std::exchange(written_, std::nullopt);
  if (owner_ == 0) return;
  if (committed && written) host_.cluster().commit(host_.number(), owner_, *written);
  Ledger& ledger = host_.ledger();
  SessionModel& session = ledger.session_of(owner_);
  const bool listened = session.keeps("listen", owner_);
  committed ? session.commit() : session.rollback();
  if (!session.keeps("listen", owner_)) ledger.notified.erase(owner_);
  const bool begins = !listened && session.keeps("listen", owner_);
  if (begins) ledger.older_than_listen[owner_].push_back(ledger.notifications);
}

}  // namespace headgate::sim
