// Clients and servers whose sessions are as a test wants them.
#pragma once

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/session_state.h"

namespace headgate {

using Row = std::vector<std::optional<View>>;

/// A client that has these settings, as a server has told them.
inline ClientSession client_with(SettingValues values) {
  ClientSession client;
  REQUIRE(client.set(std::move(values)));
  return client;
}

inline ClientSession started_with(SettingValues values) {
  ClientSession client;
  SettingValuesPtr known;
  client.start_with(std::move(values), {}, known);
  return client;
}

/// A server that has all that this client has set.
inline ServerSession server_of(const ClientSession& client) {
  ServerSession server;
  server.adopt(client);
  return server;
}

inline SettingValues values(const ClientSession& client) {
  return client.values() ? *client.values() : SettingValues();
}

inline void send(ServerSession& server, View sql) {
  const SessionMarks marks = session_marks(sql);
  for (const std::string& name : marks.settings) server.touch(name);
  server.sent(marks);
}

/// How often a text has this part.
inline size_t count(View text, View part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != View::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

}  // namespace headgate
