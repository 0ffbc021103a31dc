// How a line of the log is written: in PgBouncer's form, or as one object of JSON, for each place
// it goes to. JSON is valid whatever bytes are in names and messages.
//
// No I/O.
#pragma once

#include <chrono>
#include <string>

#include "proxy/log.h"

namespace headgate {

/// What a line says.
struct LogEntry {
  std::chrono::system_clock::time_point time;
  LogLevel level;
  const LogSubject* subject;
  std::string_view text;
  std::span<const LogField> fields;
};

enum class LogPlace : uint8_t {
  plain,    // a file or a terminal
  journal,  // knows time and process itself: `<PRIORITY>message`
  syslog,   // a datagram
};

struct LogForm {
  LogFormat format{};
  int process = 0;
  std::string_view syslog_ident{};
  int syslog_facility = 0;
};

constexpr size_t longest_syslog_bytes = 8192;

/// Replaces what is in `line`.
void write_line(std::string& line, const LogEntry& entry, LogPlace place, const LogForm& form);

/// In quotes; what is not UTF-8 is U+FFFD.
void append_json_text(std::string& out, std::string_view text);

}  // namespace headgate
