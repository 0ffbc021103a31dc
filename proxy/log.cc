#include "proxy/log.h"

#include <fcntl.h>
#include <spdlog/details/os.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <syslog.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <mutex>

namespace headgate {

namespace {

using spdlog::level::level_enum;

struct LevelRow {
  LogLevel level;
  level_enum spdlog_level;
  std::string_view name;
  int priority;  // of syslog and the journal
};
constexpr LevelRow level_table[] = {
    {LogLevel::fatal, level_enum::critical, "FATAL", LOG_CRIT},
    {LogLevel::error, level_enum::err, "ERROR", LOG_ERR},
    {LogLevel::warning, level_enum::warn, "WARNING", LOG_WARNING},
    {LogLevel::log, level_enum::info, "LOG", LOG_INFO},
    {LogLevel::debug, level_enum::debug, "DEBUG", LOG_DEBUG},
    {LogLevel::noise, level_enum::trace, "NOISE", LOG_DEBUG},
};

struct FacilityRow {
  std::string_view name;
  int facility;
};
constexpr FacilityRow facility_table[] = {
    {"auth", LOG_AUTH},     {"authpriv", LOG_AUTHPRIV}, {"daemon", LOG_DAEMON},
    {"user", LOG_USER},     {"local0", LOG_LOCAL0},     {"local1", LOG_LOCAL1},
    {"local2", LOG_LOCAL2}, {"local3", LOG_LOCAL3},     {"local4", LOG_LOCAL4},
    {"local5", LOG_LOCAL5}, {"local6", LOG_LOCAL6},     {"local7", LOG_LOCAL7},
};

int facility_of(std::string_view name) {
  for (const FacilityRow& row : facility_table) {
    if (row.name == name) return row.facility;
  }
  return LOG_DAEMON;
}

const LevelRow& row_of(LogLevel level) { return level_table[static_cast<size_t>(level)]; }

const LevelRow& row_of(level_enum level) {
  for (const auto& row : level_table) {
    if (row.spdlog_level == level) return row;
  }
  return row_of(LogLevel::log);
}

/// One write for each line, so that lines of several processes in one file stay whole and none is
/// lost when the process dies.
class LineSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  /// Takes over `file` (-1: none) and closes the one before.
  void switch_to(const LogSetup& setup, int file) {
    std::lock_guard lock(mutex_);
    if (file_ >= 0) close(file_);
    if (syslog_) closelog();
    file_ = file;
    to_stderr_ = setup.to_stderr;
    journal_ = setup.journal;
    syslog_ = setup.syslog;
    ident_ = setup.syslog_ident;  // openlog() keeps the pointer
    if (syslog_) openlog(ident_.c_str(), LOG_PID | LOG_NDELAY, facility_of(setup.syslog_facility));
  }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const LevelRow& level = row_of(message.level);
    const std::string_view text(message.payload.data(), message.payload.size());
    if (file_ >= 0 || (to_stderr_ && !journal_)) {
      line_.clear();
      append_time(message.time);
      fmt::format_to(std::back_inserter(line_), " [{}] {} ", spdlog::details::os::pid(),
                     level.name);
      append_text(text, "\n\t");
      line_.push_back('\n');
      if (to_stderr_ && !journal_) write_line(STDERR_FILENO);
      if (file_ >= 0) write_line(file_);
    }
    if (to_stderr_ && journal_) {  // each line is an entry of its own there
      line_.assign(fmt::format("<{}>", level.priority));
      append_text(text, fmt::format("\n<{}>\t", level.priority));
      line_.push_back('\n');
      write_line(STDERR_FILENO);
    }
    if (syslog_) syslog(level.priority, "%.*s", static_cast<int>(text.size()), text.data());
  }
  void flush_() override {}

  void append_time(spdlog::log_clock::time_point time) {
    using std::chrono::duration_cast;
    auto milliseconds = duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
    std::tm local = spdlog::details::os::localtime(static_cast<time_t>(milliseconds / 1000));
    fmt::format_to(std::back_inserter(line_), "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:03} {}",
                   local.tm_year + 1900, local.tm_mon + 1, local.tm_mday, local.tm_hour,
                   local.tm_min, local.tm_sec, milliseconds % 1000, local.tm_zone);
  }

  void append_text(std::string_view text, std::string_view newline) {
    for (char c : text) {
      if (c == '\n') {
        line_ += newline;
      } else {
        line_.push_back(c);
      }
    }
  }

  // A log that cannot be written is no reason to stop serving, and there is nowhere to say so.
  void write_line(int descriptor) {
    std::string_view rest = line_;
    while (!rest.empty()) {
      ssize_t written = write(descriptor, rest.data(), rest.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return;
      rest.remove_prefix(static_cast<size_t>(written));
    }
  }

  std::string line_;
  std::string ident_;
  bool to_stderr_ = true;
  bool journal_ = false;
  bool syslog_ = false;
  int file_ = -1;
};

struct Log {
  Log() { logger.set_level(level_enum::info); }
  std::shared_ptr<LineSink> sink = std::make_shared<LineSink>();
  spdlog::logger logger{"headgate", sink};
  std::atomic<void (*)(LogLevel, std::string_view)> redirected = nullptr;
};

/// Never destroyed: whoever still runs at the process's end may still log.
Log& the_log() {
  static Log& log = *new Log;
  return log;
}

level_enum most_verbose(int verbose) {
  if (verbose <= 0) return level_enum::info;
  return verbose == 1 ? level_enum::debug : level_enum::trace;
}

}  // namespace

bool set_up_log(const LogSetup& setup) {
  int file = -1;
  if (!setup.file.empty()) {
    file = open(setup.file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (file < 0) {
      log(LogLevel::error, "cannot open log file \"{}\": {}", setup.file, std::strerror(errno));
      return false;
    }
  }
  the_log().logger.set_level(most_verbose(setup.verbose));
  the_log().sink->switch_to(setup, file);
  return true;
}

bool log_enabled(LogLevel level) { return the_log().logger.should_log(row_of(level).spdlog_level); }

void log_line(LogLevel level, std::string_view text) {
  Log& log = the_log();
  if (auto* redirected = log.redirected.load()) {
    redirected(level, text);
    return;
  }
  log.logger.log(row_of(level).spdlog_level, spdlog::string_view_t(text.data(), text.size()));
}

void redirect_log(void (*sink)(LogLevel, std::string_view)) { the_log().redirected = sink; }

}  // namespace headgate
