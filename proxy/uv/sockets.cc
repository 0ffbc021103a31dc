#include "proxy/uv/sockets.h"

#include <arpa/inet.h>
#include <fmt/compile.h>
#include <linux/tcp.h>  // not netinet/tcp.h, whose tcp_info ends before the bytes acknowledged
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace headgate {

namespace {

constexpr size_t unix_header_bytes = offsetof(sockaddr_un, sun_path);

template <class System>
System* as(SystemAddress& address) {
  address.size = sizeof(System);
  return reinterpret_cast<System*>(&address.storage);
}

std::optional<SystemAddress> ip4_to_system(const Address& from) {
  SystemAddress to;
  auto* ip = as<sockaddr_in>(to);
  ip->sin_family = AF_INET;
  ip->sin_port = htons(from.port);
  if (inet_pton(AF_INET, from.host.c_str(), &ip->sin_addr) != 1) return std::nullopt;
  return to;
}

/// Takes a zone as well: "fe80::1%eth0".
std::optional<SystemAddress> ip6_to_system(const Address& from) {
  SystemAddress to;
  auto* ip = as<sockaddr_in6>(to);
  ip->sin6_family = AF_INET6;
  ip->sin6_port = htons(from.port);
  size_t percent = from.host.find('%');
  if (percent != std::string::npos) {
    ip->sin6_scope_id = if_nametoindex(from.host.c_str() + percent + 1);
    if (ip->sin6_scope_id == 0) return std::nullopt;
  }
  if (inet_pton(AF_INET6, from.host.substr(0, percent).c_str(), &ip->sin6_addr) != 1)
    return std::nullopt;
  return to;
}

std::optional<SystemAddress> unix_to_system(const Address& from) {
  SystemAddress to;
  auto* path = as<sockaddr_un>(to);
  path->sun_family = AF_UNIX;
  // A path needs room for its final zero; an abstract name has none, and its `@` stands for a zero.
  if (from.host.empty() || from.host.size() >= sizeof path->sun_path) return std::nullopt;
  std::memcpy(path->sun_path, from.host.data(), from.host.size());
  bool abstract = from.host[0] == '@';
  if (abstract) path->sun_path[0] = '\0';
  to.size = static_cast<socklen_t>(unix_header_bytes + from.host.size() + (abstract ? 0 : 1));
  return to;
}

Address unix_from_system(const SystemAddress& from) {
  const auto* path = reinterpret_cast<const sockaddr_un*>(from.get());
  Address to{Address::Kind::unix_path, 0, {}};
  if (from.size <= unix_header_bytes) return to;  // unnamed, as most clients are
  size_t size = from.size - unix_header_bytes;
  if (path->sun_path[0] == '\0') {
    to.host = "@" + std::string(path->sun_path + 1, size - 1);
  } else {
    to.host.assign(path->sun_path, strnlen(path->sun_path, size));
  }
  return to;
}

Address ip6_from_system(const sockaddr_in6& from) {
  char text[INET6_ADDRSTRLEN];
  // An IPv4 client of a socket for both (as service managers open them): rules and logs want IPv4.
  if (IN6_IS_ADDR_V4MAPPED(&from.sin6_addr)) {
    inet_ntop(AF_INET, from.sin6_addr.s6_addr + 12, text, sizeof text);
    return {Address::Kind::ip4, ntohs(from.sin6_port), text};
  }
  inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof text);
  std::string host = text;
  char zone[IF_NAMESIZE];
  if (from.sin6_scope_id != 0 && if_indextoname(from.sin6_scope_id, zone) != nullptr)
    host.append("%").append(zone);
  return {Address::Kind::ip6, ntohs(from.sin6_port), std::move(host)};
}

// For each client that comes: inet_ntop() takes as long as the rest of accepting it.
Address ip4_from_system(const sockaddr_in& from) {
  const uint32_t ip = ntohl(from.sin_addr.s_addr);
  return {
      Address::Kind::ip4, ntohs(from.sin_port),
      fmt::format(FMT_COMPILE("{}.{}.{}.{}"), ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255)};
}

int family_of(Address::Kind kind) {
  switch (kind) {
    case Address::Kind::ip4:
      return AF_INET;
    case Address::Kind::ip6:
      return AF_INET6;
    case Address::Kind::unix_path:
      return AF_UNIX;
    case Address::Kind::none:
      break;
  }
  return AF_UNSPEC;
}

}  // namespace

