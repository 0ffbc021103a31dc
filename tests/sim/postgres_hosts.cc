// What a process of a simulated server does as one of several hosts: it reads and writes the number
// of its client, refuses what a standby refuses, and answers what Headgate's monitor asks.
#include "tests/sim/cluster.h"
#include "tests/sim/language_hosts.h"

namespace headgate::sim {

using Kind = Statement::Kind;

// What befalls a standby excuses nothing, unless a client has been told something of what it has
// asked there, or is in a transaction, or has made something of its session: for all else there is
// the primary.
void Backend::fault() {
  if (!host_.cluster().is_standby(host_.number()) ||
      (owner_ != 0 && (exposed_ || status_ != 'I')) || unasked_) {
    host_.ledger().fault(host_.ledger().server_faults);
  }
}

// It ends with its transaction open, which may be asked for once more elsewhere.
void Backend::abandon() {
  written_.reset();
  if (host_.cluster().is_standby(host_.number())) settings_settle(false);
}

void Backend::tell_role() {
  if (!host_.cluster().has_standbys()) return;
  told_standby_ = host_.cluster().is_standby(host_.number());
  Bytes body = "in_hot_standby";
  body.push_back('\0');
  body.append(told_standby_ ? "on" : "off").push_back('\0');
  say('S', body);
}

// As PostgreSQL, in front of its next ReadyForQuery.
void Backend::tell_promotion() {
  if (told_standby_ && !host_.cluster().is_standby(host_.number())) tell_role();
}

/// What it says against the statement; nothing: it carries it out.
std::optional<std::pair<View, View>> Backend::standby_refuses(const Statement& statement) {
  if (!host_.cluster().is_standby(host_.number()) || statement.client == 0) return std::nullopt;
  const bool makes = (statement.kind == Kind::make || statement.kind == Kind::unmake) &&
                     (statement.name == "temporary" || statement.name == "listen");
  const bool copies = statement.kind == Kind::copy_in || statement.kind == Kind::copy_bad;
  if (writes_data(statement) || makes || copies) {
    return std::pair("25006", "cannot execute this in a read-only transaction");
  }
  const bool reads = statement.kind == Kind::read || statement.kind == Kind::run;
  if (reads && host_.world().dice.chance(host_.cluster().habits().conflicts)) {
    return std::pair("40001", "canceling statement due to conflict with recovery");
  }
  return std::nullopt;
}

// What a standby has begun the primary may do once more.
void Backend::note_execution(const Statement& statement) {
  Ledger& ledger = host_.ledger();
  if (host_.cluster().is_standby(host_.number())) {
    ledger.executed_at_standby(statement.client, statement.request);
  } else {
    ledger.executed(statement.client, statement.request);
  }
}

void Backend::answer_data(const Statement& statement) {
  Cluster& cluster = host_.cluster();
  const bool standby = cluster.is_standby(host_.number());
  if (statement.kind == Kind::write || statement.kind == Kind::call) written_ = statement.size;
  if (statement.kind == Kind::call) return say('V', Bytes(4, '\xFF'));
  if (statement.kind != Kind::read) return answer_rows(statement);
  const int value = written_.value_or(cluster.value_of(host_.number(), statement.client));
  if (statement.rows > 0 && !implicit_) say('T', signature(statement));
  const bool breaks =
      standby && statement.rows > 1 && host_.world().dice.chance(cluster.habits().conflicts / 2);
  for (int row = 0; row < statement.rows; ++row) {
    say('D', row == 0 ? fmt::format("{} reads {}", signature(statement), value)
                      : model_.row(statement, row));
    if (breaks) return fail("40001", "canceling statement due to conflict with recovery");
  }
  complete(fmt::format("SELECT {}", statement.rows));
}

// One argument, which is a statement of the simulated language.
void Backend::call_function(View body) {
  constexpr size_t before_argument = 4 + 2 + 2 + 4;
  implicit_ = false;
  const View text = body.substr(before_argument, body.size() - before_argument - 2);
  auto statements = parse_query(text);
  if (!statements) host_.world().violated("server {} got a call nobody made: {}", process_, text);
  steps_.push_back({Step::Kind::execute, std::move(statements->front()), {}, true, true});
}

// --- the monitor's questions

void Backend::say_cells(const std::vector<std::optional<std::string>>& cells) {
  Bytes row;
  row.push_back('\0');
  row.push_back(static_cast<char>(cells.size()));
  for (const auto& cell : cells) {
    char size[4];
    store_u32(size, cell ? static_cast<uint32_t>(cell->size()) : UINT32_MAX);
    row.append(size, sizeof size);
    if (cell) row.append(*cell);
  }
  say('D', row);
}

void Backend::answer_role(const Statement& statement) {
  Cluster& cluster = host_.cluster();
  if (user_ != monitor) host_.world().violated("{} asks for a role", user_);
  const auto answer = cluster.ask(host_.number(), asked_role_);
  asked_role_ = !answer.in_recovery;
  const bool of_standby = answer.in_recovery && !statement.name.empty();
  if (of_standby && !cluster.habits().tells_timeline) {
    return fail("42501", "permission denied for function pg_control_checkpoint");
  }
  std::optional<std::string> timeline;
  if (!answer.in_recovery) timeline = fmt::format("{:08X}", answer.timeline);
  if (of_standby) timeline = fmt::format("{:x}", answer.timeline);
  say_cells({answer.in_recovery ? "t" : "f",
             fmt::format("{:X}/{:X}", answer.lsn >> 32, answer.lsn & UINT32_MAX), timeline});
  complete("SELECT 1");
}

void Backend::answer_functions() {
  for (const Function& one : functions) {
    say_cells({"public", std::string(one.name), one.reads ? "t" : "f"});
  }
  complete("SELECT 2");
}

}  // namespace headgate::sim
