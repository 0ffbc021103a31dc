// How a client comes in: from the end of its log-in to what it becomes, a member of a pool, a guest
// on the console, or the bearer of a cancel request. And what it gives back when it goes.
#include "protocol/cancel_key.h"
#include "proxy/admin_session.h"
#include "proxy/client.h"
#include "proxy/client_login.h"
#include "proxy/log.h"
#include "proxy/pooler.h"
#include "proxy/server.h"
#include "proxy/worker.h"

namespace headgate {

void Client::on_link_secured() {
  if (!worker_.config().settings.log_connections) return;
  log(LogLevel::log, log_subject(), "SSL established: {}", field("tls", link_.tls()->description));
}

void Client::login_progressed() {
  if (!login_ || state_ != ClientState::login) return;
  switch (login_->progress()) {
    case ClientLogin::Progress::goes_on:
      return;
    case ClientLogin::Progress::leaves:
      return close("client close request");
    case ClientLogin::Progress::refused:
      return fail(Error(login_->error()));
    case ClientLogin::Progress::cancel:
      return become_cancel_request();
    case ClientLogin::Progress::admin:
      return become_admin();
    case ClientLogin::Progress::awaits_welcome:
      return join_pool();
  }
}

void Client::join_pool() {
  pool_ = lender_ = &worker_.pool(*login_->pool());
  pool_->client_came();
  timeouts_ = resolve_client(worker_.config(), login_->entry(), login_->user());
  if (login_->replication() != Replication::none) return join_for_replication();
  if (const WelcomePtr welcome = login_->pool()->welcome();
      welcome && !pool_->settings().link_at_login) {
    return enter(*welcome);
  }
  if (auto failure = pool_->fast_failure()) return fail(*failure);
  request_since_ = worker_.now();
  move_to(ClientState::login_waiting);
  Server* server = static_cast<Server*>(pool_->share().ask(*this, worker_.now()));
  if (server && server->state() == ServerState::active) return serve(*server);
  if (server) server->start_check();
  pool_->look_soon();
}

void Client::welcome_known() {
  if (state_ != ClientState::login_waiting || pool_->settings().link_at_login) return;
  const WelcomePtr welcome = login_->pool()->welcome();
  if (!welcome) return;
  if (waiting()) leave_queue("cancelled");
  enter(*welcome);
}

void Client::enter(const Welcome& welcome) {
  greet(welcome, 0);
  move_to(ClientState::idle);
  go_on();
}

// As with a server of its own: it is there before the client hears that it is in, and by its name.
void Client::enter_linked(Server& server) {
  greet(*server.welcome(), server.process());
  link_to(server);
  take_pending();
}

void Client::greet(const Welcome& welcome, int32_t process) {
  make_cancel_key(process);
  login_->welcome(welcome, cancel_key_.process(), cancel_key_.secret(), values_);
  login_->start(session_);
  ++pool_->stats().client_login_count;
  pool_->meters().login.add(worker_.now() - connected_);
  login_over();
}

void Client::become_admin() {
  make_cancel_key();
  login_->welcome_admin(cancel_key_.process(), cancel_key_.secret());
  admin_ = std::make_unique<AdminSession>(*this, login_->rights());
  login_over();
  move_to(ClientState::admin);
}

// Keeps of the log-in what lasts as long as the client.
void Client::login_over() {
  user_name_ = intern(login_->user());
  take_permits();
  login_.reset();
}

void Client::take_permits() {
  counted_ = login_->holds_client_permit();
  counted_database_ = login_->counted_database();
  counted_user_ = login_->counted_user();
}

// With the number of its server's process, unless peers find each other by that part of a key.
void Client::make_cancel_key(int32_t process) {
  const int peer_id = worker_.config().settings.peer_id;
  knows_server_ = process > 0 && peer_id == 0;
  do {
    uint64_t random = 0;
    worker_.outside().random(std::span(reinterpret_cast<char*>(&random), sizeof random));
    cancel_key_ = knows_server_ ? CancelKey::from_process(process, random)
                                : CancelKey::from_random(random, peer_id);
  } while (cancel_key_.bits == 0 ||
           !worker_.pooler().cancel_keys().add(cancel_key_.bits, {worker_.id(), this}));
}

void Client::become_cancel_request() {
  move_to(ClientState::cancel_request);
  worker_.cancel_requesters().emplace(id_, this);
  const CancelRequest& request = login_->cancel_request();
  worker_.pooler().cancel(request, Requester{worker_.id(), id_});
}

void Client::settings_changed() {
  if (!pool_ || state_ == ClientState::closed) return;
  const View name = login_ ? View(login_->user()) : user();
  timeouts_ = resolve_client(worker_.config(), pool_->settings().entry, std::string(name));
  rearm();
}

void Client::give_back_permits() {
  Pooler& pooler = worker_.pooler();
  if (login_) take_permits();
  if (cancel_key_.bits != 0) pooler.cancel_keys().remove(cancel_key_.bits);
  if (pool_) pool_->client_left();
  if (counted_user_) counted_user_->clients.give_back();
  if (counted_database_) counted_database_->clients.give_back();
  if (counted_) pooler.client_permits().give_back();
  pooler.client_gone(worker_);
}

}  // namespace headgate
