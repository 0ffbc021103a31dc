// Whether the process lives and whether it should be sent clients, as an orchestrator asks by HTTP.
#pragma once

#include <optional>
#include <string>

namespace headgate {

/// What is known of the process at the moment it is asked.
struct HealthFacts {
  std::optional<int> silent_worker{};  // its loop has not answered in time
  bool starting = false;               // it does not listen yet
  bool shutting_down = false;
  bool waits_for_servers = false;  // a shutdown that lets nobody begin anything
  std::string drain{};             // how far that is; empty: none is under way
  bool paused = false;
  bool suspended = false;
};

/// The answer to a question about health.
struct Health {
  bool good = false;
  std::string text;  // one line that says why, or "ok"
};

/// Whether it lives: every worker's loop answers. A process that does not is best restarted.
Health live_health(const HealthFacts& facts);

/// Whether new clients are welcome: it lives, and is neither paused, suspended nor leaving. What
/// its PostgreSQL does is no part of that: no other pooler in front of it would fare better.
Health ready_health(const HealthFacts& facts);

}  // namespace headgate
