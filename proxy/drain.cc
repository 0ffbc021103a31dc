#include "proxy/drain.h"

#include <fmt/format.h>

#include "proxy/handover.h"
#include "proxy/log.h"
#include "proxy/pooler.h"

namespace headgate {

namespace {

constexpr Duration between_looks = milliseconds(100);
constexpr Duration between_lines = seconds(5);

}  // namespace

Drain::Drain(Pooler& pooler)
    : pooler_(pooler),
      tick_(
          pooler.worker(0).deadlines(),
          [](void* self, Instant) { static_cast<Drain*>(self)->step(); }, this) {}

void Drain::begin(Duration timeout) {
  since_ = told_at_ = changed_at_ = pooler_.worker(0).now();
  until_ = since_ + timeout;
  seconds_left_.store(std::chrono::ceil<seconds>(timeout).count());
  beside_ = endless_ = false;
  under_way_.store(true);
  pooler_.post_to_all([over = timeout / 2](Worker& worker) { worker.departures().drain(over); });
  step();
}

void Drain::begin_beside(Duration timeout) {
  since_ = told_at_ = changed_at_ = pooler_.worker(0).now();
  until_ = since_ + timeout;
  beside_ = true;
  endless_ = timeout.count() == 0;
  if (!endless_) {
    pooler_.post_to_all([over = timeout / 2](Worker& worker) { worker.departures().drain(over); });
  }
  step();
}

Duration Drain::time_left() const {
  return std::max(until_ - pooler_.worker(0).now(), Duration::zero());
}

// Looks at how far it is, and at the clock even where a worker does not answer.
void Drain::step() {
  const Instant now = pooler_.worker(0).now();
  if (finishing_ && pooler_.may_end()) return pooler_.stop();
  if (!endless_ && now >= until_ + last_words) return pooler_.stop();
  tick_.arm(now + between_looks);
  if (finishing_) return;
  if (beside_) pooler_.handover().tell_what_is_held();
  seconds_left_.store(std::chrono::ceil<seconds>(time_left()).count());
  if (std::exchange(asking_, true)) return;
  struct Sum {
    ClientsLeft left;
    size_t missing;
  };
  const auto sum = std::make_shared<Sum>(Sum{{}, pooler_.workers()});
  pooler_.post_to_all([this, sum](Worker& worker) {
    worker.pooler().post([this, sum, part = worker.departures().left()](Pooler&) {
      sum->left.clients += part.clients;
      sum->left.busy += part.busy;
      sum->left.logging_in += part.logging_in;
      if (--sum->missing > 0) return;
      asking_ = false;
      heard(sum->left);
    });
  });
}

void Drain::heard(ClientsLeft left) {
  if (finishing_) return;
  const Instant now = pooler_.worker(0).now();
  if (!std::exchange(counted_, true)) {
    at_start_ = left.clients;
    if (left.clients > 0) tell(left);
  }
  if (clients_.exchange(left.clients) != left.clients) changed_at_ = now;
  busy_.store(left.busy);
  if (left.clients == 0 && !(beside_ && left.logging_in > 0)) return finish(false);
  if (!endless_ && now >= until_) return finish(true);
  if (!endless_ && now >= told_at_ + between_lines) tell(left);
}

void Drain::tell(ClientsLeft left) {
  told_at_ = pooler_.worker(0).now();
  clients_.store(left.clients);
  busy_.store(left.busy);
  log(LogLevel::log, "{}", progress());
}

std::string Drain::progress() const {
  if (endless_) {
    return fmt::format("handing over: {} clients left, {} in a transaction", clients_.load(),
                       busy_.load());
  }
  return fmt::format("draining: {} clients left, {} in a transaction, {} s left", clients_.load(),
                     busy_.load(), seconds_left_.load());
}

void Drain::finish(bool in_force) {
  finishing_ = true;
  const Instant now = pooler_.worker(0).now();
  const double took = std::chrono::duration<double>(now - since_).count();
  if (in_force) {
    log(LogLevel::warning,
        "drain_timeout is over: {} clients are closed, {} of them in a transaction",
        clients_.load(), busy_.load());
  } else if (beside_) {
    log(LogLevel::log, "handed over: the last client has gone after {:.1f} s", took);
  } else {
    log(LogLevel::log, "drained: {} clients have left in {:.1f} s", at_start_, took);
  }
  pooler_.post_to_all([](Worker& worker) {
    worker.departures().close_clients(Error(ErrorCode::administrator_command));
    worker.departures().close_others(Error(ErrorCode::administrator_command));
  });
  if (in_force) changed_at_ = now;
  const bool told_anybody = in_force || (at_start_ > 0 && !endless_);  // else they have moved
  tick_.arm(told_anybody ? changed_at_ + last_words : now);
}

}  // namespace headgate
