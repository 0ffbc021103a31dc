#include "tests/sim/actor.h"

#include <algorithm>

#include "protocol/error_fields.h"
#include "protocol/startup.h"
#include "protocol/wire.h"

namespace headgate::sim {

using Kind = Statement::Kind;

Actor::Actor(World& world, Network& network, Ledger& ledger, int number, int requests,
             const Allowances& allowances, const Manners& manners, const Passwords& passwords)
    : world_(world),
      network_(network),
      ledger_(ledger),
      number_(number),
      requests_left_(requests),
      allowances_(allowances),
      manners_(manners),
      passwords_(passwords),
      self_(std::make_shared<Actor*>(this)) {}

Ledger::ClientFacts Actor::facts() const {
  return {true,
          database,
          user,
          application_name,
          asked_to_cancel() || phase_ == Phase::gone || broke_ || told_ ||
              ledger_.since(ledger_.operator_faults, operator_faults_before_) ||
              allowances_.query_timeout.count() > 0 || allowances_.closing_timeouts,
          start_settings};
}

bool Actor::asked_to_cancel() const {
  return cancels_under_way_ > 0 || last_cancel_over_ >= asked_at_ ||
         (allowances_.late_cancels && (ever_cancelled_ || allowances_.query_timeout.count() > 0));
}

std::string Actor::describe() const {
  return fmt::format("c{} phase {} status {} owed {} ({}) asked {} us ago", number_,
                     static_cast<int>(phase_), status_, expected_.size(),
                     expected_.empty() ? "" : signature(expected_.front().statement),
                     (world_.now() - asked_at_).count());
}

void Actor::start(const Address& pooler) {
  pooler_ = pooler;
  asked_at_ = world_.now();
  network_.connect(pooler, [weak = std::weak_ptr(self_)](EndPtr end) {
    const auto self = weak.lock();
    if (!self) return;
    Actor& actor = **self;
    if (!end) return actor.over("refused");
    actor.end_ = std::move(end);
    actor.end_->on_change = [&actor] { actor.hear(); };
    actor.phase_ = Phase::login;
    actor.server_faults_before_ = actor.ledger_.server_faults.count;
    actor.operator_faults_before_ = actor.ledger_.operator_faults.count;
    actor.visitor_ =
        std::make_unique<Visitor>(actor.world_, actor.passwords_, actor.user, actor.password);
    std::vector<std::pair<std::string, std::string>> parameters = {
        {"user", actor.user},
        {"database", actor.database},
        {"application_name", actor.application_name}};
    parameters.insert(parameters.end(), actor.start_settings.begin(), actor.start_settings.end());
    actor.session_.start_with(actor.start_settings);
    encode_startup(actor.out_, parameters);
    actor.send_out();
  });
}

void Actor::break_connection() {
  if (!end_) return;
  broke_ = true;
  end_.connection()->cut();
}

// --- what comes

void Actor::hear() {
  if (!end_) return;
  in_.append(end_->arrived());
  if (!end_->arrived().empty()) end_->take(end_->arrived().size());
  while (end_ && in_.size() >= 5) {
    const size_t size = load_u32(in_.data() + 1);
    if (size < 4 || size > 1 << 24) {
      world_.violated("c{} got a message of length {}", number_, size);
    }
    if (in_.size() < 1 + size) break;
    const Bytes whole = in_.substr(0, 1 + size);
    in_.erase(0, 1 + size);
    message(whole[0], View(whole).substr(5));
  }
  if (!end_) return;
  if (end_->broken() || end_->at_end()) return over(end_->broken() ? "reset" : "end");
  if (sending_) send_out();
}

void Actor::message(char tag, View body) {
  world_.note("c{} hears {} {}", number_, tag, body.substr(0, 60));
  if (tag == 'N' && body.find("may have been missed") != body.npos) ledger_.notified.erase(number_);
  if (tag == 'N') return;
  if (tag == 'A') return check_notification(body);
  if (tag == 'S' && phase_ != Phase::login) return check_parameter(body);
  if (tag == 'E') return error(body);
  if (phase_ == Phase::login) return login_message(tag, body);
  answer(tag, body);
}

void Actor::login_message(char tag, View body) {
  switch (tag) {
    case 'S':
      return check_parameter(body);
    case 'R':
      return prove(body);
    case 'K':
      key_process_ = static_cast<int32_t>(load_u32(body.data()));
      key_secret_ = static_cast<int32_t>(load_u32(body.data() + 4));
      return;
    case 'Z':
      return come_in();
    default:
      world_.violated("c{} got '{}' while logging in", number_, tag);
  }
}

void Actor::prove(View body) {
  if (world_.dice.chance(manners_.fleeing)) return vanish();
  visitor_->hear(body, [this](View answer) {
    if (!end_) return;
    out_.append(answer);
    if (world_.dice.chance(manners_.stalling)) stall();
    send_out();
  });
}

void Actor::come_in() {
  if (unwelcome) world_.violated("c{} was let in as {}", number_, user);
  if (!passwords_.servers_let_in()) world_.violated("c{} is welcomed by no server", number_);
  visitor_.reset();
  phase_ = Phase::ready;
  think();
}

void Actor::check_parameter(View body) {
  const View name = body.substr(0, body.find('\0'));
  const View value = body.substr(name.size() + 1, body.size() - name.size() - 2);
  if (name == "application_name" && value != application_name) {
    world_.violated("c{} is told that its application_name is '{}'", number_, value);
  }
}

bool Actor::waits_for_answer() const {
  return std::any_of(expected_.begin(), expected_.end(),
                     [](const Expected& expected) { return !expected.maybe; });
}

void Actor::answer(char tag, View body) {
  while (!expected_.empty() && expected_.front().maybe && expected_.front().tag != tag) {
    expected_.pop_front();
  }
  if (expected_.empty()) world_.violated("c{} got '{}' and had asked for nothing", number_, tag);
  const Expected expected = expected_.front();
  if (expected.tag != tag) {
    world_.violated("c{} got '{}' instead of '{}' of {}", number_, tag, expected.tag,
                    signature(expected.statement));
  }
  expected_.pop_front();
  told_bytes_ = tag == 'Z' ? 0 : told_bytes_ + header_size + body.size();
  world_.mark(static_cast<uint64_t>(tag) << 32 | static_cast<uint64_t>(number_));
  check_content(expected, body);
  note_names(expected);
  note_session(expected, body);
  note_data(expected, body);
  const bool of_copy = copying_ && copying_->statement.request == expected.statement.request;
  if (tag == 'G' && of_copy) {
    copying_->begun = true;
    return start_rows();
  }
  if (tag == 'C' && of_copy) copying_.reset();
  if (tag == 'C') ++answered_;
  if (tag == 'Z' && !expected.maybe && !waits_for_answer()) think();
}

void Actor::check_content(const Expected& expected, View body) {
  const Statement& statement = expected.statement;
  switch (expected.tag) {
    case 'T':
      if (body == signature(statement)) return;
      break;
    case 'D':
    case 'd':
      if (check_read(expected, body)) return;
      if (body == session_.row(statement, expected.row)) return;
      break;
    case 'C':
      if (body.starts_with("BEGIN") || body.starts_with("START")) status_ = 'T';
      if (body.starts_with("COMMIT") || body.starts_with("ROLLBACK")) status_ = 'I';
      return;
    case 'Z':
      if (body == View(&status_, 1)) return;
      world_.violated("c{} has status '{}' and is told '{}'", number_, status_, body);
    default:
      return;
  }
  world_.violated("{} was answered '{}' with {} instead of {}", signature(statement), expected.tag,
                  body, session_.row(statement, expected.row));
}

// --- errors

void Actor::error(View body) {
  const auto fields = decode_error_fields(body);
  if (!fields) world_.violated("c{} got an error that cannot be read", number_);
  const bool fatal = fields->severity == "FATAL";
  while (!expected_.empty() && expected_.front().maybe) expected_.pop_front();
  world_.note("c{} is told {} {}: {} {}", number_, fields->severity, fields->sqlstate,
              fields->message, fields->detail);
  const bool planned =
      !expected_.empty() && expected_.front().tag == 'E' && !fatal &&
      fields->message == (expected_.front().words.empty() ? signature(expected_.front().statement)
                                                          : expected_.front().words);
  if (!planned) check_excuse(fields->sqlstate, fields->message, fields->detail, fatal);
  if (fatal) {
    told_ = true;
    return;
  }
  if (status_ == 'I') session_.rollback();
  value_ = kept_value_;
  if (status_ == 'T') status_ = 'E';
  bool of_copy = false;
  while (!expected_.empty() && expected_.front().tag != 'Z') {
    of_copy |= copying_ && copying_->statement.request == expected_.front().statement.request;
    if (expected_.front().tag == '1' && expected_.front().name.empty()) unnamed_ = unsure;
    expected_.pop_front();
  }
  if (expected_.empty()) world_.violated("c{} got an error and had asked for nothing", number_);
  if (of_copy) copy_failed();
}

// An error that was not planned needs a reason in the story.
void Actor::check_excuse(View sqlstate, View message, View detail, bool fatal) {
  const bool servers = ledger_.since(ledger_.server_faults, server_faults_before_) ||
                       world_.now() < ledger_.trouble_until;
  const bool operators = ledger_.since(ledger_.operator_faults, operator_faults_before_);
  const Duration waited = world_.now() - asked_at_;
  const auto timed_out = [&](Duration limit) { return limit.count() > 0 && waited >= limit; };
  const bool excused =
      // A server that is frozen does not say either what is in its session.
      (fatal && message == "query timeout" && waited >= seconds(10) &&
       ledger_.server_faults.count > 0) ||
      (fatal && bad_start && message.starts_with("invalid value for parameter")) ||
      (!ledger_.role_exists && message.starts_with("role \"")) ||
      (sqlstate == "57014" && !fatal &&
       (asked_to_cancel() ||
        (detail.starts_with("query_timeout") && timed_out(allowances_.query_timeout)))) ||
      (sqlstate == "25P02" && status_ == 'E') || (sqlstate == "40001" && may_conflict()) ||
      (sqlstate == "25006" && was_told_much()) ||
      (message == "query_wait_timeout" && timed_out(allowances_.query_wait_timeout)) ||
      ((message == "query timeout" || message == "query_timeout") &&
       timed_out(allowances_.query_timeout)) ||
      (fatal && allowances_.closing_timeouts &&
       (message == "idle transaction timeout" || message == "transaction timeout" ||
        message == "client_idle_timeout")) ||
      (fatal && allowances_.limits && message.starts_with("no more connections allowed")) ||
      (fatal && ledger_.disabled && phase_ == Phase::login && message.ends_with("is disabled")) ||
      (fatal && unwelcome && phase_ == Phase::login) || (fatal && servers) || (fatal && operators);
  if (!excused) {
    world_.violated("c{} is told {} '{}' for no reason, {} us after it asked ({})", number_,
                    sqlstate, message, waited.count(),
                    expected_.empty() ? "nothing" : signature(expected_.front().statement));
  }
}

// The connection is at its end. Unless somebody broke it, it must have been told why.
void Actor::over(const char* how) {
  if (phase_ == Phase::gone) return;
  const bool may_be_torn = ledger_.since(ledger_.server_faults, server_faults_before_) ||
                           allowances_.query_timeout.count() > 0 || allowances_.closing_timeouts;
  const bool torn = !in_.empty() && may_be_torn;
  const bool lost = end_ && end_->broken() && allowances_.late_news;
  const bool told = lost || torn || told_ || broke_ ||
                    ledger_.since(ledger_.operator_faults, operator_faults_before_);
  if (phase_ != Phase::connecting && !told) {
    world_.violated("c{}'s connection ended ({}) without a word; {}", number_, how, describe());
  }
  world_.note("c{} is gone: {}", number_, how);
  phase_ = Phase::gone;
  end_.close();
}

// --- sending and leaving

void Actor::say(char tag, View body) {
  world_.note("c{} says {} {}", number_, tag, body.substr(0, 60));
  if (tag == 'Q') unnamed_ = 0;  // a simple query drops the unnamed statement
  append_message(stalling_ ? later_ : out_, tag, body);
}

void Actor::send_out() {
  if (!end_) return;
  sending_ = true;
  out_.erase(0, end_->send(out_));
  sending_ = !out_.empty();
}

void Actor::cancel() {
  if (!end_ || phase_ != Phase::ready) return;
  ++cancels_under_way_;
  ever_cancelled_ = true;
  world_.note("c{} asks to cancel", number_);
  auto line = std::make_shared<EndPtr>();
  const auto over = [weak = std::weak_ptr(self_), line](bool torn) {
    line->close();
    const auto self = weak.lock();
    if (!self) return;
    --(*self)->cancels_under_way_;
    (*self)->last_cancel_over_ = (*self)->world_.now() + (torn ? milliseconds(2000) : Duration{});
  };
  Bytes packet;
  char secret[4];
  store_u32(secret, static_cast<uint32_t>(key_secret_));
  encode_cancel_request(packet, key_process_, View(secret, sizeof secret));
  network_.connect(pooler_, [line, over, packet](EndPtr end) {
    if (!end) return over(false);
    *line = std::move(end);
    (*line)->send_all(packet);
    (*line)->on_change = [line, over] {
      if ((*line)->broken() || (*line)->at_end()) over((*line)->broken());
    };
  });
}

void Actor::leave() {
  say('X', {});
  end_->send_all(out_);
  phase_ = Phase::gone;
  world_.note("c{} leaves", number_);
  end_.close();
}

}  // namespace headgate::sim
