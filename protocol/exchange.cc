#include "protocol/exchange.h"

#include <algorithm>
#include <array>

namespace headgate {

namespace {

using Set = uint16_t;  // of what was asked

template <class... Asks>
constexpr Set any_of(Asks... asked) {
  return static_cast<Set>((0 | ... | (1 << static_cast<int>(asked))));
}
constexpr bool has(Set set, Asked asked) { return (set >> static_cast<int>(asked)) & 1; }

constexpr Set runs = any_of(Asked::query, Asked::execute);
constexpr Set describes = any_of(Asked::describe_statement, Asked::describe_portal);
constexpr Set ends_with_ready = any_of(Asked::query, Asked::function_call, Asked::sync);
// An error while one of these is processed makes the server skip all up to Sync.
constexpr Set of_a_batch =
    any_of(Asked::parse, Asked::bind, Asked::execute, Asked::close) | describes;

/// What may be answered by a tag, and to what it is the last answer.
struct TagRow {
  Set answers = 0;
  Set completes = 0;
};

constexpr auto tag_table = [] {
  std::array<TagRow, 128> table{};
  table['1'] = {any_of(Asked::parse), any_of(Asked::parse)};
  table['2'] = {any_of(Asked::bind), any_of(Asked::bind)};
  table['3'] = {any_of(Asked::close), any_of(Asked::close)};
  table['t'] = {any_of(Asked::describe_statement), 0};
  table['T'] = {runs | describes, describes};
  table['n'] = {describes, describes};
  table['D'] = {runs, 0};
  table['C'] = {runs, any_of(Asked::execute)};  // a Query may hold many commands
  table['I'] = {runs, any_of(Asked::execute)};
  table['s'] = {any_of(Asked::execute), any_of(Asked::execute)};
  table['V'] = {any_of(Asked::function_call), 0};
  for (const char copy : {'G', 'H', 'W', 'd', 'c'})
    table[static_cast<unsigned char>(copy)] = {runs, 0};
  return table;
}();

TagRow row_of(char tag) {
  const auto index = static_cast<unsigned char>(tag);
  return index < tag_table.size() ? tag_table[index] : TagRow{};
}

}  // namespace

bool Exchange::sent(Asked asked, Fate fate, bool noted) {
  if (copy_ == Copy::in) [[unlikely]] {
    sent_into_copy(asked);
    return false;
  }
  if (skipping_) [[unlikely]]
    return sent_while_skipping(asked, fate);
  if (asked == Asked::copy_end) [[unlikely]] {
    if (count_ == 0) return false;  // nothing ahead of it can become a COPY
    if (copy_ == Copy::both) {
      copy_ = Copy::none;  // the server goes on alone
      return false;
    }
  } else {
    batch_open_ = has(of_a_batch, asked);
  }
  push({asked, fate, noted});
  return true;
}

// The server reads this as part of the COPY, unless that has failed meanwhile.
void Exchange::sent_into_copy(Asked asked) {
  if (asked == Asked::copy_end) {
    copy_ = Copy::none;
  } else if (asked == Asked::sync) {
    ++early_syncs_;
  } else {  // fails the COPY and is consumed
    copy_ = Copy::none;
    lost_ = true;
  }
}

bool Exchange::sent_while_skipping(Asked asked, Fate fate) {
  if (asked == Asked::sync) {
    skipping_ = false;
    batch_open_ = false;
    push({asked, fate, false});
    return true;
  }
  // A Sync sent too early may have ended the skipping already.
  if (asked != Asked::copy_end && unsure()) lost_ = true;
  return false;
}

Answer Exchange::received(char tag) {
  const TagRow row = row_of(tag);
  if (count_ == 0 || !has(row.answers, front().asked)) [[unlikely]]
    return received_otherwise(tag);
  Answer answer{front().fate};
  stray_readies_ = 0;  // they would have come before this
  if (has(row.completes, front().asked)) {
    answer.noted = front().noted;
    copy_ = Copy::none;
    early_syncs_ = 0;
    drop_front(1);
    pop_copy_ends();
  } else if (tag != 'D' && tag != 'd') {
    copy_step(tag);
  }
  return answer;
}

// Messages that answer nothing in particular, errors, and what should not have come.
Answer Exchange::received_otherwise(char tag) {
  Answer answer{next_fate()};
  switch (tag) {
    case 'A':
      return {};
    case 'N':
    case 'S':
      return answer;
    case 'E':
      if (count_ == 0) return unexpected();
      answer.noted = front().noted && front().asked == Asked::parse;
      answer.given_up = fail();
      return answer;
    default:
      return unexpected();
  }
}

Answer Exchange::unexpected() const { return {next_fate(), !lost_}; }

// Returns how many noted messages are given up.
uint32_t Exchange::fail() {
  copy_ = Copy::none;
  if (front().asked == Asked::sync) return 0;
  stray_readies_ = 0;  // they would have come before this
  ring_[first_].failed = true;
  return has(of_a_batch, front().asked) ? skip_to_sync() : 0;
}

uint32_t Exchange::skip_to_sync() {
  size_t skipped = 0;
  while (skipped < count_ && at(skipped).asked != Asked::sync) {
    // If an early Sync ended the skipping, what is behind it is answered: nobody can tell.
    if (skipped > 0 && early_syncs_ > 0 && at(skipped).asked != Asked::copy_end) lost_ = true;
    ++skipped;
  }
  const uint32_t given_up = noted_among(skipped);
  drop_front(skipped);
  doubt_early_syncs();
  if (count_ == 0) skipping_ = batch_open_ = true;
  return given_up;
}

uint32_t Exchange::noted_among(size_t entries) const {
  uint32_t noted = 0;
  for (size_t index = 0; index < entries; ++index) noted += at(index).noted ? 1 : 0;
  return noted;
}

// A COPY has failed: were the Syncs that were sent too early read before that, or after?
void Exchange::doubt_early_syncs() {
  stray_readies_ += early_syncs_;
  early_syncs_ = 0;
}

void Exchange::copy_step(char tag) {
  switch (tag) {
    case 'G':
      begin_copy_in();
      break;
    case 'W':
      copy_ = Copy::both;
      break;
    case 'c':
      copy_ = copy_ == Copy::both ? Copy::in : Copy::none;
      break;
    case 'C':
      copy_ = Copy::none;
      early_syncs_ = 0;
      break;
    default:
      break;
  }
}

// What is queued behind the COPY has been read, or will be, as part of it: Syncs are ignored, the
// copy_end ends it, and anything else is a violation that fails it.
void Exchange::begin_copy_in() {
  copy_ = Copy::in;
  const Entry head = front();
  stray_fate_ = head.fate;
  size_t consumed = 0;
  while (copy_ == Copy::in && consumed + 1 < count_) {
    ++consumed;
    sent_into_copy(at(consumed).asked);
  }
  first_ = (first_ + consumed) & (ring_.size() - 1);
  count_ -= consumed;
  ring_[first_] = head;
  if (count_ == 1) batch_open_ = head.asked == Asked::execute;
}

Answer Exchange::received_ready(char status) {
  if (status != 'I' && status != 'T' && status != 'E') return unexpected();
  if (unsure() && (count_ == 0 || front().asked != Asked::sync)) [[unlikely]] {
    return received_stray_ready(status);
  }
  const size_t answered = entries_through_ready();
  if (answered == 0) return unexpected();
  status_ = static_cast<TransactionStatus>(status);
  Answer answer{at(answered - 1).fate};
  answer.noted = at(answered - 1).noted;
  answer.failed = at(answered - 1).failed;
  answer.given_up = noted_among(answered - 1);
  copy_ = Copy::none;
  doubt_early_syncs();  // those of a simple query; a COPY that worked has left none
  drop_front(answered);
  pop_copy_ends();
  return answer;
}

// A Sync that was sent too early is answered after all.
Answer Exchange::received_stray_ready(char status) {
  status_ = static_cast<TransactionStatus>(status);
  --stray_readies_;
  if (skipping_) skipping_ = batch_open_ = false;
  return {.fate = stray_fate_, .stray = true};
}

// How many entries ReadyForQuery settles: up to the first that ends with it. Zero if none does.
size_t Exchange::entries_through_ready() const {
  for (size_t index = 0; index < count_; ++index) {
    if (has(ends_with_ready, at(index).asked)) return index + 1;
  }
  return 0;
}

size_t Exchange::readies_owed() const {
  size_t owed = 0;
  for (size_t index = 0; index < count_; ++index) {
    if (has(ends_with_ready, at(index).asked)) ++owed;
  }
  return owed;
}

void Exchange::swallow_all() {
  stray_fate_ = Fate::swallow;
  for (Entry& entry : ring_) entry.fate = Fate::swallow;
}

void Exchange::push(Entry entry) {
  if (count_ == ring_.size()) [[unlikely]]
    grow();
  ring_[(first_ + count_) & (ring_.size() - 1)] = entry;
  ++count_;
}

void Exchange::drop_front(size_t entries) {
  first_ = (first_ + entries) & (ring_.size() - 1);
  count_ -= entries;
}

// The server drops them without an answer when it is not copying in.
void Exchange::pop_copy_ends() {
  while (count_ > 0 && front().asked == Asked::copy_end) drop_front(1);
}

void Exchange::grow() {
  std::rotate(ring_.begin(), ring_.begin() + static_cast<ptrdiff_t>(first_), ring_.end());
  first_ = 0;
  ring_.resize(std::max<size_t>(16, ring_.size() * 2));
}

}  // namespace headgate
