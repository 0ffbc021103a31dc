// How a simulated client copies in: at once or when the server is ready, row by row, with a Sync
// too early, with an error in the middle, and on and on although the server has said that it
// failed.
#include <utility>

#include "tests/sim/actor.h"

namespace headgate::sim {

using Kind = Statement::Kind;

Statement Actor::new_copy() {
  const bool bad = world_.dice.chance(2 * manners_.failing);
  return new_statement(bad ? Kind::copy_bad : Kind::copy_in);
}

void Actor::ask_copy_in() {
  const Copying copy{.statement = new_copy(), .fails = world_.dice.chance(2 * manners_.failing)};
  expect(copy.statement, true);
  expected_.push_back({'Z', copy.statement});
  Bytes text = to_text(copy.statement);
  text.push_back('\0');
  say('Q', text);
  begin_copy(copy);
}

void Actor::expect_copy(const Copying& copy) {
  expected_.push_back({'G', copy.statement});
  const bool fails = copy.fails || copy.statement.kind == Kind::copy_bad;
  expected_.push_back({fails ? 'E' : 'C', copy.statement});
}

// All rows and their end.
void Actor::say_rows(const Copying& copy) {
  const int rows = copy.fails ? copy.statement.rows / 2 : copy.statement.rows;
  for (int row = copy.next_row; row < rows; ++row) say('d', row_content(copy.statement, row));
  copy.fails ? say('f', Bytes("no\0", 3)) : say('c', {});
}

// The rows follow when the server is ready for them, or come right behind, as with some drivers.
void Actor::begin_copy(Copying copy) {
  copying_ = std::move(copy);
  if (copying_->early_sync) say('S', {});
  if (world_.dice.chance(300)) start_rows();
}

void Actor::start_rows() {
  if (std::exchange(copying_->started, true)) return;
  copying_->slowly = world_.dice.chance(300);
  send_rows();
}

void Actor::send_rows() {
  Copying& copy = *copying_;
  if (!copy.slowly || copy.next_row + 1 >= copy.statement.rows) return end_copy();
  say('d', row_content(copy.statement, copy.next_row++));
  send_out();
  world_.after(world_.dice.between(microseconds(0), milliseconds(3)),
               [weak = std::weak_ptr(self_), request = copy.statement.request] {
                 const auto self = weak.lock();
                 if (!self || !(*self)->end_) return;
                 const auto& now = (*self)->copying_;
                 if (now && now->statement.request == request) (*self)->send_rows();
               });
}

void Actor::end_copy() {
  Copying& copy = *copying_;
  if (copy.next_row > copy.statement.rows / 2) copy.fails = false;
  say_rows(copy);
  if (copy.batch) say('S', {});
  copy.ended = true;
  for (Expected& expected : expected_) {
    const bool its_end =
        expected.tag == 'C' && expected.statement.request == copy.statement.request;
    if (its_end && copy.fails) expected.tag = 'E';
  }
  send_out();
}

// The server has said that the COPY failed; perhaps before it began. What was still to be sent is
// sent nevertheless, or left away. Its early Sync was answered, or read as a part of the COPY: if
// it had begun nobody knows.
void Actor::copy_failed() {
  const Copying copy = *std::exchange(copying_, std::nullopt);
  bool ended = copy.ended;
  if (!ended && (copy.started || copy.begun || !copy.early_sync)) {
    if (world_.dice.chance(500)) say_rows(copy);
    if (copy.batch) say('S', {});
    send_out();
    ended = true;
  }
  if (!copy.early_sync || !ended) return;
  const Expected again{'Z', copy.statement, 0, copy.begun};
  expected_.insert(expected_.begin() + 1, again);
}

}  // namespace headgate::sim
