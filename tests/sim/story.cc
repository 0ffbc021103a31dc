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
  choose_misfortunes();
  choose_passwords();
  ini_ = choose_settings();
  choose_manners();
  ledger_.facts_of = [this](int client) {
    const auto index = static_cast<size_t>(client - 1);
    return index < actors_.size() ? actors_[index]->facts() : Ledger::ClientFacts{};
  };
  const Address at{Address::Kind::ip4, 5432, "10.0.0.1"};
  postgres_ = std::make_unique<Postgres>(world_, network_, ledger_, at);
  postgres_->passwords = passwords_;
  if (!passwords_.servers_let_in()) ledger_.trouble_until = Instant::max();
  house_ = std::make_unique<House>(world_, network_, ini_, workers_, passwords_.user_list());
  watch_ = std::make_unique<Watch>(world_, *house_, *postgres_, limits_);
  postgres_->on_session = [this] { watch_->count_sessions(); };
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
  postgres_->busy = world_.dice.chance(300);
  if (misfortunes_.slow_cancels) postgres_->cancel_delay = seconds(12);
  add_actors();
  add_operators();
}

Story::~Story() = default;

int Story::answered() const {
  int sum = 0;
  for (const auto& actor : actors_) sum += actor->answered();
  return sum;
}

// --- what it is about

void Story::choose_misfortunes() {
  Dice& dice = world_.dice;
  network_.weather.pieces = dice.chance(500) ? dice.between(0, 300) : 0;
  if (dice.chance(200)) network_.weather.capacity = 64 + dice.roll(4000);
  if (dice.chance(200))
    network_.weather.most_delay = dice.between(milliseconds(1), milliseconds(30));
  if (dice.chance(250)) {
    title_ = "calm";
    return;
  }
  const auto maybe = [&](bool& flag, const char* name, int permille) {
    flag = dice.chance(permille);
    if (flag) title_ += fmt::format("{}{}", title_.empty() ? "" : ", ", name);
  };
  maybe(misfortunes_.clients_break, "clients break", 400);
  maybe(misfortunes_.servers_die, "servers die", 350);
  maybe(misfortunes_.servers_freeze, "servers freeze", 200);
  maybe(misfortunes_.doors_close, "doors close", 200);
  maybe(misfortunes_.threads_stall, "threads stall", 250);
  maybe(misfortunes_.operators, "operators act", 300);
  maybe(misfortunes_.slow_cancels, "slow cancels", 150);
  maybe(misfortunes_.lookups_fail, "look-ups fail", 100);
  maybe(misfortunes_.network_holds, "the network holds", 250);
}

std::string Story::choose_settings() {
  Dice& dice = world_.dice;
  std::string ini = "[databases]\ndb0 = host=pg port=5432\n";
  ini += fmt::format("{} = host=pg port=5432\n[users]\n", dice.chance(500) ? "db1" : "*");
  ini += "u0 = max_user_client_connections=0\nu1 = max_user_client_connections=0\n[pgbouncer]\n";
  ini += "listen_addr = 10.0.0.9\nserver_login_retry = 1\nauth_file = users.txt\n";
  ini += "server_tls_sslmode = disable\n";
  const auto set = [&](const char* key, auto value) {
    ini += fmt::format("{} = {}\n", key, value);
  };
  set("auth_type", passwords_.clients_setting());
  set("admin_users", "admin");
  set("stats_users", "viewer");
  set("scram_iterations", passwords_.iterations);
  const int modes = dice.between(0, 9);
  const char* mode = modes < 7 ? "transaction" : modes < 9 ? "session" : "statement";
  set("pool_mode", mode);
  allowances_.transactions = modes < 9;
  const char* policy = choose_policy();
  set("session_state", policy);
  set("link_at_login", modes == 8);
  set("session_audit", dice.chance(700) ? "off" : dice.chance(500) ? "all" : "sample:3");
  const bool defers = dice.chance(500);
  set("defer_begin", defers);
  allowances_.shares = modes < 7 || modes == 9;
  const int size = dice.between(1, 4);
  const int reserve = dice.chance(200) ? dice.between(1, 2) : 0;
  set("default_pool_size", size);
  set("reserve_pool_size", reserve);
  set("reserve_pool_timeout", 1);
  limits_.pool = size + reserve;
  if (dice.chance(200)) set("max_db_connections", limits_.database = dice.between(1, 5));
  if (dice.chance(200)) set("max_user_connections", limits_.user = dice.between(1, 5));
  if (dice.chance(200)) set("min_pool_size", dice.between(1, size));
  if (dice.chance(200)) set("server_lifetime", dice.between(0, 3));
  if (dice.chance(200)) set("server_idle_timeout", dice.between(1, 2));
  if (dice.chance(300)) set("server_round_robin", 1);
  if (dice.chance(300)) set("pool_idle_timeout", 1);
  if (dice.chance(300)) set("autodb_idle_timeout", 1);
  set("dns_max_ttl", dice.between(0, 3));
  set("dns_nxdomain_ttl", dice.between(0, 1));
  if (dice.chance(300)) set("server_reset_query_always", 1);
  set("server_check_query", dice.chance(800) ? "select 1" : "");
  set("server_check_delay", dice.chance(300) ? 0 : dice.between(1, 30));
  constexpr int kept_statements[] = {1, 2, 4, 200};
  set("max_prepared_statements", kept_statements[dice.roll(std::size(kept_statements))]);
  set("prepare_unnamed", dice.chance(500));
  set("query_wait_timeout", 0);
  set("server_connect_timeout", dice.between(2, 15));
  set("cancel_wait_timeout", dice.between(1, 10));
  ini += choose_timeouts();
  title_ += fmt::format("; {} mode{}, {}, {} workers, {} servers{}", mode,
                        defers ? " with deferred BEGIN" : "", policy, workers_, limits_.pool,
                        passwords_.describe());
  return ini;
}

