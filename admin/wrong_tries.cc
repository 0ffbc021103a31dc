#include "admin/wrong_tries.h"

#include <algorithm>

namespace headgate {

Duration WrongTries::wait(const std::string& place, Instant now) const {
  const auto known = until_.find(place);
  if (known == until_.end()) return Duration::zero();
  return std::max(known->second - now - (at_once - 1) * interval, Duration::zero());
}

void WrongTries::note(const std::string& place, Instant now) {
  if (until_.size() >= most_places && !until_.contains(place)) {
    std::erase_if(until_, [&](const auto& each) { return each.second <= now; });
    if (until_.size() >= most_places) {
      until_.erase(
          std::ranges::min_element(until_, {}, [](const auto& each) { return each.second; }));
    }
  }
  Instant& until = until_[place];
  until = std::max(until, now) + interval;
}

}  // namespace headgate
