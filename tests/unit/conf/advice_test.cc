#include "conf/advice.h"

#include <doctest/doctest.h>

#include <set>

#include "tests/unit/conf/files.h"

using namespace headgate;

namespace {

Inspection inspected(const std::string& text) {
  const test::Files files{{{"/etc/x.ini", text}, {"/users", "\"app\" \"secret\"\n"}}};
  Inspection found = inspect_config("/etc/x.ini", files.reader());
  const std::string wrong = found.errors.empty() ? "" : found.errors.front().message;
  REQUIRE_MESSAGE(found.errors.empty(), wrong);
  return found;
}

std::vector<Advice> advice(const std::string& text, uint64_t descriptors = 10'000) {
  const Inspection found = inspected(text);
  return advise({found.config, found.places, descriptors});
}

/// What the rule says, or nothing.
std::string said(View rule, const std::string& text, uint64_t descriptors = 10'000) {
  for (const Advice& one : advice(text, descriptors)) {
    if (one.rule == rule) return one.text;
  }
  return "";
}

const std::string quiet =
    "[databases]\napp = host=127.0.0.1\n[pgbouncer]\nauth_file = /users\nadmin_users = app\n"
    "listen_addr = 127.0.0.1\npool_mode = transaction\n";

/// Lines behind `quiet` to which a rule applies, and lines so near to them that it does not.
struct Case {
  View rule;
  std::string bad, good;
};
const Case cases[] = {
    {"open_trust", "auth_type = trust\nlisten_addr = *\n",
     "auth_type = trust\nlisten_addr = 127.0.0.1, ::1, localhost\n"},
    {"open_any", "auth_type = any\nlisten_addr = 0.0.0.0\n", "auth_type = any\nlisten_addr =\n"},
    {"clear_passwords", "auth_type = pam\nlisten_addr = *\n", "auth_type = pam\n"},
    {"deprecated_plain", "auth_type = plain\n", "auth_type = md5\n"},
    {"nobody_known", "auth_file =\n", "auth_file =\nauth_user = app\n"},
    {"nobody_administers", "admin_users =\n", "admin_users = app\n"},
    {"dropped_options", "ignore_startup_parameters = extra_float_digits, options\n",
     "ignore_startup_parameters = extra_float_digits\n"},
    {"drain_beyond_grace", "drain_timeout = 30\n", "drain_timeout = 25\n"},
    {"short_drain", "drain_timeout = 500ms\n", "drain_timeout = 2\n"},
    {"nowhere", "listen_addr =\nunix_socket_dir =\n", "listen_addr =\n"},
    {"no_databases", "[databases]\n", ""},
    {"small_session_pool", "pool_mode = session\nmax_client_conn = 200\n",
     "pool_mode = session\nmax_client_conn = 199\n"},
    {"descriptors", "max_client_conn = 9949\n", "max_client_conn = 9948\n"},
    {"many_servers", "default_pool_size = 98\n", "default_pool_size = 97\n"},
    {"small_database_limit", "max_db_connections = 19\n", "max_db_connections = 20\n"},
    {"small_user_limit", "max_user_connections = 19\n", "max_user_connections = 20\n"},
    {"large_minimum", "min_pool_size = 21\n", "min_pool_size = 20\n"},
    {"no_reserve", "reserve_pool_timeout = 3\n",
     "reserve_pool_timeout = 3\nreserve_pool_size = 1\n"},
    {"reserve_never", "reserve_pool_size = 1\nreserve_pool_timeout = 0\n",
     "reserve_pool_timeout = 0\n"},
    {"idle_beyond_lifetime", "server_idle_timeout = 2h\n", "server_idle_timeout = 1h\n"},
    {"lifetime_zero", "server_lifetime = 0\n", "server_lifetime = 1\n"},
    {"query_beyond_transaction", "query_timeout = 2min\ntransaction_timeout = 60\n",
     "query_timeout = 2min\ntransaction_timeout = 0\n"},
    {"idle_beyond_transaction", "idle_transaction_timeout = 3\ntransaction_timeout = 2\n",
     "idle_transaction_timeout = 2\ntransaction_timeout = 2\n"},
    {"reserve_beyond_wait", "reserve_pool_size = 1\nquery_wait_timeout = 4\n",
     "reserve_pool_size = 1\nquery_wait_timeout = 5\n"},
    {"endless_wait", "query_wait_timeout = 0\n", "query_wait_timeout = 1\n"},
    {"endless_login", "client_login_timeout = 0\n", "client_login_timeout = 1\n"},
    {"nothing_tracked", "session_state = pgbouncer\n",
     "pool_mode = session\nsession_state = pgbouncer\n"},
    {"no_prepared_statements", "max_prepared_statements = 0\n",
     "pool_mode = session\nmax_prepared_statements = 0\n"},
    {"reset_each_time", "server_reset_query_always = 1\n",
     "session_state = pgbouncer\nserver_reset_query_always = 1\n"},
    {"hba_unused", "auth_hba_file = /h\n", "auth_type = hba\nauth_hba_file = /h\n"},
    {"hba_missing", "auth_type = hba\n", "auth_type = hba\nauth_hba_file = /h\n"},
    {"query_without_user", "auth_dbname = a\n", "auth_dbname = a\nauth_user = app\n"},
    {"keepalive_off", "tcp_keepalive = 0\ntcp_keepidle = 5\n", "tcp_keepalive = 0\n"},
    {"syslog_off", "syslog_ident = x\n", "syslog_ident = x\nsyslog = 1\n"},
    {"client_tls_off", "client_tls_key_file = /k\n", ""},
    {"server_ca_unused", "server_tls_ca_file = /c\n",
     "server_tls_ca_file = /c\nserver_tls_sslmode = verify-ca\n"},
    {"check_delay_unused", "server_check_query =\nserver_check_delay = 1\n",
     "server_check_query =\n"},
    {"any_without_user", "auth_type = any\n", "auth_type = any\n[databases]\napp = user=u\n"},
    {"unverified_server", "[databases]\na = host=db\n",
     "server_tls_sslmode = verify-full\n[databases]\na = host=db\n"},
    {"session_among_shared", "[databases]\na = pool_mode=session pool_size=10\n",
     "[databases]\na = pool_mode=session pool_size=11\n"},
    {"minimum_beyond_pool", "[databases]\na = min_pool_size=21\n",
     "[databases]\na = min_pool_size=20\n"},
    {"limit_below_pool", "[databases]\na = pool_size=3 max_db_connections=2\n",
     "[databases]\na = pool_size=3 max_db_connections=3\n"},
    {"password_in_file_without_tls",
     "server_tls_sslmode = disable\n[databases]\na = host=db user=u password=p\n",
     "[databases]\na = host=db user=u password=p\n"},
};

/// `quiet` with the lines in its settings; `no_databases` wants none.
std::string file(View rule, const std::string& lines, bool bad) {
  if (rule == "no_databases" && bad) return quiet.substr(quiet.find("[pgbouncer]"));
  return quiet + lines;
}

}  // namespace

