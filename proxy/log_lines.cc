#include "proxy/log_lines.h"

#include <syslog.h>

#include <algorithm>
#include <cmath>
#include <ctime>

#include "conf/settings.h"

namespace headgate {

namespace {

struct LevelRow {
  LogLevel level;
  std::string_view name;
  int priority;  // of syslog and the journal
};
constexpr LevelRow level_table[] = {
    {LogLevel::fatal, "FATAL", LOG_CRIT},        {LogLevel::error, "ERROR", LOG_ERR},
    {LogLevel::warning, "WARNING", LOG_WARNING}, {LogLevel::log, "LOG", LOG_INFO},
    {LogLevel::debug, "DEBUG", LOG_DEBUG},       {LogLevel::noise, "NOISE", LOG_DEBUG},
};

const LevelRow& row_of(LogLevel level) { return level_table[static_cast<size_t>(level)]; }

using Time = std::chrono::system_clock::time_point;

struct LocalTime {
  std::tm parts{};
  int64_t milliseconds = 0;

  explicit LocalTime(Time time) {
    using std::chrono::duration_cast;
    const auto since = time.time_since_epoch();
    milliseconds = duration_cast<std::chrono::milliseconds>(since).count() % 1000;
    const auto whole = static_cast<time_t>(duration_cast<std::chrono::seconds>(since).count());
    localtime_r(&whole, &parts);
  }
};

void append_clock(std::string& line, const LocalTime& time, char between) {
  fmt::format_to(std::back_inserter(line), "{:04}-{:02}-{:02}{}{:02}:{:02}:{:02}.{:03}",
                 time.parts.tm_year + 1900, time.parts.tm_mon + 1, time.parts.tm_mday, between,
                 time.parts.tm_hour, time.parts.tm_min, time.parts.tm_sec, time.milliseconds);
}

// As PgBouncer writes it to files and terminals.
void append_time(std::string& line, Time at) {
  const LocalTime time(at);
  append_clock(line, time, ' ');
  fmt::format_to(std::back_inserter(line), " {}", time.parts.tm_zone);
}

// RFC 3339.
void append_json_time(std::string& line, Time at) {
  const LocalTime time(at);
  const long minutes = std::labs(time.parts.tm_gmtoff) / 60;
  append_clock(line, time, 'T');
  fmt::format_to(std::back_inserter(line), "{}{:02}:{:02}", time.parts.tm_gmtoff < 0 ? '-' : '+',
                 minutes / 60, minutes % 60);
}

void append_syslog_time(std::string& line, Time at) {
  char text[32];
  const LocalTime time(at);
  line.append(text, std::strftime(text, sizeof text, "%b %e %H:%M:%S", &time.parts));
}

void append_text(std::string& line, std::string_view text, std::string_view newline) {
  for (const char c : text) {
    if (c == '\n') {
      line += newline;
    } else {
      line.push_back(c);
    }
  }
}

void append_message(std::string& line, const LogEntry& entry, std::string_view newline) {
  if (entry.subject) append_text(line, entry.subject->prefix(), newline);
  append_text(line, entry.text, newline);
}

/// How many bytes the character of UTF-8 has that begins `text`; 0: it is none.
size_t character_size(std::string_view text) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto follows = [&](size_t i) { return byte(i) >> 6 == 2; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    const bool overlong = first == 0xe0 && byte(1) < 0xa0;
    const bool surrogate = first == 0xed && byte(1) >= 0xa0;
    return follows(1) && follows(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    const bool overlong = first == 0xf0 && byte(1) < 0x90;
    const bool too_large = first == 0xf4 && byte(1) >= 0x90;
    return follows(1) && follows(2) && follows(3) && !overlong && !too_large ? 4 : 0;
  }
  return 0;
}

void append_json_ascii(std::string& out, char c) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      break;
  }
  if (c < ' ' || c == 0x7f) {
    fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned char>(c));
  } else {
    out += c;
  }
}

/// An object of JSON, member by member.
class JsonObject {
 public:
  JsonObject(std::string& out, size_t longest_text) : out_(out), longest_text_(longest_text) {
    out_ += '{';
  }
  void add(std::string_view name, std::string_view text) {
    begin(name);
    append_json_text(out_, text.substr(0, longest_text_));
  }
  void add(std::string_view name, int64_t number) {
    begin(name);
    fmt::format_to(std::back_inserter(out_), "{}", number);
  }
  void add(std::string_view name, double number) {
    begin(name);
    if (!std::isfinite(number)) {
      out_ += "null";
    } else {
      fmt::format_to(std::back_inserter(out_), "{}", number);
    }
  }
  std::string& begin(std::string_view name) {
    if (out_.back() != '{') out_ += ',';
    append_json_text(out_, name);
    out_ += ':';
    return out_;
  }
  void end() { out_ += '}'; }

