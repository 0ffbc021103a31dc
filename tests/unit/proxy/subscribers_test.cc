#include "proxy/subscribers.h"

#include <doctest/doctest.h>

#include "protocol/messages.h"
#include "proxy/worker_pool.h"
#include "tests/unit/proxy/worker_rig.h"

using namespace headgate;

namespace {

// A client whose own server listens to `a`, and so does the shared connection: it is about to cross
// over, its server was told to notify the number.
struct Crossing {
  WorkerRig rig{1, 3};
  Wire& client = rig.client(0);
  Wire *shared = nullptr, *own = nullptr;

  Crossing() {
    rig.query(client, "LISTEN a");
    shared = rig.busy().at(0);
    while (shared->from_pooler.find("LISTEN \"a\"") == Bytes::npos) rig.answer(*shared);
    rig.answer(*shared);
    rig.pass(WorkerPool::patience);
    own = rig.busy().at(0);
    REQUIRE(own->from_pooler.find("LISTEN a") != Bytes::npos);
    rig.answer(*own);
    REQUIRE(WorkerRig::answered(client));
    client.from_pooler.clear();
    Bytes channels;
    encode(channels, backend::DataRow{{"\"a\""}});
    rig.answer(*own, channels);
    REQUIRE(own->from_pooler.find("NOTIFY ") != Bytes::npos);
  }
};

Bytes notification(size_t size) {
  Bytes message;
  encode(message, backend::NotificationResponse{1, "a", std::string(size, 'x')});
  return message;
}

}  // namespace

TEST_CASE(
    "subscribers: what its own server tells a client that crosses over is kept, up to a bound") {
  Crossing crossing;
  const Bytes one = notification(7000);
  size_t kept = 0;
  for (; kept + one.size() <= ClientChannels::max_kept; kept += one.size()) {
    crossing.rig.tell(*crossing.own, one);
    REQUIRE(crossing.client.from_pooler.empty());
  }
  crossing.rig.tell(*crossing.own, one);
  CHECK(crossing.client.from_pooler.find("C54000") != Bytes::npos);
}