TEST_CASE("advice: a configuration without a doubt gets none") { CHECK(advice(quiet).empty()); }

TEST_CASE("advice: every rule applies where it should, and not right beside it") {
  for (const Case& c : cases) {
    CAPTURE(c.rule);
    const std::string text = said(c.rule, file(c.rule, c.bad, true));
    CAPTURE(text);
    CHECK(!text.empty());
    CHECK(text.find_first_of("{}") == std::string::npos);
    CHECK(said(c.rule, file(c.rule, c.good, false)).empty());
  }
}

TEST_CASE("advice: it has the values, the reason and the place") {
  CHECK(said("idle_beyond_lifetime", quiet + "server_idle_timeout = 2h\n") ==
        "server_idle_timeout = 7200 is more than server_lifetime = 3600, which always comes first "
        "in configuration (/etc/x.ini:8)");
  CHECK(said("descriptors", quiet + "max_client_conn = 20000\n", 1024) ==
        "max_client_conn = 20000: 20052 file descriptors may be needed, this process may have "
        "1024; raise the limit (ulimit -n, LimitNOFILE=) in configuration (/etc/x.ini:8)");
  CHECK(
      said("many_servers", quiet + "[databases]\na = host=h pool_size=60\nb = host=h pool_size=50 "
                                   "max_db_connections=40\nc = host=h port=1 pool_size=70\n") ==
      "the pools of h:5432 may open 100 connections for a single user, more than PostgreSQL takes "
      "unless its max_connections was raised; limit them by max_db_connections");
}

TEST_CASE("advice: databases are named once for each rule, and not without end") {
  std::string many = quiet + "[databases]\n";
  for (int number = 1; number <= 7; ++number) {
    many += "d" + std::to_string(number) + " = host=db.example pool_size=1\n";
  }
  CHECK(said("unverified_server", many + "* = host=db.example\n")
            .starts_with("databases d1, d2, d3, d4, d5 and 3 more: server_tls_sslmode = prefer: "));
  CHECK(said("unverified_server", quiet + "[databases]\na = host=/run,@x,localhost,127.0.0.3\n")
            .empty());
}

TEST_CASE("advice: no secret is in it") {
  for (const Advice& one : advice(quiet + "[databases]\na = host=db user=u password=hunter2\n")) {
    CHECK(one.text.find("hunter2") == std::string::npos);
  }
}
