// The log, in PgBouncer's form: `YYYY-MM-DD hh:mm:ss.mmm TZ [PID] LEVEL message`, to stderr, a file
// and syslog. Where stderr is the journal's, which knows time and process itself, a line there is
// `<PRIORITY>message` instead. One for the process, safe from every thread; who logs never waits
// long for who reads (log_outlet.h). Secrets never come here.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace headgate {

enum class LogLevel : uint8_t { fatal, error, warning, log, debug, noise };

/// Where lines go. Called at start and with each new configuration: the file is opened anew each
/// time.
struct LogSetup {
  bool to_stderr = true;
  std::string file;      // empty: none
  int verbose = 0;       // 1 adds debug, 2 adds noise
  bool journal = false;  // stderr is the journal's
  bool syslog = false;
  std::string syslog_ident{}, syslog_facility{};
};
/// False where the file cannot be opened (the reason is logged; the old file stays in use).
bool set_up_log(const LogSetup& setup);

bool log_enabled(LogLevel level);
/// Writes one line; newlines inside become newline and tab.
void log_line(LogLevel level, std::string_view text);
/// Gives every line to `sink` instead, for the simulator; null ends that.
void redirect_log(void (*sink)(LogLevel, std::string_view));

template <class... Args>
void log(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
  if (log_enabled(level)) log_line(level, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace headgate
