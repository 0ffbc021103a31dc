// What is said again and again is logged so many times within a period and then only counted: when
// the period is over, one line tells how many were held back. "The same" is the same place in the
// program, database, user and text; of very many texts from one place, the place alone.
//
// Used under a lock of its owner's; time is handed in.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "proxy/log.h"

namespace headgate {

class LogRepeats {
 public:
  using Time = std::chrono::system_clock::time_point;
  static constexpr std::chrono::seconds period{10};
  /// So many different messages are told apart at a time.
  static constexpr size_t most_rows = 256;

  /// 0: all is logged.
  void set_limit(int limit) { limit_ = limit; }

  /// Whether to write this line; else it is counted.
  bool passes(const LogMessage& message, Time now);

  /// What was held back.
  struct Held {
    LogLevel level;
    int64_t lines, seconds;
    std::string text, database, user;  // of the first of them
  };
  /// Of the periods that are over, or of all.
  std::vector<Held> take(Time now, bool all);

 private:
  struct Row {
    Time since;
    int64_t lines = 0;
    Held held{};
  };
  Row& row_of(const LogMessage& message);

  int limit_ = 0;
  Time first_end_ = Time::max();  // of the periods that run
  std::unordered_map<uint64_t, Row> rows_;
};

}  // namespace headgate
