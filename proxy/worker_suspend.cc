// SUSPEND: a worker's sessions come to rest, so that all there is to know of them is in their
// sockets; and what else the console asks of the servers of a worker.
#include "base/error.h"
#include "proxy/pooler.h"
#include "proxy/worker.h"

namespace headgate {

namespace {

constexpr std::string_view unsafe = "close unsafe fds on suspend";

bool at_rest(Server& server) {
  return server.framer().at_boundary() && server.link().stream().queued() == 0;
}

// Its log-in, a check or a reset would have to be carried on by somebody.
bool cannot_rest(Server& server, Instant now) {
  switch (server.task()) {
    case Server::Task::login:
    case Server::Task::connect_query:
    case Server::Task::reset:
    case Server::Task::check:
    case Server::Task::audit:
      return true;
    case Server::Task::idle: {
      const auto& delay = server.pool().settings().rules.server_check_delay;
      return delay && server.since() + *delay <= now;
    }
    default:
      return false;
  }
}

// It must not go to anybody else when its client goes.
void close_unrested(Server& server) {
  server.set_close_needed();
  if (Relay* relay = server.relay()) relay->client().fail(Error(ErrorCode::suspend_timeout));
  server.close(error_row(ErrorCode::suspend_timeout).text);
}

}  // namespace

// Those on the console are spared; they are the ones to end this.
size_t Worker::suspend_clients(bool force) {
  size_t moving = 0;
  clients_.for_each([&](Client& client) {
    const ClientState state = client.state();
    if (state == ClientState::closed || state == ClientState::admin ||
        state == ClientState::cancel_request || client.link().paused(Link::Pause::suspended)) {
      return;
    }
    if (client.at_rest()) return client.link().pause(Link::Pause::suspended);
    force ? client.fail(Error(ErrorCode::suspend_timeout)) : void(++moving);
  });
  outbox_.flush();
  return moving;
}

// All clients are at rest: from now on time stands still for the sessions.
size_t Worker::suspend_servers(bool force) {
  suspended_ = true;
  size_t moving = 0;
  servers_.for_each([&](Server& server) {
    if (server.task() == Server::Task::closing || server.link().paused(Link::Pause::suspended)) {
      return;
    }
    if (cannot_rest(server, now_)) return server.close(unsafe);
    if (server.task() != Server::Task::cleanup && at_rest(server)) {
      return server.link().pause(Link::Pause::suspended);
    }
    force ? close_unrested(server) : void(++moving);
  });
  outbox_.flush();
  return moving;
}

void Worker::resume() {
  suspended_ = false;
  clients_.for_each([](Client& client) { client.link().resume(Link::Pause::suspended); });
  servers_.for_each([](Server& server) { server.link().resume(Link::Pause::suspended); });
  for_each_pool([](WorkerPool& pool) { pool.tend(); });
}

size_t Worker::count_close_needed(const std::string& database) {
  size_t count = 0;
  servers_.for_each([&](Server& server) {
    if (!database.empty() && server.pool().entry().database.name != database) return;
    if (server.close_needed()) ++count;
  });
  return count;
}

}  // namespace headgate
