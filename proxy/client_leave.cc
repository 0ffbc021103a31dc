// How a client is sent away: by an error that is its own fault or a server's, or because the
// process goes (proxy/departures.h).
#include "protocol/messages.h"
#include "proxy/client.h"
#include "proxy/server.h"
#include "proxy/worker.h"

namespace headgate {

bool Client::between_transactions() const {
  if (!at_rest() || is_deferring() || discarding_) return false;
  if (state_ == ClientState::idle) return true;
  const Exchange& exchange = server_->exchange();
  return server_->owner() == nullptr && exchange.clean() && server_->framer().at_boundary() &&
         server_->relay()->held().empty();
}

void Client::tell_last(const Error& error) {
  Error told = error;
  if (worker_.config().settings.error_codes == ErrorCodes::pgbouncer) {
    told.sqlstate_override = error.sqlstate_in_pgbouncer();
  }
  Bytes out;
  encode_error(out, told, Severity::fatal);
  link_.send(out);
}

void Client::dismiss(const Error& error) {
  if (state_ == ClientState::closed) return;
  if (server_ && server_->mid_answer()) return close_behind_answer(error.message);
  tell_last(error);
  end(error.message, true);
}

}  // namespace headgate
