#include <poll.h>

#include <array>
#include <thread>

#include "tests/unit/proxy/uv/rig.h"

namespace headgate {

TEST_CASE("close: a user may close its own stream in any callback, and hears nothing more") {
  using Callback = std::function<void()> Recorder::*;
  for (Callback when : {&Recorder::when_bytes, &Recorder::when_ended, &Recorder::when_drained}) {
    Rig rig;
    Recorder user;
    Pair pair = unix_pair();
    attach(rig, user, std::move(pair.ours));
    user.*when = [&] { user.stream.reset(); };
    user.write(Bytes(8 << 20, 'x'));
    CHECK(user.stream->queued() > 0);
    if (when != &Recorder::when_drained) pair.peer.send("one");
    std::thread reader([&] {
      pair.peer.receive(8 << 20);
      pair.peer.send("two");
      pair.peer.close();
    });
    rig.run_until([&] { return !user.stream; });
    reader.join();
    size_t events = user.events();
    CHECK(rig.turns_during(milliseconds(20)) < 10);
    CHECK(user.events() == events);
  }
}

TEST_CASE("close: a stream closed by another's callback in the same turn hears nothing") {
  for (int round = 0; round < 2; ++round) {
    Rig rig;
    std::array<Recorder, 10> users;
    std::array<Pair, 10> pairs;
    for (size_t i = 0; i < users.size(); ++i) {
      pairs[i] = unix_pair();
      attach(rig, users[i], std::move(pairs[i].ours));
      users[i].when_bytes = [&users, i] {
        for (size_t other = 0; other < users.size(); ++other) {
          if (other != i) users[other].stream.reset();
        }
      };
      pairs[i].peer.send("x");
      if (round == 1) pairs[i].peer.close();
    }
    auto heard = [&] {
      size_t count = 0;
      for (auto& user : users) count += user.got.size();
      return count;
    };
    rig.run_until([&] { return heard() > 0; });
    rig.turns_during(milliseconds(5));
    CHECK(heard() == 1);
    int open = 0;
    for (auto& user : users) open += user.stream != nullptr;
    CHECK(open == 1);
  }
}

TEST_CASE("close: a descriptor that is reused in the same turn belongs to its new stream alone") {
  Rig rig;
  Recorder first, second, third;
  Pair one = unix_pair(), two = unix_pair(), three;
  attach(rig, first, std::move(one.ours));
  attach(rig, second, std::move(two.ours));
  auto replace = [&](Recorder& other) {
    if (third.stream) return;
    other.stream.reset();
    three = unix_pair();  // takes the number that has just become free
    attach(rig, third, std::move(three.ours));
  };
  first.when_bytes = [&] { replace(second); };
  second.when_bytes = [&] { replace(first); };
  one.peer.send("one");
  two.peer.send("two");
  rig.run_until([&] { return third.stream != nullptr; });
  CHECK(rig.turns_during(milliseconds(5)) < 10);
  CHECK(third.events() == 0);
  three.peer.send("three");
  rig.run_until([&] { return third.got == "three"; });
}

TEST_CASE("close: a stream that has failed and is closed before it could say so stays silent") {
  Rig rig;
  Recorder user;
  Pair pair = unix_pair();
  attach(rig, user, std::move(pair.ours));
  pair.peer.close();
  user.write("refused");
  user.stream.reset();
  rig.turns_during(milliseconds(5));
  CHECK(user.events() == 0);
}

TEST_CASE("close: the peer reads the last bytes though it had sent some that nobody read") {
  Bytes text = numbered_bytes(1 << 20);
  auto received_after = [&](bool linger) {
    Rig rig;
    Recorder user;
    Pair pair = tcp_pair();
    attach(rig, user, std::move(pair.ours));
    user.stream->read(false);
    pair.peer.send(Bytes(30'000, 'u'));
    user.write(text);
    if (linger) {
      close_lingering(std::move(user.stream));
    } else {
      user.stream.reset();
    }
    Bytes received;
    bool over = false;
    rig.when_mail = [&] { over = true; };
    std::thread reader([&] {
      received = pair.peer.receive(text.size() + 1);
      rig.outside.wake();
    });
    rig.run_until([&] { return over; });
    reader.join();
    CHECK((pair.peer.error == 0) == linger);
    CHECK(user.events() == 0);
    return received;
  };
  CHECK((received_after(true) == text));
  CHECK((received_after(false) != text));  // the system resets it: why lingering exists
}

TEST_CASE("close: a lingering stream sends what is queued to a peer that has finished writing") {
  Rig rig;
  Recorder user;
  Pair pair = unix_pair();
  attach(rig, user, std::move(pair.ours));
  Bytes text = numbered_bytes(1 << 20);
  user.write(text);
  CHECK(user.stream->queued() > 0);
  shutdown(pair.peer.number(), SHUT_WR);
  close_lingering(std::move(user.stream));
  Bytes received;
  bool over = false;
  rig.when_mail = [&] { over = true; };
  std::thread reader([&] {
    received = pair.peer.receive(text.size() + 1);
    rig.outside.wake();
  });
  rig.run_until([&] { return over; });
  reader.join();
  CHECK((received == text));
}

TEST_CASE("close: a lingering stream is gone after a second, or 64 KB that nobody wants") {
  for (bool talkative : {false, true}) {
    Rig rig;
    Recorder user;
    Pair pair = unix_pair();
    attach(rig, user, std::move(pair.ours));
    user.write("bye");
    close_lingering(std::move(user.stream));
    CHECK(pair.peer.receive(4) == "bye");
    bool gone = false, sent_all = true;
    rig.when_mail = [&] { gone = true; };
    std::thread peer([&] {
      if (talkative) sent_all = pair.peer.send(Bytes(4 << 20, 'x'));
      pollfd hangup{pair.peer.number(), 0, 0};
      poll(&hangup, 1, -1);
      rig.outside.wake();
    });
    Instant before = rig.outside.now();
    rig.run_until([&] { return gone; });
    peer.join();
    Duration took = rig.outside.now() - before;
    CHECK(sent_all != talkative);
    if (talkative) {
      CHECK(took < milliseconds(900));
    } else {
      CHECK(took > milliseconds(900));
    }
  }
}

TEST_CASE("close: a loop may end while a stream lingers") {
  Pair pair = tcp_pair();
  {
    Rig rig;
    Recorder user;
    attach(rig, user, std::move(pair.ours));
    pair.peer.send("unread");
    user.write("bye");
    close_lingering(std::move(user.stream));
  }
  CHECK(pair.peer.receive(4) == "bye");
  CHECK(pair.peer.error == 0);
}

}  // namespace headgate
