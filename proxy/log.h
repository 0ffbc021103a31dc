// The log, to stderr, a file and syslog, in PgBouncer's form, `YYYY-MM-DD hh:mm:ss.mmm TZ [PID]
// LEVEL message`, or as JSON (log_lines.h). One for the process, safe from every thread; who logs
// never waits long for who reads (log_outlet.h). The same warning again and again is written a few
// times and counted then (log_repeats.h). Secrets never come here.
//
//   log(LogLevel::log, client.log_subject(), "closing because: {} (age={}s)",
//       field("reason", reason), field("age_s", age));
#pragma once

#include <fmt/format.h>

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

namespace headgate {

enum class LogFormat : uint8_t;
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
  LogFormat format{};
  int repeat_limit = 0;  // 0: none
};
/// False where the file cannot be opened (the reason is logged; the old file stays in use).
bool set_up_log(const LogSetup& setup);

/// The connection that a line is about: what PgBouncer writes in front of the message, and fields
/// of JSON. The views need to live as long as the call that logs.
struct LogSubject {
  char letter = 'C';  // C: a client's, S: a server's
  const void* socket = nullptr;
  uint64_t id = 0;
  std::string_view database{}, user{};  // empty: not known
  int peer = 0;                         // another pooler's number, instead of the two
  /// From where, or to where.
  struct Place {
    std::string host{};  // a number; "unix"; or empty
    int port = 0;
    std::optional<int> process{};

    std::string text() const;
  } place{};
  int server_process = 0;  // PostgreSQL's number; 0: none

  /// "C-0x5581e2c0: app/alice@127.0.0.1:40000 ".
  std::string prefix() const;
};

/// A part of a message that is a field of JSON as well. One that the format does not mention is a
/// field alone.
template <class T>
struct LogArgument {
  std::string_view name;
  const T& value;
};
template <class T>
LogArgument<T> field(std::string_view name, const T& value) {
  return {name, value};
}

struct LogField {
  std::string_view name;
  std::variant<std::string_view, int64_t, double> value;
};

bool log_enabled(LogLevel level);

/// What log() has put together.
struct LogMessage {
  LogLevel level;
  const void* site;           // of the program: its repetitions are counted
  const LogSubject* subject;  // null: none
  std::string_view text;
  std::span<const LogField> fields;
};
/// Writes one line; newlines inside become newline and tab.
void log_message(const LogMessage& message);
/// Tells what was held back as repetitions: of `all`, or of those whose time is over.
void log_repetitions(bool all = false);
/// Gives every line to `sink` instead, for the simulator; null ends that.
void redirect_log(void (*sink)(LogLevel, std::string_view));

namespace log_details {

template <class T>
inline constexpr bool is_field = false;
template <class T>
inline constexpr bool is_field<LogArgument<T>> = true;

template <class T>
LogField as_field(const LogArgument<T>& argument) {
  if constexpr (std::is_floating_point_v<T>) {
    return {argument.name, double{argument.value}};
  } else if constexpr (std::is_integral_v<T>) {
    return {argument.name, static_cast<int64_t>(argument.value)};
  } else {
    return {argument.name, std::string_view(argument.value)};
  }
}

template <class... Args>
void write(LogLevel level, const LogSubject* subject, fmt::format_string<Args...> format,
           Args&&... args) {
  constexpr size_t count = (size_t{is_field<std::remove_cvref_t<Args>>} + ... + 0);
  std::array<LogField, count> fields;
  [[maybe_unused]] size_t next = 0;
  [[maybe_unused]] const auto take = [&](const auto& argument) {
    if constexpr (is_field<std::remove_cvref_t<decltype(argument)>>) {
      fields[next++] = as_field(argument);
    }
  };
  (take(args), ...);
  const fmt::string_view site = format;
  const std::string text = fmt::format(format, std::forward<Args>(args)...);
  log_message({level, site.data(), subject, text, fields});
}

}  // namespace log_details

template <class... Args>
void log(LogLevel level, fmt::format_string<Args...> format, Args&&... args) {
  if (log_enabled(level)) log_details::write(level, nullptr, format, std::forward<Args>(args)...);
}
template <class... Args>
void log(LogLevel level, const LogSubject& subject, fmt::format_string<Args...> format,
         Args&&... args) {
  if (log_enabled(level)) log_details::write(level, &subject, format, std::forward<Args>(args)...);
}

}  // namespace headgate

template <class T>
struct fmt::formatter<headgate::LogArgument<T>> : fmt::formatter<T> {
  template <class Context>
  auto format(const headgate::LogArgument<T>& argument, Context& context) const {
    return fmt::formatter<T>::format(argument.value, context);
  }
};
