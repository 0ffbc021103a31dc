#include "proxy/outbox.h"

#include <doctest/doctest.h>

#include "proxy/client.h"
#include "proxy/worker.h"
#include "tests/unit/proxy/worker_rig.h"

namespace headgate {

namespace {

/// Two clients that have heard nothing yet, and their links.
struct Receivers {
  WorkerRig rig{1, 1};
  Wire& first = rig.client(0);
  Wire& second = rig.client(0);
  std::vector<Link*> links;
  Outbox& outbox = rig.worker(0).outbox();

  Receivers() {
    rig.worker(0).clients().for_each([&](Client& client) { links.push_back(&client.link()); });
    REQUIRE(links.size() == 2);
    for (Wire* wire : {&first, &second}) {
      wire->from_pooler.clear();
      wire->pieces = 0;
    }
  }
};

}  // namespace

TEST_CASE("outbox: small pieces leave as one") {
  Receivers to;
  to.outbox.lend(*to.links[0], "lent ");
  to.outbox.copy(*to.links[0], "copied ");
  to.outbox.lend(*to.links[0], "lent again");
  CHECK(to.first.pieces == 0);
  to.outbox.flush();
  CHECK(to.first.from_pooler == "lent copied lent again");
  CHECK(to.first.pieces == 1);
}

TEST_CASE("outbox: large pieces are not copied") {
  Receivers to;
  const Bytes rows(10000, 'r');
  to.outbox.lend(*to.links[0], "in front");
  to.outbox.lend(*to.links[0], rows);
  to.outbox.flush();
  CHECK(to.first.from_pooler == "in front" + rows);
  CHECK(to.first.pieces == 2);
}

TEST_CASE("outbox: each receiver gets its own, in order, however often they change") {
  Receivers to;
  Bytes all;
  for (int i = 0; i < 1000; ++i) {
    const Bytes next = std::to_string(i) + " ";
    all += next;
    to.outbox.copy(*to.links[0], next);
    to.outbox.lend(*to.links[0], "|");
    all += "|";
    if (i % 100 == 0) to.outbox.copy(*to.links[1], "x");
  }
  to.outbox.flush();
  CHECK(to.first.from_pooler == all);
  CHECK(to.second.from_pooler == "xxxxxxxxxx");
}

TEST_CASE("outbox: what is copied may be more than it holds, and changed at once") {
  Receivers to;
  Bytes all;
  for (char c = 'a'; c <= 'z'; ++c) {
    Bytes large(3000, c);
    all += large;
    to.outbox.copy(*to.links[0], large);
    large.assign(large.size(), '!');
  }
  to.outbox.flush();
  CHECK(to.first.from_pooler == all);
}

}  // namespace headgate
