#include <netinet/tcp.h>
#include <sys/resource.h>

#include "tests/unit/proxy/uv/rig.h"

namespace headgate {

namespace {

void start_connect(Rig& rig, Recorder& user, const Address& to,
                   const SocketOptions& options = SocketOptions{}) {
  size_t events = user.events();
  user.stream = rig.outside.connect(to, options, user);
  REQUIRE(user.stream);
  CHECK(user.events() == events);
}

int option_of(const UvParcel& parcel, int level, int name) {
  int value = 0;
  socklen_t size = sizeof value;
  getsockopt(parcel.descriptor.number(), level, name, &value, &size);
  return value;
}

/// No descriptor can be had while it lives.
struct NoDescriptors {
  rlimit before{};
  NoDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before);
    Descriptor next(dup(0));
    rlimit none{static_cast<rlim_t>(next.number()), before.rlim_max};
    setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoDescriptors() { setrlimit(RLIMIT_NOFILE, &before); }
};

}  // namespace

TEST_CASE("connect: a connection is reported once, and carries bytes") {
  Rig rig;
  Recorder user;
  TestServer server;
  start_connect(rig, user, server.address());
  rig.run_until([&] { return user.connected > 0; });
  Peer peer = server.accept();
  user.write("hello");
  CHECK(peer.receive(5) == "hello");
  peer.send("welcome");
  rig.run_until([&] { return user.got == "welcome"; });
  CHECK(user.connected == 1);
  CHECK(user.ends.empty());
  CHECK(user.stream->peer() == server.address());
  CHECK(user.stream->local().host == "127.0.0.1");
}

TEST_CASE("connect: a refusal is an end, and never comes from within the call") {
  Rig rig;
  Recorder user;
  uint16_t port = 0;
  Descriptor nobody = bound_socket(port);
  start_connect(rig, user, {Address::Kind::ip4, port, "127.0.0.1"});
  rig.run_until([&] { return !user.ends.empty(); });
  CHECK(user.ends == std::vector<int>{ECONNREFUSED});
  CHECK(user.connected == 0);
}

TEST_CASE("connect: what fails at once is reported later, and the stream may be dropped there") {
  struct {
    Address to;
    int error;
  } cases[] = {
      {{Address::Kind::unix_path, 0, "/nowhere/.s.PGSQL.5432"}, ENOENT},
      {{Address::Kind::unix_path, 0, "/" + std::string(200, 'x')}, EINVAL},
      {{Address::Kind::ip4, 1, "a name"}, EINVAL},
      {{}, EINVAL},
  };
  for (auto& [to, error] : cases) {
    Rig rig;
    Recorder user;
    start_connect(rig, user, to);
    user.when_ended = [&] { user.stream.reset(); };
    rig.run_until([&] { return !user.ends.empty(); });
    CHECK(user.ends == std::vector<int>{error});
    Recorder other;
    start_connect(rig, other, to);
    other.stream.reset();
    rig.turns_during(milliseconds(1));
    CHECK(other.events() == 0);
  }
}

TEST_CASE("connect: a user that tries again at once does not hold up the loop") {
  Rig rig;
  Recorder user;
  const Address nowhere{Address::Kind::unix_path, 0, "/nowhere"};
  int heard_at_turn = 0;
  user.when_ended = [&] {
    CHECK(rig.turns != heard_at_turn);
    heard_at_turn = rig.turns;
    start_connect(rig, user, nowhere);
  };
  rig.turns = 1;
  start_connect(rig, user, nowhere);
  bool mail = false;
  rig.when_mail = [&] { mail = true; };
  rig.run_until([&] {
    if (user.ends.size() == 5) rig.outside.wake();
    return mail && user.ends.size() > 5;
  });
  user.stream.reset();
}

TEST_CASE("connect: being out of descriptors is an end with EMFILE") {
  Rig rig;
  Recorder user;
  TestServer server;
  {
    NoDescriptors limit;
    start_connect(rig, user, server.address());
  }
  rig.run_until([&] { return !user.ends.empty(); });
  CHECK(user.ends == std::vector<int>{EMFILE});
}

TEST_CASE("connect: a stream closed while it connects is silent") {
  Rig rig;
  Recorder user;
  TestServer server;
  start_connect(rig, user, server.address());
  user.stream.reset();
  rig.turns_during(milliseconds(5));
  CHECK(user.events() == 0);
}

TEST_CASE("connect: a stream may be closed when it has just been connected") {
  Rig rig;
  Recorder user;
  TestServer server;
  user.when_connected = [&] { user.stream.reset(); };
  start_connect(rig, user, server.address());
  rig.run_until([&] { return user.connected > 0; });
  Peer peer = server.accept();
  CHECK(peer.receive(1).empty());
}

TEST_CASE("connect: a stream that was paused before it was connected stays paused") {
  Rig rig;
  Recorder user;
  TestServer server;
  start_connect(rig, user, server.address());
  user.stream->read(false);
  rig.run_until([&] { return user.connected > 0; });
  Peer peer = server.accept();
  peer.send("early");
  CHECK(rig.turns_during(milliseconds(10)) < 10);
  CHECK(user.got.empty());
  user.stream->read(true);
  rig.run_until([&] { return user.got == "early"; });
}

TEST_CASE("connect: the socket gets the options that were asked for") {
  Rig rig;
  Recorder user;
  TestServer server;
  SocketOptions options{.keepalive = true,
                        .keepcnt = 3,
                        .keepidle = 17,
                        .keepintvl = 5,
                        .buffer_bytes = 40'000,
                        .user_timeout_ms = 12'345};
  start_connect(rig, user, server.address(), options);
  rig.run_until([&] { return user.connected > 0; });
  auto moving = user.stream->detach();
  // Where it goes next, it keeps them: new settings are for new sockets.
  user.stream = rig.outside.attach(std::move(moving), SocketOptions{.keepidle = 99}, user);
  auto parcel = user.stream->detach();
  auto& socket = static_cast<UvParcel&>(*parcel);
  CHECK(option_of(socket, IPPROTO_TCP, TCP_NODELAY) == 1);
  CHECK(option_of(socket, SOL_SOCKET, SO_KEEPALIVE) == 1);
  CHECK(option_of(socket, IPPROTO_TCP, TCP_KEEPCNT) == 3);
  CHECK(option_of(socket, IPPROTO_TCP, TCP_KEEPIDLE) == 17);
  CHECK(option_of(socket, IPPROTO_TCP, TCP_KEEPINTVL) == 5);
  CHECK(option_of(socket, IPPROTO_TCP, TCP_USER_TIMEOUT) == 12'345);
  CHECK(option_of(socket, SOL_SOCKET, SO_SNDBUF) == 80'000);  // the system doubles it
}

}  // namespace headgate
