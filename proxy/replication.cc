// Replication connections: WAL senders and what reads from them (pg_receivewal, pg_basebackup,
// subscriptions). What such a client says changes its connection for good, so it gets a server of
// its own, in every pool mode: opened for its log-in with its own start-up packet, counted in all
// limits, never lent to anybody else, and closed when the client goes. (PostgreSQL documentation,
// "Streaming Replication Protocol".)
#include "proxy/client.h"
#include "proxy/client_login.h"
#include "proxy/log.h"
#include "proxy/pooler.h"
#include "proxy/server.h"
#include "proxy/worker.h"

namespace headgate {

// --- the client

void Client::join_for_replication() {
  replication_ = login_->replication();
  request_since_ = worker_.now();
  move_to(ClientState::login_waiting);
  pool_->ask_own(*this);
}

// The server was opened for this client, knows its parameters, and stays with it to the end.
void Client::serve_own(Server& server) {
  count_wait("served");
  make_cancel_key(server.process());
  login_->welcome(*server.welcome(), cancel_key_.process(), cancel_key_.secret(), values_);
  values_ = server.values();
  ++pool_->stats().client_login_count;
  pool_->meters().login.add(worker_.now() - connected_);
  login_over();
  link_to(server);
  take_pending();
}

bool Client::awaits_own_server() const {
  return replication_ != Replication::none && state_ == ClientState::login_waiting && !server_;
}

void Client::add_startup_parameters(
    std::vector<std::pair<std::string, std::string>>& parameters) const {
  login_->add_startup_parameters(parameters);
}

void ClientLogin::add_startup_parameters(
    std::vector<std::pair<std::string, std::string>>& parameters) const {
  parameters.emplace_back("replication", startup_.replication);
  if (!startup_.options.empty()) parameters.emplace_back("options", startup_.options);
  for (const auto& [name, value] : startup_.parameters) {
    if (tracked_names().find(name)) parameters.emplace_back(name, value);
  }
}

// --- the server

void Server::start_for(Client& owner) {
  owner_ = &owner;
  replication_ = owner.replication();
  owner.opening_own(*this);
  start();
}

void Server::enter_replication() {
  arm(std::nullopt);
  if (close_needed()) return close("database configuration changed");
  task_ = Task::idle;
  pool_->opened_own(*this);
  owner_->serve_own(*this);
}

void Server::owner_left() {
  const bool linked = relay_.has_value();
  cut_off_ = linked && relay_->client().framer().remaining() > 0;
  owner_ = nullptr;
  relay_.reset();
  exchange_.swallow_all();
  close(linked ? "replication client disconnected" : "replication client was closed");
}

// The log-in has failed, or was given up.
void Server::disown() {
  Client* owner = std::exchange(owner_, nullptr);
  if (!owner) return;
  Error error(close_needed() ? ErrorCode::configuration_changed
                             : ErrorCode::replication_login_failed);
  if (login_ && login_->progress() == ServerLogin::Progress::failed) {
    error.detail = login_->error().message;
    error.sqlstate_override = login_->error().sqlstate();
  }
  owner->unlinked();
  owner->fail(error);
}

void Server::end_replication() {
  if (relay_) return part(Error(ErrorCode::configuration_changed));
  close("database configuration changed");
}

// --- the pool: room for them

void WorkerPool::ask_own(Client& client) {
  want_own_.push_back(&client);
  share_.want_own();
  open_own();
  if (want_own_.empty()) return;
  const auto workers = static_cast<WorkerId>(worker_.pooler().workers());
  for (WorkerId id = 0; id < workers; ++id) {  // whoever has one idle makes room
    worker_.pooler().worker(id).post([pool = entry_.shared.id](Worker& worker) {
      if (WorkerPool* share = worker.find_pool(pool)) share->tend();
    });
  }
}

void WorkerPool::withdraw_own(Client& client) {
  if (std::erase(want_own_, &client) == 0) return;
  tell_to_look_again(share_.forget_own(want_own_.empty()));
  look_again();
}

void WorkerPool::open_own() {
  while (!want_own_.empty() && !share_.paused()) {
    switch (share_.take_own()) {
      case SharedPool::Take::taken: {
        Client& client = *want_own_.front();
        want_own_.pop_front();
        share_.forget_own(want_own_.empty());
        open_server_for(client);
        continue;
      }
      case SharedPool::Take::database_full:
        if (!own_retry_.armed()) make_room(Wish::Want::evict_database);
        break;
      case SharedPool::Take::user_full:
        if (!own_retry_.armed()) make_room(Wish::Want::evict_user);
        break;
      case SharedPool::Take::pool_full:
      case SharedPool::Take::opening_enough:
        break;
    }
    if (!own_retry_.armed()) own_retry_.arm(worker_.now() + own_retry);
    return;
  }
}

void WorkerPool::open_server_for(Client& client) {
  Server& server =
      worker_.servers().add(std::make_unique<Server>(worker_, *this, worker_.pooler().next_id()));
  share_.opening(server, worker_.now(), true);
  server.start_for(client);
}

void WorkerPool::opened_own(Server& server) {
  tell_to_look_again(share_.opened_own(server, worker_.now()));
  look_again();
}

void WorkerPool::fail_own(const Error& error) {
  const auto clients = want_own_;
  for (Client* client : clients) client->fail(error);
}

void WorkerPool::end_replication() {
  std::vector<Server*> ending;
  share_.for_each_server([&](PooledServer& pooled) {
    auto& server = static_cast<Server&>(pooled);
    if (server.replication() != Replication::none) ending.push_back(&server);
  });
  for (Server* server : ending) server->end_replication();
}

}  // namespace headgate
