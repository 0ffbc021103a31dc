#include "conf/check.h"

#include <doctest/doctest.h>

#include "tests/unit/conf/files.h"

using namespace headgate;
using test::load;
using test::refusal;
using test::warnings;
using test::with;

TEST_CASE("check: log-in methods are taken, certificates and LDAP with what they need") {
  for (const std::string method : {"any", "trust", "plain", "md5", "scram-sha-256", "hba", "pam"}) {
    CAPTURE(method);
    CHECK(warnings(with("auth_type = " + method + "\n")).empty());
  }
  CHECK(refusal(load("[pgbouncer]\nauth_type = cert\n")) ==
        "auth_type=cert requires client_tls_sslmode=SSLMODE_VERIFY_FULL in configuration "
        "(/etc/x.ini:2) |  | ");
  CHECK(refusal(load("[pgbouncer]\nauth_type = cert\nclient_tls_sslmode = verify-full\n")) ==
        "auth_type=cert requires client_tls_ca_file in configuration (/etc/x.ini:2) |  | ");
  CHECK(refusal(load("[pgbouncer]\nauth_type = ldap\n")) ==
        "auth_ldap_options is null in configuration (/etc/x.ini:2) |  | ");
  CHECK(with("auth_type=ldap\nauth_ldap_options=ldapserver=h ldapprefix=\"a=\"\n").ldap.prefix ==
        "a=");
}

TEST_CASE("check: LDAP options that are wrong are refused, and never shown") {
  CHECK(refusal(load("[pgbouncer]\nauth_ldap_options = ldapserver=h ldapbindpasswd=secret\n")) ==
        "invalid value \"***\" for parameter auth_ldap_options in configuration (/etc/x.ini:2) |  "
        "| expected ldapbasedn for a search, found none");
}

TEST_CASE("check: TLS towards clients needs a certificate, and an authority to verify theirs") {
  const std::string place = " in configuration (/etc/x.ini:2) |  | ";
  for (const std::string mode : {"allow", "prefer", "require", "verify-ca", "verify-full"}) {
    CAPTURE(mode);
    const std::string text = "[pgbouncer]\nclient_tls_sslmode = " + mode + "\n";
    const std::string nothing =
        "To allow TLS connections from clients, client_tls_key_file and client_tls_cert_file must "
        "be set." +
        place;
    CHECK(refusal(load(text)) == nothing);
    CHECK(refusal(load(text + "client_tls_key_file = /k\n")) == nothing);
    CHECK(refusal(load(text + "client_tls_cert_file = /c\n")) == nothing);
    const auto both = load(text + "client_tls_key_file = /k\nclient_tls_cert_file = /c\n");
    if (mode.starts_with("verify")) {
      CHECK(refusal(both) == "client_tls_sslmode requires client_tls_ca_file" + place);
    } else {
      CHECK(both.ok());
    }
    CHECK(load("[pgbouncer]\nserver_tls_sslmode = " + mode + "\n").ok());
  }
  CHECK(warnings(with("client_tls_sslmode=disable\nserver_tls_sslmode=disable\n")).empty());
}

TEST_CASE("check: an unknown word of TLS is refused with its setting, value and place") {
  CHECK(refusal(load("[pgbouncer]\nserver_tls_protocols = tlsv1.2,ssl3\n"))
            .starts_with("invalid value \"tlsv1.2,ssl3\" for parameter server_tls_protocols in "
                         "configuration (/etc/x.ini:2)"));
  CHECK(refusal(load("[pgbouncer]\nclient_tls_protocols = !all\n"))
            .starts_with("invalid value \"!all\" for parameter client_tls_protocols"));
  CHECK(refusal(load("[pgbouncer]\nclient_tls_dheparams = legacy\n"))
            .starts_with("invalid value \"legacy\" for parameter client_tls_dheparams"));
}

TEST_CASE("check: SET of a TLS setting is left to those who have the files") {
  auto config = load("[pgbouncer]\n");
  REQUIRE(config.ok());
  CHECK(with_setting(*config, "client_tls_sslmode", "verify-full").ok());
  CHECK(with_setting(*config, "client_tls_protocols", "nonsense").ok());
}

TEST_CASE("check: the console's database cannot hold the users") {
  CHECK(refusal(load("[pgbouncer]\nauth_dbname = pgbouncer\n")) ==
        "cannot use the reserved \"pgbouncer\" database as an auth_dbname in configuration "
        "(/etc/x.ini:2) |  | ");
}

TEST_CASE("check: no more parameters are tracked than every client can carry") {
  std::string names = "p0";
  for (size_t i = 1; i < most_extra_parameters; ++i) names += ", p" + std::to_string(i);
  CHECK(load("[pgbouncer]\ntrack_extra_parameters = " + names + "\n").ok());
  CHECK(refusal(load("[pgbouncer]\ntrack_extra_parameters = " + names + ", more\n"))
            .starts_with("track_extra_parameters has more than 27 names in configuration "
                         "(/etc/x.ini:2)"));
}

TEST_CASE("check: a database that asks for a role needs somebody who asks its hosts") {
  const std::string database = "[databases]\nd = host=a,b target_session_attrs=primary ";
  CHECK(refusal(load(database + "\n[pgbouncer]\n")) ==
        "database d: target_session_attrs needs a user who asks its hosts for their roles |  | "
        "set monitor_user, or user or auth_user of the database");
  CHECK(refusal(load("[databases]\nd = target_session_attrs=primary user=u\n[pgbouncer]\n")) ==
        "database d: target_session_attrs needs a host |  | ");
  CHECK(load(database + "user=u\n[pgbouncer]\n").ok());
  CHECK(load(database + "auth_user=u\n[pgbouncer]\n").ok());
  CHECK(load(database + "\n[pgbouncer]\nauth_user=u\n").ok());
  const auto config = load(database + "user=u\n[pgbouncer]\nmonitor_user=m\n");
  REQUIRE(config.ok());
  CHECK(monitor_user(config->settings, config->databases.at("d")) == "m");
  CHECK(refusal(load("[databases]\n* = host=a,b target_session_attrs=primary\n[pgbouncer]\n"
                     "monitor_user=m\n")) ==
        "database *: target_session_attrs needs a database by name |  | ");
}
