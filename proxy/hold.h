// What keeps an entry of the Registry: as long as somebody holds it, it is there. A Hold comes from
// the Registry, which makes it under its lock, or is copied from another; so an entry that nobody
// holds cannot come to be held while the Registry looks. From any thread.
#pragma once

#include <atomic>
#include <utility>

namespace headgate {

/// A base of what can be held.
class Holdable {
 public:
  bool held() const { return holds_.load(std::memory_order_acquire) > 0; }

 private:
  template <class>
  friend class Hold;
  std::atomic<int> holds_{0};
};

template <class T>
class Hold {
 public:
  Hold() = default;
  explicit Hold(T& entry) : entry_(&entry) { take(); }
  Hold(const Hold& other) : entry_(other.entry_) { take(); }
  Hold(Hold&& other) noexcept : entry_(std::exchange(other.entry_, nullptr)) {}
  Hold& operator=(Hold other) noexcept {
    std::swap(entry_, other.entry_);
    return *this;
  }
  ~Hold() {
    if (entry_) entry_->Holdable::holds_.fetch_sub(1, std::memory_order_release);
  }

  T& operator*() const { return *entry_; }
  T* operator->() const { return entry_; }
  /// The entry, or null; good for as long as this hold lives.
  operator T*() const { return entry_; }

 private:
  void take() {
    if (entry_) entry_->Holdable::holds_.fetch_add(1, std::memory_order_relaxed);
  }

  T* entry_ = nullptr;
};

}  // namespace headgate
