#include <sys/uio.h>

#include <array>
#include <thread>

#include "tests/unit/proxy/uv/rig.h"

namespace headgate {

namespace {

constexpr size_t more_than_fits = 16 << 20;  // into any socket's buffers

/// One that was accepted, and one that we have dialled.
struct BothKinds {
  Rig rig;
  Recorder client, server;
  Pair accepted = tcp_pair(), dialled = tcp_pair();

  BothKinds() {
    static_cast<UvParcel&>(*dialled.ours).dialled = true;
    attach(rig, client, std::move(accepted.ours));
    attach(rig, server, std::move(dialled.ours));
  }
  void speak() {
    accepted.peer.send("a");
    dialled.peer.send("b");
  }
};

}  // namespace

TEST_CASE("stream: bytes go both ways, in whatever pieces they come") {
  for (auto make : {unix_pair, tcp_pair}) {
    Rig rig;
    Recorder user;
    Pair pair = make();
    attach(rig, user, std::move(pair.ours));
    View hello[] = {"he", "", "llo", " peer"};
    user.stream->write(hello);
    CHECK(user.stream->written() == 10);
    CHECK(pair.peer.receive(10) == "hello peer");
    user.stream->write({});
    CHECK(user.stream->written() == 10);
    pair.peer.send("hel");
    rig.run_until([&] { return user.got.size() == 3; });
    pair.peer.send("lo");
    rig.run_until([&] { return user.got.size() == 5; });
    CHECK(user.got == "hello");
    CHECK(user.drained == 0);
  }
}

TEST_CASE("stream: any number of slices arrives in order") {
  Rig rig;
  Recorder user;
  Pair pair = unix_pair();
  attach(rig, user, std::move(pair.ours));
  Bytes text = numbered_bytes(1000);
  std::vector<View> slices;
  for (size_t i = 0; i < text.size(); ++i) slices.push_back(View(text).substr(i, 1));
  user.stream->write(slices);
  CHECK(user.stream->queued() == 0);
  CHECK(pair.peer.receive(text.size()) == text);
}

TEST_CASE("stream: what the peer does not take is queued, sent later and reported as drained") {
  for (auto make : {unix_pair, tcp_pair}) {
    Rig rig;
    Recorder user;
    Pair pair = make();
    attach(rig, user, std::move(pair.ours));
    Bytes text = numbered_bytes(more_than_fits);
    View slices[] = {View(text).substr(0, 1000), View(text).substr(1000)};
    user.stream->write(slices);
    size_t left = user.stream->queued();
    CHECK(left > 0);
    CHECK(user.stream->written() == text.size() - left);
    user.write("the end");
    CHECK(user.stream->queued() == left + 7);
    CHECK(user.drained == 0);

    Bytes received;
    std::thread reader([&] { received = pair.peer.receive(text.size() + 7); });
    rig.run_until([&] { return user.drained > 0; });
    reader.join();
    CHECK(user.drained == 1);
    CHECK(user.stream->queued() == 0);
    CHECK(user.stream->written() == text.size() + 7);
    CHECK((received == text + "the end"));
  }
}

TEST_CASE("stream: what servers say is heard before what clients said earlier in the same turn") {
  BothKinds both;
  Bytes said;
  both.client.when_bytes = [&] { said += "client "; };
  both.server.when_bytes = [&] { said += "server "; };
  both.speak();
  both.rig.run_until([&] { return said.size() == 14; });
  CHECK(said == "server client ");
}

TEST_CASE("stream: one that is closed by another's event of the same turn hears nothing") {
  BothKinds both;
  both.server.when_bytes = [&] { both.client.stream.reset(); };
  both.speak();
  both.rig.run_until([&] { return !both.server.got.empty(); });
  CHECK(both.client.events() == 0);
}

TEST_CASE("stream: they are heard in the order in which their peers spoke") {
  Rig rig;
  std::array<Recorder, 3> users;
  std::array<Peer, 3> peers;
  Bytes heard;
  const auto speak = [&](std::initializer_list<size_t> order) {
    for (size_t i : order) peers[i].send("x");
  };
  for (size_t i = 0; i < users.size(); ++i) {
    Pair pair = tcp_pair();
    peers[i] = std::move(pair.peer);
    attach(rig, users[i], std::move(pair.ours));
    users[i].when_bytes = [&, i] {
      heard += std::to_string(i);
      if (heard == "012") speak({2, 1, 0});
    };
  }
  speak({0, 1, 2});
  rig.run_until([&] { return heard.size() == 6; });
  CHECK(heard == "012210");
}

TEST_CASE("stream: more than a read can bring arrives without another event") {
  Rig rig;
  Recorder user;
  Pair pair = tcp_pair();
  const Bytes text = numbered_bytes(3 * LoopState::read_buffer_bytes + 5);
  set_option(static_cast<UvParcel&>(*pair.ours).descriptor.number(), SOL_SOCKET, SO_RCVBUF,
             4 << 20);
  REQUIRE(pair.peer.send(text));
  attach(rig, user, std::move(pair.ours));
  rig.run_until([&] { return user.got.size() >= text.size(); });
  CHECK((user.got == text));
}

TEST_CASE("stream: what came in a pause is delivered after it, though the peer says no more") {
  for (auto make : {unix_pair, tcp_pair}) {
    Rig rig;
    Recorder user;
    Pair pair = make();
    attach(rig, user, std::move(pair.ours));
    user.stream->read(false);
    pair.peer.send("early");
    CHECK(rig.turns_during(milliseconds(50)) < 10);
    CHECK(user.events() == 0);
    user.stream->read(true);
    rig.run_until([&] { return !user.got.empty(); });
    user.stream->read(false);
    user.stream->read(true);
    CHECK(rig.turns_during(milliseconds(50)) < 10);
    CHECK(user.got == "early");
    CHECK(user.events() == user.got.size());
  }
}

TEST_CASE("stream: a pause loses no byte and delivers none") {
  for (auto make : {unix_pair, tcp_pair}) {
    Rig rig;
    Recorder user;
    Pair pair = make();
    attach(rig, user, std::move(pair.ours));
    Bytes text = numbered_bytes(4 << 20);
    bool paused = false;
    int heard_in_pause = 0;
    user.when_bytes = [&] {
      heard_in_pause += paused;
      paused = true;
      user.stream->read(false);
    };
    int pauses = 0;
    rig.when_turn_ends = [&] {
      // Every other pause lasts longer than a turn.
      if (!paused || ++pauses % 2 == 0) return rig.outside.wake();
      paused = false;
      user.stream->read(true);
    };
    std::thread writer([&] { pair.peer.send(text); });
    rig.run_until([&] { return user.got.size() == text.size(); });
    writer.join();
    CHECK((user.got == text));
    CHECK(heard_in_pause == 0);
    CHECK(pauses > 10);
  }
}

TEST_CASE("stream: a peer's close is heard once, after its last bytes") {
  for (auto make : {unix_pair, tcp_pair}) {
    Rig rig;
    Recorder user;
    Pair pair = make();
    attach(rig, user, std::move(pair.ours));
    pair.peer.send("bye");
    pair.peer.close();
    rig.run_until([&] { return !user.ends.empty(); });
    CHECK(user.got == "bye");
    CHECK(rig.turns_during(milliseconds(20)) < 10);
    CHECK(user.ends == std::vector<int>{0});
  }
}

TEST_CASE("stream: a reset is heard once") {
  Rig rig;
  Recorder user;
  Pair pair = tcp_pair();
  attach(rig, user, std::move(pair.ours));
  pair.peer.reset();
  rig.run_until([&] { return !user.ends.empty(); });
  CHECK(rig.turns_during(milliseconds(20)) < 10);
  CHECK(user.ends == std::vector<int>{ECONNRESET});
}

TEST_CASE("stream: bytes that came before a reset are delivered") {
  Rig rig;
  Recorder user;
  Pair pair = tcp_pair();
  attach(rig, user, std::move(pair.ours));
  user.write("never read");
  pair.peer.send("last words");
  pair.peer.close();
  rig.run_until([&] { return !user.ends.empty(); });
  CHECK(user.got == "last words");
  CHECK(user.ends == std::vector<int>{ECONNRESET});
}

TEST_CASE(
    "stream: a paused stream keeps its peer's last bytes, and waits without running in circles") {
  for (auto make : {unix_pair, tcp_pair}) {
    Rig rig;
    Recorder user;
    Pair pair = make();
    attach(rig, user, std::move(pair.ours));
    user.stream->read(false);
    pair.peer.send("bye");
    pair.peer.close();
    CHECK(rig.turns_during(milliseconds(20)) < 10);
    CHECK(user.events() == 0);
    user.stream->read(true);
    rig.run_until([&] { return !user.ends.empty(); });
    CHECK(user.got == "bye");
    CHECK(user.ends == std::vector<int>{0});
  }
}

TEST_CASE("stream: a paused stream lets a peer that only finished writing wait") {
  for (auto make : {unix_pair, tcp_pair}) {
    Rig rig;
    Recorder user;
    Pair pair = make();
    attach(rig, user, std::move(pair.ours));
    user.stream->read(false);
    shutdown(pair.peer.number(), SHUT_WR);
    CHECK(rig.turns_during(milliseconds(20)) < 10);
    CHECK(user.ends.empty());
    user.write("still here");
    CHECK(pair.peer.receive(10) == "still here");
    user.stream->read(true);
    rig.run_until([&] { return !user.ends.empty(); });
    CHECK(user.ends == std::vector<int>{0});
  }
}

TEST_CASE("stream: a paused stream hears at once that its peer is gone") {
  SUBCASE("reset") {
    Rig rig;
    Recorder user;
    Pair pair = tcp_pair();
    attach(rig, user, std::move(pair.ours));
    user.stream->read(false);
    pair.peer.reset();
    rig.run_until([&] { return !user.ends.empty(); });
    CHECK(user.ends == std::vector<int>{ECONNRESET});
  }
  SUBCASE("closed, unix") {
    Rig rig;
    Recorder user;
    Pair pair = unix_pair();
    attach(rig, user, std::move(pair.ours));
    user.stream->read(false);
    pair.peer.close();
    rig.run_until([&] { return !user.ends.empty(); });
    CHECK(user.ends == std::vector<int>{0});
  }
}

TEST_CASE("stream: a write to a dead peer ends the stream later, after what the peer said last") {
  for (auto make : {unix_pair, tcp_pair}) {
    Rig rig;
    Recorder user;
    Pair pair = make();
    attach(rig, user, std::move(pair.ours));
    pair.peer.send("FATAL: going down");
    pair.peer.close();
    // TCP refuses the first bytes after the peer's close with a reset, and only then the next.
    for (int i = 0; i < 1000 && user.stream->queued() == 0; ++i) user.write("query");
    CHECK(user.events() == 0);
    rig.run_until([&] { return !user.ends.empty(); });
    CHECK(user.got == "FATAL: going down");
    CHECK(user.ends == std::vector<int>{EPIPE});
    CHECK(user.stream->queued() == 0);
    user.write("more");
    CHECK(rig.turns_during(milliseconds(20)) < 10);
    CHECK(user.ends.size() == 1);
  }
}

TEST_CASE("stream: a paused stream hears that its backlog has become hopeless") {
  for (auto make : {unix_pair, tcp_pair}) {
    Rig rig;
    Recorder user;
    Pair pair = make();
    attach(rig, user, std::move(pair.ours));
    user.stream->read(false);
    pair.peer.send("unread");
    user.write(Bytes(more_than_fits, 'x'));
    CHECK(user.stream->queued() > 0);
    pair.peer.close();
    rig.run_until([&] { return !user.ends.empty(); });
    CHECK(user.ends.size() == 1);
    CHECK(user.ends[0] != 0);
    CHECK(user.stream->queued() == 0);
    CHECK(user.drained == 0);
  }
}

TEST_CASE("stream: the peer sees an end once the queue is gone") {
  for (auto make : {unix_pair, tcp_pair}) {
    Rig rig;
    Recorder user;
    Pair pair = make();
    attach(rig, user, std::move(pair.ours));
    Bytes text = numbered_bytes(more_than_fits);
    user.write(text);
    user.stream->finish_writing();
    Bytes received;
    std::thread reader([&] {
      received = pair.peer.receive(text.size() + 1);
      pair.peer.send("thanks");
    });
    rig.run_until([&] { return user.got == "thanks"; });
    reader.join();
    CHECK((received == text));
    CHECK(pair.peer.error == 0);
    CHECK(user.ends.empty());
  }
}

TEST_CASE("stream: descriptors come along with their bytes, however those are cut") {
  Rig rig;
  Recorder sender, receiver;
  Pair ends = unix_pair();
  attach(rig, sender, std::move(ends.ours));
  auto other = std::make_unique<UvParcel>(Descriptor(dup(ends.peer.number())), Address());
  fcntl(other->descriptor.number(), F_SETFL, O_NONBLOCK);
  attach(rig, receiver, std::move(other));
  receiver.stream->expect_descriptors();
  CHECK(receiver.stream->take_descriptor() == nullptr);
  constexpr int count = 200;
  const Bytes filling(3000, 'x');
  for (int i = 0; i < count; ++i) {
    Pair passed = tcp_pair();
    REQUIRE(passed.ours);
    passed.peer.send(std::to_string(i));
    sender.write("without");
    sender.stream->write_with(filling, std::move(passed.ours));
  }
  rig.run_until([&] { return receiver.got.size() == count * (filling.size() + 7); });
  for (int i = 0; i < count; ++i) {
    ParcelPtr passed = receiver.stream->take_descriptor();
    REQUIRE(passed);
    Recorder user;
    attach(rig, user, std::move(passed));
    rig.run_until([&] { return !user.got.empty(); });
    CHECK(user.got == std::to_string(i));
    CHECK(user.stream->peer().kind == Address::Kind::ip4);
  }
  CHECK(receiver.stream->take_descriptor() == nullptr);
}

TEST_CASE("stream: it knows both addresses and the process at a unix peer") {
  Rig rig;
  Recorder tcp, local;
  Pair tcp_ends = tcp_pair(), unix_ends = unix_pair();
  attach(rig, tcp, std::move(tcp_ends.ours));
  attach(rig, local, std::move(unix_ends.ours));
  CHECK(tcp.stream->peer().kind == Address::Kind::ip4);
  CHECK(tcp.stream->local().host == "127.0.0.1");
  CHECK(tcp.stream->local().port != tcp.stream->peer().port);
  CHECK_FALSE(tcp.stream->peer_process());
  CHECK(local.stream->peer().is_unix());
  CHECK(local.stream->local().is_unix());
  REQUIRE(local.stream->peer_process());
  CHECK(local.stream->peer_process()->pid == static_cast<uint32_t>(getpid()));
  CHECK(local.stream->peer_process()->uid == getuid());
}

}  // namespace headgate
