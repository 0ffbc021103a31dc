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

ClientChannels::Channel* ClientChannels::find(View name) {
  const auto found = channels_.find(name);
  return found == channels_.end() ? nullptr : &found->second;
}

const ClientChannels::Channel* ClientChannels::find(View name) const {
  const auto found = channels_.find(name);
  return found == channels_.end() ? nullptr : &found->second;
}

// --- what the client says

void ClientChannels::listen_sent(const ChannelNames& names, size_t requests_ahead) {
  for (const std::string& name : names) {
    Channel* channel = find(name);
    if (!channel) continue;
    channel->sent = true;
    channel->requests_ahead = requests_ahead;
    if (channel->source == Source::none) channel->source = Source::window;
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
  for (auto& [name, channel] : channels_) {
    if (channel.requests_ahead > 0) --channel.requests_ahead;
  }
  return useless;
}

// Where a COPY has made it impossible to count requests something may be left.
ChannelNames ClientChannels::settle() {
  ChannelNames useless;
  for (auto& [name, channel] : channels_) channel.requests_ahead = 0;
  for (const Unlisten& one : std::exchange(unlistens_, {})) {
    if (!one.unsure) unlisten(one, useless);
  }
  return useless;
}

// The fate of a LISTEN in the same transaction is told by the server, and what it was notified
// before that would be the client's as well. One behind that transaction begins anew.
void ClientChannels::unlisten(const Unlisten& one, ChannelNames& useless) {
  const ChannelNames names = one.all ? all() : one.names;
  for (const std::string& name : names) {
    Channel* channel = find(name);
    if (!channel) continue;
    if (channel->sent && channel->requests_ahead == 0) {
      channel->unlistened = true;
    } else {
      lose(*channel, name, channel->sent ? Source::window : Source::none);
    }
  }
  const ChannelNames more = take_useless(names);
  useless.insert(useless.end(), more.begin(), more.end());
}

// What was notified until now is not for the client.
void ClientChannels::lose(Channel& channel, View name, Source then) {
  channel.source = then;
  channel.unlistened = false;
  const auto is_lost = [&](const NotificationPtr& one) {
    if (one->channel != name) return false;
    kept_bytes_ -= one->message.size();
    return true;
  };
  std::erase_if(kept_, [&](const Kept& one) { return is_lost(one.what); });
  std::erase_if(own_, is_lost);
}

ChannelNames ClientChannels::discarded() {
  unlistens_.clear();
  for (auto& [name, channel] : channels_) {
    lose(channel, name, channel.sent ? Source::window : Source::none);
  }
  return take_useless(all());
}

ChannelNames ClientChannels::take_useless(const ChannelNames& names) {
  ChannelNames useless;
  for (const std::string& name : names) {
    const Channel* channel = find(name);
    if (!channel || channel->active()) continue;
    channels_.erase(name);
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

ChannelNames ClientChannels::answered(const ChannelNames& on_server) {
  ChannelNames others;
  for (auto& [name, channel] : channels_) {
    const bool was_asked = std::exchange(channel.asked, false);
    if (std::ranges::find(on_server, name) != on_server.end()) {
      if (was_asked) channel.unlistened = false;
      continue;
    }
    others.push_back(name);
    const bool lost =
        channel.unlistened || channel.source == Source::window || channel.source == Source::own;
    if (was_asked ? lost : channel.source == Source::own) {
      lose(channel, name, channel.sent ? Source::window : Source::none);
    }
  }
  return take_useless(others);
}

void ClientChannels::question_failed() {
  for (auto& [name, channel] : channels_) {
    channel.sent |= std::exchange(channel.asked, false);
  }
}

// What it has told so far comes before all that it tells from now on.
void ClientChannels::stay() {
  for (auto& [name, channel] : channels_) {
    const bool is_open = channel.source == Source::window || channel.source == Source::crossing;
    if (is_open) channel.source = Source::own;
  }
  std::deque<NotificationPtr> others;
  for (NotificationPtr& one : own_) {
    if (find(one->channel)->source == Source::own) {
      kept_.push_back({std::move(one), true});
    } else {
      others.push_back(std::move(one));
    }
  }
  own_ = std::move(others);
}

ClientChannels::Word ClientChannels::of_own_server(View name) const {
  const Channel* channel = find(name);
  switch (channel ? channel->source : Source::none) {
    case Source::none:
      return Word::tell;
    case Source::own:
      return kept_.empty() ? Word::tell : Word::keep;
    case Source::window:
    case Source::crossing:
      return Word::keep;
    case Source::crossed:
    case Source::shared:
      break;
  }
  return Word::drop;
}

void ClientChannels::keep_own(NotificationPtr notification) {
  kept_bytes_ += notification->message.size();
  if (find(notification->channel)->source == Source::own) {
    kept_.push_back({std::move(notification), true});
  } else {
    own_.push_back(std::move(notification));
  }
}

// --- the crossing

bool ClientChannels::begin_crossing(const ChannelNames& on_server, uint64_t number) {
  bool any = false;
  for (const std::string& name : on_server) {
    Channel* channel = find(name);
    if (!channel || channel->source == Source::crossed || channel->source == Source::shared) {
      continue;
    }
    channel->source = Source::crossing;
    channel->number = number;
    channel->alone.reset();
    any = true;
  }
  return any;
}

void ClientChannels::own_has_crossed(uint64_t number) {
  std::optional<Uncrossed> alone;
  for (auto& [name, channel] : channels_) {
    if (!channel.crosses(number)) continue;
    channel.source = Source::crossed;
    alone = channel.alone;
  }
  if (alone) return cross(number, kept_.size(), *alone == Uncrossed::overdue);
  cross_if_both(number);
}

void ClientChannels::has_crossed(const NotificationPtr& crossing) {
  if (!any_crosses(crossing->crossing)) return;
  kept_.push_back({crossing});
  cross_if_both(crossing->crossing);
}

void ClientChannels::will_not_cross(uint64_t number, Uncrossed why) {
  bool has_told = false;
  for (auto& [name, channel] : channels_) {
    if (!channel.crosses(number)) continue;
    channel.alone = why;
    has_told |= channel.source == Source::crossed;
  }
  if (has_told) cross(number, kept_.size(), why == Uncrossed::overdue);
}

bool ClientChannels::any_crosses(uint64_t number) const {
  return std::ranges::any_of(channels_,
                             [number](const auto& named) { return named.second.crosses(number); });
}

// Either may tell the number first.
void ClientChannels::cross_if_both(uint64_t number) {
  const auto place = std::ranges::find_if(
      kept_, [number](const Kept& one) { return one.what->crossing == number; });
  const bool waits = std::ranges::any_of(channels_, [number](const auto& named) {
    return named.second.number == number && named.second.source == Source::crossing;
  });
  if (place == kept_.end() || waits) return;
  const auto end = static_cast<size_t>(place - kept_.begin());
  kept_.erase(place);
  cross(number, end, false);
}

// What the shared connection has told before place `end` is the client's if its own server has told
// it too. Both have told it in the same order, and the shared connection more of what is old: so
// from the back. What that had told before anybody kept it comes in front.
void ClientChannels::cross(uint64_t number, size_t end, bool believes_shared) {
  std::deque<NotificationPtr> own = take_own(number);
  std::deque<Kept> merged(kept_.begin() + static_cast<std::ptrdiff_t>(end), kept_.end());
  size_t from_both = merged.size();  // of these, from the first that both have told on
  for (size_t at = end; at-- > 0;) {
    Kept& kept = kept_[at];
    const Channel* channel = find(kept.what->channel);
    const bool open = !kept.sure && channel && channel->crosses(number);
    const bool both = open && !own.empty() && own.back()->message == kept.what->message;
    if (open && !both && !believes_shared) {
      kept_bytes_ -= kept.what->message.size();
      continue;
    }
    merged.push_front(std::move(kept));
    if (!both) continue;
    kept_bytes_ -= own.back()->message.size();
    own.pop_back();
    merged.front().sure = true;
    from_both = merged.size();
  }
  std::vector<Kept> before;
  before.reserve(own.size());
  for (NotificationPtr& one : own) before.push_back({std::move(one), true});
  merged.insert(merged.end() - static_cast<std::ptrdiff_t>(from_both), before.begin(),
                before.end());
  kept_ = std::move(merged);
  for (auto& [name, channel] : channels_) {
    if (channel.crosses(number)) channel.source = Source::shared;
  }
}

std::deque<NotificationPtr> ClientChannels::take_own(uint64_t number) {
  std::deque<NotificationPtr> taken, others;
  for (NotificationPtr& one : own_) {
    const bool crosses = find(one->channel)->crosses(number);
    (crosses ? taken : others).push_back(std::move(one));
  }
  own_ = std::move(others);
  return taken;
}

// --- what is notified

ClientChannels::Hears ClientChannels::hears(View name) const {
  const Channel* channel = find(name);
  if (!channel || channel->source == Source::none || channel->source == Source::own) {
    return Hears::no;
  }
  return channel->source == Source::shared && !channel->unlistened ? Hears::yes : Hears::perhaps;
}

ClientChannels::Hears ClientChannels::hears(const Kept& kept) const {
  if (kept.what->crossing != 0) {
    return any_crosses(kept.what->crossing) ? Hears::perhaps : Hears::no;
  }
  if (kept.what->channel.empty()) return Hears::yes;
  if (!kept.sure) return hears(kept.what->channel);
  const Channel* channel = find(kept.what->channel);
  return channel && channel->unlistened ? Hears::perhaps : Hears::yes;
}

bool ClientChannels::keep(NotificationPtr notification) {
  if (kept_bytes_ + notification->message.size() > max_kept) return false;
  kept_bytes_ += notification->message.size();
  kept_.push_back({std::move(notification)});
  return true;
}

NotificationPtr ClientChannels::next() {
  while (!kept_.empty()) {
    const Hears how = hears(kept_.front());
    if (how == Hears::perhaps) return nullptr;
    NotificationPtr first = kept_.front().what;
    kept_bytes_ -= first->message.size();
    kept_.pop_front();
    if (how == Hears::yes) return first;
  }
  return nullptr;
}

}  // namespace headgate
