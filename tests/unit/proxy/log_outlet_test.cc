#include "proxy/log_outlet.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace headgate {

namespace {

/// A pipe whose reader decides when it reads.
struct Pipe {
  int ends[2];
  Pipe() { REQUIRE(pipe2(ends, O_CLOEXEC) == 0); }
  ~Pipe() {
    for (int end : ends) close(end);
  }
  std::string read_all() {
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    std::string all;
    char part[4096];
    for (ssize_t got; (got = read(ends[0], part, sizeof part)) > 0;)
      all.append(part, static_cast<size_t>(got));
    return all;
  }
};

/// A directory with the name of a socket in it, and whoever listens there now.
struct SystemLog {
  std::string folder, path;
  int descriptor = -1;

  SystemLog() {
    char name[] = "/tmp/headgate-outlet-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    folder = name;
    path = folder + "/log";
  }
  ~SystemLog() {
    end();
    std::filesystem::remove_all(folder);
  }
  void start() {
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    path.copy(at.sun_path, sizeof at.sun_path - 1);
    descriptor = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    REQUIRE(bind(descriptor, reinterpret_cast<const sockaddr*>(&at), sizeof at) == 0);
  }
  void end() {
    if (descriptor >= 0) close(descriptor);
    descriptor = -1;
    std::filesystem::remove(path);
  }
  std::string read_one() {
    std::string text(100'000, '\0');
    const ssize_t size = recv(descriptor, text.data(), text.size(), 0);
    text.resize(size > 0 ? static_cast<size_t>(size) : 0);
    return text;
  }
};

/// How many deliveries of `text` arrive before one is lost; it must not be the last of many.
size_t deliver_until_lost(LogOutlet& outlet, const std::string& text) {
  size_t delivered = 0;
  while (delivered < 1'000'000 && outlet.deliver(text)) ++delivered;
  CHECK(delivered < 1'000'000);
  return delivered;
}

}  // namespace

TEST_CASE("log outlet: a pipe that nobody reads stops nobody") {
  Pipe pipe;
  LogOutlet outlet = LogOutlet::to_borrowed(pipe.ends[1]);
  const std::string line(100, 'x');
  const size_t delivered = deliver_until_lost(outlet, line);
  CHECK(delivered > 100);
  CHECK_FALSE(outlet.deliver(line));
  CHECK(pipe.read_all().size() == delivered * line.size());
  CHECK(outlet.deliver("again"));
  CHECK(pipe.read_all() == "again");
}

TEST_CASE("log outlet: what follows half a line begins on a new one") {
  Pipe pipe;
  LogOutlet outlet = LogOutlet::to_borrowed(pipe.ends[1]);
  CHECK_FALSE(outlet.deliver(std::string(8'000'000, 'x') + "\n"));
  const std::string half = pipe.read_all();
  CHECK((!half.empty() && half.find_first_not_of('x') == half.npos));
  CHECK(outlet.deliver("next\n"));
  CHECK(outlet.deliver("and next\n"));
  CHECK(pipe.read_all() == "\nnext\nand next\n");
}

TEST_CASE("log outlet: a stream that nobody reads stops nobody") {
  int ends[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  LogOutlet outlet = LogOutlet::to_borrowed(ends[0]);
  deliver_until_lost(outlet, std::string(1000, 'x'));
  for (int end : ends) close(end);
}

TEST_CASE("log outlet: a system log that hangs stops nobody") {
  SystemLog log;
  log.start();
  LogOutlet outlet = LogOutlet::to_socket(log.path);
  const size_t delivered = deliver_until_lost(outlet, "full");
  for (size_t i = 0; i < delivered; ++i) CHECK(log.read_one() == "full");
  CHECK(outlet.deliver("again"));
  CHECK(log.read_one() == "again");
}

TEST_CASE("log outlet: a system log may come late and be restarted") {
  SystemLog log;
  LogOutlet outlet = LogOutlet::to_socket(log.path);
  CHECK(outlet.goes_somewhere());
  CHECK_FALSE(outlet.deliver("nobody there"));
  for (const char* text : {"first", "second"}) {
    log.start();
    CHECK(outlet.deliver(text));
    CHECK(log.read_one() == text);
    log.end();
    CHECK_FALSE(outlet.deliver("between"));
  }
}

TEST_CASE("log outlet: nowhere is a place too") {
  LogOutlet outlet;
  CHECK_FALSE(outlet.goes_somewhere());
  CHECK(outlet.deliver("x"));
}

}  // namespace headgate
