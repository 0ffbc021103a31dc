#include "proxy/subscribers.h"

#include <algorithm>
#include <array>
#include <bit>

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

bool has_all(Client& client, const ChannelNames& channels) {
  return client.has_channels() && std::ranges::all_of(channels, [&](const std::string& name) {
           return client.channels().reserved(name);
         });
}

void take_out(std::vector<Client*>& clients, const Client& client) { std::erase(clients, &client); }

}  // namespace

NotificationPtr Subscribers::unreadable(const std::string& channel) {
  static const NotificationPtr warning =
      make_warning("a notification was left out: it is not in the client_encoding of this session",
                   "LISTEN again, behind the change of client_encoding.");
  return std::make_shared<const Notification>(Notification{channel, warning->message});
}

Subscribers::Subscribers(WorkerPool& pool)
    : pool_(pool),
      deadline_(
          pool.worker().deadlines(),
          [](void* self, Instant) { static_cast<Subscribers*>(self)->tend(); }, this) {}

// --- before a LISTEN is sent

bool Subscribers::same_encoding(const Client& client) const {
  const Text& encoding = client.values().get(Tracked::client_encoding);
  return encoding && *encoding == encoding_;
}

bool Subscribers::may_share() const {
  const StatePolicy policy = pool_.settings().policies.of(Pin::listen);
  return policy == StatePolicy::track || policy == StatePolicy::warn;
}

bool Subscribers::can_share(const Client& client) const {
  if (!may_share()) return false;
  const Text& encoding = client.values().get(Tracked::client_encoding);
  return pool_.shares_listening() && encoding && (channels_.empty() || *encoding == encoding_);
}

// Nobody is to have the shared connection UNLISTEN that.
bool Subscribers::is_ours(const std::string& channel) const {
  return channel == pool_.worker().pooler().crossing_channel();
}

