// What a simulated client asks: queries, transactions, batches, COPY; and the moments it chooses.
#include "tests/sim/actor.h"

namespace headgate::sim {

using Kind = Statement::Kind;

// --- when

void Actor::think() {
  Duration time = world_.dice.between(microseconds(0), milliseconds(2));
  if (world_.dice.chance(manners_.dawdling))
    time = world_.dice.between(milliseconds(1), milliseconds(800));
  world_.after(time, [weak = std::weak_ptr(self_)] {
    if (const auto self = weak.lock()) (*self)->act();
  });
}

void Actor::act() {
  if (phase_ != Phase::ready || !end_ || waits_for_answer() || told_) return;
  if (stalling_) return think();
  asked_at_ = world_.now();
  if (status_ == 'I') {
    server_faults_before_ = ledger_.server_faults.count;
    operator_faults_before_ = ledger_.operator_faults.count;
  }
  if (requests_left_ <= 0 && status_ == 'I') return has_heard_all() ? leave() : think();
  --requests_left_;
  Dice& dice = world_.dice;
  const bool begins = allowances_.transactions && dice.chance(manners_.transactions);
  if (status_ != 'I' || begins) {
    ask_transaction_step();
  } else if (dice.chance(manners_.batches)) {
    ask_batch();
  } else if (dice.chance(manners_.copies)) {
    ask_copy_in();
  } else if (dice.chance(manners_.discards)) {
    ask_discard();
  } else if (dice.chance(manners_.listening)) {
    ask_listening();
  } else if (dice.chance_if_any(manners_.data / 10)) {
    ask_call();
  } else if (dice.chance_if_any(manners_.data / 4)) {
    ask_pipeline();
  } else {
    ask_simple();
  }
  if (dice.chance(manners_.vanishing)) {
    world_.after(dice.between(microseconds(0), milliseconds(20)), [weak = std::weak_ptr(self_)] {
      const auto self = weak.lock();
      if (self && (*self)->end_) (*self)->vanish();
    });
  }
  if (dice.chance(manners_.cancelling)) {
    world_.after(dice.between(microseconds(0), milliseconds(15)), [weak = std::weak_ptr(self_)] {
      if (const auto self = weak.lock()) (*self)->cancel();
    });
  }
  if (dice.chance(manners_.stalling)) stall();
  send_out();
}

void Actor::vanish() {
  broke_ = true;
  if (world_.dice.chance(500)) end_->reset();
  over("vanishes");
}

// The end of what it says stays away for a while.
void Actor::stall() {
  if (out_.size() < 2) return;
  later_ = out_.substr(1 + world_.dice.roll(out_.size() - 1));
  out_.resize(out_.size() - later_.size());
  stalling_ = true;
  world_.after(world_.dice.between(microseconds(100), milliseconds(300)),
               [weak = std::weak_ptr(self_)] {
                 const auto self = weak.lock();
                 if (!self || !(*self)->end_) return;
                 (*self)->stalling_ = false;
                 (*self)->out_.append(std::exchange((*self)->later_, {}));
                 (*self)->send_out();
               });
}

Statement Actor::new_statement(Kind kind) {
  static constexpr int most_rows = 12;
  Dice& dice = world_.dice;
  Statement statement{.kind = kind, .client = number_};
  statement.request =
      number_ * 1000 + requests_left_ * 20 + static_cast<int>(expected_.size() % 20);
  while (ledger_.times.contains(statement.request)) ++statement.request;
  ledger_.times[statement.request] = 0;
  if (kind == Kind::run || kind == Kind::copy_out || kind == Kind::copy_in ||
      kind == Kind::copy_bad) {
    statement.rows = dice.chance(100) ? dice.between(0, most_rows) : dice.between(1, 3);
    statement.size = dice.chance(20) ? dice.between(0, 50 * manners_.largest_row)
                                     : dice.between(0, manners_.largest_row);
  }
  // With several hosts it is looked at for where it may go.
  if (manners_.data > 0 && (kind == Kind::copy_in || kind == Kind::copy_bad))
    statement.spelling = 1;
  if (kind == Kind::run && dice.chance(300))
    statement.milliseconds = dice.between(1, manners_.longest_work);
  return statement;
}

// What a statement is answered if all goes well.
void Actor::expect(const Statement& statement, bool described) {
  const auto add = [&](char tag, int row = 0) { expected_.push_back({tag, statement, row}); };
  switch (statement.kind) {
    case Kind::run:
    case Kind::look:
    case Kind::assign:
    case Kind::assign_local:
    case Kind::lock:
    case Kind::unlock:
    case Kind::secret:
    case Kind::prepare:
    case Kind::run_made:
    case Kind::deallocate:
    case Kind::read:
    case Kind::write:
    case Kind::sly:
      if (std::string words = refusal(statement); !words.empty()) {
        return expected_.push_back({.tag = 'E', .statement = statement, .words = std::move(words)});
      }
      if (described && statement.rows > 0) add('T');
      for (int row = 0; row < statement.rows; ++row) add('D', row);
      return add('C');
    case Kind::copy_out:
      add('H');
      for (int row = 0; row < statement.rows; ++row) add('d', row);
      add('c');
      return add('C');
    case Kind::copy_in:
      add('G');
      return add('C');
    case Kind::copy_bad:
      add('G');
      return add('E');
    case Kind::fail:
    case Kind::die:
      return add('E');
    default:
      return add('C');
  }
}

// In words; empty: it will work.
std::string Actor::refusal(const Statement& statement) const {
  const bool by_name = statement.kind == Kind::prepare || statement.kind == Kind::run_made ||
                       statement.kind == Kind::deallocate;
  if (!by_name) return SessionModel().refusal(statement, true);
  if (!names_.contains(statement.name)) return session_.refusal(statement, true);
  if (statement.kind == Kind::deallocate) return "";
  return fmt::format("prepared statement \"{}\" already exists", statement.name);
}

void Actor::ask_simple() {
  Dice& dice = world_.dice;
  Bytes text;
  const int count = dice.chance(150) ? dice.between(2, 4) : 1;
  for (int i = 0; i < count; ++i) {
    Kind kind = Kind::run;
    if (dice.chance(manners_.copies)) kind = Kind::copy_out;
    if (dice.chance(manners_.failing)) kind = Kind::fail;
    if (dice.chance(manners_.dying)) kind = Kind::die;
    const Statement statement = kind != Kind::run   ? new_statement(kind)
                                : asks_of_session() ? new_session_statement(count == 1)
                                                    : new_work(count == 1);
    expect(statement, true);
    if (i > 0) text.push_back(';');
    text.append(to_text(statement));
    if (expected_.back().tag == 'E') break;
    // What was reset is as it was, then.
    const bool resets = statement.kind == Kind::reset || statement.kind == Kind::reset_all;
    if (!resets || !dice.chance(manners_.failing)) continue;
    const Statement failure = new_statement(Kind::fail);
    expect(failure, true);
    text.push_back(';');
    text.append(to_text(failure));
    break;
  }
  expected_.push_back({'Z', expected_.back().statement});
  text.push_back('\0');
  say('Q', text);
}

void Actor::ask_transaction_step() {
  Kind kind = Kind::begin;
  if (status_ == 'E') {
    const bool goes_on = requests_left_ > 0 && world_.dice.chance(200);
    kind = goes_on ? Kind::run : Kind::rollback;
  }
  if (status_ == 'T') {
    const bool end = requests_left_ <= 0 || world_.dice.chance(300);
    kind = end ? (world_.dice.chance(700) ? Kind::commit : Kind::rollback) : Kind::run;
    if (!end && !reading_ && world_.dice.chance(manners_.prepared)) return ask_prepared_batch();
    if (!end && world_.dice.chance(manners_.failing)) kind = Kind::fail;
  }
  const bool runs = kind == Kind::run && status_ == 'T';
  if (runs && !reading_ && world_.dice.chance(manners_.listening)) return ask_listening();
  if (kind == Kind::begin && world_.dice.chance_if_any(manners_.reading))
    kind = Kind::begin_reading;
  Statement statement = !runs               ? new_statement(kind)
                        : reading_          ? new_reading_statement()
                        : asks_of_session() ? new_session_statement(true)
                                            : new_work(true);
  const bool of_transaction = kind == Kind::begin || kind == Kind::begin_reading ||
                              kind == Kind::commit || kind == Kind::rollback;
  if (of_transaction) statement.spelling = world_.dice.between(0, most_spellings - 1);
  expect(statement, true);
  expected_.push_back({'Z', statement});
  Bytes text = to_text(statement);
  text.push_back('\0');
  say('Q', text);
}

// Several batches at once, each closed by its Sync.
void Actor::ask_batch() {
  Dice& dice = world_.dice;
  const int batches = dice.chance(300) ? dice.between(2, 5) : 1;
  closing_.clear();
  for (int batch = 1; batch <= batches; ++batch) ask_one_batch(batch == batches, batches == 1);
}

// A COPY whose rows wait for the server must be the last of all; the rows of others come at once.
void Actor::ask_one_batch(bool last, bool only) {
  Dice& dice = world_.dice;
  bool failed = false, waits = false;
  const int statements = dice.between(1, 3);
  new_names_.clear();
  for (int i = 0; i < statements && !waits; ++i) {
    if (dice.chance(manners_.prepared)) {
      ask_prepared(failed);
      continue;
    }
    const bool copies = dice.chance(manners_.copies);
    const bool fails = !copies && dice.chance(manners_.failing);
    const Statement statement = copies  ? new_copy()
                                : fails ? new_statement(Kind::fail)
                                : asks_of_session()
                                    ? new_session_statement(only && statements == 1, true)
                                    : new_work(statements == 1);
    const bool described = dice.chance(500);
    ask_extended(statement, described);
    if (!failed) {
      expected_.push_back({'1', statement});
      expected_.push_back({'2', statement});
      if (described) {
        expected_.push_back({answers_rows(statement) ? 'T' : 'n', statement});
      }
    }
    const Copying copy{.statement = statement,
                       .batch = true,
                       .early_sync = dice.chance(500),
                       .fails = copies && dice.chance(2 * manners_.failing)};
    waits = copies && last && !failed && dice.chance(700);
    if (waits) {
      expect(statement, false);
      expected_.push_back({'Z', statement});
      return begin_copy(copy);
    }
    if (copies) say_rows(copy);
    if (failed) continue;
    copies ? expect_copy(copy) : expect(statement, false);
    failed = expected_.back().tag == 'E';
  }
  say('S', {});
  expected_.push_back({'Z', expected_.back().statement});
}

void Actor::ask_extended(const Statement& statement, bool described) {
  Bytes parse(1, '\0');
  parse.append(to_text(statement));
  parse.append(3, '\0');
  say('P', parse);
  say('B', Bytes(8, '\0'));
  if (described) say('D', Bytes("P\0", 2));
  say('E', Bytes(5, '\0'));
  if (world_.dice.chance(100)) say('H', {});
}

}  // namespace headgate::sim
