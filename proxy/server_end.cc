// How a connection to a server ends: by a goodbye, by a loss, or because this process is short of
// something; and what its client, if it has one, is told.
#include <cerrno>

#include "protocol/frontend.h"
#include "protocol/messages.h"
#include "proxy/auth_query.h"
#include "proxy/cancel.h"
#include "proxy/client.h"
#include "proxy/log.h"
#include "proxy/pooler.h"
#include "proxy/server.h"
#include "proxy/shared_listener.h"
#include "proxy/worker.h"

namespace headgate {

namespace {

bool is_local_pressure(int error) {
  return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

}  // namespace

void Server::close(std::string_view reason) {
  if (task_ == Task::closing) return;
  MUST(!relay_);
  disown();
  const auto age = std::chrono::duration_cast<seconds>(worker_->now() - started_);
  log(LogLevel::log, log_subject(), "closing because: {} (age={}s)", field("reason", reason),
      field("age_s", age.count()));
  const bool logging_in = task_ == Task::login;
  const bool awaited = task_ == Task::check || task_ == Task::reset || task_ == Task::audit;
  const bool running = exchange_.owed() > 0 && process_ != 0;
  task_ = Task::closing;
  pool_->share().close(*this, worker_->now());
  if (auth_query_) std::exchange(auth_query_, nullptr)->server_lost();
  if (listener_) std::exchange(listener_, nullptr)->server_lost();
  if (awaited) pool_->look_again();  // somebody may have counted on it
  if (ended_ || !connected_) return gone();
  arm(worker_->now() + goodbye_time);
  if (running) cancel(Requester{});  // or it would finish its query before it hears us
  if (logging_in || cut_off_) {      // an end is all that it can understand
    link_.resume(Link::Pause::not_now);
    worker_->outbox().flush();
    return link_.finish_writing();
  }
  Bytes goodbye;
  encode(goodbye, frontend::Terminate{});
  link_.send(goodbye);
  link_.resume(Link::Pause::receiver_slow);
}

// The connection has ended or broken the protocol, and its client, if any, has to know.
void Server::lost(std::string_view reason) {
  if (!relay_) return close(reason);
  Client& client = relay_->client();
  const bool replaceable = ended_ && !owner_ && !client.knows_server();
  const bool untouched = replaceable && relay_->untouched();
  const bool elsewhere = replaceable && !mid_answer() && relay_->may_go_elsewhere();
  const bool told = relay_->fatal_was_passed() || mid_answer();
  const Unanswered unanswered = relay_->unanswered();
  const Bytes last_words = std::move(last_words_);
  if (untouched || elsewhere) statements_.take_back_all(client.statements());
  relay_.reset();
  owner_ = nullptr;
  client.unlinked();
  close(reason);
  if (elsewhere) {
    pool_->host_faulted();
    return client.serve_on_primary(unanswered);
  }
  if (untouched) return client.serve_again(unanswered);
  if (told) return client.close_behind_answer(reason);
  if (!last_words.empty()) {
    client.link().send(last_words);
    return client.close_behind_answer(reason);
  }
  client.fail(Error(ErrorCode::server_crashed));
}

void Server::leave_former_primary() {
  const Error error(ErrorCode::primary_changed);
  Client* client = relay_ ? &relay_->client() : owner_;
  const bool torn = mid_answer();
  relay_.reset();
  owner_ = nullptr;
  if (client) client->unlinked();
  ended_ = true;
  close(error.message);
  if (client) torn ? client->close_behind_answer(error.message) : client->fail(error);
}

void Server::on_link_end(int error) {
  if (task_ == Task::login && !is_local_pressure(error) && try_next_address()) return;
  ended_ = true;
  if (task_ == Task::closing) return gone();
  if (task_ == Task::login && is_local_pressure(error)) return out_of_resources(error);
  if (task_ == Task::login) return login_failed(Error(ErrorCode::server_connect_failed));
  lost("server conn crashed?");
}

// Not the server's failure: nobody is told, and it is tried again soon.
void Server::out_of_resources(int error) {
  log(LogLevel::warning, log_subject(),
      "cannot open a connection: {}; this process is short of descriptors or "
      "memory, the server is not to blame",
      field("reason", worker_->pooler().describe_error(error)));
  if (!owner_) pool_->share().put_off_opening(worker_->now() + local_pause);
  close("out of resources");
}

// The connection is closed here and, as far as can be known, there.
void Server::gone() {
  if (std::exchange(gone_, true)) return;
  link_.close(false);
  arm(std::nullopt);
  for (Canceller* canceller : cancels_) canceller->forget_server();
  cancels_.clear();
  pool_->server_gone(*this);
}

void Server::abandon() {
  relay_.reset();
  owner_ = nullptr;
  auth_query_ = nullptr;
  listener_ = nullptr;
  pool_->share().close(*this, worker_->now());
  pool_->share().gone(*this);
  link_.close(false);
  deadline_->disarm();
  worker_->bury(*this);
}

}  // namespace headgate
