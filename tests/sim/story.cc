#include "tests/sim/story.h"

#include <algorithm>

namespace headgate::sim {

namespace {

constexpr Duration trouble = seconds(4);     // the time in which misfortunes happen
constexpr Duration patience = seconds(400);  // for clients to come to their end afterwards
constexpr Duration login_retry = seconds(1);
constexpr Duration settle_time = seconds(40);  // longer than any goodbye or clean-up

}  // namespace

Story::Story(uint64_t seed, bool recording) : world_(seed) {
  world_.recording = recording;
  workers_ = static_cast<WorkerId>(1 + world_.dice.roll(3));
  choose_hosts(seed);
  choose_misfortunes();
  choose_passwords();
  ini_ = choose_settings();
  choose_manners();
  ledger_.facts_of = [this](int client) {
    const auto index = static_cast<size_t>(client - 1);
    return index < actors_.size() ? actors_[index]->facts() : Ledger::ClientFacts{};
  };
  cluster_ = std::make_unique<Cluster>(world_, network_, ledger_, habits_);
  if (!passwords_.servers_let_in()) ledger_.trouble_until = Instant::max();
  house_ = std::make_unique<House>(world_, network_, ini_, workers_, passwords_.user_list());
  watch_ = std::make_unique<Watch>(world_, *house_, *cluster_, ledger_, limits_);
  if (world_.dice.chance(300)) {  // an address where nobody is
    for (size_t worker = 0; worker < workers_; ++worker) {
      house_->outside(worker).names["pg"] = {"10.0.0.66", "10.0.0.1"};
    }
  }
  for (size_t worker = 0; worker < workers_ && misfortunes_.lookups_fail; ++worker) {
    house_->outside(worker).failing_lookups = 100;
    house_->outside(worker).lookup_failed = [this] {
      ledger_.fault(ledger_.server_faults);
      ledger_.trouble_until = std::max(ledger_.trouble_until, world_.now() + 2 * login_retry);
    };
  }
  const bool busy = world_.dice.chance(300);
  for (size_t number = 0; number < cluster_->size(); ++number) {
    Postgres& host = cluster_->host(number);
    host.passwords = passwords_;
    host.on_session = [this] { watch_->count_sessions(); };
    host.busy = busy;
    if (misfortunes_.slow_cancels) host.cancel_delay = seconds(12);
  }
  if (cluster_->has_standbys()) cluster_->on_trouble = [this] { primary_in_trouble(); };
  add_actors();
  add_operators();
}

Story::~Story() = default;

int Story::answered() const {
  int sum = 0;
  for (const auto& actor : actors_) sum += actor->answered();
  return sum;
}

// --- who is there

void Story::add_actors() {
  Dice& dice = world_.dice;
  const int count = dice.between(2, 12);
  const bool spread = dice.chance(300);
  const int strangers = dice.chance(200) ? 200 : 0;
  for (int number = 1; number <= count; ++number) {
    actors_.push_back(std::make_unique<Actor>(world_, network_, ledger_, number, choose_requests(),
                                              allowances_, manners_, passwords_));
    Actor& actor = *actors_.back();
    actor.database = spread && dice.chance(400) ? "db1" : "db0";
    actor.user = spread && dice.chance(400) ? "u1" : "u0";
    actor.password = Passwords::of(actor.user);
    actor.unwelcome = !passwords_.clients_come_in();
    if (dice.chance(strangers)) {
      actor.unwelcome = true;
      if (passwords_.clients == AuthMethod::trust || dice.chance(500)) actor.user = "nobody";
      actor.password = "guessed";
    }
    if (allowances_.sessions && dice.chance(150)) choose_start(actor);
    actor.application_name = dice.chance(500) ? "app" : fmt::format("app-{}", number);
    if (manners_.settings > 0 && dice.chance(400)) actor.application_name = "";
    world_.after(dice.between(microseconds(0), milliseconds(dice.chance(500) ? 5 : 1500)),
                 [&actor] { actor.start(House::address()); });
  }
}

// What a client wants from the start; some ask for what no server has.
void Story::choose_start(Actor& actor) {
  Dice& dice = world_.dice;
  if (dice.chance(700)) actor.start_settings["app.x"] = fmt::format("start of c{}", actor.number());
  if (dice.chance(300)) actor.start_settings["search_path"] = "begin, public";
  if (dice.chance(300)) actor.start_settings["work_mem"] = "64MB";
  if (dice.chance(100)) actor.start_settings["role"] = "r1";
  if (!dice.chance(200)) return;
  actor.start_settings["work_mem"] = "plenty";
  actor.bad_start = true;
}

void Story::add_operators() {
  Dice& dice = world_.dice;
  if (!dice.chance(misfortunes_.operators ? 700 : 300)) return;
  Watch::Limits shown = limits_;
  if (habits_.hosts > 1) shown.pool *= habits_.hosts + 1;  // what reads at each is shown with it
  scene_ = std::make_unique<Scene>(
      Scene{world_, network_, ledger_, *house_, passwords_, shown, actors_});
  const int count = dice.between(1, 2);
  for (int number = 1; number <= count; ++number) {
    const bool acts = misfortunes_.operators && dice.chance(700);
    const auto role = dice.chance(800)   ? Operator::Role::admin
                      : dice.chance(800) ? Operator::Role::viewer
                                         : Operator::Role::stranger;
    operators_.push_back(std::make_unique<Operator>(*scene_, role, acts, dice.between(2, 14)));
    Operator& one = *operators_.back();
    one.change_ini = [this] { change_ini(); };
    world_.after(dice.between(microseconds(0), milliseconds(1500)), [&one] { one.start(); });
  }
}

// --- what befalls everybody

void Story::schedule_misfortunes() {
  if (misfortunes_.role_goes) {
    world_.after(world_.dice.between(microseconds(0), milliseconds(200)), [this] {
      world_.note("the roles are dropped");
      ledger_.role_exists = false;
    });
  }
  schedule_host_misfortunes();
  if (title_.starts_with("calm")) return;
  const int count = world_.dice.between(3, 25);
  for (int i = 0; i < count; ++i) {
    world_.after(world_.dice.between(microseconds(0), trouble), [this] { misfortune(); });
  }
}

Backend* Story::any_backend() {
  auto backends = cluster_->backends();
  return backends.empty() ? nullptr : world_.dice.pick(backends);
}

// Beside Headgate, as long as clients are there.
void Story::notify_somebody() {
  if (everybody_finished()) return;
  const Actor& actor = *world_.dice.pick(actors_);
  if (!misfortunes_.operators) cluster_->primary().notify(actor.database, actor.number());
  world_.after(world_.dice.between(microseconds(50), milliseconds(20)),
               [this] { notify_somebody(); });
}

void Story::misfortune() {
  Dice& dice = world_.dice;
  switch (dice.roll(6)) {
    case 0:
      if (misfortunes_.clients_break) dice.pick(actors_)->break_connection();
      return;
    case 1:
    case 2:
      return server_misfortune();
    case 3:
      if (misfortunes_.doors_close) close_door();
      return;
    case 4:
      if (misfortunes_.threads_stall) {
        const Duration time =
            dice.between(microseconds(0), dice.chance(200) ? seconds(3) : milliseconds(50));
        watch_->excuse_waiting(time + milliseconds(100));
        if (time >= seconds(2) && ledger_.trouble_until < Instant::max()) {  // a log-in may fail
          ledger_.trouble_until =
              std::max(ledger_.trouble_until, world_.now() + time + 2 * login_retry);
        }
        house_->outside(dice.roll(workers_)).stall(time);
      }
      if (misfortunes_.network_holds) {
        auto connections = network_.connections();
        const Duration time = dice.between(microseconds(0), milliseconds(1500));
        if (!connections.empty()) dice.pick(connections)->hold(time);
      }
      return;
    case 5:
      if (misfortunes_.operators) operator_acts();
      return;
  }
}

void Story::server_misfortune() {
  Backend* backend = any_backend();
  if (!backend) return;
  Dice& dice = world_.dice;
  if (misfortunes_.servers_die && dice.chance(500)) {
    world_.note("server {} dies", backend->process());
    if (dice.chance(500)) return backend->crash();
    return backend->terminate();
  }
  if (!misfortunes_.servers_freeze) return;
  const Duration time = dice.between(milliseconds(1), dice.chance(200) ? seconds(30) : seconds(1));
  world_.note("server {} freezes for {} us", backend->process(), time.count());
  backend->freeze(time);
}

void Story::close_door() {
  Dice& dice = world_.dice;
  const auto door =
      static_cast<Postgres::Door>(dice.between(1, passwords_.servers == AuthMethod::trust ? 3 : 4));
  const Duration time = dice.between(milliseconds(1), milliseconds(2500));
  if (cluster_->has_standbys()) {
    return cluster_->close_door(dice.roll(cluster_->size()), door, time);
  }
  world_.note("no new servers for {} us: {}", time.count(), static_cast<int>(door));
  ledger_.fault(ledger_.server_faults);
  ledger_.trouble_until = Instant::max();
  cluster_->primary().set_door(door);
  world_.after(time, [this] {
    cluster_->primary().set_door(Postgres::Door::open);
    // A silent door is found out by a timeout only.
    if (!passwords_.servers_let_in()) return;
    ledger_.trouble_until = world_.now() + seconds(16) + 2 * login_retry;
  });
}

void Story::operator_acts() {
  Dice& dice = world_.dice;
  const std::string database = dice.chance(500) ? "" : "db0";
  const auto ignore = [](const std::optional<Error>&) {};
  watch_->excuse_waiting(milliseconds(100));
  const uint64_t deed = dice.roll(7);
  world_.note("operator: deed {} on '{}'", deed, database);
  switch (deed) {
    case 0:
    case 1:
      house_->command([database, ignore](Pooler& pooler) { pooler.pause(database, ignore); });
      world_.after(dice.between(milliseconds(1), milliseconds(700)), [this, database] {
        watch_->excuse_waiting(milliseconds(100));
        ++ledger_.resumes[database].count;
        house_->command([database](Pooler& pooler) { pooler.resume(database); });
      });
      return;
    case 2:
      house_->command([database](Pooler& pooler) { pooler.reconnect(database); });
      return;
    case 3:
      change_ini();
      ledger_.new_settings.begin();
      house_->command([this](Pooler& pooler) {
        pooler.reload();
        ledger_.new_settings.end();
      });
      return;
    case 4:
      house_->command([](Pooler& pooler) { pooler.snapshot([](const Snapshot&) {}); });
      return;
    case 5:
      if (!dice.chance(300)) return;
      ledger_.fault(ledger_.operator_faults);
      house_->command([](Pooler& pooler) { pooler.kill("db0"); });
      world_.after(dice.between(milliseconds(1), milliseconds(300)), [this] {
        ledger_.fault(ledger_.operator_faults);
        ++ledger_.resumes["db0"].count;
        house_->command([](Pooler& pooler) { pooler.resume("db0"); });
      });
      return;
    default:
      ledger_.new_settings.begin();
      house_->command([this](Pooler& pooler) {
        MUST(static_cast<bool>(pooler.set("server_lifetime", "5")));
        ledger_.new_settings.end();
      });
      return;
  }
}

void Story::change_ini() {
  house_->set_ini(ini_ + fmt::format("server_idle_timeout = {}\napplication_name_add_host = 0\n",
                                     world_.dice.between(1, 9)));
}

void Story::heal() {
  for (const auto& one : operators_) one->rest();
  cluster_->heal();
  for (size_t number = 0; number < cluster_->size(); ++number) {
    cluster_->host(number).cancel_delay = milliseconds(1);
  }
  for (size_t worker = 0; worker < workers_; ++worker) house_->outside(worker).failing_lookups = 0;
  watch_->excuse_waiting(milliseconds(500));
  ++ledger_.resumes[""].count;
  house_->command([](Pooler& pooler) {
    pooler.resume("");
    for (const char* database : {"db0", "db1"}) {
      pooler.resume(database);
      pooler.disable(database, false);
    }
  });
}

// --- the story

void Story::run() {
  schedule_misfortunes();
  if (manners_.listening > 0) notify_somebody();
  run_for(trouble);
  heal();
  // What operators have asked for may be still on its way.
  for (const int later : {2, 5}) world_.after(seconds(later), [this] { heal(); });
  run_until_finished();
  empty_the_house();
}

void Story::run_for(Duration time) {
  const Instant end = world_.now() + time;
  while (world_.now() < end && world_.step()) watch_->after_event();
}

bool Story::everybody_finished() const {
  const auto finished = [](const auto& one) { return one->finished(); };
  return std::all_of(actors_.begin(), actors_.end(), finished) &&
         std::all_of(operators_.begin(), operators_.end(), finished);
}

void Story::run_until_finished() {
  const Instant end = world_.now() + patience;
  while (!everybody_finished()) {
    if (world_.now() > end) {
      for (const auto& actor : actors_) {
        if (!actor->finished()) world_.violated("waits in vain: {}", actor->describe());
      }
      for (const auto& one : operators_) {
        if (!one->finished()) world_.violated("waits in vain: {}", one->describe());
      }
    }
    if (!world_.step()) world_.violated("the world has stopped");
    watch_->after_event();
  }
}

// Without clients, servers go when they are told to.
void Story::empty_the_house() {
  run_for(settle_time);
  house_->command([](Pooler& pooler) { pooler.reconnect(""); });
  run_for(settle_time);
  watch_->check_empty();
  bool told = false;
  house_->command([&told](Pooler& pooler) {
    told = true;
    pooler.shut_down(ShutdownMode::wait_for_clients);
  });
  run_for(seconds(1));
  if (!told || !house_->stopped()) world_.violated("an empty house does not shut down");
}

}  // namespace headgate::sim
