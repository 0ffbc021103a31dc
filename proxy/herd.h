// Owns the sessions of one kind on a worker: constant-time entry and leaving, no order. A member
// carries its place.
#pragma once

#include <memory>
#include <vector>

#include "base/check.h"

namespace headgate {

class HerdMember {
 private:
  template <class>
  friend class Herd;
  size_t place_ = 0;
};

template <class T>
class Herd {
 public:
  T& add(std::unique_ptr<T> member) {
    member->place_ = members_.size();
    members_.push_back(std::move(member));
    return *members_.back();
  }

  std::unique_ptr<T> take(T& member) {
    const size_t place = member.HerdMember::place_;
    MUST(place < members_.size() && members_[place].get() == &member);
    std::unique_ptr<T> taken = std::move(members_[place]);
    if (place + 1 < members_.size()) {
      members_[place] = std::move(members_.back());
      members_[place]->HerdMember::place_ = place;
    }
    members_.pop_back();
    return taken;
  }

  size_t size() const { return members_.size(); }
  bool empty() const { return members_.empty(); }

  /// Calls visit(T&) for each; visits may add and take members, so it goes over those of now.
  template <class Visit>
  void for_each(Visit&& visit) {
    std::vector<T*> now;
    now.reserve(members_.size());
    for (const auto& member : members_) now.push_back(member.get());
    for (T* member : now) visit(*member);
  }
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const auto& member : members_) visit(static_cast<const T&>(*member));
  }

 private:
  std::vector<std::unique_ptr<T>> members_;
};

}  // namespace headgate
