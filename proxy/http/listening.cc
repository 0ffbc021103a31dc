#include "proxy/http/listening.h"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

namespace headgate {

namespace {

constexpr int backlog = 16;

std::string numeric(const sockaddr* address, socklen_t size) {
  char host[NI_MAXHOST] = "?";
  char port[NI_MAXSERV] = "?";
  getnameinfo(address, size, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
  return address->sa_family == AF_INET6 ? fmt::format("[{}]:{}", host, port)
                                        : fmt::format("{}:{}", host, port);
}

bool set_option(int socket, int level, int option) {
  const int on = 1;
  return setsockopt(socket, level, option, &on, sizeof on) == 0;
}

// Invalid, and errno says why.
Descriptor listen_on(const addrinfo& at) {
  Descriptor socket(::socket(at.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid() || !set_option(socket.number(), SOL_SOCKET, SO_REUSEADDR)) return {};
  if (at.ai_family == AF_INET6) set_option(socket.number(), IPPROTO_IPV6, IPV6_V6ONLY);
  if (bind(socket.number(), at.ai_addr, at.ai_addrlen) != 0) return {};
  if (listen(socket.number(), backlog) != 0) return {};
  return socket;
}

}  // namespace

Result<std::vector<Descriptor>> listen_for_http(const std::string& addr, int port,
                                                std::vector<Descriptor> inherited) {
  const auto failure = [&](const std::string& where, const char* why) {
    return Error(ErrorCode::config, fmt::format("http_addr = {}, http_port = {}: cannot listen on "
                                                "{}: {}",
                                                addr, port, where, why));
  };
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const char* node = addr == "*" ? nullptr : addr.c_str();
  if (const int error = getaddrinfo(node, std::to_string(port).c_str(), &hints, &found)) {
    return failure(addr.empty() ? "an empty address" : addr, gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
  std::vector<Descriptor> sockets;
  for (const addrinfo* at = found; at; at = at->ai_next) {
    const std::string where = numeric(at->ai_addr, at->ai_addrlen);
    const auto known = std::ranges::find_if(
        inherited, [&](const Descriptor& one) { return one.valid() && address_of(one) == where; });
    Descriptor socket = known != inherited.end() ? std::move(*known) : listen_on(*at);
    const int error = errno;
    if (socket.valid()) {
      sockets.push_back(std::move(socket));
    } else if (error != EAFNOSUPPORT) {  // a system without IPv6
      return failure(where, std::strerror(error));
    }
  }
  if (sockets.empty()) return failure(addr, "it has no usable address");
  return sockets;
}

std::string address_of(const Descriptor& listening) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  getsockname(listening.number(), generic, &size);
  return numeric(generic, size);
}

}  // namespace headgate
