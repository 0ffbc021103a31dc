#include "tests/unit/proxy/uv/rig.h"

namespace headgate {

namespace {

/// A stream that we have connected, and its peer.
Peer connect_to_server(Rig& rig, Recorder& user) {
  TestServer server;
  user.stream = rig.outside.connect(server.address(), SocketOptions{}, user);
  rig.run_until([&] { return user.connected > 0; });
  return server.accept();
}

void run_to_end(Rig& rig, Recorder& user) {
  rig.run_until([&] { return !user.ends.empty(); });
}

}  // namespace

TEST_CASE("confirmed: nothing is known while the stream lives") {
  Rig rig;
  Recorder user;
  Pair pair = tcp_pair();
  attach(rig, user, std::move(pair.ours));
  user.write("query");
  CHECK(pair.peer.receive(5) == "query");
  CHECK_FALSE(user.stream->confirmed());
}

TEST_CASE("confirmed: what came before a TCP peer closed counts, whoever connected") {
  for (bool we_connect : {false, true}) {
    Rig rig;
    Recorder user;
    Pair pair;
    if (we_connect) {
      pair.peer = connect_to_server(rig, user);
    } else {
      pair = tcp_pair();
      attach(rig, user, std::move(pair.ours));
    }
    user.write("query");
    CHECK(pair.peer.receive(5) == "query");
    pair.peer.close();
    run_to_end(rig, user);
    CHECK(user.ends == std::vector<int>{0});
    CHECK(user.stream->written() == 5);
    CHECK(user.stream->confirmed() == 5);
  }
}

TEST_CASE("confirmed: what was written after a TCP peer had closed does not count") {
  for (int writes : {1, 2}) {  // the second is refused at once
    Rig rig;
    Recorder user;
    Peer peer = connect_to_server(rig, user);
    user.write("first");
    CHECK(peer.receive(5) == "first");
    peer.send("FATAL");
    peer.close();
    for (int i = 0; i < writes; ++i) user.write("second");
    run_to_end(rig, user);
    CHECK(user.got == "FATAL");
    CHECK(user.stream->written() >= 11);
    CHECK(user.stream->confirmed() == 5);
  }
}

TEST_CASE("confirmed: our own end is not a byte") {
  Rig rig;
  Recorder user;
  Peer peer = connect_to_server(rig, user);
  user.write("query");
  user.stream->finish_writing();
  CHECK(peer.receive(6) == "query");
  peer.close();
  run_to_end(rig, user);
  CHECK(user.stream->confirmed() == 5);
}

TEST_CASE("confirmed: a TCP reset proves nothing") {
  Rig rig;
  Recorder user;
  Pair pair = tcp_pair();
  attach(rig, user, std::move(pair.ours));
  user.write("query");
  pair.peer.reset();
  run_to_end(rig, user);
  CHECK(user.ends == std::vector<int>{ECONNRESET});
  CHECK_FALSE(user.stream->confirmed());
}

TEST_CASE("confirmed: a unix peer that closed has read everything, or not the last byte") {
  for (size_t read : {size_t{0}, size_t{4}, size_t{5}}) {
    for (bool refused_write : {false, true}) {
      Rig rig;
      Recorder user;
      Pair pair = unix_pair();
      attach(rig, user, std::move(pair.ours));
      user.write("query");
      pair.peer.receive(read);
      pair.peer.close();
      if (refused_write) user.write("lost");
      run_to_end(rig, user);
      CHECK(user.stream->written() == 5);
      CHECK(user.stream->confirmed() == (read == 5 ? 5 : 4));
    }
  }
}

TEST_CASE("confirmed: a unix peer's unread byte is known to a paused stream as well") {
  Rig rig;
  Recorder user;
  Pair pair = unix_pair();
  attach(rig, user, std::move(pair.ours));
  user.stream->read(false);
  user.write("query");
  pair.peer.send("unread");
  pair.peer.close();
  user.write("lost");
  run_to_end(rig, user);
  CHECK(user.got.empty());
  CHECK(user.stream->confirmed() == 4);
}

}  // namespace headgate
