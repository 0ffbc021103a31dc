// Stories of a database with several hosts: a primary and its standbys, which can be read; and what
// befalls them.
#include "tests/sim/story.h"

namespace headgate::sim {

namespace {

constexpr int with_hosts = 250;                 // permille of the stories
constexpr Duration trouble = seconds(4);        // as for other misfortunes
constexpr Duration log_ins_fail = seconds(20);  // where the primary was away, at most

}  // namespace

// By dice of its own, so that stories of one host are what they were before there were others.
void Story::choose_hosts(uint64_t seed) {
  Dice dice(~seed);
  if (!dice.chance(with_hosts)) return;
  habits_.hosts = dice.between(2, 3);
  habits_.conflicts = dice.chance(400) ? dice.between(20, 300) : 0;
  habits_.most_lag = dice.chance(500) ? milliseconds(2) : milliseconds(400);
  habits_.tells_timeline = dice.chance(700);
  const auto maybe = [&](bool& flag, int permille) { flag = dice.chance(permille); };
  maybe(host_misfortunes_.pauses, 400);
  maybe(host_misfortunes_.standbys_fail, 500);
  maybe(host_misfortunes_.primary_fails, 200);
  maybe(host_misfortunes_.failovers, 350);
  maybe(habits_.stale_primaries, 500);
  maybe(habits_.diverged_standbys, 700);
}

std::string Story::choose_databases() {
  Dice& dice = world_.dice;
  const bool by_name = dice.chance(500);
  if (habits_.hosts == 1) {
    return fmt::format("db0 = host=pg port=5432\n{} = host=pg port=5432\n", by_name ? "db1" : "*");
  }
  const std::string hosts = habits_.hosts == 2 ? "h0,h1" : "h0,h1,h2";
  std::string options = dice.chance(650) ? "read_routing=auto" : "read_routing=explicit";
  if (dice.chance(150)) options += habits_.hosts == 2 ? " host_weights=1,3" : " host_weights=0,1,2";
  return fmt::format("db0 = host={0} port=5432 {1}\ndb1 = host={0} port=5432 {2}\n", hosts, options,
                     by_name ? options : "target_session_attrs=primary");
}

// RECONNECT has Headgate forget who was the primary.
std::string Story::choose_routing() {
  if (habits_.hosts == 1) return "";
  Dice& dice = world_.dice;
  if (misfortunes_.operators) habits_.stale_primaries = false;
  allowances_.own_writes = !dice.chance(150);
  std::string ini = fmt::format("monitor_user = monitor\nread_consistency = {}\n",
                                allowances_.own_writes ? "session"
                                : dice.chance(700)     ? "eventual"
                                                       : "lag:1s");
  constexpr const char* intervals[] = {"0.25", "0.1", "0.02"};
  ini += fmt::format("monitor_interval = {}\n", intervals[dice.roll(std::size(intervals))]);
  if (dice.chance(200)) ini += "max_replica_lag = 0.2\n";
  title_ += fmt::format("; {} hosts", habits_.hosts);
  return ini;
}

void Story::choose_reads() {
  if (habits_.hosts == 1) return;
  Dice& dice = world_.dice;
  manners_.data = dice.between(400, 950);
  manners_.reading = dice.between(0, 600);
  manners_.declared = dice.between(0, 500);
  manners_.prepared /= 2;
  if (host_misfortunes_.failovers) manners_.dawdling = 250;
}

// Where the primary changes clients are to be there before it and after it.
int Story::choose_requests() {
  const int requests = world_.dice.between(2, 10);
  return host_misfortunes_.failovers ? 4 * requests : requests;
}

// --- what befalls the hosts

void Story::schedule_host_misfortunes() {
  if (habits_.hosts == 1) return;
  Dice& dice = world_.dice;
  const int count = dice.between(2, 15);
  for (int i = 0; i < count; ++i) {
    world_.after(dice.between(microseconds(0), trouble), [this] { host_misfortune(); });
  }
  if (!host_misfortunes_.failovers || title_.starts_with("calm")) return;
  const int failovers = dice.between(1, 2);
  for (int i = 0; i < failovers; ++i) {
    world_.after(dice.between(milliseconds(10), milliseconds(2500)),
                 [this] { cluster_->fail_over(); });
  }
}

void Story::host_misfortune() {
  Dice& dice = world_.dice;
  const size_t host = dice.roll(cluster_->size());
  const bool standby = cluster_->is_standby(host);
  if (standby && host_misfortunes_.pauses && dice.chance(400)) {
    return cluster_->pause_replay(host, dice.between(milliseconds(10), seconds(2)));
  }
  const bool may_fail = standby ? host_misfortunes_.standbys_fail
                                : host_misfortunes_.primary_fails && !title_.starts_with("calm");
  if (!may_fail) return;
  const Duration time = dice.between(milliseconds(1), milliseconds(2500));
  const uint64_t kind = dice.roll(4);
  if (kind == 0) return cluster_->freeze(host, time);
  if (kind == 1) return cluster_->vanish(host, time, dice.chance(500));
  if (kind == 2) {
    const int last = passwords_.servers == AuthMethod::trust ? 3 : 4;
    const auto door = static_cast<Postgres::Door>(dice.between(1, last));
    return cluster_->close_door(host, door, time);
  }
  auto backends = cluster_->host(host).backends();
  if (backends.empty()) return;
  Backend* backend = dice.pick(backends);
  dice.chance(500) ? backend->crash() : backend->terminate();
}

// Those who need it may be told so, or wait.
void Story::primary_in_trouble() {
  ledger_.fault(ledger_.server_faults);
  if (ledger_.trouble_until == Instant::max()) return;
  ledger_.trouble_until = std::max(ledger_.trouble_until, world_.now() + log_ins_fail);
}

}  // namespace headgate::sim