std::optional<SystemAddress> to_system(const Address& address) {
  switch (address.kind) {
    case Address::Kind::ip4:
      return ip4_to_system(address);
    case Address::Kind::ip6:
      return ip6_to_system(address);
    case Address::Kind::unix_path:
      return unix_to_system(address);
    case Address::Kind::none:
      break;
  }
  return std::nullopt;
}

Address from_system(const SystemAddress& address) {
  switch (address.storage.ss_family) {
    case AF_INET:
      return ip4_from_system(reinterpret_cast<const sockaddr_in&>(address.storage));
    case AF_INET6:
      return ip6_from_system(reinterpret_cast<const sockaddr_in6&>(address.storage));
    case AF_UNIX:
      return unix_from_system(address);
    default:
      return {};
  }
}

std::optional<Address> numeric_address(const std::string& host, uint16_t port) {
  if (host.starts_with('/') || host.starts_with('@'))
    return Address{Address::Kind::unix_path, 0, host};
  for (auto kind : {Address::Kind::ip4, Address::Kind::ip6}) {
    Address address{kind, port, host};
    if (to_system(address)) return address;
  }
  return std::nullopt;
}

std::string address_text(const Address& address) {
  if (address.is_unix()) return "unix:" + address.host;
  std::string port = ":" + std::to_string(address.port);
  if (address.kind == Address::Kind::ip6) return "[" + address.host + "]" + port;
  return address.host + port;
}

Address peer_address(int descriptor) {
  SystemAddress address;
  if (getpeername(descriptor, address.get(), &address.size) < 0) return {};
  return from_system(address);
}

Address local_address(int descriptor) {
  SystemAddress address;
  if (getsockname(descriptor, address.get(), &address.size) < 0) return {};
  return from_system(address);
}

Descriptor open_socket(Address::Kind kind) {
  return Descriptor(socket(family_of(kind), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

void make_non_blocking(int descriptor) {
  fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK);
}

void set_option(int descriptor, int level, int name, int value) {
  setsockopt(descriptor, level, name, &value, sizeof value);
}

void set_tcp_options(int descriptor, const SocketOptions& options) {
  auto set = [descriptor](int level, int name, int value) {
    if (value > 0) set_option(descriptor, level, name, value);
  };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_SNDBUF, options.buffer_bytes);
  set(SOL_SOCKET, SO_RCVBUF, options.buffer_bytes);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, options.user_timeout_ms);
  if (!options.keepalive) return;
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPCNT, options.keepcnt);
  set(IPPROTO_TCP, TCP_KEEPIDLE, options.keepidle);
  set(IPPROTO_TCP, TCP_KEEPINTVL, options.keepintvl);
}

int take_error(int descriptor) {
  int error = 0;
  socklen_t size = sizeof error;
  if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) < 0) return errno;
  return error;
}

size_t unread_bytes(int descriptor) {
  int count = 0;
  if (ioctl(descriptor, FIONREAD, &count) < 0) return 0;
  return static_cast<size_t>(count);
}

bool hung_up(int descriptor) {
  pollfd state{descriptor, 0, 0};
  return poll(&state, 1, 0) == 1 && (state.revents & (POLLHUP | POLLERR)) != 0;
}

std::optional<uint64_t> acknowledged_bytes(int descriptor, bool dialled) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) < 0) return std::nullopt;
  if (size < offsetof(tcp_info, tcpi_bytes_acked) + sizeof info.tcpi_bytes_acked)
    return std::nullopt;
  // The SYN of the side that connects is counted as a byte; that of the accepting side is not.
  uint64_t syn = dialled ? 1 : 0;
  return info.tcpi_bytes_acked < syn ? 0 : info.tcpi_bytes_acked - syn;
}

}  // namespace headgate
