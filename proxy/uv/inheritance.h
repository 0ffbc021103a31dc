// Online restart, the first words: a process that is starting asks the old one for its sockets.
// Before there is a loop, so each call waits, for a bounded time.
#pragma once

#include <optional>
#include <vector>

#include "base/result.h"
#include "conf/settings.h"
#include "protocol/handover.h"
#include "proxy/descriptor.h"
#include "proxy/io.h"

namespace headgate {

/// Where a process with these settings is found by the one that takes over; nothing without
/// unix_socket_dir.
std::optional<Address> handover_address(const Settings& settings);

/// What the old process has given. It serves on until it hears Taken.
struct Inheritance {
  struct Socket {
    handover::Socket facts;
    Descriptor descriptor;
    Address address;
  };
  Descriptor channel;
  std::vector<Socket> sockets;
};

/// A connection to the old process; nothing where there is none.
Result<std::optional<Descriptor>> find_old_process(const Settings& settings);
/// From the process that is to serve: its number is told.
Result<Inheritance> inherit(Descriptor channel);

}  // namespace headgate
