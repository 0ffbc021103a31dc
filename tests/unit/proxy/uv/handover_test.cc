#include <mutex>
#include <thread>

#include "tests/unit/proxy/uv/rig.h"

namespace headgate {

namespace {

constexpr size_t total_bytes = 4 << 20;

/// What the two workers share: who has got what so far, guarded by the hand-over itself.
struct Journey {
  Bytes got;
  int moves = 0;
};

/// A worker that passes its stream on to the other one whenever bytes have come.
struct Worker {
  Rig rig;
  Recorder user;
  Worker* other = nullptr;
  Journey* journey = nullptr;
  std::mutex lock;
  ParcelPtr mail;
  bool over = false;

  void run() {
    rig.when_mail = [this] { take_mail(); };
    user.when_bytes = [this] { pass_on(); };
    rig.run_until([this] { return over; });
    user.stream.reset();
  }
  void pass_on() {
    journey->got += user.got;
    user.got.clear();
    ++journey->moves;
    user.write("ack ");  // so that bytes are under way in both directions
    if (journey->got.size() == total_bytes) {
      over = true;
      return other->post(nullptr);
    }
    if (user.stream->queued() > 0) return;
    auto parcel = user.stream->detach();
    user.stream.reset();
    other->post(std::move(parcel));
  }
  void post(ParcelPtr parcel) {  // by the other's thread
    std::lock_guard guard(lock);
    mail = std::move(parcel);
    rig.outside.wake();
  }
  void take_mail() {
    std::lock_guard guard(lock);
    if (!mail) {
      over = true;
      return;
    }
    attach(rig, user, std::move(mail));
  }
};

}  // namespace

TEST_CASE("handover: a stream moves between two threads with bytes under way, and loses none") {
  for (auto make : {unix_pair, tcp_pair}) {
    Worker first, second;
    Journey journey;
    first.other = &second;
    second.other = &first;
    first.journey = second.journey = &journey;
    Pair pair = make();
    Bytes text = numbered_bytes(total_bytes);
    first.post(std::move(pair.ours));
    std::thread writer([&] { pair.peer.send(text); });
    Bytes answers;
    std::thread reader([&] { answers = pair.peer.receive_rest(); });
    std::thread elsewhere([&] { second.run(); });
    first.run();
    elsewhere.join();
    writer.join();
    reader.join();
    CHECK((journey.got == text));
    CHECK(journey.moves > 10);
    CHECK(answers.size() == static_cast<size_t>(journey.moves) * 4);
  }
}

TEST_CASE("handover: what a stream knows goes with it") {
  Rig one, two;
  Recorder before, after;
  TestServer server;
  before.stream = one.outside.connect(server.address(), SocketOptions{}, before);
  one.run_until([&] { return before.connected > 0; });
  Peer peer = server.accept();
  before.write("12345");
  uint16_t port = before.stream->local().port;
  auto parcel = before.stream->detach();
  before.stream.reset();
  attach(two, after, std::move(parcel));
  after.write("678");
  CHECK(peer.receive(8) == "12345678");
  CHECK(after.stream->written() == 8);
  CHECK(after.stream->peer() == server.address());
  CHECK(after.stream->local().port == port);
  peer.close();
  two.run_until([&] { return !after.ends.empty(); });
  CHECK(after.stream->confirmed() == 8);
  CHECK(before.events() == 1);  // that it was connected
}

TEST_CASE("handover: a parcel that nobody takes closes its connection") {
  Rig rig;
  Recorder user;
  Pair pair = unix_pair();
  attach(rig, user, std::move(pair.ours));
  {
    auto parcel = user.stream->detach();
    user.stream.reset();
  }
  CHECK(pair.peer.receive(1).empty());
}

TEST_CASE("handover: a detached stream may be dropped much later, and hears nothing meanwhile") {
  Rig rig;
  Recorder before, after;
  Pair pair = unix_pair();
  attach(rig, before, std::move(pair.ours));
  attach(rig, after, before.stream->detach());
  pair.peer.send("for the next");
  rig.run_until([&] { return after.got == "for the next"; });
  before.stream.reset();
  CHECK(before.events() == 0);
}

TEST_CASE("handover: a failure that nobody has heard of yet moves along") {
  Rig one, two;
  Recorder before, after;
  Pair pair = unix_pair();
  attach(one, before, std::move(pair.ours));
  pair.peer.close();
  before.write("refused");
  auto parcel = before.stream->detach();
  before.stream.reset();
  attach(two, after, std::move(parcel));
  two.run_until([&] { return !after.ends.empty(); });
  CHECK(after.ends == std::vector<int>{EPIPE});
  CHECK(before.events() == 0);
}

}  // namespace headgate
