#include "proxy/client.h"

#include <fmt/format.h>

#include "protocol/messages.h"
#include "proxy/admin_session.h"
#include "proxy/client_login.h"
#include "proxy/log.h"
#include "proxy/pooler.h"
#include "proxy/server.h"
#include "proxy/subscribers.h"
#include "proxy/worker.h"

namespace headgate {

Client::Client(Worker& worker, uint64_t id)
    : worker_(worker),
      id_(id),
      link_(worker, *this),
      deadline_(
          worker.deadlines(),
          [](void* self, Instant) { static_cast<Client*>(self)->on_deadline(); }, this) {}

Client::~Client() = default;

void Client::start(ParcelPtr connection, bool from_unix) {
  from_unix_ = from_unix;
  connected_ = since_ = worker_.now();
  connect_wall_ = worker_.outside().wall_microseconds();
  login_ = std::make_unique<ClientLogin>(*this);
  link_.attach(std::move(connection), socket_options(worker_.config().settings));
  rearm();
}

// --- states

void Client::move_to(ClientState state) {
  state_ = state;
  since_ = worker_.now();
  rearm();
}

// Only the states that a setting limits have a deadline; the rest costs nothing.
void Client::rearm() {
  const auto arm_at = [&](std::optional<Instant> at) {
    if (at) {
      deadline_.arm(*at);
    } else if (deadline_.armed()) {
      deadline_.disarm();
    }
  };
  const auto arm_after = [&](Duration limit) {
    arm_at(limit.count() > 0 ? std::optional(since_ + limit) : std::nullopt);
  };
  const Settings& settings = worker_.config().settings;
  switch (state_) {
    case ClientState::login:
      return arm_after(settings.client_login_timeout);
    case ClientState::idle:
      if (!is_deferring()) return arm_after(timeouts_.idle);
      return arm_at(deferred_deadline());
    case ClientState::waiting:
    case ClientState::login_waiting:
      return arm_at(wait_deadline());
    case ClientState::cancel_request:
      return arm_after(settings.cancel_wait_timeout);
    case ClientState::active:
    case ClientState::admin:
    case ClientState::closed:
      return arm_after({});
  }
}

void Client::on_deadline() {
  if (worker_.suspended()) return deadline_.arm(worker_.now() + seconds(1));
  switch (state_) {
    case ClientState::login:
      return fail(login_overdue());
    case ClientState::idle:
      return fail(is_deferring() ? deferred_overdue()
                                 : overdue(ErrorCode::client_idle_timeout, timeouts_.idle));
    case ClientState::waiting:
    case ClientState::login_waiting:
      return waited_long();
    case ClientState::cancel_request:
      return close("cancel_wait_timeout");
    case ClientState::active:
    case ClientState::admin:
    case ClientState::closed:
      return;
  }
}

// --- what the client says

void Client::on_link_bytes(View bytes) {
  switch (state_) {
    case ClientState::login:
      return login_bytes(bytes);
    case ClientState::idle:
      if (pending_.empty()) return while_idle(bytes);
      pending_.append(bytes);
      if (pending_.size() >= wanted_) go_on();
      return;
    case ClientState::active:
      if (!pending_.empty()) return hold(bytes);
      return to_relay(bytes);
    case ClientState::waiting:
    case ClientState::login_waiting:
      return hold(bytes);
    case ClientState::admin:
      return admin_->bytes(bytes);
    case ClientState::cancel_request:
    case ClientState::closed:
      return;
  }
}

void Client::login_bytes(View bytes) {
  const size_t taken = login_->bytes(bytes);
  login_progressed();
  if (taken < bytes.size()) on_link_bytes(bytes.substr(taken));
}

// Bytes that cannot be dealt with now. Reading goes on up to a bound, so that a client that leaves
// is noticed while it waits.
void Client::hold(View bytes) {
  pending_.append(bytes);
  if (pending_.size() > max_pending) link_.pause(Link::Pause::queue_full);
}

namespace {

// What an idle client says: requests need a server; the rest of a COPY that has failed, and a Flush
// of nothing, need none.
struct IdleInput {
  bool goodbye = false;
  bool wants_server = false;
  bool discarding = false;  // all up to Sync, which is to be answered
  bool synced = false;

  char tag = 0;  // of the message that wants a server
  uint32_t body_size = 0;

