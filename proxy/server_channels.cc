// A server that listens for the client it is lent to, until the listening connection of the pool
// can do so alone (protocol/client_channels.h).
#include "protocol/messages.h"
#include "protocol/shared_channels.h"
#include "proxy/client.h"
#include "proxy/pooler.h"
#include "proxy/server.h"
#include "proxy/subscribers.h"
#include "proxy/worker.h"

namespace headgate {

// True: the client is not told, or not now.
bool Server::takes_notification(View body) {
  const auto notification = decode<backend::NotificationResponse>(body);
  Client& client = relay_->client();
  if (!notification || !client.has_channels()) return false;
  ClientChannels& channels = client.channels();
  if (notification->channel == worker_->pooler().crossing_channel()) {
    const auto crossing = Crossing::read(notification->payload);
    const bool own = crossing && crossing->pool == client.pool()->entry().shared.id &&
                     crossing->worker == worker_->id();
    if (own) channels.own_has_crossed(crossing->number);
    return true;
  }
  switch (channels.of_own_server(notification->channel)) {
    case ClientChannels::Word::tell:
      return false;
    case ClientChannels::Word::keep:
      channels.keep_own(std::make_shared<const Notification>(
          Notification{std::string(notification->channel),
                       Bytes(body.data() - header_size, body.size() + header_size)}));
      return true;
    case ClientChannels::Word::drop:
      break;
  }
  return true;
}

// A request is answered, which may be the end of the transaction that its UNLISTEN is in.
void Server::unlistens_end() {
  Client& client = relay_->client();
  const bool transaction_over = exchange_.status() == TransactionStatus::idle;
  const ChannelNames useless = client.channels().request_ended(transaction_over);
  client.pool()->subscribers().release(client, useless);
}

// All is answered: the client may hear what was notified meanwhile. False: it is closed for that.
bool Server::settle_channels() {
  Client& client = relay_->client();
  if (!client.has_channels()) return true;
  if (exchange_.clean() && client.channels().unlistens()) {
    client.pool()->subscribers().release(client, client.channels().settle());
  }
  return client.tell_notifications();
}

void Server::ask_channels() {
  session_.doubt_channels();
  advance();
}

// But for the one to cross over on, which it may still listen to.
ChannelNames Server::own_channels() {
  ChannelNames channels = session_.channels();
  std::erase(channels, worker_->pooler().crossing_channel());
  return channels;
}

// The server was asked what it listens to for the client.
void Server::take_channels(bool understood) {
  Client& client = relay_->client();
  if (!understood) return channels_not_told();
  const ChannelNames on_server = own_channels();
  Subscribers& subscribers = client.pool()->subscribers();
  if (client.has_channels()) subscribers.release(client, client.channels().answered(on_server));
  if (on_server.empty()) subscribers.give_up(client);
  if (on_server.empty() || subscribers.take_over(client, on_server)) {
    session_.need_not_listen();
  } else if (client.has_channels()) {
    client.channels().stay();
  }
}

// If it is not to be asked any more the client stays where it is, for now.
void Server::channels_not_told() {
  Client& client = relay_->client();
  if (client.has_channels()) client.channels().question_failed();
  if (session_.doubts_channels() || !session_.pins().has(Pin::listen)) return;
  if (client.has_channels()) client.channels().stay();
  client.pool()->subscribers().ask_later(client);
}

// First the client crosses over, unless it hears all of that already.
void Server::unlisten() {
  Client& client = relay_->client();
  const auto number = session_.has_crossed()
                          ? std::nullopt
                          : client.pool()->subscribers().begin_crossing(client, own_channels());
  crossing_ = number.value_or(0);
  session_.begin_unlisten();
  if (number) {
    const Crossing crossing{client.pool()->entry().shared.id, worker_->id(), *number};
    inject(session_.crossing(worker_->pooler().crossing_channel(), crossing.payload()));
  } else {
    inject("UNLISTEN *");
  }
  asked_until_ = worker_->now() + cleanup_time;
  arm_for_relay();
}

// What it was notified by then it has told.
void Server::unlisten_answered(bool failed) {
  Client& client = relay_->client();
  if (crossing_ == 0) {
    session_.unlistened(failed);
    return;
  }
  if (!failed) client.channels().own_has_crossed(crossing_);
  if (session_.crossed(failed)) {
    const bool at_once = !failed && cancels_.empty() && relay_->between_transactions();
    return at_once ? unlisten() : void();
  }
  client.channels().stay();
  client.pool()->subscribers().ask_later(client);
}

}  // namespace headgate
