#include "tests/sim/operator.h"

#include <algorithm>
#include <utility>

#include "protocol/error_fields.h"
#include "protocol/startup.h"

namespace headgate::sim {

namespace {

constexpr Duration longest_answer = seconds(12);  // beyond any stall

const char* user_of(Operator::Role role) {
  if (role == Operator::Role::admin) return "admin";
  return role == Operator::Role::viewer ? "viewer" : "u0";
}

}  // namespace

Operator::Operator(const Scene& scene, Role role, bool acts, int commands)
    : scene_(scene),
      world_(scene.world),
      role_(role),
      acts_(acts),
      commands_left_(commands),
      visitor_(scene.world, scene.passwords, user_of(role), Passwords::of(user_of(role))) {}

std::string Operator::describe() const {
  return fmt::format("operator {}, phase {}, {} us after '{}'", user_of(role_),
                     static_cast<int>(phase_), (world_.now() - asked_at_).count(), command_);
}

void Operator::start() {
  scene_.network.connect(House::address(), [this, alive = std::weak_ptr(alive_)](EndPtr end) {
    if (alive.expired()) return;
    if (!end) return over();
    end_ = std::move(end);
    end_->on_change = [this] { hear(); };
    phase_ = Phase::login;
    encode_startup(out_, {{"user", user_of(role_)}, {"database", "pgbouncer"}});
    end_->send_all(std::exchange(out_, {}));
  });
}

// --- what comes

void Operator::hear() {
  if (!end_) return;
  in_.append(end_->arrived());
  if (!end_->arrived().empty()) end_->take(end_->arrived().size());
  while (end_ && in_.size() >= 5) {
    const size_t size = load_u32(in_.data() + 1);
    if (size < 4 || size > 1 << 20) world_.violated("the console says a message of {}", size);
    if (in_.size() < 1 + size) break;
    const Bytes whole = in_.substr(0, 1 + size);
    in_.erase(0, 1 + size);
    message(whole[0], View(whole).substr(5));
  }
  if (end_ && (end_->broken() || end_->at_end())) over();
}

void Operator::message(char tag, View body) {
  world_.note("operator hears {} {}", tag, body.substr(0, 60));
  if (!std::exchange(answered_, true) && phase_ == Phase::ready && !is("PAUSE") &&
      world_.now() - asked_at_ > longest_answer) {
    world_.violated("{} was answered late: {}", command_, describe());
  }
  if (tag == 'E') return error(body);
  if (phase_ == Phase::login) return login_message(tag, body);
  answer(tag, body);
}

void Operator::login_message(char tag, View body) {
  switch (tag) {
    case 'R':
      return visitor_.hear(body, [this](View proof) {
        if (end_) end_->send_all(proof);
      });
    case 'S':
    case 'K':
      return;
    case 'Z':
      if (role_ == Role::stranger || !scene_.passwords.clients_come_in()) {
        world_.violated("{} was let in to the console", user_of(role_));
      }
      phase_ = Phase::ready;
      return think();
    default:
      world_.violated("the console says '{}' in a log-in", tag);
  }
}

namespace {

// What a RowDescription and a DataRow consist of, as far as an operator reads it.
std::vector<std::string> read_columns(View body) {
  constexpr size_t behind_name = 18;
  std::vector<std::string> names;
  body.remove_prefix(2);
  while (!body.empty()) {
    names.emplace_back(body.substr(0, body.find('\0')));
    body.remove_prefix(std::min(body.size(), names.back().size() + 1 + behind_name));
  }
  return names;
}

std::vector<std::string> read_row(View body) {
  std::vector<std::string> values;
  body.remove_prefix(2);
  while (body.size() >= 4) {
    const auto size = static_cast<int32_t>(load_u32(body.data()));
    body.remove_prefix(4);
    values.emplace_back(body.substr(0, size < 0 ? 0 : static_cast<size_t>(size)));
    body.remove_prefix(std::min(body.size(), values.back().size()));
  }
  return values;
}

}  // namespace

void Operator::answer(char tag, View body) {
  switch (tag) {
    case 'N':
      return;
    case 'T':
      shown_.columns = read_columns(body);
      return;
    case 'D':
      shown_.rows.push_back(read_row(body));
      if (shown_.rows.back().size() != shown_.columns.size()) {
        world_.violated("{}: {} columns, and a row of {}", command_, shown_.columns.size(),
                        shown_.rows.back().size());
      }
      return;
    case 'C':
      if (!is(body.substr(0, body.find_first_of(View(" \0", 2))))) {
        world_.violated("{} was answered with {}", command_, body);
      }
      return;
    case 'Z':
      if (command_.empty()) world_.violated("the console says more than was asked for");
      failed_ ? end() : check_done();
      return think();
    default:
      world_.violated("{} was answered with '{}'", command_, tag);
  }
}

void Operator::error(View body) {
  const auto fields = decode_error_fields(body);
  if (!fields) world_.violated("the console says an error that cannot be read");
  failed_ = true;
  if (fields->severity == "FATAL") {
    told_ =
        phase_ == Phase::login && (role_ == Role::stranger || !scene_.passwords.clients_come_in());
    if (!told_) world_.violated("{} is told {}", describe(), fields->message);
    return;
  }
  if (!may_fail(fields->message)) world_.violated("{} failed: {}", command_, fields->message);
}

bool Operator::may_fail(View error) const {
  const bool looks = is("SHOW");
  if (role_ == Role::viewer && !looks && command_ != "WHAT") return error == "admin access needed";
  if (is("PAUSE") || is("KILL")) return error == "already suspended/paused";
  const bool made = !scene_.house.pooler().config().databases.contains(database_);
  if (made && error == "no such database: " + database_) return is("RESUME") || is("ENABLE");
  if (is("RESUME")) return error.ends_with("is not paused") || error.ends_with("paused/suspended");
  return command_ == "WHAT" && error.starts_with("invalid command 'WHAT'");
}

void Operator::over() {
  if (phase_ == Phase::gone) return;
  if (phase_ != Phase::connecting && !told_) {
    world_.violated("the console's connection ended without a word; {}", describe());
  }
  if (deeds() && !command_.empty()) deeds()->end();
  phase_ = Phase::gone;
  end_.close();
}

// --- what it does

void Operator::think() {
  world_.after(world_.dice.between(microseconds(0), milliseconds(400)),
               [this, alive = std::weak_ptr(alive_)] {
                 if (!alive.expired() && end_) act();
               });
}

void Operator::act() {
  if (commands_left_-- > 0) return begin(choose());
  say('X', {});
  phase_ = Phase::gone;
  end_.close();
}

std::string Operator::choose() {
  constexpr const char* looks[] = {
      "SHOW POOLS",          "SHOW POOLS",  "SHOW SERVERS",   "SHOW SERVERS",
      "SHOW CLIENTS",        "SHOW LISTS",  "SHOW DATABASES", "SHOW USERS",
      "SHOW STATS",          "SHOW CONFIG", "SHOW MEM",       "SHOW STATS_TOTALS",
      "SHOW STATS_AVERAGES", "SHOW TOTALS", "SHOW STATE",     "SHOW HELP",
      "SHOW VERSION",        "WHAT",
  };
  if (acts_ && world_.dice.chance(500)) return choose_deed();
  if (lifetime_set_) return "SHOW CONFIG";
  return looks[world_.dice.roll(std::size(looks))];
}

std::string Operator::choose_deed() {
  constexpr const char* deeds[] = {"PAUSE",  "PAUSE",  "RESUME", "RESUME", "RECONNECT", "DISABLE",
                                   "ENABLE", "ENABLE", "KILL",   "RELOAD", "SET",       "RESUME"};
  Dice& dice = world_.dice;
  std::string deed = deeds[dice.roll(std::size(deeds))];
  if (deed == "SET") return fmt::format("SET server_lifetime = {}", dice.between(1, 9));
  if (deed == "RELOAD") return deed;
  const bool needs_one = deed == "DISABLE" || deed == "ENABLE" || deed == "KILL";
  if (!needs_one && dice.chance(300)) return deed;
  return deed + (dice.chance(700) ? " db0" : " db1");
}

void Operator::begin(const std::string& command) {
  command_ = command;
  const size_t blank = command.find(' ');
  database_ = is("SHOW") || blank == command.npos ? "" : command.substr(blank + 1);
  shown_ = {};
  failed_ = answered_ = false;
  asked_at_ = world_.now();
  ids_before_ = scene_.house.pooler().next_id();
  Ledger& ledger = scene_.ledger;
  resumes_before_ = ledger.resumes[database_].count;
  all_resumed_before_ = ledger.resumes[""].count;
  forgotten_before_ = ledger.forgotten;
  if (is("KILL")) ledger.fault(ledger.operator_faults);
  if (is("DISABLE")) ledger.disabled = true;
  if (is("RELOAD") && change_ini) change_ini();
  if (Ledger::Deeds* known = deeds()) known->begin();
  if (is("SET")) settings_before_ = ledger.new_settings.count + 1;  // its own end
  world_.note("operator {}: {}", user_of(role_), command_);
  Bytes text = command_;
  text.push_back('\0');
  say('Q', text);
}

Ledger::Deeds* Operator::deeds() {
  if (is("RESUME")) return &scene_.ledger.resumes[database_];
  return is("SET") || is("RELOAD") ? &scene_.ledger.new_settings : nullptr;
}

void Operator::end() {
  if (is("KILL")) scene_.ledger.fault(scene_.ledger.operator_faults);
  if (deeds()) deeds()->end();
  command_.clear();
}

void Operator::say(char tag, View body) {
  Bytes whole;
  append_message(whole, tag, body);
  end_->send_all(whole);
}

}  // namespace headgate::sim
