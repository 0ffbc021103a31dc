// The service manager (systemd) as this process sees it: the sockets that it passes, the news that
// it wants to hear, and whether stderr is its journal's. Spoken in its plain protocols, without its
// library. (Manual pages sd_listen_fds(3), sd_notify(3), systemd.exec(5).)
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace headgate {

/// The listening sockets that were passed to this very process (LISTEN_FDS, LISTEN_PID); none if it
/// was started otherwise. An error where one of them is of no use.
Result<std::vector<int>> passed_sockets();

/// Sends one piece of news ("READY=1") to NOTIFY_SOCKET; nothing happens where there is none, or
/// nobody reads it: for a moment, or at once for a STATUS, as another will follow.
void notify_service_manager(std::string_view news);

/// Whether stderr goes to the journal (JOURNAL_STREAM).
bool stderr_is_journal();

}  // namespace headgate
