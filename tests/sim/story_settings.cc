// What a simulation is about: the settings, the misfortunes that there will be, and the manners of
// its clients.
#include "tests/sim/story.h"

namespace headgate::sim {

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
  std::string ini = "[databases]\n" + choose_databases();
  ini += "[users]\n";
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
  int modes = dice.between(0, 9);
  if (habits_.hosts > 1 && modes >= 5) modes = modes == 9 ? 9 : modes - 5;
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
  ini += choose_routing();
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
  int policies = world_.dice.between(0, 9);
  if (habits_.hosts > 1) policies %= 8;  // or nothing is routed
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
  // A user has to ask hosts for their roles before any client has come.
  if (habits_.hosts > 1) passwords_.known = SecretKind::plain;
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
  choose_reads();
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

}  // namespace headgate::sim
