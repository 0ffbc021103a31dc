// Where the HTTP door listens: from http_addr and http_port to sockets.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "proxy/descriptor.h"

namespace headgate {

/// Sockets that listen on every address that `addr` stands for (a number, a name, `*` for all), in
/// the order in which the system names them. The error names the settings, the address and why.
/// Those of `inherited` that listen there already are used.
Result<std::vector<Descriptor>> listen_for_http(const std::string& addr, int port,
                                                std::vector<Descriptor> inherited = {});

/// `127.0.0.1:9127`, `[::1]:9127`: where such a socket listens.
std::string address_of(const Descriptor& listening);

}  // namespace headgate
