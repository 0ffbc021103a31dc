#include "conf/settings_table.h"

#include <doctest/doctest.h>

#include <set>

#include "conf/setting.h"
#include "conf/values.h"
#include "tests/unit/conf/files.h"

using namespace headgate;
using test::load;
using test::with;

namespace {

std::string shown(const Settings& settings, View name) {
  const Setting* setting = find_setting(name);
  REQUIRE(setting != nullptr);
  return show(settings, *setting).value_or("NULL");
}

/// A value that is not the default, for every type.
struct AnotherValue {
  const Setting& setting;
  std::string operator()(int Settings::*) const {
    return std::to_string(setting.range.lowest <= 17 && setting.range.highest >= 17 ? 17 : 1);
  }
  std::string operator()(uint32_t Settings::*) const { return "4294967295"; }
  std::string operator()(bool Settings::*) const {
    return setting.default_text == View("0") ? "1" : "0";
  }
  std::string operator()(Duration Settings::*) const { return "7.25"; }
  std::string operator()(std::string Settings::*) const {
    if (setting.name.ends_with("_tls_protocols")) return "tlsv1.2, tlsv1.3";
    if (setting.name == "client_tls_dheparams") return "none";
    return "a,b c";
  }
  std::string operator()(std::optional<std::string> Settings::*) const { return "name"; }
  std::string operator()(PoolMode Settings::*) const { return "statement"; }
  std::string operator()(AuthMethod Settings::*) const { return "trust"; }
  std::string operator()(SslMode Settings::*) const { return "allow"; }
  std::string operator()(TimeoutAction Settings::*) const { return "close"; }
  std::string operator()(SessionPolicy Settings::*) const { return "strict"; }
  std::string operator()(StatePolicies Settings::*) const { return "load=refuse"; }
  std::string operator()(AuditRate Settings::*) const { return "sample:7"; }
  std::string operator()(ReadRouting Settings::*) const { return "auto"; }
  std::string operator()(ReadConsistency Settings::*) const { return "lag:7.25"; }
  std::string operator()(LogFormat Settings::*) const { return "json"; }
  std::string operator()(ErrorCodes Settings::*) const { return "pgbouncer"; }
  std::string operator()(Octal) const { return "0700"; }
  std::string operator()(FreeText) const { return "select 1; select 2 ; -- x"; }
  std::string operator()(const Other& other) const {
    if (other.key == "auth_ldap_options") return "ldapserver=h";
    return other.type == Other::Type::integer ? "17" : "7.25";
  }
};

std::string another_value(const Setting& setting) {
  return std::visit(AnotherValue{setting}, setting.home);
}

}  // namespace

TEST_CASE("settings: the names, in the order of PgBouncer's SHOW CONFIG") {
  const auto settings = all_settings();
  std::set<View> names;
  View previous;
  size_t out_of_order = 0;
  for (const Setting& setting : settings) {
    CHECK_MESSAGE(names.insert(setting.name).second, setting.name);
    CHECK_MESSAGE(!setting.help.empty(), setting.name);
    if (setting.name == "workers") break;
    if (setting.name < previous) ++out_of_order;
    previous = setting.name;
  }
  CHECK(names.size() == 102);     // PgBouncer's, and workers
  CHECK(settings.size() == 127);  // and the others of Headgate's own
  CHECK(out_of_order == 1);       // pool_mode before pool_idle_timeout
}

TEST_CASE("settings: the default texts are the defaults of the members") {
  const Settings members, table = default_settings();
  for (const Setting& setting : all_settings()) {
    CAPTURE(setting.name);
    // service_name shows job_name, which has no member
    if (setting.name != "service_name") CHECK(show(members, setting) == show(table, setting));
    if (setting.default_text != nullptr) CHECK(show(table, setting) == setting.default_text);
  }
}

// What SHOW CONFIG tells can be written to a file again, but for two names of one and for secrets.
bool comes_back(View name) {
  return name != "conffile" && name != "service_name" && name != "http_password";
}

TEST_CASE("settings: SHOW CONFIG does not tell the password of the dashboard") {
  const auto shown = [](const std::string& text) {
    for (const ShownSetting& row : show_settings(with(text).settings)) {
      if (row.key == "http_password") return row.value;
    }
    return std::optional<std::string>("there is no such row");
  };
  CHECK(shown("http_password = s3cret\n") == "********");
  CHECK(shown("") == std::nullopt);
}

TEST_CASE("settings: every one survives the way from a file to SHOW CONFIG and back") {
  for (const Setting& setting : all_settings()) {
    CAPTURE(setting.name);
    const std::string value = another_value(setting);
    const std::string certificate = "client_tls_key_file = k\nclient_tls_cert_file = c\n";
    const bool needs_it = setting.name == "client_tls_sslmode";
    const Config config =
        with((needs_it ? certificate : "") + std::string(setting.name) + " = " + value + "\n");
    CHECK(show(config.settings, setting) == value);
    CHECK_FALSE(is_default(config.settings, setting));
    std::string printed;
    for (const ShownSetting& row : show_settings(config.settings)) {
      if (!comes_back(row.key) || !row.value) continue;
      printed += row.key + " = " + *row.value + "\n";
    }
    const Config again = with(printed);
    if (comes_back(setting.name)) CHECK(show(again.settings, setting) == value);
  }
}

