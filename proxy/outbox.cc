#include "proxy/outbox.h"

#include <span>

#include "proxy/link.h"

namespace headgate {

void Outbox::make_room(const Link& to) {
  if (target_ != &to || count_ == max_slices) flush();
}

void Outbox::add(Link& to, View bytes) {
  target_ = &to;
  if (count_ > 0) {
    View& last = slices_[count_ - 1];
    if (last.data() + last.size() == bytes.data()) {
      last = View(last.data(), last.size() + bytes.size());
      return;
    }
  }
  slices_[count_++] = bytes;
}

bool Outbox::goes_on_in_scratch(const Link& to, size_t size) const {
  if (target_ != &to || count_ == 0 || size > scratch_size - scratch_.size()) return false;
  const View last = slices_[count_ - 1];
  return last.data() + last.size() == scratch_.data() + scratch_.size();
}

void Outbox::lend(Link& to, View bytes) {
  if (bytes.empty()) return;
  if (bytes.size() <= max_small && goes_on_in_scratch(to, bytes.size())) return copy(to, bytes);
  make_room(to);
  add(to, bytes);
}

void Outbox::copy(Link& to, View bytes) {
  if (bytes.empty()) return;
  make_room(to);
  if (bytes.size() > scratch_size - scratch_.size()) flush();
  if (bytes.size() > scratch_size) {  // it is not ours to keep, so it leaves at once
    add(to, bytes);
    return flush();
  }
  const size_t at = scratch_.size();
  scratch_.append(bytes);  // within the reserved capacity: earlier slices stay where they are
  add(to, View(scratch_).substr(at));
}

// One small piece is sent at less cost than several, the copying included.
void Outbox::join_small() {
  size_t size = 0;
  for (size_t i = 0; i < count_; ++i) size += slices_[i].size();
  if (size > max_joined) return;
  const size_t at = scratch_.size();  // all in it belongs to these slices: there is room
  for (size_t i = 0; i < count_; ++i) scratch_.append(slices_[i]);
  slices_[0] = View(scratch_).substr(at);
  count_ = 1;
}

void Outbox::flush() {
  if (count_ > 1) join_small();
  if (count_ > 0) target_->write(std::span(slices_.data(), count_));
  target_ = nullptr;
  count_ = 0;
  scratch_.clear();
}

}  // namespace headgate
