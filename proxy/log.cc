#include "proxy/log.h"

#include <fcntl.h>
#include <spdlog/details/os.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <syslog.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <mutex>
#include <optional>

#include "proxy/log_outlet.h"

namespace headgate {

namespace {

using spdlog::level::level_enum;

// Written to as syslog(3) does, which would block where the daemon hangs.
constexpr std::string_view syslog_path = "/dev/log";
constexpr size_t longest_syslog_bytes = 8192;

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

std::optional<int> facility_of(std::string_view name) {
  for (const FacilityRow& row : facility_table) {
    if (row.name == name) return row.facility;
  }
  return std::nullopt;
}

const LevelRow& row_of(LogLevel level) { return level_table[static_cast<size_t>(level)]; }

const LevelRow& row_of(level_enum level) {
  for (const auto& row : level_table) {
    if (row.spdlog_level == level) return row;
  }
  return row_of(LogLevel::log);
}

/// What a line says.
struct Entry {
  spdlog::log_clock::time_point time;
  const LevelRow& level;
  std::string_view text;
};

enum class LineForm : uint8_t { plain, journal, syslog };

// As PgBouncer writes it to files and terminals.
void append_time(std::string& line, spdlog::log_clock::time_point time) {
  using std::chrono::duration_cast;
  auto milliseconds = duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
  std::tm local = spdlog::details::os::localtime(static_cast<time_t>(milliseconds / 1000));
  fmt::format_to(std::back_inserter(line), "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:03} {}",
                 local.tm_year + 1900, local.tm_mon + 1, local.tm_mday, local.tm_hour, local.tm_min,
                 local.tm_sec, milliseconds % 1000, local.tm_zone);
}

void append_syslog_time(std::string& line, spdlog::log_clock::time_point time) {
  char text[32];
  std::tm local = spdlog::details::os::localtime(spdlog::log_clock::to_time_t(time));
  line.append(text, std::strftime(text, sizeof text, "%b %e %H:%M:%S", &local));
}

void append_text(std::string& line, std::string_view text, std::string_view newline) {
  for (char c : text) {
    if (c == '\n') {
      line += newline;
    } else {
      line.push_back(c);
    }
  }
}

/// One write for each line, so that lines of several processes in one file stay whole and none is
/// lost when the process dies.
class LineSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  /// Takes over `file` (-1: none) and closes the one before.
  void switch_to(const LogSetup& setup, int file) {
    std::lock_guard lock(mutex_);
    stderr_.outlet = setup.to_stderr ? LogOutlet::to_borrowed(STDERR_FILENO) : LogOutlet();
    stderr_.form = setup.journal ? LineForm::journal : LineForm::plain;
    file_.outlet = file >= 0 ? LogOutlet::to_file(file) : LogOutlet();
    syslog_.outlet = setup.syslog ? LogOutlet::to_socket(std::string(syslog_path)) : LogOutlet();
    ident_ = setup.syslog_ident;
    facility_ = facility_of(setup.syslog_facility).value_or(LOG_DAEMON);
  }

 private:
  struct Place {
    LogOutlet outlet;
    LineForm form;
    uint64_t lost = 0;  // lines since the last one that got there
  };

  void sink_it_(const spdlog::details::log_msg& message) override {
    const Entry entry{
        message.time, row_of(message.level), {message.payload.data(), message.payload.size()}};
    for (Place* place : {&stderr_, &file_, &syslog_}) {
      if (place->outlet.goes_somewhere()) put(entry, *place);
    }
  }
  void flush_() override {}

  // A log that cannot be written is no reason to stop serving; it says itself what is missing.
  void put(const Entry& entry, Place& place) {
    if (place.lost > 0) {
      const std::string missing = fmt::format(
          "{} lines of the log are lost: they could not be written in time", place.lost);
      if (!place.outlet.deliver(
              line({entry.time, row_of(LogLevel::warning), missing}, place.form))) {
        ++place.lost;
        return;
      }
    }
    place.lost = place.outlet.deliver(line(entry, place.form)) ? 0 : 1;
  }

  std::string_view line(const Entry& entry, LineForm form) {
    const auto end = std::back_inserter(line_);
    line_.clear();
    switch (form) {
      case LineForm::plain:
        append_time(line_, entry.time);
        fmt::format_to(end, " [{}] {} ", spdlog::details::os::pid(), entry.level.name);
        append_text(line_, entry.text, "\n\t");
        break;
      case LineForm::journal:  // where each line is an entry of its own
        fmt::format_to(end, "<{}>", entry.level.priority);
        append_text(line_, entry.text, fmt::format("\n<{}>\t", entry.level.priority));
        break;
      case LineForm::syslog:
        fmt::format_to(end, "<{}>", facility_ | entry.level.priority);
        append_syslog_time(line_, entry.time);
        fmt::format_to(end, " {}[{}]: ", ident_, spdlog::details::os::pid());
        append_text(line_, entry.text, "\n\t");
        line_.resize(std::min(line_.size(), longest_syslog_bytes));
        return line_;  // a datagram has an end of its own
    }
    line_.push_back('\n');
    return line_;
  }

  std::string line_;
  Place stderr_{LogOutlet::to_borrowed(STDERR_FILENO), LineForm::plain};
  Place file_{{}, LineForm::plain};
  Place syslog_{{}, LineForm::syslog};
  std::string ident_;
  int facility_ = LOG_DAEMON;
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
    // O_NONBLOCK is for named pipes, which may have no reader.
    file = open(setup.file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0644);
    if (file < 0) {
      log(LogLevel::error, "cannot open log file \"{}\": {}", setup.file, std::strerror(errno));
      return false;
    }
  }
  the_log().logger.set_level(most_verbose(setup.verbose));
  the_log().sink->switch_to(setup, file);
  if (setup.syslog && !facility_of(setup.syslog_facility)) {
    log(LogLevel::warning, "syslog_facility '{}' is not known: daemon is used",
        setup.syslog_facility);
  }
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