 private:
  std::string& out_;
  size_t longest_text_;
};

void add_subject(JsonObject& object, const LogSubject& subject) {
  const bool of_client = subject.letter == 'C';
  if (!subject.database.empty()) object.add("database", subject.database);
  if (!subject.user.empty()) object.add("user", subject.user);
  if (subject.peer > 0) object.add("peer_id", int64_t{subject.peer});
  if (subject.id > 0) {
    object.add(of_client ? "client_id" : "server_id", static_cast<int64_t>(subject.id));
  }
  if (subject.place.host.empty()) return;
  object.add(of_client ? "client_address" : "server_address", subject.place.host);
  object.add(of_client ? "client_port" : "server_port", int64_t{subject.place.port});
  if (subject.place.process) object.add("client_pid", int64_t{*subject.place.process});
  if (subject.server_process > 0) object.add("server_pid", int64_t{subject.server_process});
}

void append_json(std::string& line, const LogEntry& entry, int process, size_t longest_text) {
  JsonObject object(line, longest_text);
  std::string& out = object.begin("time");
  out += '"';
  append_json_time(out, entry.time);
  out += '"';
  object.add("level", row_of(entry.level).name);
  object.add("pid", int64_t{process});
  if (entry.subject) add_subject(object, *entry.subject);
  for (const LogField& field : entry.fields) {
    std::visit([&](const auto& value) { object.add(field.name, value); }, field.value);
  }
  object.add("message", entry.text);
  object.end();
}

// A datagram that is cut would not be JSON any more: its texts are.
void append_json_up_to(std::string& line, size_t limit, const LogEntry& entry, int process) {
  const size_t head = line.size();
  size_t longest_text = limit;
  do {
    line.resize(head);
    append_json(line, entry, process, longest_text);
    longest_text /= 2;
  } while (line.size() > limit && longest_text > 0);
}

}  // namespace

void append_json_text(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const size_t size = character_size(text);
    if (size == 1) {
      append_json_ascii(out, text[0]);
    } else {
      out += size > 0 ? text.substr(0, size) : std::string_view("\xef\xbf\xbd");
    }
    text.remove_prefix(std::max<size_t>(size, 1));
  }
  out += '"';
}

std::string LogSubject::Place::text() const {
  if (host.empty()) return {};
  if (process) return fmt::format("{}({}):{}", host, *process, port);
  if (host.find(':') != std::string::npos) return fmt::format("[{}]:{}", host, port);
  return fmt::format("{}:{}", host, port);
}

std::string LogSubject::prefix() const {
  if (peer > 0) {
    return fmt::format("{}-{:#x}: peer-{}@{} ", letter, reinterpret_cast<uintptr_t>(socket), peer,
                       place.text());
  }
  return fmt::format("{}-{:#x}: {}/{}@{} ", letter, reinterpret_cast<uintptr_t>(socket),
                     database.empty() ? "(nodb)" : database, user.empty() ? "(nouser)" : user,
                     place.text());
}

void write_line(std::string& line, const LogEntry& entry, LogPlace place, const LogForm& form) {
  const auto end = std::back_inserter(line);
  const bool json = form.format == LogFormat::json;
  const LevelRow& level = row_of(entry.level);
  line.clear();
  switch (place) {
    case LogPlace::plain:
      if (json) {
        append_json(line, entry, form.process, std::string::npos);
        break;
      }
      append_time(line, entry.time);
      fmt::format_to(end, " [{}] {} ", form.process, level.name);
      append_message(line, entry, "\n\t");
      break;
    case LogPlace::journal:  // where each line is an entry of its own
      fmt::format_to(end, "<{}>", level.priority);
      if (json) {
        append_json(line, entry, form.process, std::string::npos);
      } else {
        append_message(line, entry, fmt::format("\n<{}>\t", level.priority));
      }
      break;
    case LogPlace::syslog:
      fmt::format_to(end, "<{}>", form.syslog_facility | level.priority);
      append_syslog_time(line, entry.time);
      fmt::format_to(end, " {}[{}]: ", form.syslog_ident, form.process);
      if (json) return append_json_up_to(line, longest_syslog_bytes, entry, form.process);
      append_message(line, entry, "\n\t");
      line.resize(std::min(line.size(), longest_syslog_bytes));
      return;  // a datagram has an end of its own
  }
  line.push_back('\n');
}

}  // namespace headgate
