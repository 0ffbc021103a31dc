// How a simulated client prepares statements: under names of its own, which other clients use too,
// or without one; it uses them in later requests, closes them, and makes the mistakes that
// PostgreSQL has words for. Names count from the server's confirmation on, so that an error in the
// middle leaves no doubt about them.
#include <fmt/format.h>

#include "tests/sim/actor.h"

namespace headgate::sim {

using Kind = Statement::Kind;

namespace {

constexpr int runs_again = 400;  // of what reads

// What a new statement is about: some set something in their session.
int choose_shape(Dice& dice, bool settings) {
  return dice.between(1, settings ? last_shape : last_plain_shape);
}

}  // namespace

void Actor::note_names(const Expected& expected) {
  if (expected.tag == '1' && expected.name.empty()) unnamed_ = expected.shape;
  if (expected.tag == '1' && !expected.name.empty()) names_[expected.name] = expected.shape;
  const bool deallocated = expected.tag == 'C' && expected.statement.kind == Kind::deallocate;
  if (deallocated && names_.erase(expected.statement.name) > 0) {
    free_names_.push_back(expected.statement.name);
  }
  if (expected.tag == '3' && names_.erase(expected.name) > 0) free_names_.push_back(expected.name);
}

void Actor::say_parse(const std::string& name, const std::string& text) {
  Bytes parse = name;
  parse.push_back('\0');
  parse.append(text);
  parse.append(3, '\0');
  say('P', parse);
}

void Actor::say_bind(const std::string& name, int shape, const Statement& statement) {
  const auto parameters = prepared_parameters(shape, statement);
  Bytes bind(1, '\0');
  bind.append(name);
  bind.append(4, '\0');
  bind.push_back(static_cast<char>(parameters.size()));
  for (const std::string& parameter : parameters) {
    char size[4];
    store_u32(size, static_cast<uint32_t>(parameter.size()));
    bind.append(size, sizeof size).append(parameter);
  }
  bind.append(2, '\0');
  say('B', bind);
}

// A name to bind: one that is known, or a new one that is prepared first; empty: the unnamed one.
std::string Actor::choose_name(bool failed) {
  Dice& dice = world_.dice;
  std::vector<std::string> known;
  for (const auto* names : {&names_, &new_names_}) {
    for (const auto& [name, shape] : *names) {
      if (!closing_.contains(name)) known.push_back(name);
    }
  }
  if (dice.chance(250)) return "";
  if (!known.empty() && dice.chance(700)) return known[dice.roll(known.size())];
  if (!failed && !free_names_.empty() && dice.chance(500)) {
    std::string name = std::move(free_names_.back());
    free_names_.pop_back();
    return name;
  }
  return fmt::format("s{}", next_name_++);
}

void Actor::ask_run(const std::string& name, int shape, const Statement& statement, bool& failed) {
  const auto add = [&](char tag) {
    if (!failed) expected_.push_back({tag, statement});
  };
  say_bind(name, shape, statement);
  add('2');
  if (world_.dice.chance(500)) {
    say('D', Bytes("P\0", 2));
    add(answers_rows(statement) ? 'T' : 'n');
  }
  say('E', Bytes(5, '\0'));
  if (!failed) expect(statement, false);
  failed |= statement.kind == Kind::fail;
}

void Actor::ask_prepared(bool& failed) {
  Dice& dice = world_.dice;
  const bool fails = dice.chance(manners_.failing);
  Statement statement = new_statement(fails && dice.chance(300) ? Kind::fail : Kind::run);
  if (fails && statement.kind == Kind::run && !failed) {
    plan_failure(statement);
    failed = true;
    return;
  }
  const auto add = [&](Expected expected) {
    if (!failed) expected_.push_back(std::move(expected));
  };
  const std::string name = choose_name(failed);
  int shape = dice.chance_if_any(manners_.data) ? choose_data_shape()
                                                : choose_shape(dice, manners_.settings > 0);
  bool known = false;
  for (const auto* names : {&names_, &new_names_}) {
    if (const auto found = names->find(name); found != names->end()) {
      shape = found->second;
      known = true;
    }
  }
  // Nothing that was asked before may still change the unnamed one.
  if (name.empty() && unnamed_ > 0 && !waits_for_answer()) {
    shape = unnamed_;
    known = true;
  }
  if (statement.kind == Kind::run) adapt_to_shape(statement, shape);
  if (statement.kind == Kind::write) statement.size = ++last_value_;
  if (!known) {
    say_parse(name, prepared_text(shape));
    if (!name.empty() && !failed) new_names_[name] = shape;
    add({.tag = '1', .statement = statement, .name = name, .shape = shape});
  }
  if (dice.chance(150)) {
    say('D', Bytes("S") + name + Bytes(1, '\0'));
    add({.tag = 't', .statement = statement});
    add({.tag = 'n', .statement = statement});
  }
  ask_run(name, shape, statement, failed);
  if (shape == read_shape && statement.kind == Kind::read && dice.chance(runs_again)) {
    Statement again = new_statement(Kind::run);
    adapt_to_shape(again, shape);
    ask_run(name, shape, again, failed);
  }
  if (name.empty() || !dice.chance(150)) return;
  say('C', Bytes("S") + name + Bytes(1, '\0'));
  closing_.insert(name);
  add({.tag = '3', .statement = statement, .name = name});
}

// One of PostgreSQL's errors about statements, in the client's own words.
void Actor::plan_failure(const Statement& statement) {
  Dice& dice = world_.dice;
  Expected error{.tag = 'E', .statement = statement};
  std::string name = fmt::format("s{}", next_name_++);
  for (const auto& [known, shape] : names_) {
    if (!closing_.contains(known) && dice.chance(500)) name = known;
  }
  const auto made = session_.statements();
  if (!made.empty() && allowances_.sessions && dice.chance(300)) name = made.front();
  if (names_.contains(name) || session_.has_statement(name)) {
    say_parse(name, prepared_text(dice.between(1, last_plain_shape)));
    error.words = fmt::format("prepared statement \"{}\" already exists", name);
  } else if (dice.chance(500)) {
    say_bind(name, 1, statement);
    error.words = fmt::format("prepared statement \"{}\" does not exist", name);
  } else {
    error.words = "broken " + signature(statement);
    say_parse(name, error.words);
  }
  say('E', Bytes(5, '\0'));
  expected_.push_back(std::move(error));
}

// In a transaction.
void Actor::ask_prepared_batch() {
  closing_.clear();
  new_names_.clear();
  bool failed = false;
  const int statements = world_.dice.between(1, 3);
  for (int i = 0; i < statements; ++i) ask_prepared(failed);
  say('S', {});
  expected_.push_back({.tag = 'Z', .statement = expected_.back().statement});
}

}  // namespace headgate::sim
