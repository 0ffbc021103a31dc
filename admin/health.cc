#include "admin/health.h"

#include <fmt/format.h>

namespace headgate {

namespace {

Health bad(std::string why) { return {false, std::move(why) + "\n"}; }

}  // namespace

Health live_health(const HealthFacts& facts) {
  if (facts.silent_worker)
    return bad(fmt::format("worker {} does not answer", *facts.silent_worker));
  return {true, "ok\n"};
}

Health ready_health(const HealthFacts& facts) {
  if (facts.silent_worker) return live_health(facts);
  if (facts.starting) return bad("starting");
  if (facts.waits_for_servers) return bad("shutting down: waiting for servers to be released");
  if (!facts.drain.empty()) return bad(facts.drain);
  if (facts.shutting_down) return bad("shutting down: waiting for clients to leave");
  if (facts.suspended) return bad("suspended");
  if (facts.paused) return bad("paused");
  return {true, "ok\n"};
}

}  // namespace headgate
