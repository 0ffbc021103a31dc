// What an old and a new process of Headgate say to each other when the new one takes over: the
// messages of their private socket, and the record of a client that moves. Both ends are the same
// program, perhaps of another version, under the same user; all the same everything is bounded, and
// a record that cannot be is refused.
//
//   new  Hello                                          version, process
//   old  Socket ...  SocketsEnd                         each with a descriptor: the old one still
//                                                       serves; whatever fails now changes nothing
//   new  Taken                                          from here on the old one accepts nobody
//   old  Held ...  Timeline ...  Go                     what its pools keep, and what is known of
//                                                       primaries; now the new one accepts
//   old  Client ...                                     each with a descriptor, when it is at rest
//   old  Held ...                                       whenever that has changed
//   new  Cancel      old  CancelDone                    for clients that are still there
//   old  (closes)                                       it has none left
//
// A message is its tag, a length that counts itself, and its body, as in PostgreSQL's protocol.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "protocol/session_state.h"
#include "protocol/wire.h"

namespace headgate::handover {

/// Raised when a message or record changes: processes of two versions do not understand each other.
constexpr int32_t version = 1;

/// Raised when the old process may say something new that a new one can do without. Taken tells
/// which additions the new one knows; one of before there were any says nothing there, and one of
/// before hears nothing of it.
constexpr int32_t additions = 1;
constexpr int32_t with_timelines = 1;

/// The largest message: a client with all the statements that it may have, and some.
constexpr size_t max_message = size_t{40} * 1024 * 1024;

enum class Tag : char {
  hello = 'H',
  socket = 'L',
  sockets_end = 'E',
  taken = 'T',
  held = 'P',
  timeline = 'N',
  go = 'G',
  client = 'C',
  cancel = 'X',
  cancel_done = 'Y',
};

struct Hello {
  int32_t version = 0;
  int32_t process = 0;
};

/// What a socket that is handed over listens for.
enum class SocketUse : uint8_t { clients, http, handover };

struct Socket {
  SocketUse use = SocketUse::clients;
  /// Its path in the file system goes with it.
  bool owns_path = false;
  /// The service manager has opened it: it stays whatever the settings say.
  bool passed = false;
};

/// So many servers of a pool the old process has, or may still open.
struct Held {
  std::string database, user;
  int32_t servers = 0;
};

/// The latest timeline on which a primary was seen in the cluster of that host.
struct Timeline {
  std::string host;
  int32_t port = 0;
  uint32_t timeline = 0;
};

struct Cancel {
  uint64_t key = 0;
  int32_t number = 0;
};

/// A client that has no transaction, and that nothing is owed to.
struct ClientRecord {
  static constexpr size_t max_name = 8 * 1024;
  static constexpr size_t max_value = 1024 * 1024;
  static constexpr size_t max_settings = 1000;
  static constexpr size_t max_statements = 20'000;

  std::string database, user;
  std::string server_user;  // the one that it is towards servers, unless the settings say another
  uint64_t cancel_key = 0;
  int64_t age_us = 0, idle_us = 0, connect_wall_us = 0;
  bool has_written = false;
  /// Parameters that servers report, by name.
  std::vector<std::pair<std::string, std::string>> parameters;
  ClientSession::Saved session;

  struct Statement {
    std::string name;
    Bytes text;  // the body of its Parse behind the name
    uint8_t copy = 0;
  };
  std::vector<Statement> statements;
  Bytes unnamed;                            // text of the unnamed statement
  std::optional<Statement> unnamed_shared;  // where servers have one in its place

  /// What its log-in has proved and servers are opened with.
  struct Keys {
    Bytes client_key, server_key;
    std::string verifier;
  };
  std::optional<Keys> keys;
  std::optional<Bytes> secret;

  /// When it is of no use any more.
  void wipe_secrets() {
    if (keys) wipe(keys->client_key), wipe(keys->server_key);
    if (secret) wipe(*secret);
  }
};

void encode(Bytes& out, const Hello& message);
void encode(Bytes& out, const Socket& message);
void encode(Bytes& out, const Held& message);
void encode(Bytes& out, const Timeline& message);
void encode(Bytes& out, const Cancel& message);
void encode(Bytes& out, const ClientRecord& record);
/// With the additions that this process knows.
void encode_taken(Bytes& out);
void encode_cancel_done(Bytes& out, int32_t number);
/// One without a body.
void encode(Bytes& out, Tag tag);

Result<Hello> decode_hello(View body);
Result<Socket> decode_socket(View body);
Result<Held> decode_held(View body);
Result<Timeline> decode_timeline(View body);
/// The additions that the new process knows.
Result<int32_t> decode_taken(View body);
Result<Cancel> decode_cancel(View body);
Result<int32_t> decode_cancel_done(View body);
Result<ClientRecord> decode_client(View body);

}  // namespace headgate::handover