TEST_CASE("settings: SHOW CONFIG tells what is unset and what a reload can change") {
  const auto rows = show_settings(default_settings());
  auto row = [&](View key) {
    for (const ShownSetting& shown : rows) {
      if (shown.key == key) return shown;
    }
    FAIL("no such row");
    return ShownSetting{};
  };
  CHECK(rows.size() == all_settings().size());
  CHECK(rows.front().key == "admin_users");
  CHECK(row("auth_file").value == std::nullopt);
  CHECK(row("auth_file").default_value == std::nullopt);
  CHECK(row("user").value == std::nullopt);
  CHECK(row("verbose").value == "0");
  CHECK(row("verbose").default_value == std::nullopt);
  CHECK(row("logfile").value == "");
  CHECK(row("job_name").value == "pgbouncer");
  CHECK(row("service_name").value == "pgbouncer");
  CHECK(row("service_name").default_value == std::nullopt);
  CHECK(row("unix_socket_mode").value == "0777");
  CHECK(row("max_packet_size").value == "2147483647");
  CHECK(row("auth_type").value == "md5");
  CHECK_FALSE(row("listen_port").changeable);
  CHECK(row("pool_mode").changeable);
  CHECK(row("session_state").value == "track");
  CHECK(row("session_state").changeable);
  CHECK(rows.back().key == "link_at_login");
}

