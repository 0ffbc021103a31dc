// What a server says: each message means something by what it was asked (protocol/exchange.h), and
// is passed on, kept, answered for, or dropped.
#include "protocol/backend.h"
#include "protocol/messages.h"
#include "proxy/auth_query.h"
#include "proxy/client.h"
#include "proxy/log.h"
#include "proxy/pooler.h"
#include "proxy/server.h"
#include "proxy/shared_listener.h"
#include "proxy/subscribers.h"
#include "proxy/worker.h"

namespace headgate {

namespace {

/// Of what its own server tells it until it has crossed over, however long that takes.
bool keeps_too_much(Client& client) {
  return client.has_channels() && client.channels().too_much();
}

}  // namespace

struct Server::Input {
  Server& server;
  View in;

  static constexpr View forget_all[] = {"DISCARD ALL", "DEALLOCATE ALL"};
  static constexpr View loaded = "LOAD", rolled_back = "ROLLBACK";

  Client* client() const { return server.relay_ ? &server.relay_->client() : nullptr; }
  bool lent(View bytes) const {
    return bytes.data() >= in.data() && bytes.data() < in.data() + in.size();
  }

  Treat on_header(char tag, uint32_t body_size) {
    const Treat treat = treat_of(tag, body_size);
    if (treat == Treat::pass && server.relay_) server.relay_->passes();
    return treat;
  }

  Treat treat_of(char tag, uint32_t body_size) {
    Exchange& exchange = server.exchange_;
    if (server.relay_) server.relay_->answered();
    switch (tag) {
      case backend::ready_for_query:
        return body_size == 1 ? Treat::gather : Treat::bad;
      case backend::authentication:
      case backend::backend_key_data:
      case backend::negotiate_protocol_version:
        return Treat::bad;
      default:
        break;
    }
    const Answer answer = server.answer_ = exchange.received(tag);
    if (answer.unexpected && tag != backend::error_response) return Treat::bad;
    if (answer.noted || answer.given_up > 0) server.settle_statements(tag, answer);
    if (answer.fate == Fate::replace && server.relay_) return Treat::gather;
    const bool forwards = answer.fate == Fate::forward && server.relay_;
    if (forwards && server.relay_->withholds(tag, body_size)) return Treat::gather;
    if (tag == backend::command_complete) return treat_complete(body_size, answer);
    const bool may_be_heard_twice = tag == backend::notification_response &&
                                    (server.listener_ || (client() && client()->has_channels()));
    if (may_be_heard_twice) return body_size <= max_gather ? Treat::gather : Treat::drop;
    const bool looked_at = tag == backend::error_response || tag == backend::parameter_status;
    if (looked_at && body_size <= max_gather) return Treat::gather;
    const bool told = tag == backend::data_row && answer.fate == Fate::swallow && server.relay_ &&
                      server.session_.asking();
    if (told && body_size <= max_session_row) return Treat::gather;
    if (forwards) return Treat::pass;
    const bool found = server.auth_query_ && server.auth_query_->wants(tag, body_size);
    const bool looked = server.task_ == Task::audit && tag == backend::data_row;
    return found || (looked && body_size <= max_session_row) ? Treat::gather : Treat::drop;
  }

  // DISCARD ALL and DEALLOCATE ALL take the statements away, whoever said it. A library that was
  // loaded stays.
  Treat treat_complete(uint32_t body_size, Answer answer) const {
    if (server.values_queries_ > 0 && answer.fate == Fate::swallow) return Treat::drop;
    if (server.session_.changed() || server.statements_.size() > 0 ||
        (client() && (client()->has_statements() || client()->has_channels()))) {
      for (const View all : forget_all) {
        if (body_size == all.size() + 1) return Treat::gather;
      }
    }
    if (answer.fate != Fate::forward || !server.relay_) return Treat::drop;
    const bool undoes = client()->has_channels() && body_size == rolled_back.size() + 1;
    return undoes || body_size == loaded.size() + 1 ? Treat::gather : Treat::pass;
  }

  void on_pass(View bytes, bool is_lent) {
    Client* to = client();
    if (!to) return;
    server.relay_->told();
    server.pool_->stats().bytes_sent += bytes.size();
    is_lent ? to->link().lend(bytes) : to->link().send(bytes);
  }

