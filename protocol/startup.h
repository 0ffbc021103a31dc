// The packets in front of the message stream: they have no tag. Start-up, SSLRequest, GSSENCRequest
// and CancelRequest, and the NegotiateProtocolVersion that answers a start-up.
// (PostgreSQL documentation, "Message Formats".)
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace headgate {

/// The most that a start-up packet may measure, as in PostgreSQL (MAX_STARTUP_PACKET_LENGTH).
constexpr uint32_t max_startup_size = 10000;
constexpr int32_t protocol_3_0 = 3 << 16;
constexpr int32_t protocol_3_2 = (3 << 16) | 2;

/// What the parameter `replication` asks for: a connection to a WAL sender, for the whole cluster
/// or for one database.
enum class Replication : uint8_t { none, logical, physical };
/// Nothing if the value is none that PostgreSQL takes; empty means none.
std::optional<Replication> decode_replication(View value);
/// The word of SHOW CLIENTS and SHOW SERVERS.
const char* name_of(Replication kind);

struct StartupMessage {
  int32_t version = protocol_3_0;
  std::string user;
  std::string database;     // the user's name where the client gave none
  std::string replication;  // empty, or the value as given
  std::string options;
  /// All other parameters in the order given, application_name among them.
  std::vector<std::pair<std::string, std::string>> parameters;
  /// `_pq_.` options that nobody here knows, for NegotiateProtocolVersion.
  std::vector<std::string> unknown_options;
};
struct SslRequest {};
struct GssEncRequest {};
struct CancelRequest {
  int32_t process = 0;
  Bytes secret;  // 4 bytes, up to 256 since protocol 3.2
};
using StartupPacket = std::variant<StartupMessage, SslRequest, GssEncRequest, CancelRequest>;

/// The whole size of the packet that begins with these bytes (at least 4): or an error when no
/// packet of the protocol can be that short or long. The first byte 0x16 (TLS) is an error too.
Result<uint32_t> startup_packet_size(View front);

/// Decodes one whole packet, its length field included.
Result<StartupPacket> decode_startup(View packet);

/// Parses the start-up parameter `options`: `-c name=value` and `--name=value`, with backslash
/// escapes; anything else is ErrorCode::unsupported_options.
Result<std::vector<std::pair<std::string, std::string>>> parse_options(View options);

/// The packets as Headgate sends them to a server.
void encode_startup(Bytes& out, const std::vector<std::pair<std::string, std::string>>& parameters,
                    int32_t version = protocol_3_0);
void encode_ssl_request(Bytes& out);
void encode_cancel_request(Bytes& out, int32_t process, View secret);
/// NegotiateProtocolVersion ('v'), for a client that asked for more than is supported.
void encode_negotiate_version(Bytes& out, int32_t version, const std::vector<std::string>& unknown);

}  // namespace headgate
