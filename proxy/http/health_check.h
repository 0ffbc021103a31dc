// --health: asks the process that runs by these settings whether it lives, for containers that have
// neither a shell nor curl. One question and one answer, within a bounded time.
#pragma once

#include <string>

#include "base/result.h"
#include "conf/settings.h"

namespace headgate {

/// Where to ask: the port for HTTP, else the one for clients, which needs no log-in to answer an
/// SSLRequest.
struct HealthQuestion {
  enum class Way : uint8_t { http, postgres } way = Way::http;
  std::string host;  // or the path of a unix socket, which begins with / or @
  int port = 0;
  std::string path;  // of http

  /// "http://127.0.0.1:9127/healthz", "127.0.0.1:6432".
  std::string text() const;
};

HealthQuestion health_question(const Settings& settings);
/// Of "http://HOST[:PORT][/PATH]"; without a path, /healthz.
Result<HealthQuestion> health_question(const std::string& url);

/// An error where it does not live, or says that it is not well.
Result<Done> ask_health(const HealthQuestion& question);

}  // namespace headgate
