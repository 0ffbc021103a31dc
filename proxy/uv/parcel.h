// A connection in no loop: its descriptor and what the next loop must know about it. Whoever holds
// the parcel owns the connection; a parcel that nobody attaches closes it.
#pragma once

#include "proxy/descriptor.h"
#include "proxy/io.h"

namespace headgate {

struct UvParcel final : Parcel {
  UvParcel(Descriptor connection, Address from)
      : descriptor(std::move(connection)), peer(std::move(from)) {}

  Descriptor descriptor;  // non-blocking
  Address peer;
  std::unique_ptr<Address> local;  // null: not asked for yet
  uint64_t written = 0;            // bytes, as Stream::written()
  int error = 0;                   // a write has failed and on_end() is still due
  bool dialled = false;            // we have connected, rather than accepted
  bool configured = false;         // the socket's options are set
  bool has_bytes = false;          // that nobody has read, most likely
};

}  // namespace headgate
