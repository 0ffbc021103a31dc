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
#include <optional>

#include "conf/settings.h"
#include "proxy/log_lines.h"
#include "proxy/log_outlet.h"
#include "proxy/log_repeats.h"

namespace headgate {

namespace {

using spdlog::level::level_enum;

// Written to as syslog(3) does, which would block where the daemon hangs.
constexpr std::string_view syslog_path = "/dev/log";

constexpr level_enum spdlog_levels[] = {level_enum::critical, level_enum::err,   level_enum::warn,
                                        level_enum::info,     level_enum::debug, level_enum::trace};

level_enum in_spdlog(LogLevel level) { return spdlog_levels[static_cast<size_t>(level)]; }

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

/// What spdlog hands from its front to our sink, with what its own messages have no place for.
struct Message final : spdlog::details::log_msg {
  explicit Message(const LogMessage& from)
      : log_msg("", in_spdlog(from.level), {from.text.data(), from.text.size()}), ours(from) {}
  const LogMessage& ours;
};

/// One write for each line, so that lines of several processes in one file stay whole and none is
/// lost when the process dies.
class LineSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  /// Takes over `file` (-1: none) and closes the one before.
  void switch_to(const LogSetup& setup, int file) {
    std::lock_guard lock(mutex_);
    stderr_.outlet = setup.to_stderr ? LogOutlet::to_borrowed(STDERR_FILENO) : LogOutlet();
    stderr_.place = setup.journal ? LogPlace::journal : LogPlace::plain;
    file_.outlet = file >= 0 ? LogOutlet::to_file(file) : LogOutlet();
    syslog_.outlet = setup.syslog ? LogOutlet::to_socket(std::string(syslog_path)) : LogOutlet();
    ident_ = setup.syslog_ident;
    form_.format = setup.format;
    form_.syslog_ident = ident_;
    form_.syslog_facility = facility_of(setup.syslog_facility).value_or(LOG_DAEMON);
    repeats_.set_limit(setup.repeat_limit);
  }

  void tell_repetitions(spdlog::log_clock::time_point now, bool all) {
    std::lock_guard lock(mutex_);
    tell_held(now, all);
  }

 private:
  struct Outlet {
    LogOutlet outlet;
    LogPlace place;
    uint64_t lost = 0;  // lines since the last one that got there
  };

  void sink_it_(const spdlog::details::log_msg& message) override {
    const LogMessage& from = static_cast<const Message&>(message).ours;
    if (from.level == LogLevel::warning || from.level == LogLevel::error) {
      tell_held(message.time, false);
      if (!repeats_.passes(from, message.time)) return;
    }
    put({message.time, from.level, from.subject, from.text, from.fields});
  }
  void flush_() override {}

  void tell_held(spdlog::log_clock::time_point now, bool all) {
    for (const LogRepeats::Held& held : repeats_.take(now, all)) {
      const LogField fields[] = {{"repetitions", held.lines}, {"seconds", held.seconds}};
      const LogSubject subject{.database = held.database, .user = held.user};
      const bool whose = !held.database.empty() || !held.user.empty();
      const std::string name = whose ? fmt::format(" for {}/{}", held.database, held.user) : "";
      const std::string text = fmt::format("{} more like this in the last {} s{}: {}", held.lines,
                                           held.seconds, name, held.text);
      LogEntry entry{now, held.level, nullptr, text, fields};
      if (whose && form_.format == LogFormat::json) entry.subject = &subject;
      put(entry);
    }
  }

  void put(const LogEntry& entry) {
    form_.process = spdlog::details::os::pid();
    for (Outlet* to : {&stderr_, &file_, &syslog_}) {
      if (to->outlet.goes_somewhere()) put(entry, *to);
    }
  }

  // A log that cannot be written is no reason to stop serving; it says itself what is missing.
  void put(const LogEntry& entry, Outlet& to) {
    if (to.lost > 0) {
      const std::string missing =
          fmt::format("{} lines of the log are lost: they could not be written in time", to.lost);
      if (!deliver({entry.time, LogLevel::warning, nullptr, missing, {}}, to)) {
        ++to.lost;
        return;
      }
    }
    to.lost = deliver(entry, to) ? 0 : 1;
  }

  bool deliver(const LogEntry& entry, Outlet& to) {
    write_line(line_, entry, to.place, form_);
    return to.outlet.deliver(line_);
  }

  std::string line_;
  Outlet stderr_{LogOutlet::to_borrowed(STDERR_FILENO), LogPlace::plain};
  Outlet file_{{}, LogPlace::plain};
  Outlet syslog_{{}, LogPlace::syslog};
  std::string ident_;
  LogForm form_;
  LogRepeats repeats_;
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

bool log_enabled(LogLevel level) { return the_log().logger.should_log(in_spdlog(level)); }

void log_message(const LogMessage& message) {
  Log& log = the_log();
  if (auto* redirected = log.redirected.load()) {
    const std::string prefix = message.subject ? message.subject->prefix() : "";
    redirected(message.level, prefix + std::string(message.text));
    return;
  }
  log.sink->log(Message(message));
}

void log_repetitions(bool all) {
  // It knows the time.
  const spdlog::details::log_msg now("", level_enum::off, "");
  the_log().sink->tell_repetitions(now.time, all);
}

void redirect_log(void (*sink)(LogLevel, std::string_view)) { the_log().redirected = sink; }

}  // namespace headgate