  Treat on_header(char letter, uint32_t size) {
    tag = letter;
    body_size = size;
    if (tag == frontend::terminate) {
      goodbye = true;
      return Treat::stop;
    }
    if (discarding) {
      if (tag != frontend::sync) return Treat::drop;
      discarding = false;
      synced = true;
      return Treat::drop;
    }
    if (tag == frontend::copy_data || tag == frontend::copy_done || tag == frontend::copy_fail ||
        tag == frontend::flush) {
      return Treat::drop;
    }
    if (!Relay::is_request(tag)) return Treat::bad;
    wants_server = true;
    return Treat::stop;
  }
  void on_pass(View, bool) {}
  bool on_message(char, View, bool) { return true; }
};

}  // namespace

void Client::while_idle(View in) {
  IdleInput input;
  input.discarding = discarding_;
  const size_t taken = framer_.feed(in, input);
  discarding_ = input.discarding;
  if (input.synced) send_ready();
  if (framer_.broken()) return fail(Error(ErrorCode::unknown_packet));
  if (input.goodbye) return close("client close request");
  if (!input.wants_server) return;
  const size_t there = framer_.held().size() + in.size() - taken;
  const size_t wanted = Relay::bytes_to_begin(input.tag, input.body_size, pool_->settings());
  if (there >= wanted) {
    const bool defers = pool_->settings().defer_begin || is_deferring();
    if (defers && answer_here(input.tag, input.body_size, in.substr(taken))) return;
    if (!awaits_rest(in.substr(taken))) return ask_for_server(in.substr(taken));
    wanted_ = in.size() - taken + 1;
  } else {
    wanted_ = wanted - framer_.held().size();
  }
  pending_.append(in.substr(taken));
}

void Client::send_ready() {
  Bytes ready;
  encode(ready, backend::ReadyForQuery{status_without_server()});
  link_.send(ready);
}

void Client::ask_for_server(View request) {
  lender_ = &choose_lender();
  if (is_refused() || awaits_channels_first(request)) return;
  request_since_ = worker_.now();
  Server* server = static_cast<Server*>(lender_->share().ask(*this, worker_.now()));
  if (server && server->state() == ServerState::active) {
    pool_->meters().wait.add_none();
    link_to(*server);
    return to_relay(request);
  }
  notified_ = surveyed_ = false;
  move_to(ClientState::waiting);
  hold(request);
  if (server) server->start_check();
  lender_->look_soon();
}

bool Client::is_refused() {
  if (worker_.pooler().waits_for_servers()) {
    fail(Error(ErrorCode::server_shutting_down));
    return true;
  }
  const auto failure = lender_->fast_failure();
  if (failure) fail(*failure);
  return failure.has_value();
}

void Client::link_to(Server& server) {
  server_ = &server;
  lender_ = pool_;  // for what comes next; a reader's pool may be let go meanwhile
  move_to(ClientState::active);
  server.lend_to(*this);
}

void Client::to_relay(View in) {
  Relay& relay = *server_->relay();
  pool_->stats().bytes_received += in.size();
  const size_t taken = relay.from_client(in);
  if (relay.client_error()) return fail(Error(*relay.client_error()));
  if (relay.client_said_goodbye()) {
    said_goodbye_ = true;
    return close("client close request");
  }
  if (taken < in.size()) {  // too much is owed to go on
    hold(in.substr(taken));
    link_.pause(Link::Pause::queue_full);
  }
  if (server_->link().slow()) link_.pause(Link::Pause::receiver_slow);
  server_->advance();
}

bool Client::at_rest() const {
  return (state_ == ClientState::idle || state_ == ClientState::active) && pending_.empty() &&
         framer_.at_boundary() && !framer_.stopped() && link_.stream().queued() == 0;
}

bool Client::packet_too_large(uint32_t body_size) const {
  return size_t{body_size} + length_size > worker_.config().settings.max_packet_size;
}

void Client::room_again() { take_pending(); }

// Deals with what was held back, in order. It may be held back again in part.
void Client::take_pending() {
  if (pending_.empty() && !framer_.stopped()) return;  // the framer may hold a whole header
  Buffer said;
  std::swap(said, pending_);
  link_.resume(Link::Pause::queue_full);
  if (state_ == ClientState::active) {
    to_relay(said.view());
  } else if (state_ == ClientState::idle) {
    while_idle(said.view());
  }
  worker_.outbox().flush();  // `said` was lent
}

void Client::on_link_drained() {
  if (server_) server_->link().resume(Link::Pause::receiver_slow);
  link_.resume(Link::Pause::not_now);
  if (state_ == ClientState::idle) take_pending();
  if (state_ == ClientState::admin) admin_->go_on();
}

// --- told by the pool and the server

void Client::serve(Server& server) {
  count_wait("served");
  if (state_ == ClientState::login_waiting) {
    pool_->login_worked(server.welcome());
    if (pool_->settings().link_at_login) return enter_linked(server);
    // It only wanted to know that the server is there.
    server.not_wanted();
    return welcome_known();
  }
  link_to(server);
  take_pending();
}

void Client::relay_over() {
  server_ = nullptr;
  if (!framer_.at_boundary()) unread_held();
  link_.resume(Link::Pause::receiver_slow);
  move_to(ClientState::idle);
  tell_notifications();
}

// The beginning of the next request, gathered for the server that is gone, is to be seen afresh.
void Client::unread_held() {
  Buffer again;
  again.append(framer_.held());
  again.append(pending_.view());
  std::swap(pending_, again);
  framer_ = Framer();
}

void Client::go_on() {
  if (state_ != ClientState::idle) return;
  if (link_.slow()) {  // it does not read what it asked for: no more until it does
    link_.pause(Link::Pause::not_now);
    return;
  }
  take_pending();
}

// A cancel that its server was sent, or was to be sent, may have struck nothing there.
void Client::serve_again(const Unanswered& unanswered) {
  unread_held();
  Buffer again;
  again.append(unanswered.request);
  again.append(pending_.view());
  std::swap(pending_, again);
  move_to(ClientState::waiting);
  lender_->share().ask_again(*this, request_since_, worker_.now());
  if (!unanswered.overdue.empty()) return answer_canceled(unanswered.overdue);
  lender_->look_again();
  if (unanswered.canceled) cancel_requested(Requester{});
}

// --- the end

void Client::fail(const Error& error) {
  if (state_ == ClientState::closed) return;
  note_failure(error);
  if (server_ && server_->mid_answer()) return close_behind_answer(error.message);
  tell_last(error);
  if (worker_.config().settings.log_pooler_errors) {
    log(LogLevel::warning, log_subject(), "pooler error: {}", field("reason", error.message),
        field("sqlstate", error.sqlstate()));
  }
  end(error.message, true);
}

// For whoever looks at the metrics or the dashboard.
void Client::note_failure(const Error& error) {
  worker_.count_failure(error.code);
  const View database = pool_    ? View(pool_->entry().database.name)
                        : login_ ? login_->database()
                                 : View();
  worker_.note_trouble(database, name(), error.message);
}

View Client::name() const { return login_ ? View(login_->user()) : user(); }

bool Client::warns_first_of(uint64_t shape) {
  if (!warned_of_) warned_of_ = std::make_unique<std::vector<uint64_t>>();
  const bool known = std::ranges::find(*warned_of_, shape) != warned_of_->end();
  if (known || warned_of_->size() >= most_warnings) return false;
  warned_of_->push_back(shape);
  return true;
}

void Client::close(std::string_view reason) {
  if (state_ != ClientState::closed) end(reason, false);
}

void Client::close_behind_answer(std::string_view reason) {
  if (state_ != ClientState::closed) end(reason, true);
}

void Client::on_link_unsafe(const std::string& why) {
  log(LogLevel::warning, log_subject(), "TLS handshake error: {}", field("reason", why));
  end("client unexpected eof", true);
}

void Client::on_link_end(int) { end("client unexpected eof", false); }

void Client::end(std::string_view reason, bool linger) {
  if (state_ == ClientState::closed) return;
  const bool silent = state_ == ClientState::login && !login_->heard_anything();
  if (worker_.config().settings.log_disconnections && !silent) {
    const auto age = std::chrono::duration_cast<seconds>(worker_.now() - connected_);
    log(LogLevel::log, log_subject(), "closing because: {} (age={}s)", field("reason", reason),
        field("age_s", age.count()));
  }
  if (waiting()) leave_queue(reason);
  if (WorkerPool* pool = pool_) pool->client_forgotten(*this);
  if (awaits_own_server()) pool_->withdraw_own(*this);
  if (state_ == ClientState::cancel_request) worker_.cancel_requesters().erase(id_);
  state_ = ClientState::closed;
  deadline_.disarm();
  if (login_) login_->abandon();
  if (Server* server = std::exchange(server_, nullptr)) {
    server->client_left(said_goodbye_ ? Server::Leaving::orderly : Server::Leaving::vanished);
  }
  link_.close(linger);
  give_back_permits();
  worker_.bury(*this);
}

void Client::abandon() {
  if (waiting()) lender_->share().withdraw(*this, worker_.now());
  if (login_) login_->drop();
  state_ = ClientState::closed;
  server_ = nullptr;
  deadline_.disarm();
  link_.close(false);
  worker_.bury(*this);
}

}  // namespace headgate
