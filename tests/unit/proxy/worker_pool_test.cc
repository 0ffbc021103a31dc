#include "proxy/worker_pool.h"

#include <doctest/doctest.h>

#include "tests/unit/proxy/worker_rig.h"

using namespace headgate;

namespace {

constexpr Duration moment = microseconds(1);

// Worker 0 has one server, at work, and many clients that have begun to wait for it just now. The
// other server has come to rest on worker 1 right after that.
struct Queue {
  WorkerRig rig{2, 2};
  Wire *own = nullptr, *other = nullptr;
  std::vector<Wire*> waiting;

  Queue() {
    Wire& first = rig.client(0);
    Wire& elsewhere = rig.client(1);
    for (int i = 0; i < 20; ++i) waiting.push_back(&rig.client(0));
    rig.query(first);
    rig.query(elsewhere);
    REQUIRE(rig.busy().size() == 2);
    own = rig.busy()[0];
    other = rig.busy()[1];
    for (Wire* client : waiting) rig.query(*client);
    rig.answer(*other);
    REQUIRE(rig.busy() == std::vector{own});
    REQUIRE(rig.share(1).counts(Instant{}).idle == 1);
  }

  bool fetched() { return rig.share(1).handed_over() == 1; }
};

}  // namespace

TEST_CASE("worker pool: a server of another worker is fetched at once where no own is at work") {
  WorkerRig rig(2, 1);
  rig.client(1);
  Wire& client = rig.client(0);
  rig.query(client);
  CHECK(rig.share(1).handed_over() == 1);
  CHECK(rig.share(0).active() == 1);
  rig.answer(*rig.busy().at(0));
  CHECK(WorkerRig::answered(client));
}

TEST_CASE("worker pool: an own server that does not come back is waited for, but not for long") {
  Queue queue;
  queue.rig.pass(WorkerPool::patience - moment);
  CHECK_FALSE(queue.fetched());
  queue.rig.pass(moment);
  CHECK(queue.fetched());
  CHECK(queue.rig.busy() == std::vector{queue.own, queue.other});
  queue.rig.answer(*queue.other);
  CHECK(WorkerRig::answered(*queue.waiting[0]));
}

TEST_CASE("worker pool: as long as own servers come back, none of another worker is fetched") {
  Queue queue;
  queue.rig.pass(WorkerPool::patience - moment);
  queue.rig.answer(*queue.own);
  queue.rig.pass(WorkerPool::patience - moment);
  CHECK_FALSE(queue.fetched());
  queue.rig.pass(moment);
  CHECK(queue.fetched());
}

TEST_CASE("worker pool: nobody waits beyond the bound for own servers while another is idle") {
  Queue queue;
  const Duration query = WorkerPool::patience / 2;
  Duration waited{};
  size_t served = 0;
  for (; waited + query < WorkerPool::longest_patience; waited += query) {
    queue.rig.pass(query);
    CHECK_FALSE(queue.fetched());
    queue.rig.answer(*queue.own);
    ++served;
  }
  queue.rig.pass(WorkerPool::longest_patience - waited - moment);
  CHECK_FALSE(queue.fetched());
  queue.rig.pass(moment);
  CHECK(queue.fetched());
  // The next in the queue has got it; the own one is with the client before.
  queue.rig.answer(*queue.other);
  CHECK_FALSE(WorkerRig::answered(*queue.waiting[served - 1]));
  CHECK(WorkerRig::answered(*queue.waiting[served]));
}