TEST_CASE("settings: values are accepted as PgBouncer accepts them") {
  struct Case {
    std::string name, value, shown;
  };
  const Case cases[] = {
      {"default_pool_size", "0x20", "32"},
      {"default_pool_size", "010", "8"},
      {"pool_mode", "TRANSACTION", "transaction"},
      {"session_state", "STRICT", "strict"},
      {"session_state", "pgbouncer", "pgbouncer"},
      {"server_lifetime", "0x10", "16"},
      {"query_timeout", "1.25", "1.25"},
      {"query_timeout", "30s", "30"},
      {"query_timeout", "5min", "300"},
      {"query_wait_notify", "-1", "0"},
      {"stats_period", "0", "1"},
      {"log_stats", "7", "1"},
      {"log_stats", "no", "0"},
      {"tcp_defer_accept", "45", "1"},
      {"max_db_connections", "-1", "0"},
      {"max_prepared_statements", "-1", "0"},
      {"max_packet_size", "-1", "4294967295"},
      {"max_packet_size", "9999999999", "4294967295"},
      {"unix_socket_mode", "0700", "0700"},
      {"unix_socket_mode", "511", "0777"},
      {"listen_backlog", "-1", "-1"},
      {"auth_file", "", "NULL"},
      {"server_check_query", "", ""},
      {"service_name", "x", "x"},
      {"dns_zone_check_period", "1min", "60"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    CAPTURE(c.value);
    CHECK(shown(with(c.name + " = " + c.value + "\n").settings, c.name) == c.shown);
  }
}

TEST_CASE("settings: a value of the wrong kind is refused and told what is expected") {
  struct Case {
    std::string name, value, hint;
  };
  const std::string time = ", or a number with a unit (us, ms, s, min, h, d)";
  const std::string size = "bytes, or a number with a unit (B, kB, MB, GB, TB)";
  const Case cases[] = {
      {"default_pool_size", "abc", "expected an integer from 0 on"},
      {"default_pool_size", "", "expected an integer from 0 on"},
      {"default_pool_size", "20 30", "expected an integer from 0 on"},
      {"default_pool_size", "-1", "expected an integer from 0 on"},
      {"default_pool_size", "2147483648", "expected an integer from 0 on"},
      {"listen_port", "65536", "expected an integer from 0 to 65535"},
      {"listen_backlog", "x", "expected an integer"},
      {"scram_iterations", "0", "expected an integer from 1 on"},
      {"max_packet_size", "x", "expected " + size},
      {"query_timeout", "-1", "expected seconds" + time},
      {"query_timeout", "soon", "expected seconds" + time},
      {"query_timeout", "", "expected seconds" + time},
      {"stats_period", "0.5", "expected seconds from 1 on" + time},
      {"query_wait_notify", "-1x", "expected seconds" + time},
      {"log_stats", "maybe", "expected 1 or 0 (yes or no, true or false, on or off)"},
      {"pool_mode", "sesion", "expected one of session, transaction, statement"},
      {"session_state", "on", "expected one of track, strict, pgbouncer"},
      {"pkt_buf", "big", "expected " + size},
      {"dns_zone_check_period", "x", "expected seconds" + time},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    CAPTURE(c.value);
    CHECK(test::refusal(load("[pgbouncer]\n" + c.name + " = " + c.value + "\n")) ==
          "invalid value \"" + c.value + "\" for parameter " + c.name +
              " in configuration (/etc/x.ini:2) |  | " + c.hint);
  }
}

TEST_CASE("settings: a comment behind a value, by the kind of the value") {
  struct Case {
    std::string name, line, shown;
    bool suspicious = false;
  };
  const Case cases[] = {
      {"pool_mode", "transaction # why", "transaction"},
      {"pool_mode", "transaction ;why", "transaction"},
      {"default_pool_size", "25\t#why", "25"},
      {"query_timeout", "30 # 30 seconds", "30"},
      {"query_timeout", "30 s ; x", "30"},
      {"log_stats", "yes # x", "1"},
      {"unix_socket_mode", "0700 # x", "0700"},
      {"max_prepared_statements", "10 # x", "10"},
      {"admin_users", "alice, bob # the two", "alice, bob"},
      {"admin_users", "alice, #bob", "alice, #bob", true},
      {"auth_file", "/etc/u.txt ; users", "/etc/u.txt"},
      {"auth_file", "; none", "NULL"},
      {"logfile", "/srv/pool #1/log", "/srv/pool #1/log", true},
      {"logfile", "/srv/a;b#c", "/srv/a;b#c"},
      {"resolv_conf", "/etc/r # x", "/etc/r"},
      {"server_reset_query", "DISCARD ALL; SET x = 1", "DISCARD ALL; SET x = 1"},
      {"server_reset_query", "DISCARD ALL ; SET x = 1", "DISCARD ALL ; SET x = 1"},
      {"server_check_query", "select 1 # why", "select 1 # why", true},
      {"server_check_query", "select 5#3", "select 5#3"},
      {"login_notify_message", "Call #7 ; now", "Call #7 ; now"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.line);
    const Config config = with(c.name + " = " + c.line + "\n");
    CHECK(shown(config.settings, c.name) == c.shown);
    const bool warned = test::warnings(config).find("looks like a comment") != std::string::npos;
    CHECK(warned == c.suspicious);
  }
}

TEST_CASE("settings: a comment does not make a wrong value right") {
  CHECK_FALSE(load("[pgbouncer]\npool_mode = # none\n").ok());
  CHECK_FALSE(load("[pgbouncer]\npool_mode = transaction why # x\n").ok());
}

TEST_CASE("settings: what counts bytes or time takes units, and is shown as a plain number") {
  struct Case {
    std::string name, value, shown;
  };
  const Case cases[] = {
      {"max_packet_size", "256MB", "268435456"},
      {"max_packet_size", "1TB", "4294967295"},  // the largest, as PgBouncer takes large numbers
      {"pkt_buf", "64kB", "65536"},
      {"tcp_socket_buffer", "1MB", "1048576"},
      {"tcp_keepidle", "2min", "120"},
      {"tcp_keepintvl", "1000ms", "1"},
      {"tcp_user_timeout", "1.5s", "1500"},
      {"tcp_user_timeout", "1500", "1500"},
      {"server_lifetime", "1d", "86400"},
      {"query_timeout", "250ms", "0.25"},
      {"dns_zone_check_period", "5min", "300"},
      {"stats_period", "1 min", "60"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    CAPTURE(c.value);
    const Config config = with(c.name + " = " + c.value + "\n");
    CHECK(shown(config.settings, c.name) == c.shown);
    CHECK(with_setting(config, c.name, c.value).ok());
  }
}

TEST_CASE("settings: an unknown unit is refused with those that there are") {
  struct Case {
    std::string name, value, expected;
  };
  const std::string of_time = ", or a number with a unit (us, ms, s, min, h, d)";
  const std::string of_size = "bytes, or a number with a unit (B, kB, MB, GB, TB)";
  const Case cases[] = {
      {"max_packet_size", "64k", of_size},
      {"tcp_socket_buffer", "3GB", of_size},  // more than the system takes
      {"tcp_socket_buffer", "1min", of_size},
      {"tcp_keepidle", "1500ms", "whole seconds" + of_time},
      {"tcp_keepidle", "1.5", "whole seconds" + of_time},
      {"tcp_user_timeout", "5m", "whole milliseconds" + of_time},
      {"query_timeout", "5m", "seconds" + of_time},
      {"stats_period", "10ms", "seconds from 1 on" + of_time},
      {"default_pool_size", "64kB", "an integer from 0 on"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    CAPTURE(c.value);
    const auto config = load("[pgbouncer]\n" + c.name + " = " + c.value + "\n");
    REQUIRE_FALSE(config.ok());
    CHECK(config.error().message == "invalid value \"" + c.value + "\" for parameter " + c.name +
                                        " in configuration (/etc/x.ini:2)");
    CHECK(config.error().hint == "expected " + c.expected);
  }
}
