#include "conf/report.h"

#include <doctest/doctest.h>

#include "tests/unit/conf/files.h"

using namespace headgate;

namespace {

Inspection inspected(const std::string& text) {
  const test::Files files{{{"/etc/x.ini", text}}};
  return inspect_config("/etc/x.ini", files.reader());
}

}  // namespace

TEST_CASE("report: the warnings, the advice and what matters") {
  const Inspection found =
      inspected("[databases]\na=\n*=\n[pgbouncer]\nlisten_addr=127.0.0.1\npkt_buf=1\n");
  const std::string text = report(found, {{"some_rule", "be careful"}});
  CAPTURE(text);
  CHECK(text.starts_with(
      "warning: pkt_buf has no effect in Headgate in configuration (/etc/x.ini:6)\n"
      "warning: be careful\n"
      "/etc/x.ini is valid\n"
      "listening on: 127.0.0.1 port 6432 and /tmp/.s.PGSQL.6432\n"
      "databases: 1 and *; [users]: 0; in auth_file: 0\n"
      "pool_mode: session; auth_type: md5; max_client_conn: 100\n"));
  CHECK(
      text.ends_with("without effect: dns_zone_check_period, job_name, pkt_buf, resolv_conf, "
                     "sbuf_loopcnt, service_name\n"));
  CHECK(report(inspected("[pgbouncer]\nunix_socket_dir=\n"), {}).find("listening on: nothing\n") !=
        std::string::npos);
}

TEST_CASE("report: every error is there, not only the first") {
  const Inspection found = inspected(
      "lost = 1\n[pgbouncer]\nquery_timeout = 5m\npool_mod = session\n[dbs]\na = host=x\nno line\n"
      "[databases]\nb = port=0\nc = hots=h\n[users]\nd = pool_size=x\n[pgbouncer]\n"
      "auth_type = ldap\nclient_tls_sslmode = require\n%include /nowhere\n");
  const std::string text = report(found, {});
  CHECK(found.errors.size() == 11);
  CHECK(text ==
        R"(error: value without section: lost
  invalid value "1" for parameter lost in configuration (/etc/x.ini:1)
error: invalid value "5m" for parameter query_timeout in configuration (/etc/x.ini:3)
  hint: expected seconds, or a number with a unit (us, ms, s, min, h, d)
error: unknown parameter: pgbouncer/pool_mod
  invalid value "session" for parameter pool_mod in configuration (/etc/x.ini:4)
  hint: did you mean pool_mode?
error: invalid section "dbs" in configuration (/etc/x.ini:5)
error: syntax error in configuration (/etc/x.ini:7), stopping loading
error: invalid port: 0
  invalid value "***" for parameter b in configuration (/etc/x.ini:9)
error: unrecognized connection parameter: hots
  invalid value "***" for parameter c in configuration (/etc/x.ini:10)
  hint: did you mean host?
error: invalid pool_size: x
  invalid value "***" for parameter d in configuration (/etc/x.ini:12)
  hint: expected an integer
error: could not load file "/nowhere": No such file or directory
  error processing include file in configuration (/etc/x.ini:16), stopping loading
error: auth_ldap_options is null in configuration (/etc/x.ini:14)
error: To allow TLS connections from clients, client_tls_key_file and client_tls_cert_file must be set. in configuration (/etc/x.ini:15)
warning: a second [pgbouncer] section resets what the first one set in configuration (/etc/x.ini:13)
/etc/x.ini has 11 errors
)");
}

TEST_CASE("report: a file that cannot be read is the only error") {
  const Inspection found = inspect_config("/none.ini", test::Files{}.reader());
  REQUIRE(found.errors.size() == 1);
  CHECK(found.errors.front().message ==
        "could not load file \"/none.ini\": No such file or directory");
  CHECK(inspected("").errors.size() == 1);
  CHECK(inspected("").errors.front().message == "main section missing from config file");
}

TEST_CASE("report: errors are gathered up to a limit, also where files include themselves") {
  std::string text = "[pgbouncer]\n";
  for (int line = 0; line < 5000; ++line) text += "x\n%include /etc/x.ini\n";
  CHECK(inspected(text).errors.size() == most_errors + 1);
}
