#include "proxy/subscribers.h"

#include <algorithm>

#include "protocol/error_fields.h"
#include "proxy/client.h"
#include "proxy/pooler.h"
#include "proxy/shared_listener.h"
#include "proxy/worker.h"

namespace headgate {

namespace {

NotificationPtr make_warning(View message, View hint) {
  Bytes out;
  encode_warning(out, message, {}, hint);
  return std::make_shared<const Notification>(Notification{"", std::move(out)});
}

// On the worker of the listening connection; if the pool is no more, nobody waits for an answer.
template <class Open>
void post_home(WorkerPool& pool, Open open) {
  pool.worker()
      .pooler()
      .worker(SharedListener::home(pool))
      .post([id = pool.entry().shared.id, open = std::move(open)](Worker& worker) {
        const auto entry = worker.pooler().registry().pool(id);
        if (entry) open(worker.pool(*entry).listener());
      });
}

void take_out(std::vector<Client*>& clients, const Client& client) { std::erase(clients, &client); }

}  // namespace

const NotificationPtr& Subscribers::unreadable() {
  static const NotificationPtr warning =
      make_warning("a notification was left out: it is not in the client_encoding of this session",
                   "LISTEN again, behind the change of client_encoding.");
  return warning;
}

// --- before a LISTEN is sent

bool Subscribers::same_encoding(const Client& client) const {
  const Text& encoding = client.values().get(Tracked::client_encoding);
  return encoding && *encoding == encoding_;
}

bool Subscribers::can_share(const Client& client) const {
  const StatePolicy policy = pool_.settings().policies.of(Pin::listen);
  if (policy != StatePolicy::track && policy != StatePolicy::warn) return false;
  const Text& encoding = client.values().get(Tracked::client_encoding);
  return pool_.shares_listening() && encoding && (channels_.empty() || *encoding == encoding_);
}

bool Subscribers::prepare(Client& client, const ChannelNames& channels) {
  if (channels.empty() || !can_share(client)) return true;
  if (channels_.empty()) encoding_ = *client.values().get(Tracked::client_encoding);
  for (const std::string& name : channels) {
    const bool reserved = client.has_channels() && client.channels().reserved(name);
    if (!reserved && client.has_channels() && client.channels().full()) continue;
    Channel& channel = channels_[name];
    if (!channel.listening) {
      await(client, name);
    } else if (!reserved) {
      client.channels().reserve(name);
      channel.clients.push_back(&client);
    }
  }
  return !awaits(client);
}

void Subscribers::await(Client& client, const std::string& name) {
  Channel& channel = channels_[name];
  channel.waiting.push_back(&client);
  ++awaited_[&client];
  if (channel.number != 0) return;  // it was asked for
  channel.number = ++wishes_;
  const SharedChannels::Asker asker{pool_.worker().id(), channel.number};
  post_home(pool_, [name, asker, encoding = encoding_](SharedListener& listener) {
    listener.want(name, asker, encoding);
  });
}

void Subscribers::told(const std::string& name, uint64_t number, bool listening) {
  const auto known = channels_.find(name);
  if (known == channels_.end() || known->second.number != number) return;
  Channel& channel = known->second;
  channel.listening = listening;
  const std::vector<Client*> waiting = std::exchange(channel.waiting, {});
  std::vector<Client*> ready;
  for (Client* client : waiting) {
    const bool reserved = client->has_channels() && client->channels().reserved(name);
    if (listening && !reserved) {
      client->channels().reserve(name);
      channel.clients.push_back(client);
    }
    if (--awaited_[client] > 0) continue;
    awaited_.erase(client);
    ready.push_back(client);
  }
  if (!listening) channels_.erase(known);
  for (Client* client : ready) client->channels_ready();
}

void Subscribers::give_up(Client& client) {
  if (awaited_.erase(&client) == 0) return;
  ChannelNames names;
  for (auto& [name, channel] : channels_) {
    take_out(channel.waiting, client);
    names.push_back(name);
  }
  for (const std::string& name : names) drop_if_unused(name);
}

// --- when it is over

void Subscribers::release(Client& client, const ChannelNames& channels) {
  for (const std::string& name : channels) {
    const auto known = channels_.find(name);
    if (known == channels_.end()) continue;
    take_out(known->second.clients, client);
    drop_if_unused(name);
  }
}

void Subscribers::drop_if_unused(const std::string& name) {
  const auto known = channels_.find(name);
  if (known == channels_.end()) return;
  if (!known->second.clients.empty() || !known->second.waiting.empty()) return;
  channels_.erase(known);
  const WorkerId me = pool_.worker().id();
  post_home(pool_, [name, me](SharedListener& listener) { listener.unwant(name, me); });
}

void Subscribers::forget(Client& client) {
  give_up(client);
  missing_.erase(&client);
  if (client.has_channels()) release(client, client.channels().all());
}

std::vector<Client*> Subscribers::listeners() const {
  std::set<Client*> all;
  for (const auto& [name, channel] : channels_) {
    for (Client* client : channel.clients) {
      if (client->channels().listens()) all.insert(client);
    }
  }
  return {all.begin(), all.end()};
}

void Subscribers::end_sharing() {
  for (Client* client : listeners()) client->fail(Error(ErrorCode::configuration_changed));
}

// --- what is notified

void Subscribers::hear(const Notifications& notifications) {
  for (const NotificationPtr& one : notifications) {
    const auto known = channels_.find(one->channel);
    if (known == channels_.end()) continue;
    const std::vector<Client*> clients = known->second.clients;  // some may be closed by this
    for (Client* client : clients) client->hear(one);
  }
}

void Subscribers::interrupted() {
  for (auto& [name, channel] : channels_) channel.listening = false;
  for (Client* client : listeners()) missing_.insert(client);
}

void Subscribers::restored() {
  static const NotificationPtr warning = make_warning(
      "the connection that hears notifications was interrupted, some may have been missed",
      "Everything that is notified from now on is heard again.");
  for (Client* client : std::exchange(missing_, {})) client->hear(warning);
}

}  // namespace headgate
