// The system calls on sockets that need more than a line: addresses to and from the system's form,
// options, what the system knows of a connection. Knows no loop and keeps nothing.
#pragma once

#include <sys/socket.h>

#include <optional>

#include "proxy/descriptor.h"
#include "proxy/io.h"

namespace headgate {

/// An address in the system's form.
struct SystemAddress {
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_storage);

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

/// Nothing if the host is no number of that kind, or a unix path is too long.
std::optional<SystemAddress> to_system(const Address& address);
Address from_system(const SystemAddress& address);
/// The address if `host` is one already (a number, `/path` or `@name`), else nothing.
std::optional<Address> numeric_address(const std::string& host, uint16_t port);
/// As it stands in log lines: "127.0.0.1:5432", "[::1]:5432", "unix:/tmp/.s.PGSQL.5432".
std::string address_text(const Address& address);

/// The two ends of a connected socket; Kind::none where the system no longer knows.
Address peer_address(int descriptor);
Address local_address(int descriptor);

/// A new non-blocking socket, closed on exec; not valid (and errno set) if there is none to have.
Descriptor open_socket(Address::Kind kind);
/// For one that somebody else has opened.
void make_non_blocking(int descriptor);
/// TCP_NODELAY and what the options ask for. An option that the system refuses is left out.
void set_tcp_options(int descriptor, const SocketOptions& options);
void set_option(int descriptor, int level, int name, int value);

/// Takes the socket's error (SO_ERROR); 0 if none.
int take_error(int descriptor);
/// Bytes that have come and are not read yet.
size_t unread_bytes(int descriptor);
/// Both directions are closed, or the connection has failed.
bool hung_up(int descriptor);
/// Bytes that the peer's system has acknowledged on a TCP connection. `dialled`: we connected.
std::optional<uint64_t> acknowledged_bytes(int descriptor, bool dialled);

}  // namespace headgate
