// A connection of the HTTP door over a pair of sockets: what it may cost.
#include "proxy/http/connection.h"

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <string>
#include <thread>

using namespace headgate;

namespace {

struct Rig {
  explicit Rig(const HttpLimits& limits = {}) : Rig(pair(), limits) {}

  void say(const std::string& text) {
    REQUIRE(send(peer.number(), text.data(), text.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(text.size()));
  }
  /// What it reads, byte by byte as the library does; what read() said last goes to `last`.
  std::string read_all() {
    std::string all;
    char byte;
    while ((last = connection.read(&byte, 1)) == 1) all += byte;
    return all;
  }

  Descriptor peer;
  HttpConnection connection;
  ssize_t last = 0;

 private:
  static std::pair<Descriptor, Descriptor> pair() {
    int ends[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == 0);
    return {Descriptor(ends[0]), Descriptor(ends[1])};
  }
  Rig(std::pair<Descriptor, Descriptor> ends, const HttpLimits& limits)
      : peer(std::move(ends.first)), connection(std::move(ends.second), limits) {}
};

}  // namespace

TEST_CASE("http connection: what was sent is read, up to the end") {
  Rig rig;
  rig.say("GET / HTTP/1.1\r\n\r\n");
  shutdown(rig.peer.number(), SHUT_WR);
  CHECK(rig.read_all() == "GET / HTTP/1.1\r\n\r\n");
  CHECK(rig.last == 0);
}

TEST_CASE("http connection: a request that is too long is cut off") {
  Rig rig({.request_bytes = 100});
  rig.say(std::string(150, 'x'));
  CHECK(rig.read_all() == std::string(100, 'x'));
  CHECK(rig.last <= 0);
}

TEST_CASE("http connection: who sends a byte now and then is given up at the same time as others") {
  Rig rig({.request_time = std::chrono::milliseconds(50)});
  std::atomic<bool> over = false;
  std::thread drips([&] {
    while (!over && send(rig.peer.number(), "x", 1, MSG_NOSIGNAL) == 1) std::this_thread::yield();
  });
  CHECK(rig.read_all().find_first_not_of('x') == std::string::npos);  // it ends
  CHECK(rig.last <= 0);
  over = true;
  drips.join();
}

TEST_CASE("http connection: who does not take the answer is given up") {
  Rig rig({.answer_time = std::chrono::milliseconds(50)});
  const std::string answer(64 * 1024, 'x');
  ssize_t sent = 1;
  while (sent > 0) sent = rig.connection.write(answer.data(), answer.size());
  CHECK(sent == -1);
}

TEST_CASE("http connection: who has gone is noticed when writing") {
  Rig rig;
  rig.peer = Descriptor();
  CHECK(rig.connection.write("x", 1) == -1);
}

TEST_CASE("http connection: what the peer still sends does not take the answer away from it") {
  Rig rig;
  rig.say("a body that nobody asked for");
  REQUIRE(rig.connection.write("answer", 6) == 6);
  shutdown(rig.peer.number(), SHUT_WR);
  rig.connection.finish();
  char got[16];
  CHECK(recv(rig.peer.number(), got, sizeof got, 0) == 6);
  CHECK(recv(rig.peer.number(), got, sizeof got, 0) == 0);
}
