#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "proxy/uv/sockets.h"
#include "proxy/uv/unix_path.h"
#include "tests/unit/proxy/uv/rig.h"

namespace headgate {

namespace {

struct Door final : ListenerUser {
  std::vector<ParcelPtr> accepted;
  std::vector<int> failures;
  int from_unix = 0;
  std::function<void()> when_accepted;

  void on_accept(ParcelPtr connection, bool unix_socket) override {
    accepted.push_back(std::move(connection));
    from_unix += unix_socket;
    if (when_accepted) when_accepted();
  }
  void on_accept_failed(int error) override { failures.push_back(error); }
};

/// A directory that goes away with its content.
struct TemporaryFolder {
  std::string path;
  TemporaryFolder() {
    char name[] = "/tmp/headgate-test-XXXXXX";
    REQUIRE(mkdtemp(name) != nullptr);
    path = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
  Address socket() const { return {Address::Kind::unix_path, 0, path + "/.s.PGSQL.6432"}; }
};

const Address any_port{Address::Kind::ip4, 0, "127.0.0.1"};
const ListenOptions not_deferred{.defer_accept = false, .unix_group = ""};

std::unique_ptr<Listener> open_door(Rig& rig, const Address& on, ListenerUser& user,
                                    const ListenOptions& options = not_deferred) {
  auto listener = rig.outside.listen(on, options, user);
  if (!listener) FAIL(listener.error().message);
  return *std::move(listener);
}

std::string refusal(Rig& rig, const Address& on, const ListenOptions& options = not_deferred) {
  Door door;
  auto listener = rig.outside.listen(on, options, door);
  return listener ? "" : listener.error().message;
}

bool exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

/// Connects to a listener by a stream of ours, and lets a byte pass.
void check_passage(Rig& rig, Listener& listener, Door& door) {
  Recorder client, server;
  client.stream = rig.outside.connect(listener.address(), SocketOptions{}, client);
  rig.run_until([&] { return client.connected > 0 && !door.accepted.empty(); });
  attach(rig, server, std::move(door.accepted.back()));
  door.accepted.pop_back();
  CHECK(server.stream->peer().kind == listener.address().kind);
  CHECK(server.stream->local() == listener.address());
  client.write("x");
  rig.run_until([&] { return server.got == "x"; });
}

int soft_limit_now() {
  rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<int>(limit.rlim_cur);
}

void set_soft_limit(int count) {
  rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = static_cast<rlim_t>(count);
  REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
}

}  // namespace

TEST_CASE("listener: connections come from TCP, by IPv4 and IPv6") {
  for (const Address& on : {any_port, Address{Address::Kind::ip6, 0, "::1"}}) {
    Rig rig;
    Door door;
    if (on.kind == Address::Kind::ip6 && !refusal(rig, on).empty()) {
      MESSAGE("no IPv6 here");
      continue;
    }
    auto listener = open_door(rig, on, door);
    CHECK(listener->address().port != 0);
    check_passage(rig, *listener, door);
    CHECK(door.from_unix == 0);
  }
}

TEST_CASE("listener: connections come from a unix path and from an abstract name") {
  TemporaryFolder folder;
  Address abstract{Address::Kind::unix_path, 0, "@headgate-test-" + std::to_string(getpid())};
  for (const Address& on : {folder.socket(), abstract}) {
    Rig rig;
    Door door;
    auto listener = open_door(rig, on, door);
    check_passage(rig, *listener, door);
    CHECK(door.from_unix == 1);
    CHECK(refusal(rig, on) == "unix socket is in use, cannot continue");
    listener.reset();
    CHECK_FALSE(exists(folder.socket().host));
    open_door(rig, on, door);
  }
}

TEST_CASE("listener: a unix socket gets its mode, and what a dead process left makes room") {
  TemporaryFolder folder;
  const std::string path = folder.socket().host;
  {
    sockaddr_un stale{};
    stale.sun_family = AF_UNIX;
    std::strcpy(stale.sun_path, path.c_str());
    Descriptor dead(socket(AF_UNIX, SOCK_STREAM, 0));
    REQUIRE(bind(dead.number(), reinterpret_cast<sockaddr*>(&stale), sizeof stale) == 0);
  }
  REQUIRE(exists(path));
  Rig rig;
  Door door;
  ListenOptions options{.unix_mode = 0707, .unix_group = std::to_string(getgid())};
  auto listener = open_door(rig, folder.socket(), door, options);
  struct stat status;
  REQUIRE(stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0707);
  CHECK(status.st_gid == getgid());
}

TEST_CASE("listener: at no moment does a unix socket have more rights than it is to have") {
  TemporaryFolder folder;
  const mode_t before = umask(0);
  const Descriptor socket = open_socket(Address::Kind::unix_path);
  CHECK(UnixPath::bind(socket.number(), *to_system(folder.socket()), 0600) == 0);
  umask(before);
  struct stat status;
  REQUIRE(stat(folder.socket().host.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
}

TEST_CASE("listener: a unix socket is left to another, who removes it") {
  Rig rig;
  TemporaryFolder folder;
  Door door;
  auto first = rig.outside.listen(folder.socket(), {}, door);
  REQUIRE(first.ok());
  ListenOptions passed;
  passed.passed = dup((*first)->descriptor());
  auto second = rig.outside.listen({}, passed, door);
  REQUIRE(second.ok());
  CHECK((*second)->address().host == folder.socket().host);
  second->reset();  // it has not taken the path
  CHECK(access(folder.socket().host.c_str(), F_OK) == 0);
  passed.passed = dup((*first)->descriptor());
  second = rig.outside.listen({}, passed, door);
  REQUIRE(second.ok());
  (*first)->leave_path();
  (*second)->take_path();
  first->reset();
  CHECK(access(folder.socket().host.c_str(), F_OK) == 0);
  second->reset();
  CHECK(access(folder.socket().host.c_str(), F_OK) != 0);
}

TEST_CASE("listener: it removes only its own unix socket") {
  TemporaryFolder folder;
  const std::string path = folder.socket().host;
  Rig rig;
  Door door;
  auto before = open_door(rig, folder.socket(), door);
  REQUIRE(unlink(path.c_str()) == 0);
  auto after = open_door(rig, folder.socket(), door);  // as a successor process does
  before.reset();
  CHECK(exists(path));
  after.reset();
  CHECK_FALSE(exists(path));
}

TEST_CASE("listener: it says why it cannot listen") {
  TemporaryFolder folder;
  Rig rig;
  Door door;
  auto taken = open_door(rig, any_port, door);
  std::string there = "127.0.0.1:" + std::to_string(taken->address().port);
  CHECK(refusal(rig, taken->address()) ==
        "cannot listen on " + there + ": bind(): Address already in use");
  CHECK(refusal(rig, {Address::Kind::unix_path, 0, "/nowhere/s"}) ==
        "cannot listen on unix:/nowhere/s: bind(): No such file or directory");
  CHECK(refusal(rig, {Address::Kind::unix_path, 0, std::string(200, '/')}).find("too long") !=
        std::string::npos);
  CHECK(refusal(rig, {Address::Kind::ip4, 1, "localhost"}) ==
        "cannot listen on localhost:1: inet_pton(): Invalid argument");
  CHECK(refusal(rig, folder.socket(), {.unix_group = "no such group"}) ==
        "cannot listen on unix:" + folder.socket().host + ": chmod(): Invalid argument");
  CHECK_FALSE(exists(folder.socket().host));
  Descriptor lock(creat((folder.socket().host + ".lock").c_str(), 0600));
  CHECK(refusal(rig, folder.socket()) == "unix socket is in use, cannot continue");
}

TEST_CASE("listener: two may share a port if both agree to") {
  Rig rig;
  Door door;
  ListenOptions shared{.reuse_port = true, .unix_group = ""};
  auto first = open_door(rig, any_port, door, shared);
  auto second = open_door(rig, first->address(), door, shared);
  CHECK(first->address() == second->address());
}

TEST_CASE("listener: a client that says nothing is not accepted yet where that was asked for") {
  Rig rig;
  Door door;
  auto listener = open_door(rig, any_port, door, ListenOptions{});
  Peer silent = dial(listener->address().port), eager = dial(listener->address().port);
  eager.send("x");
  rig.run_until([&] { return !door.accepted.empty(); });
  rig.turns_during(milliseconds(20));
  CHECK(door.accepted.size() == 1);
}

TEST_CASE("listener: what a client has said when it is accepted is read in the same turn") {
  Rig rig;
  Door door;
  Recorder user;
  auto listener = open_door(rig, any_port, door, ListenOptions{.unix_group = ""});
  door.when_accepted = [&] { attach(rig, user, std::move(door.accepted.back())); };
  Peer peer = dial(listener->address().port);
  peer.send("hello");
  Bytes got_by_then;
  rig.run_until([&] {
    got_by_then = user.got;
    return user.stream != nullptr;
  });
  CHECK(got_by_then == "hello");
}

TEST_CASE("listener: one that was passed on does not hold up the loop, whatever its flags") {
  Rig rig;
  Door door;
  TestServer blocking;
  ListenOptions options = not_deferred;
  options.passed = blocking.socket.duplicate().release();
  auto listener = open_door(rig, any_port, door, options);
  Peer peer = dial(blocking.port);
  rig.run_until([&] { return door.accepted.size() == 1; });
  CHECK(rig.turns_during(milliseconds(5)) < 10);
}

TEST_CASE("listener: more clients than one turn takes are all accepted") {
  Rig rig;
  Door door;
  auto listener =
      open_door(rig, any_port, door, {.backlog = 200, .defer_accept = false, .unix_group = ""});
  constexpr size_t count = 150;
  std::vector<Peer> clients;
  clients.reserve(count);
  for (size_t i = 0; i < count; ++i) clients.push_back(dial(listener->address().port));
  rig.run_until([&] { return door.accepted.size() == count; });
  CHECK(door.failures.empty());
}

TEST_CASE("listener: it may be destroyed when it has just accepted") {
  Rig rig;
  Door door;
  auto listener = open_door(rig, any_port, door);
  Peer first = dial(listener->address().port), second = dial(listener->address().port);
  door.when_accepted = [&] { listener.reset(); };
  rig.run_until([&] { return !listener; });
  CHECK(door.accepted.size() == 1);
}

TEST_CASE("listener: out of descriptors, it pauses and then serves those who have waited") {
  Rig rig;
  Door door;
  auto listener = open_door(rig, any_port, door);
  Peer client = dial(listener->address().port);
  int limit = soft_limit_now();
  int next = dup(0);
  close(next);
  set_soft_limit(next);
  rig.run_until([&] { return !door.failures.empty(); });
  CHECK(door.failures == std::vector<int>{EMFILE});
  int turns_of_the_pause = rig.turns_during(milliseconds(50));
  set_soft_limit(limit);
  CHECK(turns_of_the_pause < 10);
  CHECK(door.accepted.empty());
  rig.run_until([&] { return !door.accepted.empty(); });
  CHECK(door.failures.size() == 1);
}

}  // namespace headgate
