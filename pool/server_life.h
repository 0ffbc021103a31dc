// The life of a server connection as the pool sees it: an enum, a table, and one function that
// moves. Drawn in docs/architecture.md.
//
//   login -> idle <-> active -> tested -> idle       closing from everywhere
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace headgate {

/// The words of SHOW SERVERS; `used` is an idle server that must be checked first, and is derived.
enum class ServerState : uint8_t { login, idle, active, tested, closing };
constexpr size_t server_states = 5;

enum class ServerEvent : uint8_t {
  login_done,
  lend,
  check,
  return_clean,
  return_dirty,
  test_done,
  close
};
constexpr size_t server_events = 7;

struct ServerStep {
  ServerState from;
  ServerEvent event;
  ServerState to;
};

constexpr ServerStep server_life[] = {
    {ServerState::login, ServerEvent::login_done, ServerState::idle},
    {ServerState::idle, ServerEvent::lend, ServerState::active},
    {ServerState::idle, ServerEvent::check, ServerState::tested},
    {ServerState::active, ServerEvent::return_clean, ServerState::idle},
    {ServerState::active, ServerEvent::return_dirty, ServerState::tested},
    {ServerState::tested, ServerEvent::test_done, ServerState::idle},
    {ServerState::login, ServerEvent::close, ServerState::closing},
    {ServerState::idle, ServerEvent::close, ServerState::closing},
    {ServerState::active, ServerEvent::close, ServerState::closing},
    {ServerState::tested, ServerEvent::close, ServerState::closing},
};

/// The same steps for looking up in one read: [state][event], server_states where there is none.
constexpr auto server_steps = [] {
  std::array<std::array<uint8_t, server_events>, server_states> steps{};
  for (auto& row : steps) row.fill(server_states);
  for (const ServerStep& step : server_life) {
    steps[size_t(step.from)][size_t(step.event)] = uint8_t(step.to);
  }
  return steps;
}();

/// The state after an event, or nothing where the table has no such step.
constexpr std::optional<ServerState> after(ServerState state, ServerEvent event) {
  uint8_t next = server_steps[size_t(state)][size_t(event)];
  if (next == server_states) return std::nullopt;
  return ServerState(next);
}

static_assert(after(ServerState::active, ServerEvent::return_dirty) == ServerState::tested);
static_assert(!after(ServerState::login, ServerEvent::lend));

}  // namespace headgate
