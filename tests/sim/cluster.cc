#include "tests/sim/cluster.h"

#include <algorithm>

namespace headgate::sim {

Cluster::Cluster(World& world, Network& network, Ledger& ledger, Habits habits)
    : world_(world), ledger_(ledger), habits_(habits) {
  for (int number = 0; number < habits.hosts; ++number) {
    Host& host = hosts_.emplace_back();
    host.standby = number > 0;
    const auto index = static_cast<size_t>(number);
    host.postgres =
        std::make_unique<Postgres>(world, network, ledger, address_of(index), *this, index);
  }
}

Address Cluster::address_of(size_t host) {
  return {Address::Kind::ip4, 5432, fmt::format("10.0.0.{}", host + 1)};
}

std::string Cluster::list() const {
  std::string names;
  for (size_t host = 0; host < size(); ++host) names += (host > 0 ? "," : "") + name_of(host);
  return names;
}

// --- of all hosts

std::vector<Backend*> Cluster::backends() {
  std::vector<Backend*> all;
  for (const Host& host : hosts_) {
    for (Backend* backend : host.postgres->backends()) all.push_back(backend);
  }
  return all;
}

const Backend* Cluster::find(int process) const {
  for (const Host& host : hosts_) {
    if (const Backend* backend = host.postgres->find(process)) return backend;
  }
  return nullptr;
}

size_t Cluster::sessions(const std::string& database, const std::string& user) const {
  size_t count = 0;
  for (const Host& host : hosts_) count += host.postgres->sessions(database, user);
  return count;
}

// --- what a host knows

int Cluster::value_of(size_t host, int client) const {
  const auto found = hosts_[host].values.find(client);
  return found == hosts_[host].values.end() ? 0 : found->second;
}

void Cluster::commit(size_t host, int client, int value) {
  if (host != primary_ || hosts_[host].standby) {
    world_.violated("c{} writes {} at {}, which is not the primary", client, value, name_of(host));
  }
  append(client, value);
}

void Cluster::append(int client, int value) {
  lsn_ += 8 * (1 + world_.dice.roll(40));
  written_.push_back({lsn_, client, value});
  replay(primary_, written_.size());
  for (size_t host = 0; host < size(); ++host) schedule_replay(host);
}

void Cluster::replay(size_t number, size_t until) {
  Host& host = hosts_[number];
  for (; host.replayed < until; ++host.replayed) {
    const Write& write = written_[host.replayed];
    host.values[write.client] = write.value;
  }
}

// Some of what is there, after a while.
void Cluster::schedule_replay(size_t number) {
  Host& host = hosts_[number];
  if (!host.standby || !host.follows || host.due || host.replayed == written_.size()) return;
  host.due = true;
  Duration lag = world_.dice.between(microseconds(100), habits_.most_lag);
  lag = std::max(lag, host.paused_until - world_.now());
  world_.after(lag, [this, number] {
    Host& now = hosts_[number];
    now.due = false;
    const bool replays = now.standby && now.follows && now.up && now.paused_until <= world_.now();
    const size_t rest = written_.size() - std::min(now.replayed, written_.size());
    if (replays && rest > 0) {
      replay(number, now.replayed + 1 + world_.dice.roll(rest));
      world_.note("{} has replayed {} of {}", name_of(number), now.replayed, written_.size());
    }
    if (now.up) schedule_replay(number);
  });
}

Cluster::Answer Cluster::ask(size_t number, bool again) {
  const Host& host = hosts_[number];
  if (number == primary_ && !host.standby) {
    primary_is_known_ |= again;
    if (world_.dice.chance(300)) append(0, 0);  // others are at work, too
  }
  const uint64_t lsn = host.replayed == 0 ? 0x1000028 : written_[host.replayed - 1].lsn;
  const uint32_t timeline = host.standby ? host.told_timeline : host.timeline;
  world_.note("{} says {} {:x} on {}", name_of(number), host.standby ? "standby" : "primary",
              lsn + host.ahead, timeline);
  return {host.standby, lsn + host.ahead, timeline};
}

// --- what befalls them

void Cluster::pause_replay(size_t number, Duration time) {
  world_.note("{} does not replay for {} us", name_of(number), time.count());
  hosts_[number].paused_until = world_.now() + time;
}

void Cluster::freeze(size_t number, Duration time) {
  Host& host = hosts_[number];
  if (!host.up || is_former(number)) return;
  world_.note("{} freezes for {} us", name_of(number), time.count());
  if (number == primary_ && on_trouble) on_trouble();
  for (Backend* backend : host.postgres->backends()) backend->freeze(time);
  close_door(number, Postgres::Door::silent, time);
}

void Cluster::close_door(size_t number, Postgres::Door door, Duration time) {
  if (!hosts_[number].up || is_former(number)) return;
  world_.note("{} has its door closed for {} us: {}", name_of(number), time.count(),
              static_cast<int>(door));
  if (number == primary_ && on_trouble) on_trouble();
  hosts_[number].postgres->set_door(door);
  world_.after(time, [this, number, fate = ++hosts_[number].fate] {
    if (hosts_[number].fate != fate || !hosts_[number].up) return;
    hosts_[number].postgres->set_door(Postgres::Door::open);
    if (number == primary_ && on_trouble) on_trouble();
  });
}

void Cluster::take_down(size_t number, bool politely) {
  Host& host = hosts_[number];
  world_.note("{} is gone", name_of(number));
  host.up = false;
  ++host.fate;
  if (number == primary_ && on_trouble) on_trouble();
  host.postgres->set_door(Postgres::Door::refusing);
  host.postgres->end_all(politely);
}

void Cluster::bring_up(size_t number) {
  Host& host = hosts_[number];
  host.up = true;
  ++host.fate;
  world_.note("{} is there again: {}, timeline {}", name_of(number),
              host.standby ? "standby" : "primary", host.timeline);
  host.postgres->set_door(Postgres::Door::open);
  if (number == primary_ && on_trouble) on_trouble();
  schedule_replay(number);
}

void Cluster::vanish(size_t number, Duration time, bool politely) {
  if (!hosts_[number].up || is_former(number)) return;
  take_down(number, politely);
  world_.after(time, [this, number, fate = hosts_[number].fate] {
    if (hosts_[number].fate == fate && !hosts_[number].up) bring_up(number);
  });
}

// --- a failover

void Cluster::fail_over() {
  Dice& dice = world_.dice;
  if (failover_ != Failover::none || !hosts_[primary_].up) return;
  failover_ = Failover::without_primary;
  old_ = primary_;
  const uint64_t number = ++failovers_;
  if (dice.chance(300)) {
    constexpr Duration for_good = seconds(10000);
    world_.note("{} freezes for good", name_of(old_));
    if (on_trouble) on_trouble();
    for (Backend* backend : hosts_[old_].postgres->backends()) backend->freeze(for_good);
    hosts_[old_].postgres->set_door(Postgres::Door::silent);
    ++hosts_[old_].fate;
  } else {
    take_down(old_, dice.chance(500));
  }
  world_.after(dice.between(milliseconds(1), milliseconds(700)), [this, number] {
    if (failovers_ == number && failover_ == Failover::without_primary) promote();
  });
}

void Cluster::promote() {
  Dice& dice = world_.dice;
  std::vector<size_t> heirs;
  for (size_t host = 0; host < size(); ++host) {
    if (host != old_ && hosts_[host].up && hosts_[host].follows) heirs.push_back(host);
  }
  if (heirs.empty()) {
    world_.after(milliseconds(50), [this, number = failovers_] {
      if (failovers_ == number && failover_ == Failover::without_primary) promote();
    });
    return;
  }
  primary_ = dice.pick(heirs);
  failover_ = Failover::promoted;
  primary_is_known_ = false;
  ++timeline_;
  Host& heir = hosts_[primary_];
  replay(primary_, written_.size());
  heir.standby = false;
  world_.note("{} is promoted", name_of(primary_));
  if (on_trouble) on_trouble();
  hosts_[old_].standby = true;
  for (size_t host = 0; host < size(); ++host) {
    if (host != old_) follow(host);
  }
  world_.after(dice.between(milliseconds(10), milliseconds(700)), [this, number = failovers_] {
    if (failovers_ == number && failover_ == Failover::promoted) old_comes_back();
  });
}

// It follows the timeline of now, and says so at once, or later.
void Cluster::follow(size_t number) {
  Host& host = hosts_[number];
  host.timeline = timeline_;
  host.follows = true;
  host.ahead = 0;
  if (!host.standby || world_.dice.chance(500)) {
    host.told_timeline = timeline_;
  } else {
    world_.after(world_.dice.between(milliseconds(1), seconds(2)), [this, number] {
      if (hosts_[number].follows) hosts_[number].told_timeline = hosts_[number].timeline;
    });
  }
  schedule_replay(number);
}

// Perhaps as it was at first: as if it had been cut off, with more on its own timeline than anybody
// else has.
void Cluster::old_comes_back() {
  Host& old = hosts_[old_];
  const auto later = [this](Duration least, Duration most) {
    world_.after(world_.dice.between(least, most), [this, number = failovers_] {
      if (failovers_ == number && failover_ == Failover::promoted) old_comes_back();
    });
  };
  const bool was_back = old.ahead > 0;
  const bool as_it_was = (habits_.stale_primaries || habits_.diverged_standbys) && !was_back &&
                         world_.dice.chance(700);
  if (as_it_was && habits_.stale_primaries && !primary_is_known_) {
    return later(milliseconds(50), milliseconds(100));
  }
  if (old.up) take_down(old_, false);
  if (as_it_was) {
    old.follows = false;
    old.ahead = 1 + world_.dice.roll(1 << 20);
    old.standby =
        !habits_.stale_primaries || (habits_.diverged_standbys && world_.dice.chance(500));
    bring_up(old_);
    // Its successor is not seen for a moment, perhaps: that does not make it the primary again.
    if (!old.standby && world_.dice.chance(500)) {
      world_.after(world_.dice.between(milliseconds(50), milliseconds(500)),
                   [this, number = primary_] {
                     if (number == primary_) vanish(number, milliseconds(300), true);
                   });
    }
    return later(milliseconds(100), milliseconds(2500));
  }
  old.standby = true;
  follow(old_);
  bring_up(old_);
  failover_ = Failover::none;
}

void Cluster::heal() {
  if (failover_ == Failover::without_primary) promote();
  if (failover_ != Failover::none) {
    take_down(old_, false);
    if (failover_ == Failover::promoted) {
      hosts_[old_].standby = true;
      follow(old_);
    }
    failover_ = Failover::none;
  }
  for (size_t number = 0; number < size(); ++number) {
    Host& host = hosts_[number];
    host.paused_until = {};
    if (!host.up || host.postgres->door() != Postgres::Door::open) bring_up(number);
    schedule_replay(number);
  }
}

}  // namespace headgate::sim
