// The place of a connection as lines of the log name it.
#pragma once

#include "proxy/io.h"
#include "proxy/log.h"

namespace headgate {

inline LogSubject::Place logged_place(const Address& address) {
  return {address.is_unix() ? "unix" : address.host, address.port, {}};
}

}  // namespace headgate