  void take_complete(View body) const {
    const View command = body.substr(0, body.find('\0'));
    if (command == loaded && server.relay_ && server.relay_->tracks_session())
      server.session_.pin(Pin::load);
    const bool undoes = command == rolled_back && client() && client()->has_channels();
    if (undoes) client()->channels().doubt();
    if (std::find(std::begin(forget_all), std::end(forget_all), command) == std::end(forget_all)) {
      return;
    }
    Client* whose = server.answer_.fate == Fate::swallow ? nullptr : client();
    server.statements_.clear(whose ? &whose->statements() : nullptr);
    if (command != forget_all[0]) return;
    server.session_.discarded(whose ? &whose->session() : nullptr, server.exchange_.owed() > 1);
    if (!whose || !whose->pool()->has_subscribers()) return;
    Subscribers& subscribers = whose->pool()->subscribers();
    subscribers.give_up(*whose);
    if (whose->has_channels()) subscribers.release(*whose, whose->channels().discarded());
  }

  // The header stands in front of the body.
  static View whole(View body) { return {body.data() - header_size, body.size() + header_size}; }
  void hand_on(View body) { on_pass(whole(body), lent(body)); }

  bool on_message(char tag, View body, bool) {
    Fate fate = server.answer_.fate;
    bool rewritten = false;
    if (tag == backend::ready_for_query) {
      const Answer answer = server.exchange_.received_ready(body[0]);
      if (answer.noted || answer.given_up > 0) server.settle_statements(tag, answer);
      fate = answer.fate;
      server.broken_ |= answer.unexpected;
      if (!answer.stray && client() && client()->has_channels()) server.unlistens_end();
    } else if (tag == backend::parameter_status) {
      server.take_parameter(body);
    } else if (fate == Fate::forward && server.relay_ &&
               server.relay_->withholds(tag, body.size())) {
      server.relay_->withhold(whole(body));
      rewritten = true;
    } else if (tag == backend::close_complete) {  // it stands for the client's Parse
      server.relay_->tell_parsed();
      rewritten = true;
    } else if (tag == backend::command_complete) {
      take_complete(body);
    } else if (tag == backend::notification_response) {
      if (server.listener_) server.listener_->notified(whole(body));
      rewritten = server.relay_ && server.takes_notification(body);
    } else if (tag == backend::data_row && server.relay_) {
      server.take_session_row(body);
    } else if (server.task_ == Task::audit && tag == backend::data_row) {
      server.audit_->take_row(body);
    } else if (server.auth_query_ && tag != backend::error_response) {
      server.auth_query_->message(tag, body);
    } else if (tag == backend::error_response) {
      rewritten = server.take_error(body, server.answer_);
    }
    // What is said to restore a parameter for the client is for it to know.
    const bool of_values = server.values_queries_ > 0 && !server.restoring_;
    if (tag == backend::parameter_status && !of_values) fate = Fate::forward;
    const bool refused = tag == backend::ready_for_query && server.in_forbidden_transaction();
    if (fate == Fate::forward && server.relay_ && !rewritten && !refused) {
      if (tag == backend::ready_for_query) server.relay_->tell_notices();
      hand_on(body);
    }
    if (tag == backend::ready_for_query) server.take_ready(fate);
    server.early_ = false;
    if (server.auth_query_) server.broken_ |= !server.auth_query_->complaint().empty();
    return !server.broken_ && !server.values_failed_ && !refused;
  }
};

void Server::on_link_bytes(View bytes) {
  if (!login_ || task_ == Task::closing) return feed(bytes);
  const size_t taken = login_->bytes(bytes);
  login_progressed(login_->progress(), bytes.substr(taken));
}

void Server::feed(View bytes) {
  if (task_ == Task::closing) return;  // only the end is awaited
  Input input{*this, bytes};
  framer_.feed(bytes, input);
  if (listener_) listener_->flush();
  if (values_failed_) return fail_values();
  // An error is counted by its header, and says only at its end whether BEGIN has failed.
  const bool is_torn = !framer_.at_boundary() && answer_.fate == Fate::swallow;
  if (relay_ && relay_->begins() && !is_torn) relay_->begin_progressed();
  if (framer_.broken() || broken_ || exchange_.lost()) {
    return lost(loss_reason());
  }
  const bool unasked = dirty_ && (task_ == Task::idle || task_ == Task::listening);
  if (unasked) return close("idle server got dirty");
  if (in_forbidden_transaction()) return part(Error(ErrorCode::statement_mode_transaction));
  if (relay_ && keeps_too_much(relay_->client()))
    return part(Error(ErrorCode::notifications_unread));
  if (relay_ && relay_->begin_is_refused()) return refuse_begin();
  if (relay_) {
    Client& client = relay_->client();
    worker_->outbox().flush();
    if (client.link().slow()) link_.pause(Link::Pause::receiver_slow);
    if (relay_->full() && relay_->room_again()) client.room_again();
  }
  tell_cancels();
  advance();
}

// Messages about statements have been answered, or never will be.
void Server::settle_statements(char tag, Answer answer) {
  ClientStatements* client = relay_ ? &relay_->client().statements() : nullptr;
  const bool failed = tag == backend::error_response;
  if (failed && answer.noted) statements_.oldest_failed(client);
  if (answer.given_up > 0) statements_.take_back(answer.given_up, client);
  if (!failed && answer.noted) statements_.confirmed(client, answer.failed);
}

std::string Server::loss_reason() const {
  if (auth_query_ && !auth_query_->complaint().empty()) return auth_query_->complaint();
  return task_ == Task::idle ? "idle server got dirty" : "protocol violation by the server";
}

void Server::take_parameter(View body) {
  auto status = decode<backend::ParameterStatus>(body);
  if (!status) {
    broken_ = true;
    return;
  }
  if (status->parameter == "in_hot_standby") in_recovery_ = status->value == "on";
  const auto parameter = worker_->pooler().tracked().find(status->parameter);
  if (!parameter) return;
  values_.set(*parameter, intern(status->value));
  if (!relay_ || values_queries_ > 0) return;  // what the client has is taken over at their end
  relay_->client().values().set(*parameter, values_.get(*parameter));
  if (*parameter == Tracked::client_encoding) session_.encoding_changed();
}

// True: the client is not told, or in other words.
bool Server::take_error(View body, Answer answer) {
  const auto fields = decode_error_fields(body);
  if (!fields) {
    broken_ = true;
    return false;
  }
  if (answer.unexpected) dirty_ = true;
  const bool was_gone = drops_ > 0 && fields->sqlstate == "26000";
  if (answer.fate == Fate::swallow) injected_failed_ = !was_gone;
  const bool fatal = fields->severity == "FATAL" || fields->severity == "PANIC";
  if (fatal && relay_) last_words_.assign(body.data() - header_size, body.size() + header_size);
  if (!relay_) {
    if (auth_query_ && !answer.unexpected) auth_query_->failed(*fields);
    if (task_ == Task::audit) fatal ? audit_->ended() : audit_->failed(*fields);
    if (fatal || task_ == Task::connect_query)
      log(LogLevel::warning, log_subject(), "server says: {}", field("reason", fields->message),
          field("sqlstate", fields->sqlstate));
    return false;
  }
  // An error that nobody asked for, and that came before the client was linked or when it is about
  // to be parted: a session that is ended by an administrator, say. It is none of its business.
  if (answer.unexpected && (early_ || relay_->complete())) return true;
  // It ends in front of the client's settings, or while it waited for something to do (57P05).
  if (fatal && (values_queries_ > 0 || fields->sqlstate == "57P05")) {
    relay_->never_read();
    if (relay_->untouched()) return true;
  }
  if (answer.fate == Fate::swallow) {
    if (values_queries_ > 0) {
      keep_values_error(*fields);
    } else if (!fatal) {
      relay_->begin_failed(*fields, body);
    }
    return false;
  }
  if (fatal) relay_->fatal_passed();
  if (relay_->client().has_channels()) relay_->client().channels().doubt();
  return relay_->rewrite_error(body);
}

void Server::take_ready(Fate fate) {
  const bool of_values = values_queries_ > 0 && fate == Fate::swallow;
  if (!of_values && (!relay_ || fate == Fate::forward)) ++ready_count_;
  if (!relay_) {
    if (of_values) must_reset_ |= !value_was_taken();
    return;
  }
  if (fate == Fate::forward) {
    relay_->query_ended(exchange_.status());
    return arm_for_relay();
  }
  if (of_values) return values_answered();
  if (session_.unlistening()) return unlisten_answered(injected_failed_);
  if (session_.asking()) question_failed();
}

}  // namespace headgate
