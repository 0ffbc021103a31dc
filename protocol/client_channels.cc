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

void ClientChannels::unlisten_sent(const ChannelNames& names, bool all) {
  if (!unlistens()) in_doubt_ = false;
  unlistens_all_ |= all;
  for (const std::string& name : names) {
    const bool noted = std::ranges::find(unlistens_, name) != unlistens_.end();
    if (!noted && channels_.contains(name)) unlistens_.push_back(name);
  }
}

// What a LISTEN behind it has gained is told by the server.
ChannelNames ClientChannels::settle() {
  ChannelNames names = std::exchange(unlistens_, {});
  if (std::exchange(unlistens_all_, false)) names = all();
  if (std::exchange(in_doubt_, false)) return {};
  for (const std::string& name : names) {
    const auto found = channels_.find(name);
    if (found != channels_.end()) found->second.heard = false;
  }
  return take_useless(names);
}

ChannelNames ClientChannels::discarded() {
  unlistens_.clear();
  unlistens_all_ = false;
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
