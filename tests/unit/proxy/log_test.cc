#include "proxy/log.h"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>
#include <vector>

#include "conf/settings.h"

namespace headgate {

namespace {

/// A log file of the test's own; afterwards the log is as it was at the start.
struct LogFile {
  std::string folder, path;

  explicit LogFile(int verbose = 0) {
    char name[] = "/tmp/headgate-log-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    folder = name;
    path = folder + "/headgate.log";
    REQUIRE(set_up_log({.to_stderr = false, .file = path, .verbose = verbose}));
  }
  ~LogFile() {
    set_up_log({});
    std::filesystem::remove_all(folder);
  }
  std::string content(const std::string& of = "") const {
    std::ifstream file(of.empty() ? path : of);
    std::stringstream all;
    all << file.rdbuf();
    return all.str();
  }
  /// The lines without what changes from run to run.
  std::string messages() const {
    std::string all;
    std::istringstream lines(content());
    for (std::string line; std::getline(lines, line);) all += without_head(line) + "\n";
    return all;
  }
  /// A line that does not begin with time, zone and process stays as it is.
  static std::string without_head(const std::string& line) {
    size_t zone = std::strlen("2026-01-31 12:00:00.123 "), process = line.find(" [", zone),
           end = line.find("] ", zone);
    bool has_head =
        shape(line.substr(0, zone)) == "9999-99-99 99:99:99.999 " && process != line.npos &&
        process > zone && end != line.npos &&
        shape(line.substr(process, end - process)).find_first_not_of(" [9") == line.npos;
    return has_head ? line.substr(end + 2) : line;
  }
  static std::string shape(std::string text) {
    for (char& c : text) c = c >= '0' && c <= '9' ? '9' : c;
    return text;
  }
};

std::vector<std::string> redirected;

}  // namespace

TEST_CASE("log: a line has time, zone, process, level and text") {
  LogFile file;
  log(LogLevel::log, "closing because: {} (age={}s)", "client close request", 12);
  const std::string text = "LOG closing because: client close request (age=12s)\n";
  CHECK(file.messages() == text);
  CHECK(file.content().ends_with(" [" + std::to_string(getpid()) + "] " + text));
}

TEST_CASE("log: every level has PgBouncer's name, and verbosity decides") {
  auto all_levels = [](int verbose) {
    LogFile file(verbose);
    for (auto level : {LogLevel::fatal, LogLevel::error, LogLevel::warning, LogLevel::log,
                       LogLevel::debug, LogLevel::noise})
      log(level, "x");
    return file.messages();
  };
  const std::string usual = "FATAL x\nERROR x\nWARNING x\nLOG x\n";
  CHECK(all_levels(0) == usual);
  CHECK(all_levels(1) == usual + "DEBUG x\n");
  CHECK(all_levels(2) == usual + "DEBUG x\nNOISE x\n");
}

TEST_CASE("log: a message of several lines cannot look like several messages") {
  LogFile file;
  log(LogLevel::log, "one\n{}", "2026-01-31 12:00:00.123 UTC [1] FATAL forged");
  CHECK(file.messages() == "LOG one\n\t2026-01-31 12:00:00.123 UTC [1] FATAL forged\n");
}

TEST_CASE("log: setting it up again opens the file anew, as log rotation needs") {
  LogFile file;
  log(LogLevel::log, "before");
  std::filesystem::rename(file.path, file.path + ".1");
  log(LogLevel::log, "still the old one");
  REQUIRE(set_up_log({.to_stderr = false, .file = file.path}));
  log(LogLevel::log, "after");
  CHECK(file.messages() == "LOG after\n");
  CHECK(file.content(file.path + ".1").find("still the old one\n") != std::string::npos);
  REQUIRE(set_up_log({.to_stderr = false, .file = file.path}));
  log(LogLevel::log, "appended");
  CHECK(file.messages() == "LOG after\nLOG appended\n");
}

TEST_CASE("log: a file that cannot be opened leaves the old one in use, with the reason in it") {
  LogFile file;
  CHECK_FALSE(set_up_log({.to_stderr = false, .file = file.folder + "/none/x.log", .verbose = 2}));
  log(LogLevel::log, "goes on");
  log(LogLevel::noise, "unheard");
  CHECK(file.messages() == "ERROR cannot open log file \"" + file.folder +
                               "/none/x.log\": No such file or directory\nLOG goes on\n");
}

TEST_CASE("log: lines go to stderr too, each with one write, however long") {
  LogFile file;
  int ends[2];
  // Keeps apart what was written apart.
  REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
  int usual = dup(STDERR_FILENO);
  dup2(ends[0], STDERR_FILENO);
  CHECK(set_up_log({.to_stderr = true, .file = file.path}));
  const std::string text(20'000, 'x');
  log(LogLevel::log, "{}", text);
  log(LogLevel::log, "second");
  dup2(usual, STDERR_FILENO);
  std::string first(30'000, '\0'), second(30'000, '\0');
  first.resize(static_cast<size_t>(recv(ends[1], first.data(), first.size(), 0)));
  second.resize(static_cast<size_t>(recv(ends[1], second.data(), second.size(), 0)));
  CHECK(first.ends_with("] LOG " + text + "\n"));
  CHECK(second.ends_with("] LOG second\n"));
  CHECK((file.messages() == "LOG " + text + "\nLOG second\n"));
  for (int descriptor : {usual, ends[0], ends[1]}) close(descriptor);
}

TEST_CASE("log: where nobody reads, lines are lost, and the log says how many") {
  LogFile file;
  int ends[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends) == 0);
  int usual = dup(STDERR_FILENO);
  dup2(ends[0], STDERR_FILENO);
  CHECK(set_up_log({.to_stderr = true, .file = file.path, .journal = true}));
  constexpr int all = 20'000;  // more than a socket holds
  for (int i = 0; i < all; ++i) log(LogLevel::log, "x");
  char text[200];
  int heard = 0;
  while (recv(ends[1], text, sizeof text, MSG_DONTWAIT) > 0) ++heard;
  log(LogLevel::log, "y");
  dup2(usual, STDERR_FILENO);
  auto next = [&] {
    return std::string(text, static_cast<size_t>(recv(ends[1], text, sizeof text, 0)));
  };
  CHECK((heard > 0 && heard < all));
  CHECK(next() == "<4>" + std::to_string(all - heard) +
                      " lines of the log are lost: they could not be written in time\n");
  CHECK(next() == "<6>y\n");
  CHECK(std::ranges::count(file.messages(), '\n') == all + 1);  // the others miss nothing
  for (int descriptor : {usual, ends[0], ends[1]}) close(descriptor);
}

TEST_CASE("log: a named pipe that nobody reads is no log file") {
  LogFile file;
  const std::string fifo = file.folder + "/fifo";
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  CHECK_FALSE(set_up_log({.to_stderr = false, .file = fifo}));
  CHECK(file.messages().find("cannot open log file \"" + fifo + "\": ") != std::string::npos);
}

TEST_CASE("log: no line is lost when the process ends at once") {
  LogFile file;
  pid_t child = fork();
  if (child == 0) {
    log(LogLevel::fatal, "last words");
    _exit(1);
  }
  waitpid(child, nullptr, 0);
  CHECK(file.messages() == "FATAL last words\n");
  CHECK(file.content().find("[" + std::to_string(child) + "]") != std::string::npos);
}

TEST_CASE("log: lines of many threads stay whole, also while the file is opened anew") {
  LogFile file;
  constexpr int threads = 4, each = 200;
  const std::string text(300, 'x');
  std::vector<std::thread> writers;
  writers.reserve(threads);
  for (int i = 0; i < threads; ++i) {
    writers.emplace_back([&] {
      for (int j = 0; j < each; ++j) log(LogLevel::log, "{}", text);
    });
  }
  for (int i = 0; i < 20; ++i) CHECK(set_up_log({.to_stderr = false, .file = file.path}));
  for (auto& writer : writers) writer.join();
  std::string expected;
  for (int i = 0; i < threads * each; ++i) expected += "LOG " + text + "\n";
  CHECK((file.messages() == expected));
}

TEST_CASE("log: as JSON, from the next line on") {
  LogFile file;
  REQUIRE(set_up_log({.to_stderr = false, .file = file.path, .format = LogFormat::json}));
  const LogSubject client{.socket = &file, .id = 3, .database = "d", .user = "u\xff"};
  log(LogLevel::warning, client, "pooler error: {}", field("reason", "no \"such\" user"),
      field("sqlstate", "28000"));
  auto line = nlohmann::json::parse(file.content());
  CHECK(line["pid"] == getpid());
  CHECK(line["message"] == "pooler error: no \"such\" user");
  CHECK(line["reason"] == "no \"such\" user");
  CHECK(line["sqlstate"] == "28000");
  CHECK(line["user"] == "u\xef\xbf\xbd");
  CHECK(line["client_id"] == 3);
}

TEST_CASE("log: floods of a warning are cut and counted, but not what belongs to each connection") {
  LogFile file;
  REQUIRE(set_up_log({.to_stderr = false, .file = file.path, .repeat_limit = 2}));
  for (const char* user : {"a", "b"}) {
    const LogSubject client{.socket = &file, .database = "d", .user = user};
    for (int i = 0; i < 5; ++i) log(LogLevel::warning, client, "pooler error: {}", "no such user");
    for (int i = 0; i < 5; ++i) log(LogLevel::log, client, "closing because: {}", "no such user");
  }
  log_repetitions();  // the period is not over
  const std::string said = file.messages();
  const auto times = [&](const std::string& text) {
    size_t count = 0;
    for (size_t at = 0; (at = said.find(text, at)) != said.npos; ++at) ++count;
    return count;
  };
  CHECK(times("pooler error: no such user\n") == 4);
  CHECK(times("closing because: no such user\n") == 10);
  CHECK(times("more like this") == 0);
  log_repetitions(true);
  const std::string after = file.messages();
  for (const char* user : {"a", "b"}) {
    CHECK(after.find(fmt::format("WARNING 3 more like this in the last 1 s for d/{}: "
                                 "pooler error: no such user\n",
                                 user)) != after.npos);
  }
}

TEST_CASE("log: a simulator gets every line instead") {
  LogFile file;
  redirected.clear();
  redirect_log([](LogLevel level, std::string_view text) {
    redirected.push_back(std::to_string(static_cast<int>(level)) + std::string(text));
  });
  log(LogLevel::warning, "seen");
  log(LogLevel::debug, "not asked for");
  redirect_log(nullptr);
  log(LogLevel::log, "written");
  CHECK(redirected == std::vector<std::string>{"2seen"});
  CHECK(file.messages() == "LOG written\n");
}

}  // namespace headgate
