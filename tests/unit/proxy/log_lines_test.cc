#include "proxy/log_lines.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "conf/settings.h"

namespace headgate {

using nlohmann::json;

namespace {

LogSubject some_client() {
  static const int socket = 0;
  return {.letter = 'C',
          .socket = &socket,
          .id = 7,
          .database = "app",
          .user = "alice",
          .place = {"127.0.0.1", 40'000, {}}};
}

std::string line_of(const LogEntry& entry, LogPlace place, LogFormat format) {
  std::string line = "what was there before";
  write_line(line, entry, place, {format, 4711, "pgbouncer", 3 << 3});
  return line;
}

LogEntry entry_of(std::string_view text, const LogSubject* subject = nullptr,
                  std::span<const LogField> fields = {}) {
  return {std::chrono::system_clock::time_point(std::chrono::milliseconds(1'700'000'000'042)),
          LogLevel::warning, subject, text, fields};
}

json parsed(const std::string& line) {
  REQUIRE(line.ends_with("}\n"));
  REQUIRE(std::count(line.begin(), line.end(), '\n') == 1);
  return json::parse(line);
}

}  // namespace

TEST_CASE(
    "log lines: an object of JSON has the head, who it is about, its fields and the message") {
  const LogSubject client = some_client();
  const LogField fields[] = {
      {"reason", "client close request"}, {"age_s", int64_t{12}}, {"wait_ms", 1.5}};
  const auto entry = entry_of("closing because: client close request (age=12s)", &client, fields);
  json line = parsed(line_of(entry, LogPlace::plain, LogFormat::json));
  const std::string time = line["time"];
  CHECK(time.size() == std::string("2023-11-14T22:13:20.042+00:00").size());
  CHECK(time.substr(19, 5).starts_with(".042"));
  CHECK((time[23] == '+' || time[23] == '-'));
  line.erase("time");
  CHECK(line == json::parse(R"json({"level": "WARNING", "pid": 4711, "database": "app",
      "user": "alice", "client_id": 7, "client_address": "127.0.0.1", "client_port": 40000,
      "reason": "client close request", "age_s": 12, "wait_ms": 1.5,
      "message": "closing because: client close request (age=12s)"})json"));
}

TEST_CASE("log lines: PgBouncer's prefix is made of the same") {
  LogSubject subject = some_client();
  const std::string letter = "C-" + fmt::format("{}", subject.socket) + ": ";
  CHECK(subject.prefix() == letter + "app/alice@127.0.0.1:40000 ");
  subject.place = {"::1", 40'000, {}};
  CHECK(subject.prefix() == letter + "app/alice@[::1]:40000 ");
  subject.place = {"unix", 6432, 99};
  subject.database = subject.user = {};
  CHECK(subject.prefix() == letter + "(nodb)/(nouser)@unix(99):6432 ");
  subject.place = {};
  CHECK(subject.prefix() == letter + "(nodb)/(nouser)@ ");
  const std::string line = line_of(entry_of("x\ny", &subject), LogPlace::plain, LogFormat{});
  CHECK(line.ends_with("[4711] WARNING " + subject.prefix() + "x\n\ty\n"));
}

TEST_CASE("log lines: what is not known of a connection is no member") {
  LogSubject subject{.letter = 'S', .socket = &subject, .peer = 3};
  json line = parsed(line_of(entry_of("x", &subject), LogPlace::plain, LogFormat::json));
  line.erase("time");
  CHECK(line == json::parse(R"({"level":"WARNING","pid":4711,"peer_id":3,"message":"x"})"));
}

TEST_CASE("log lines: JSON says the same as nlohmann's, whatever bytes there are") {
  const auto check = [](const std::string& text) {
    std::string ours;
    append_json_text(ours, text);
    const std::string theirs = json(text).dump(-1, ' ', false, json::error_handler_t::replace);
    CAPTURE(ours);
    CAPTURE(theirs);
    const json read = json::parse(ours);
    const bool sound = theirs.find("\xef\xbf\xbd") == std::string::npos;
    if (sound) {
      CHECK(read == json::parse(theirs));
    } else {
      CHECK(ours.find("\xef\xbf\xbd") != std::string::npos);
    }
  };
  for (int c = 0; c < 256; ++c) check(std::string("a") + static_cast<char>(c) + "b");
  for (const char* text :
       {"\"\\/\b\f\n\r\t\x7f", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "\xc0\x80", "\xed\xa0\x80",
        "\xf4\x90\x80\x80", "\xe2\x82", "\xf0\x9f\x98", ""}) {
    check(text);
  }
  std::mt19937 random(8);
  for (int i = 0; i < 20'000; ++i) {
    std::string text(random() % 12, ' ');
    for (char& c : text) c = "\"\\\n a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\xed\xff"[random() % 16];
    check(text);
  }
}

TEST_CASE("log lines: a byte that is no UTF-8 is told as such, and the rest is kept") {
  std::string out;
  append_json_text(out, "a\xff\xc3\xa4\xe2\x82z");
  CHECK(out == "\"a\xef\xbf\xbd\xc3\xa4\xef\xbf\xbd\xef\xbf\xbdz\"");
}

TEST_CASE("log lines: names cannot forge a member or a line of JSON") {
  LogSubject subject = some_client();
  subject.user = "x\",\"level\":\"FATAL\"}\n{\"level\":\"FATAL";
  subject.database = std::string_view("a\0b", 3);
  json line = parsed(line_of(entry_of("m", &subject), LogPlace::plain, LogFormat::json));
  CHECK(line["user"] == std::string(subject.user));
  CHECK(line["database"] == std::string(subject.database));
  CHECK(line["level"] == "WARNING");
}

TEST_CASE("log lines: the journal and syslog get the object behind their priority") {
  const std::string journal = line_of(entry_of("x\ny"), LogPlace::journal, LogFormat::json);
  CHECK(journal.starts_with("<4>{"));
  CHECK(parsed(journal.substr(3))["message"] == "x\ny");
  const std::string syslog = line_of(entry_of("x\ny"), LogPlace::syslog, LogFormat::json);
  CHECK(syslog.starts_with("<28>"));
  const size_t begin = syslog.find("pgbouncer[4711]: {");
  REQUIRE(begin != syslog.npos);
  CHECK(json::parse(syslog.substr(syslog.find('{')))["message"] == "x\ny");
}

TEST_CASE("log lines: an object that is too long for syslog is cut in its texts") {
  for (const char letter : {'a', '\x01', '\xff'}) {
    const std::string text(100'000, letter);
    LogSubject subject = some_client();
    subject.user = text;
    const std::string line = line_of(entry_of(text, &subject), LogPlace::syslog, LogFormat::json);
    CHECK(line.size() <= longest_syslog_bytes);
    CHECK(line.size() > longest_syslog_bytes / 8);
    CHECK(json::parse(line.substr(line.find('{')))["database"] == "app");
  }
}

}  // namespace headgate
