#include "protocol/client_channels.h"

#include <algorithm>
#include <utility>

namespace headgate {

ChannelNames ClientChannels::all() const {
  ChannelNames names;
  for (const auto& [name, channel] : channels_) names.push_back(name);
  return names;
}

bool ClientChannels::listens() const {
  return std::ranges::any_of(channels_, [](const auto& named) { return named.second.active(); });
}

// --- what the client says

void ClientChannels::listen_sent(const ChannelNames& names) {
  for (const std::string& name : names) {
    const auto found = channels_.find(name);
    if (found != channels_.end()) found->second.sent = true;
  }
}

void ClientChannels::unlisten_sent(const ChannelNames& names, bool all, size_t requests_ahead) {
  if (unlistens_.empty() || unlistens_.back().requests_ahead != requests_ahead) {
    unlistens_.emplace_back().requests_ahead = requests_ahead;
  }
  Unlisten& last = unlistens_.back();
  last.all |= all;
  for (const std::string& name : names) {
    const bool noted = std::ranges::find(last.names, name) != last.names.end();
    if (!noted && channels_.contains(name)) last.names.push_back(name);
  }
}

void ClientChannels::doubt() {
  std::erase_if(unlistens_, [](const Unlisten& one) { return one.requests_ahead == 0; });
  for (Unlisten& one : unlistens_) one.unsure = true;
}

ChannelNames ClientChannels::request_ended(bool transaction_over) {
  std::vector<Unlisten> later;
  ChannelNames useless;
  for (Unlisten& one : unlistens_) {
    const bool begun = one.requests_ahead == 0;
    if (begun && transaction_over) {
      unlisten(one, useless);
      continue;
    }
    if (!begun) --one.requests_ahead;
    later.push_back(std::move(one));
  }
  unlistens_ = std::move(later);
  return useless;
}

// Where a COPY has made it impossible to count requests something may be left.
ChannelNames ClientChannels::settle() {
  ChannelNames useless;
  for (const Unlisten& one : std::exchange(unlistens_, {})) {
    if (!one.unsure) unlisten(one, useless);
  }
  return useless;
}

// What a LISTEN behind it has gained is told by the server.
void ClientChannels::unlisten(const Unlisten& one, ChannelNames& useless) {
  const ChannelNames names = one.all ? all() : one.names;
  for (const std::string& name : names) {
    const auto found = channels_.find(name);
    if (found != channels_.end()) found->second.heard = false;
  }
  const ChannelNames more = take_useless(names);
  useless.insert(useless.end(), more.begin(), more.end());
}

ChannelNames ClientChannels::discarded() {
  unlistens_.clear();
  for (auto& [name, channel] : channels_) channel.heard = false;
  return take_useless(all());
}

ChannelNames ClientChannels::take_useless(const ChannelNames& names) {
  ChannelNames useless;
  for (const std::string& name : names) {
    const auto found = channels_.find(name);
    if (found == channels_.end() || found->second.active()) continue;
    channels_.erase(found);
    useless.push_back(name);
  }
  return useless;
}

// --- what its server says

void ClientChannels::asked() {
  for (auto& [name, channel] : channels_) {
    channel.asked |= std::exchange(channel.sent, false);
  }
}

bool ClientChannels::answered(const ChannelNames& on_server, ChannelNames& useless) {
  ChannelNames failed;
  for (auto& [name, channel] : channels_) {
    if (!std::exchange(channel.asked, false)) continue;
    const bool gained = std::ranges::find(on_server, name) != on_server.end();
    channel.heard |= gained;
    if (!gained) failed.push_back(name);
  }
  useless = take_useless(failed);
  return std::ranges::all_of(on_server, [this](const std::string& name) {
    const auto found = channels_.find(name);
    return found != channels_.end() && found->second.heard;
  });
}

void ClientChannels::question_failed() {
  for (auto& [name, channel] : channels_) {
    channel.sent |= std::exchange(channel.asked, false);
  }
}

// --- what is notified

ClientChannels::Hears ClientChannels::hears(View channel) const {
  const auto found = channels_.find(channel);
  if (found == channels_.end() || !found->second.active()) return Hears::no;
  return found->second.heard ? Hears::yes : Hears::perhaps;
}

bool ClientChannels::keep(NotificationPtr notification) {
  if (kept_bytes_ + notification->message.size() > max_kept) return false;
  kept_bytes_ += notification->message.size();
  kept_.push_back(std::move(notification));
  return true;
}

NotificationPtr ClientChannels::next() {
  while (!kept_.empty()) {
    const std::string& channel = kept_.front()->channel;
    const Hears how = channel.empty() ? Hears::yes : hears(channel);
    if (how == Hears::perhaps) return nullptr;
    NotificationPtr first = std::move(kept_.front());
    kept_.pop_front();
    kept_bytes_ -= first->message.size();
    if (how == Hears::yes) return first;
  }
  return nullptr;
}

}  // namespace headgate