bool Subscribers::prepare(Client& client, const ChannelNames& channels) {
  const bool too_many = channels.size() > ClientChannels::max_channels;
  if (channels.empty() || too_many || !can_share(client)) return true;
  if (channels_.empty()) encoding_ = *client.values().get(Tracked::client_encoding);
  for (const std::string& name : channels) {
    const bool reserved = client.has_channels() && client.channels().reserved(name);
    const bool full = !reserved && client.has_channels() && client.channels().full();
    if (full || is_ours(name)) continue;
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

void Subscribers::reserve(Client& client, const ChannelNames& channels) {
  if (!can_share(client)) return;
  for (const std::string& name : channels) {
    const auto known = channels_.find(name);
    if (known == channels_.end() || !known->second.listening) continue;
    ClientChannels& of_client = client.channels();
    if (of_client.reserved(name) || of_client.full() || is_ours(name)) continue;
    of_client.reserve(name);
    known->second.clients.push_back(&client);
  }
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
    ClientChannels& channels = client->channels();
    if (listening && !channels.reserved(name) && !channels.full()) {
      channels.reserve(name);
      channel.clients.push_back(client);
    }
    if (--awaited_[client] > 0) continue;
    awaited_.erase(client);
    ready.push_back(client);
  }
  if (!listening) channels_.erase(known);
  drop_if_unused(name);
  for (Client* client : ready) {
    const auto pinned = pinned_.find(client);
    const bool in_vain = pinned != pinned_.end() && !has_all(*client, pinned->second);
    in_vain ? retry_later() : client->channels_ready();
  }
}

void Subscribers::give_up(Client& client) {
  pinned_.erase(&client);
  if (awaited_.erase(&client) == 0) return;
  ChannelNames names;
  for (auto& [name, channel] : channels_) {
    take_out(channel.waiting, client);
    names.push_back(name);
  }
  for (const std::string& name : names) drop_if_unused(name);
}

// --- behind it

bool Subscribers::take_over(Client& client, const ChannelNames& channels) {
  give_up(client);
  const bool too_many = channels.size() > ClientChannels::max_channels;
  const bool never = !may_share() || too_many ||
                     std::ranges::any_of(channels, [&](const auto& name) { return is_ours(name); });
  if (never) return false;
  if (can_share(client) && prepare(client, channels) && has_all(client, channels)) return true;
  pinned_[&client] = channels;
  if (!awaits(client)) retry_later();
  return false;
}

void Subscribers::ask_later(Client& client) {
  give_up(client);
  pinned_[&client] = {};
  retry_later();
}

// Others can notify the same channel: they must not guess the number. Where it is known at once
// that the shared connection will not tell it, nothing is told to the client: its own server has
// not told the number either.
std::optional<uint64_t> Subscribers::begin_crossing(Client& client, const ChannelNames& channels) {
  std::array<char, sizeof(uint64_t)> random{};
  pool_.worker().outside().random(random);
  const uint64_t number = std::bit_cast<uint64_t>(random) | 1;
  if (!client.channels().begin_crossing(channels, number)) return {};
  const bool interrupted = std::ranges::any_of(channels, [this](const std::string& name) {
    const auto known = channels_.find(name);
    return known == channels_.end() || !known->second.listening;
  });
  if (interrupted) {
    client.channels().will_not_cross(number, ClientChannels::Uncrossed::interrupted);
    return number;
  }
  const Instant until = pool_.worker().now() + crossing_time;
  crossers_[number] = {&client, until};
  if (!deadline_.armed()) deadline_.arm(until);
  return number;
}

void Subscribers::cross(const NotificationPtr& crossing) {
  const auto found = crossers_.find(crossing->crossing);
  if (found == crossers_.end()) return;
  Client& client = *found->second.client;
  crossers_.erase(found);
  client.channels().has_crossed(crossing);
  client.tell_notifications();
}

void Subscribers::end_crossing(uint64_t number, ClientChannels::Uncrossed why) {
  const auto found = crossers_.find(number);
  Client& client = *found->second.client;
  crossers_.erase(found);
  client.channels().will_not_cross(number, why);
  client.tell_notifications();
}

void Subscribers::retry_later() {
  if (!retry_at_) retry_at_ = pool_.worker().now() + retry_time;
  if (!deadline_.armed()) deadline_.arm(*retry_at_);
}

// A deadline that is not the earliest comes to that when it has passed: all can wait so long.
void Subscribers::tend() {
  const Instant now = pool_.worker().now();
  std::vector<uint64_t> overdue;
  for (const auto& [number, crosser] : crossers_) {
    if (crosser.until <= now) overdue.push_back(number);
  }
  for (const uint64_t number : overdue) {
    if (crossers_.contains(number)) end_crossing(number, ClientChannels::Uncrossed::overdue);
  }
  if (retry_at_ && *retry_at_ <= now) retry();
  std::optional<Instant> next = retry_at_;
  for (const auto& [number, crosser] : crossers_) {
    if (!next || crosser.until < *next) next = crosser.until;
  }
  if (next) deadline_.arm(*next);
}

void Subscribers::retry() {
  retry_at_.reset();
  const auto pinned = pinned_;
  for (const auto& [client, channels] : pinned) {
    if (!pinned_.contains(client) || awaits(*client)) continue;
    if (channels.empty()) give_up(*client);
    if (channels.empty() || take_over(*client, channels)) client->channels_ready();
  }
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
  std::erase_if(crossers_, [&](const auto& one) { return one.second.client == &client; });
  if (client.has_channels()) release(client, client.channels().all());
}

bool Subscribers::ByArrival::operator()(const Client* one, const Client* other) const {
  return one->id() < other->id();
}

Subscribers::Clients Subscribers::listeners() const {
  Clients all;
  for (const auto& [name, channel] : channels_) {
    for (Client* client : channel.clients) {
      if (client->channels().listens()) all.insert(client);
    }
  }
  return all;
}

void Subscribers::end_sharing() {
  for (Client* client : listeners()) client->fail(Error(ErrorCode::configuration_changed));
}

// --- what is notified

void Subscribers::hear(const Notifications& notifications) {
  for (const NotificationPtr& one : notifications) {
    if (one->crossing != 0) {
      cross(one);
      continue;
    }
    const auto known = channels_.find(one->channel);
    if (known == channels_.end()) continue;
    const std::vector<Client*> clients = known->second.clients;  // some may be closed by this
    for (Client* client : clients) client->hear(one);
  }
}

void Subscribers::interrupted() {
  for (auto& [name, channel] : channels_) channel.listening = false;
  missing_.merge(listeners());
  while (!crossers_.empty()) {
    end_crossing(crossers_.begin()->first, ClientChannels::Uncrossed::interrupted);
  }
}

void Subscribers::restored() {
  static const NotificationPtr warning = make_warning(
      "the connection that hears notifications was interrupted, some may have been missed",
      "Everything that is notified from now on is heard again.");
  for (Client* client : std::exchange(missing_, {})) client->hear(warning);
}

}  // namespace headgate
