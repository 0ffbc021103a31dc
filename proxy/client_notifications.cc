// A client that listens where clients share servers: it waits for somebody to listen for it, and is
// told what was notified when that is in the middle of nothing.
#include "protocol/frontend.h"
#include "proxy/client.h"
#include "proxy/pooler.h"
#include "proxy/server.h"
#include "proxy/subscribers.h"
#include "proxy/worker.h"

namespace headgate {

namespace {

/// The text of the Query or Parse that these bytes begin with, and what stands behind it; empty
/// where they begin otherwise.
View from_first_text(View said) {
  const bool has_text =
      said.size() > header_size && (said[0] == frontend::query || said[0] == frontend::parse);
  if (!has_text) return {};
  const View body = said.substr(header_size);
  return said[0] == frontend::query ? body : body.substr(body.find('\0') + 1);
}

}  // namespace

// --- before it listens

bool Client::awaits_channels() const {
  return pool_->has_subscribers() && pool_->subscribers().awaits(*this);
}

// A client that begins with LISTEN takes no server until somebody can listen for it: those that do
// might hold all the servers, and there would be none left to listen.
bool Client::awaits_channels_first(View request) {
  if (!pool_->settings().tracks_sessions() || !framer_.held().empty()) return false;
  View text = from_first_text(request);
  if (!begins_with_listen(text)) return false;
  text = text.substr(0, text.find('\0'));
  if (pool_->subscribers().prepare(*this, session_marks(text).listens)) return false;
  request_since_ = worker_.now();
  notified_ = surveyed_ = false;
  move_to(ClientState::waiting);
  hold(request);
  return true;
}

void Client::channels_ready() {
  if (state_ == ClientState::active) return server_->ask_channels();
  if (state_ != ClientState::waiting || waiting()) return;
  lender_ = pool_;
  if (is_refused()) return;
  auto* server = static_cast<Server*>(pool_->share().ask(*this, worker_.now()));
  if (server && server->state() == ServerState::active) return serve(*server);
  if (server) server->start_check();
  pool_->look_soon();
}

// --- what it hears

// Between two transactions, and never between two parts of an answer.
bool Client::may_be_told() const {
  if (is_deferring()) return false;
  switch (state_) {
    case ClientState::idle:
    case ClientState::waiting:
      return true;
    case ClientState::active:
      return server_->exchange().clean() && server_->framer().at_boundary();
    default:
      return false;
  }
}

void Client::hear(const NotificationPtr& notification) {
  if (state_ == ClientState::closed || !channels_) return;
  const std::string& channel = notification->channel;
  if (!channel.empty() && channels_->hears(channel) == ClientChannels::Hears::no) return;
  const View behind_numbers = View(notification->message).substr(header_size + 4);
  const bool readable = is_ascii(behind_numbers) || pool_->subscribers().same_encoding(*this);
  if (!channels_->keep(readable ? notification : Subscribers::unreadable(channel))) {
    return fail(Error(ErrorCode::notifications_unread));
  }
  tell_notifications();
}

bool Client::tell_notifications() {
  if (!channels_ || !channels_->keeps_any() || !may_be_told()) return true;
  while (const NotificationPtr next = channels_->next()) {
    link_.send(next->message);
    pool_->stats().bytes_sent += next->message.size();
    if (link_.stream().queued() <= ClientChannels::max_kept) continue;
    fail(Error(ErrorCode::notifications_unread));
    return false;
  }
  return true;
}

}  // namespace headgate
