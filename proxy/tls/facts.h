// What is known of the encryption of a connection, for those who decide by it or show it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace headgate {

struct TlsFacts {
  /// Version and cipher as in SHOW CLIENTS and the log: "TLSv1.3/TLS_AES_256_GCM_SHA384".
  std::string description;
  /// The names in the peer's verified certificate, the common name first; empty: it showed none.
  std::vector<std::string> peer_names;
  /// The hash of the server's certificate that binds SCRAM-SHA-256-PLUS to this channel (RFC 5929,
  /// tls-server-end-point).
  Bytes server_end_point;

  bool operator==(const TlsFacts&) const = default;
};
using TlsFactsPtr = std::shared_ptr<const TlsFacts>;

}  // namespace headgate
