// What a simulated client makes of its session: settings and locks, in every way that PostgreSQL
// has for that; and what it must find there, by the answers that it has got.
#include <fmt/format.h>

#include "tests/sim/actor.h"
#include "tests/sim/language_settings.h"

namespace headgate::sim {

using Kind = Statement::Kind;

bool Actor::asks_of_session() { return world_.dice.chance(manners_.settings); }

// `alone`: as the only statement of its request, when all answers have come.
Statement Actor::new_session_statement(bool alone, bool batch) {
  Dice& dice = world_.dice;
  constexpr Kind kinds[] = {Kind::look,   Kind::look,     Kind::look,         Kind::look,
                            Kind::look,   Kind::assign,   Kind::assign,       Kind::assign,
                            Kind::assign, Kind::assign,   Kind::assign_local, Kind::reset,
                            Kind::reset,  Kind::reset_all};
  Kind kind = kinds[dice.roll(std::size(kinds))];
  const bool resets = kind == Kind::reset || kind == Kind::reset_all;
  // What it has begun with comes back behind the request.
  if (resets && !start_settings.empty() && !(alone && allowances_.shares)) kind = Kind::look;
  // Nor does its application_name, which is then the server's own.
  if (kind == Kind::reset_all && !application_name.empty()) kind = Kind::assign;
  if (dice.chance(manners_.locks)) {
    kind = session_.has("lock", number_) && dice.chance(600) ? Kind::unlock : Kind::lock;
  }
  const bool unseen = allowances_.strict || (alone && !batch);
  if (unseen && dice.chance(manners_.secrets)) kind = Kind::secret;
  if (alone && dice.chance(manners_.things)) kind = Kind::make;
  if (dice.chance(manners_.prepares)) kind = Kind::run_made;
  Statement statement = new_statement(kind);
  statement.spelling = dice.between(0, most_spellings - 1);
  choose_setting(statement, alone);
  if (kind == Kind::make) choose_thing(statement);
  if (kind == Kind::run_made) choose_statement(statement, alone);
  // Simple queries of this size are not looked into.
  if (kind == Kind::secret && !allowances_.strict) statement.size = 257 * 1024;
  kind = statement.kind;
  const bool function = (kind == Kind::assign && statement.spelling == 2) ||
                        (kind == Kind::assign_local && statement.spelling % 2 == 1);
  const bool answers = function || kind == Kind::look || kind == Kind::lock ||
                       kind == Kind::unlock || kind == Kind::secret || kind == Kind::run_made;
  statement.rows = answers ? 1 : 0;
  return statement;
}

void Actor::choose_setting(Statement& statement, bool alone) {
  Dice& dice = world_.dice;
  const bool sets = statement.kind == Kind::assign || statement.kind == Kind::assign_local;
  if (!sets && statement.kind != Kind::reset) return;
  constexpr const char* names[] = {"app.x",    "app.x",       "app.y", "app.y",
                                   "work_mem", "search_path", "role",  "log_statement"};
  statement.name = names[dice.roll(std::size(names))];
  const bool may_set_log = alone && session_.value("role") == "none";
  if (statement.name == "log_statement" && !may_set_log) statement.name = "app.x";
  if (!sets) return;
  statement.value = new_value(statement.name);
  if (statement.name == "search_path") {
    statement.spelling = statement.kind == Kind::assign ? 2 : 1;
  }
}

// What is there is taken away, but for what stays for ever.
void Actor::choose_thing(Statement& statement) {
  const size_t last = things.size() - (allowances_.shares ? 1 : 2);
  const Thing& thing = things[static_cast<size_t>(world_.dice.between(0, static_cast<int>(last)))];
  statement.name = thing.kind;
  if (!session_.has(thing.kind, number_)) return;
  statement.kind = thing.unmakes.empty() ? Kind::look : Kind::unmake;
}

// One of a few names, which all clients give; or one of its statements of the protocol.
void Actor::choose_statement(Statement& statement, bool alone) {
  Dice& dice = world_.dice;
  statement.name = fmt::format("q{}", dice.between(1, 3));
  const bool there = session_.has_statement(statement.name);
  if (!alone) {
    if (!there) statement.kind = Kind::look;
    return;
  }
  if (!names_.empty() && dice.chance(250)) {
    statement.name =
        std::next(names_.begin(), dice.between(0, static_cast<int>(names_.size()) - 1))->first;
    statement.kind = dice.chance(700) ? Kind::deallocate : Kind::prepare;
  } else if (!there || dice.chance(manners_.failing)) {
    statement.kind = dice.chance(manners_.failing) ? Kind::deallocate : Kind::prepare;
  } else if (dice.chance(300)) {
    statement.kind = Kind::deallocate;
  }
  if (statement.kind == Kind::prepare) statement.value = new_value("app.x");
  // A cancel may strike it.
  const bool slow = statement.kind == Kind::deallocate && dice.chance(300);
  if (slow) statement.milliseconds = dice.between(1, manners_.longest_work);
}

std::string Actor::new_value(const std::string& name) {
  Dice& dice = world_.dice;
  if (name == "work_mem") {
    if (dice.chance(manners_.failing)) return "lots";
    return fmt::format("{}MB", dice.between(1, 99));
  }
  if (name == "role") return fmt::format("r{}", dice.between(1, 2));
  if (name == "log_statement") return dice.chance(500) ? "all" : "ddl";
  if (name == "search_path") {
    return dice.chance(500) ? fmt::format("s{}, public", number_) : fmt::format("s{}", number_);
  }
  constexpr const char* ends[] = {"",           "",   "",    "'",  "$h$", "$h",
                                  ";RESET ALL", "\\", " /*", "\"", "é"};
  if (dice.chance(50)) return "";
  return fmt::format("c{} v{}{}", number_, dice.roll(1000), ends[dice.roll(std::size(ends))]);
}

void Actor::ask_discard() {
  const bool start_is_lost = !start_settings.empty() && !allowances_.shares;
  if (start_is_lost || !application_name.empty()) return ask_simple();
  const Statement statement = new_statement(Kind::discard);
  expect(statement, true);
  expected_.push_back({'Z', statement});
  Bytes text = to_text(statement);
  text.push_back('\0');
  say('Q', text);
}

// --- notifications

void Actor::ask_listening() {
  const bool listens = session_.has("listen", number_);
  Statement statement = new_statement(listens ? Kind::unmake : Kind::make);
  statement.name = "listen";
  if (listens && world_.dice.chance(600)) statement = new_statement(Kind::run);
  expect(statement, true);
  expected_.push_back({'Z', statement});
  Bytes text = to_text(statement);
  text.push_back('\0');
  say('Q', text);
}

// Each once, in order, while it listens, and not in a transaction.
void Actor::check_notification(View body) {
  const std::string channel(body.substr(4, body.find('\0', 4) - 4));
  const int number = std::atoi(body.data() + 4 + channel.size() + 1);
  if (channel != fmt::format("n{}", number_)) {
    world_.violated("c{} is told of {} on {}", number_, number, channel);
  }
  if (!session_.has("listen", number_)) {
    world_.violated("c{} is told of {} and does not listen", number_, number);
  }
  if (status_ != 'I') world_.violated("c{} is told of {} in a transaction", number_, number);
  if (number <= last_heard_) {
    world_.violated("c{} is told of {} behind {}", number_, number, last_heard_);
  }
  if (number <= older_than_listen_) {
    world_.violated("c{} is told of {}, which is older than its LISTEN", number_, number);
  }
  last_heard_ = number;
  auto& missing = ledger_.notified[number_];
  while (!missing.empty() && missing.front().number <= number) {
    const Ledger::Notified first = missing.front();
    missing.pop_front();
    if (first.number < number && ledger_.hears_all_since(first.when)) {
      world_.violated("c{} is told of {} and never of {}", number_, number, first.number);
    }
  }
}

// A client that is about to leave waits for what it must hear.
bool Actor::has_heard_all() {
  constexpr Duration longest = seconds(30);
  const auto& missing = ledger_.notified[number_];
  if (missing.empty() || !ledger_.hears_all_since(missing.front().when)) return true;
  if (missing.front().when + longest < world_.now()) {
    world_.violated("c{} is not told of {}", number_, missing.front().number);
  }
  return false;
}

// --- answers

void Actor::commit_session() {
  const bool listened = session_.keeps("listen", number_);
  session_.commit();
  auto& older = ledger_.older_than_listen[number_];
  if (listened || !session_.keeps("listen", number_) || older.empty()) return;
  older_than_listen_ = older.front();
  older.pop_front();
}

// An answer has come that was expected.
void Actor::note_session(const Expected& expected, View body) {
  if (expected.tag == 'Z' && status_ == 'I') commit_session();
  if (expected.tag != 'C') return;
  if (body.starts_with("COMMIT")) commit_session();
  if (body.starts_with("ROLLBACK")) session_.rollback();
  session_.apply(expected.statement);
  if (expected.statement.kind != Kind::discard) return;
  for (const auto& [name, shape] : names_) free_names_.push_back(name);
  names_.clear();
}

}  // namespace headgate::sim
