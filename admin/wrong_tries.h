// Who has tried wrong passwords by HTTP, and how soon each may try again: several at once, then one
// after the other, so that guessing takes too long to be worth while, and somebody who mistypes
// waits for seconds only. Remembers a bounded number of places.
#pragma once

#include <map>
#include <string>

#include "base/time.h"

namespace headgate {

class WrongTries {
 public:
  /// So many wrong ones may come from one place at once.
  static constexpr int at_once = 10;
  /// After that one more in each interval.
  static constexpr Duration interval = seconds(6);
  /// More places are not remembered; the one that could be forgotten first is.
  static constexpr size_t most_places = 1000;

  /// How long nothing from there is looked at; zero: the next try is.
  Duration wait(const std::string& place, Instant now) const;
  /// One of its tries was wrong.
  void note(const std::string& place, Instant now);
  size_t places() const { return until_.size(); }

 private:
  std::map<std::string, Instant> until_;  // when all its tries are forgotten
};

}  // namespace headgate
