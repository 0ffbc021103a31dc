// A queue of bytes that owns memory only while it holds something: append at the back, consume at
// the front. Its owner bounds it; it has no limit of its own.
#pragma once

#include "base/bytes.h"
#include "base/check.h"

namespace headgate {

class Buffer {
 public:
  bool empty() const { return size() == 0; }
  size_t size() const { return bytes_.size() - consumed_; }

  /// What the queue holds; valid until the next append or consume.
  View view() const { return View(bytes_).substr(consumed_); }

  void append(View more) {
    if (consumed_ > bytes_.size() / 2) compact();
    bytes_.append(more);
  }

  void consume(size_t count) {
    MUST(count <= size());
    consumed_ += count;
    if (empty()) clear();
  }

  /// Forgets the content and gives the memory back.
  void clear() {
    Bytes().swap(bytes_);
    consumed_ = 0;
  }

 private:
  void compact() {
    bytes_.erase(0, consumed_);
    consumed_ = 0;
  }

  Bytes bytes_;
  size_t consumed_ = 0;
};

}  // namespace headgate