std::string Story::choose_timeouts() {
  Dice& dice = world_.dice;
  std::string ini;
  if (dice.chance(150)) {
    ini += "query_timeout = 1\n";
    allowances_.query_timeout = seconds(1);
    if (dice.chance(500)) ini += "timeout_action = close\n";
  }
  if (dice.chance(150)) {
    allowances_.query_wait_timeout = seconds(2);
    ini += "query_wait_timeout = 2\n";
  }
  if (dice.chance(100)) {
    allowances_.closing_timeouts = true;
    ini += "idle_transaction_timeout = 1\ntransaction_timeout = 2\nclient_idle_timeout = 3\n";
  }
  return ini;
}

const char* Story::choose_policy() {
  const int policies = world_.dice.between(0, 9);
  allowances_.sessions = policies < 8;
  allowances_.strict = policies >= 6;
  return policies < 6 ? "track" : policies < 8 ? "strict" : "pgbouncer";
}

// In most stories those who belong here can come in, in some the files know too little.
void Story::choose_passwords() {
  Dice& dice = world_.dice;
  if (dice.chance(400)) return;
  constexpr AuthMethod methods[] = {AuthMethod::trust, AuthMethod::md5, AuthMethod::scram_sha_256,
                                    AuthMethod::plain};
  constexpr SecretKind kinds[] = {SecretKind::plain, SecretKind::md5, SecretKind::scram};
  const bool locked_out = dice.chance(50);
  do {
    passwords_.clients = methods[dice.roll(4)];
    passwords_.servers = methods[dice.roll(3)];
    passwords_.known = kinds[dice.roll(3)];
  } while (!locked_out && !(passwords_.clients_come_in() && passwords_.servers_let_in()));
  passwords_.iterations = dice.between(1, 4);
}

void Story::choose_manners() {
  Dice& dice = world_.dice;
  const auto maybe = [&](int permille, int value) { return dice.chance(permille) ? value : 0; };
  manners_.cancelling = maybe(400, 150);
  allowances_.late_cancels = misfortunes_.slow_cancels || misfortunes_.doors_close;
  allowances_.late_news = misfortunes_.network_holds;
  manners_.vanishing = misfortunes_.clients_break ? 60 : 0;
  manners_.stalling = maybe(300, 80);
  manners_.fleeing = misfortunes_.clients_break ? 30 : 0;
  manners_.dying = misfortunes_.servers_die ? 20 : 0;
  manners_.failing = maybe(700, 60);
  manners_.copies = maybe(500, 120);
  manners_.batches = dice.between(0, 600);
  manners_.prepared = maybe(600, 500);
  manners_.transactions = dice.between(0, 600);
  manners_.longest_work = dice.chance(150) ? 1500 : 20;
  manners_.largest_row = dice.chance(100) ? 3000 : 200;
  if (!allowances_.sessions) return;
  manners_.settings = maybe(700, dice.between(50, 700));
  manners_.locks = maybe(300, 150);
  manners_.things = maybe(300, 150);
  manners_.prepares = maybe(400, 250);
  manners_.secrets = allowances_.strict ? 60 : maybe(200, 30);
  misfortunes_.role_goes = !title_.starts_with("calm") && dice.chance(150);
  manners_.discards = maybe(300, 60);
  if (allowances_.shares) manners_.listening = maybe(500, 300);
}

void Story::add_actors() {
  Dice& dice = world_.dice;
  const int count = dice.between(2, 12);
  const bool spread = dice.chance(300);
  const int strangers = dice.chance(200) ? 200 : 0;
  for (int number = 1; number <= count; ++number) {
    actors_.push_back(std::make_unique<Actor>(
        world_, network_, ledger_, number, dice.between(2, 10), allowances_, manners_, passwords_));
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
  scene_ = std::make_unique<Scene>(
      Scene{world_, network_, ledger_, *house_, passwords_, limits_, actors_});
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
  if (title_.starts_with("calm")) return;
  const int count = world_.dice.between(3, 25);
  for (int i = 0; i < count; ++i) {
    world_.after(world_.dice.between(microseconds(0), trouble), [this] { misfortune(); });
  }
}

Backend* Story::any_backend() {
  auto backends = postgres_->backends();
  return backends.empty() ? nullptr : world_.dice.pick(backends);
}

// Beside Headgate, as long as clients are there.
void Story::notify_somebody() {
  if (everybody_finished()) return;
  const Actor& actor = *world_.dice.pick(actors_);
  if (!misfortunes_.operators) postgres_->notify(actor.database, actor.number());
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
  world_.note("no new servers for {} us: {}", time.count(), static_cast<int>(door));
  ledger_.fault(ledger_.server_faults);
  ledger_.trouble_until = Instant::max();
  postgres_->set_door(door);
  world_.after(time, [this] {
    postgres_->set_door(Postgres::Door::open);
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
  postgres_->set_door(Postgres::Door::open);
  postgres_->cancel_delay = milliseconds(1);
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
