#include "protocol/shared_channels.h"

#include <charconv>
#include <utility>

namespace headgate {

namespace {

constexpr SharedChannels::Workers bit(unsigned worker) {
  return SharedChannels::Workers{1} << worker;
}

}  // namespace

// --- who wants what

SharedChannels::Wanted SharedChannels::want(const std::string& channel, Asker asker) {
  const auto known = channels_.find(channel);
  if (known == channels_.end() && channels_.size() >= max_channels) return Wanted::refused;
  Channel& wanted = channels_[channel];
  std::erase_if(wanted.askers, [&](const Asker& one) { return one.worker == asker.worker; });
  wanted.askers.push_back(asker);
  const bool is_new = std::exchange(wanted.workers, wanted.workers | bit(asker.worker)) == 0;
  if (is_new) ++wanted_;
  if (wanted.state == State::heard) {
    if (is_new) --unwanted_;
    return Wanted::listening;
  }
  if (is_new && wanted.state == State::unheard) to_listen_.push_back(channel);
  return Wanted::coming;
}

void SharedChannels::unwant(const std::string& channel, unsigned worker) {
  const auto known = channels_.find(channel);
  if (known == channels_.end() || known->second.workers == 0) return;
  known->second.workers &= ~bit(worker);
  std::erase_if(known->second.askers, [&](const Asker& one) { return one.worker == worker; });
  if (known->second.workers != 0) return;
  --wanted_;
  if (known->second.state == State::heard) ++unwanted_;
  if (known->second.state == State::unheard) channels_.erase(known);
}

SharedChannels::Workers SharedChannels::wanted_by(View channel) const {
  const auto known = channels_.find(channel);
  return known == channels_.end() ? 0 : known->second.workers;
}

SharedChannels::Workers SharedChannels::wanted() const {
  Workers all = 0;
  for (const auto& [name, channel] : channels_) all |= channel.workers;
  return all;
}

// --- what to say

std::string SharedChannels::next(bool tidies) {
  std::string sql = listen();
  if (sql.empty() && (tidies || unwanted_ > max_unwanted)) sql = unlisten();
  return sql;
}

std::string SharedChannels::listen() {
  std::string sql;
  while (!to_listen_.empty() && said_.size() < max_at_once) {
    const auto known = channels_.find(to_listen_.front());
    const bool due = known != channels_.end() && known->second.state == State::unheard;
    if (due && known->second.alone && !said_.empty()) break;
    to_listen_.pop_front();
    if (!due) continue;
    known->second.state = State::asked;
    sql += "LISTEN " + quote_channel(known->first) + ";";
    said_.push_back(known->first);
    if (known->second.alone) break;
  }
  return sql;
}

std::string SharedChannels::unlisten() {
  std::string sql;
  for (auto& [name, channel] : channels_) {
    if (channel.state != State::heard || channel.workers != 0) continue;
    channel.state = State::leaving;
    --unwanted_;
    sql += "UNLISTEN " + quote_channel(name) + ";";
    said_.push_back(name);
    if (said_.size() == max_at_once) break;
  }
  return sql;
}

// --- what came of it

std::vector<SharedChannels::News> SharedChannels::answered(bool failed) {
  std::vector<News> news;
  const std::vector<std::string> said = std::exchange(said_, {});
  for (const std::string& name : said) {
    Channel& channel = channels_[name];
    if (channel.state == State::leaving) {
      channel.state = failed ? State::heard : State::unheard;
      channel.was_heard = failed;
      if (failed) unwanted_ += channel.workers == 0 ? 1 : 0;
      if (failed && channel.workers != 0) news.push_back({name, channel.askers, true});
      if (!failed) drop(name);
    } else if (!failed) {
      channel.state = State::heard;
      channel.was_heard = true;
      channel.alone = false;
      if (channel.workers == 0) ++unwanted_;
      news.push_back({name, channel.askers, true});
    } else if (said.size() > 1) {
      channel.state = State::unheard;
      channel.alone = true;
      drop(name);
    } else if (channel.was_heard) {
      forgets_ = true;
      channel.state = State::unheard;
    } else {
      news.push_back({name, channel.askers, false});
      if (channel.workers != 0) --wanted_;
      channels_.erase(name);
    }
  }
  return news;
}

// It is not listened to: of no use, or to be tried again.
void SharedChannels::drop(const std::string& channel) {
  const auto known = channels_.find(channel);
  if (known->second.workers == 0) {
    channels_.erase(known);
  } else {
    to_listen_.push_back(channel);
  }
}

std::vector<SharedChannels::News> SharedChannels::refuse() {
  std::vector<News> news;
  for (auto place = channels_.begin(); place != channels_.end();) {
    Channel& channel = place->second;
    if (channel.was_heard || channel.state != State::unheard) {
      ++place;
      continue;
    }
    if (channel.workers != 0) --wanted_;
    news.push_back({place->first, std::move(channel.askers), false});
    place = channels_.erase(place);
  }
  return news;
}

void SharedChannels::lost() {
  said_.clear();
  to_listen_.clear();
  unwanted_ = 0;
  forgets_ = false;
  for (auto place = channels_.begin(); place != channels_.end();) {
    if (place->second.workers == 0) {
      place = channels_.erase(place);
      continue;
    }
    place->second.state = State::unheard;
    to_listen_.push_back(place->first);
    ++place;
  }
}

std::string Crossing::payload() const {
  return std::to_string(pool) + "." + std::to_string(worker) + "." + std::to_string(number);
}

std::optional<Crossing> Crossing::read(View payload) {
  Crossing crossing{};
  const char *at = payload.data(), *const end = at + payload.size();
  const auto take = [&](auto& number) {
    const auto [behind, error] = std::from_chars(at, end, number);
    const bool good = error == std::errc();
    at = behind;
    return good;
  };
  const auto point = [&] { return at < end && *at++ == '.'; };
  const bool good = take(crossing.pool) && point() && take(crossing.worker) && point() &&
                    take(crossing.number) && at == end && crossing.number != 0;
  return good ? std::optional(crossing) : std::nullopt;
}

std::string quote_channel(View name) {
  std::string quoted = "\"";
  for (const char c : name) {
    if (c == '"') quoted.push_back(c);
    quoted.push_back(c);
  }
  return quoted + '"';
}

}  // namespace headgate
