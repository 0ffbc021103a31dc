// What a simulated client asks of a database with several hosts: it writes a number of its own, and
// what it reads must be as new as what it has been told is written.
#include <charconv>

#include "proxy/relay.h"
#include "tests/sim/actor.h"
#include "tests/sim/language_hosts.h"

namespace headgate::sim {

using Kind = Statement::Kind;

// What is about nothing of the session; `alone`: as the only statement of its request.
Statement Actor::new_work(bool alone) {
  Dice& dice = world_.dice;
  if (!dice.chance_if_any(manners_.data)) return new_statement(Kind::run);
  constexpr Kind kinds[] = {Kind::read, Kind::read, Kind::read,  Kind::read,
                            Kind::read, Kind::sly,  Kind::write, Kind::write};
  Statement statement = new_statement(reading_ ? Kind::read : kinds[dice.roll(std::size(kinds))]);
  const bool declares = alone && dice.chance(manners_.declared);
  do {
    statement.spelling = dice.between(0, most_spellings - 1);
  } while (is_declared(statement) && !alone);
  if (statement.kind == Kind::read && declares) statement.spelling = 1;
  if (statement.kind == Kind::write) {
    statement.size = ++last_value_;
    statement.rows = statement.spelling == 1 ? 1 : 0;
    return statement;
  }
  statement.rows = statement.kind == Kind::read ? dice.between(1, 4) : 1;
  statement.size = dice.chance(20) ? dice.between(0, 50 * manners_.largest_row)
                                   : dice.between(0, manners_.largest_row);
  if (dice.chance(200)) statement.milliseconds = dice.between(1, manners_.longest_work);
  return statement;
}

// In a transaction that is READ ONLY: nothing that a standby refuses, or that keeps its server.
Statement Actor::new_reading_statement() {
  if (!asks_of_session()) return new_work(true);
  Statement statement;
  do {
    statement = new_session_statement(true);
  } while (statement.kind != Kind::look && statement.kind != Kind::assign &&
           statement.kind != Kind::assign_local && statement.kind != Kind::reset);
  return statement;
}

int Actor::choose_data_shape() {
  constexpr int shapes[] = {read_shape, read_shape, read_shape, write_shape, sly_shape};
  return shapes[world_.dice.roll(std::size(shapes))];
}

// FunctionCall, whose one argument is the statement.
void Actor::ask_call() {
  Statement statement = new_statement(Kind::call);
  statement.size = ++last_value_;
  expected_.push_back({'V', statement});
  expected_.push_back({'Z', statement});
  const std::string text = to_text(statement);
  char size[4];
  store_u32(size, static_cast<uint32_t>(text.size()));
  Bytes body("\0\0\1\0\0\0\0\1", 8);
  body.append(size, sizeof size).append(text).append(2, '\0');
  say('F', body);
}

// Several simple queries at once, which may have to go to several hosts.
void Actor::ask_pipeline() {
  Dice& dice = world_.dice;
  const int queries = dice.between(2, 4);
  bool listens = false;
  for (int i = 0; i < queries; ++i) {
    Statement statement = new_work(true);
    if (!listens && dice.chance(manners_.listening)) {
      listens = true;
      statement = new_statement(session_.has("listen", number_) ? Kind::unmake : Kind::make);
      statement.name = "listen";
    }
    expect(statement, true);
    expected_.push_back({'Z', statement});
    Bytes text = to_text(statement);
    text.push_back('\0');
    say('Q', text);
  }
}

// --- what it is told

// Its own number: as new as the last that it knows to be written, where that is promised, and no
// other than it has written.
bool Actor::check_read(const Expected& expected, View body) {
  const Statement& statement = expected.statement;
  if (statement.kind != Kind::read || expected.row != 0) return false;
  const std::string words = signature(statement) + " reads ";
  int value = -1;
  if (!body.starts_with(words)) return false;
  std::from_chars(body.data() + words.size(), body.data() + body.size(), value);
  const bool at_primary = status_ == 'T' && !reading_;
  const int least = allowances_.own_writes || at_primary ? value_ : 0;
  if (value < least || value > last_value_) {
    world_.violated("{} reads {}, though {} is written{}", signature(statement), value, least,
                    value > last_value_ ? " at most" : "");
  }
  return true;
}

void Actor::note_data(const Expected& expected, View body) {
  const Kind kind = expected.statement.kind;
  const bool done = expected.tag == 'C' || expected.tag == 'V';
  if (done && (kind == Kind::write || kind == Kind::call)) value_ = expected.statement.size;
  if (expected.tag == 'C' && kind == Kind::begin_reading) reading_ = true;
  const bool ends = expected.tag == 'C' && (kind == Kind::commit || kind == Kind::rollback);
  if (ends) reading_ = false;
  if (ends && body.starts_with("ROLLBACK")) value_ = kept_value_;
  if (status_ == 'I') kept_value_ = (ends || expected.tag == 'Z') ? value_ : kept_value_;
}

// More of a batch than is withheld: what a standby refuses behind that is told as well.
bool Actor::was_told_much() const { return told_bytes_ > Relay::max_withheld; }

// A conflict with what is replayed may end a transaction that was told to be at a standby, and a
// read of which something was told already.
bool Actor::may_conflict() const {
  if (reading_ || was_told_much()) return true;
  if (expected_.empty()) return false;
  const Expected& next = expected_.front();
  if (next.statement.kind != Kind::read) return false;
  return (next.tag == 'D' && next.row > 0) || next.tag == 'C';
}

}  // namespace headgate::sim
