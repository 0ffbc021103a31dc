#include "conf/load.h"

#include <doctest/doctest.h>

#include "conf/setting.h"
#include "tests/unit/conf/files.h"

using namespace headgate;
using test::Files;
using test::load;
using test::refusal;
using test::warnings;
using test::with;

TEST_CASE("load: all sections together") {
  auto config = load(
      "[databases]\n"
      "a = host=h\n"
      "'b c' = host=i\n"
      "a = host=again\n"
      "* = host=any\n"
      "[users]\n"
      "u = pool_mode=session\n"
      "[peers]\n"
      "2 = host=p\n"
      "[pgbouncer]\n"
      "listen_port = 1\n");
  REQUIRE(config.ok());
  CHECK(config->path == "/etc/x.ini");
  CHECK(config->settings.listen_port == 1);
  CHECK(config->settings.others.at("conffile") == "/etc/x.ini");
  CHECK(config->databases.size() == 2);
  CHECK(config->databases.at("a").host == "again");
  CHECK(config->databases.at("b c").dbname == "b c");
  CHECK(config->fallback == "host=any");
  CHECK(config->users.at("u").pool_mode == PoolMode::session);
  CHECK(config->peers.at(2).host == "p");
  CHECK(warnings(*config).empty());
}

TEST_CASE("load: errors say what, where, and what would be right") {
  struct Case {
    View text, error;
  };
  const Case cases[] = {
      {"[databases]\n", "main section missing from config file |  | "},
      {"[bogus]\n", "invalid section \"bogus\" in configuration (/etc/x.ini:1) |  | "},
      {"[PgBouncer]\n", "invalid section \"PgBouncer\" in configuration (/etc/x.ini:1) |  | "},
      {"pool_mode = session\n",
       "value without section: pool_mode | invalid value \"session\" for parameter pool_mode in "
       "configuration (/etc/x.ini:1) | "},
      {"[pgbouncer]\n\ndefualt_pool_size = 5\n",
       "unknown parameter: pgbouncer/defualt_pool_size | invalid value \"5\" for parameter "
       "defualt_pool_size in configuration (/etc/x.ini:3) | did you mean default_pool_size?"},
      {"[pgbouncer]\nzzz = 5\n",
       "unknown parameter: pgbouncer/zzz | invalid value \"5\" for parameter zzz in configuration "
       "(/etc/x.ini:2) | "},
      {"[databases]\na = port=0 password=secret\n",
       "invalid port: 0 | invalid value \"***\" for parameter a in configuration (/etc/x.ini:2) "
       "| "},
      {"[databases]\npgbouncer = host=x\n",
       "database name \"pgbouncer\" is reserved | invalid value \"***\" for parameter pgbouncer in "
       "configuration (/etc/x.ini:2) | "},
      {"[users]\nu = foo=1\n",
       "unrecognized user parameter: foo | invalid value \"***\" for parameter u in configuration "
       "(/etc/x.ini:2) | "},
      {"[peers]\na = host=x\n",
       "ids of peers must be a number larger than 0 and at most 65536 | invalid value \"***\" for "
       "parameter a in configuration (/etc/x.ini:2) | "},
      {"[pgbouncer]\nshop = host=x password=secret\n",
       "unknown parameter: pgbouncer/shop | invalid value \"host=x password***\" for parameter "
       "shop "
       "in configuration (/etc/x.ini:2) | "},
  };
  for (const Case& c : cases) {
    CAPTURE(c.text);
    CHECK(refusal(load(std::string(c.text))) == c.error);
  }
}

TEST_CASE("load: a missing file is named") {
  CHECK(refusal(Files{}.load()) ==
        "could not load file \"/etc/x.ini\": No such file or directory |  | ");
}

TEST_CASE("load: idle_timeout is an old name") {
  const Config config = with("idle_timeout = 900\n");
  CHECK(config.settings.client_idle_timeout == Duration(seconds(900)));
  CHECK(warnings(config) ==
        "idle_timeout is an old name of client_idle_timeout in configuration (/etc/x.ini:2)\n");
  CHECK(refusal(load("[pgbouncer]\nidle_timeout = x\n"))
            .starts_with(
                "invalid value \"x\" for parameter idle_timeout in configuration (/etc/x.ini:2)"));
}

TEST_CASE("load: what is set and has no effect is told, unless it is the default anyway") {
  CHECK(warnings(with("resolv_conf = /etc/r\npkt_buf = 8192\n")) ==
        "pkt_buf has no effect in Headgate in configuration (/etc/x.ini:3)\n"
        "resolv_conf has no effect in Headgate in configuration (/etc/x.ini:2)\n");
  CHECK(warnings(with("dns_max_ttl = 1\npkt_buf = 4096\nsyslog = no\n")).empty());
  CHECK(warnings(with("default_pool_size = 3\nlogin_notify_message = hello\n")).empty());
}

TEST_CASE("load: a second [pgbouncer] resets what the first one set, with a warning") {
  const Config config =
      with("default_pool_size = 3\nlisten_port = 5\nauth_file = f\n[pgbouncer]\n");
  CHECK(config.settings.default_pool_size == 20);
  CHECK(config.settings.listen_port == 5);
  CHECK(config.settings.auth_file == "f");
  CHECK(config.path == "/etc/x.ini");
  CHECK(
      warnings(config).starts_with("a second [pgbouncer] section resets what the first one set in "
                                   "configuration (/etc/x.ini:5)"));
}

TEST_CASE("load: settings of an included file count where it is included") {
  const Files files{{{"/etc/x.ini", "[pgbouncer]\nlisten_port=1\n%include more\n"},
                     {"more", "listen_port=2\n\nfoo=1"}}};
  CHECK(refusal(files.load()) ==
        "unknown parameter: pgbouncer/foo | invalid value \"1\" for parameter foo in configuration "
        "(more:3) | ");
  const Files bad{{{"/etc/x.ini", "%include more\n"}, {"more", "[pgbouncer]\nlisten_port=x"}}};
  CHECK(
      refusal(bad.load()) ==
      "invalid value \"x\" for parameter listen_port in configuration (more:2) | error processing "
      "include file in configuration (/etc/x.ini:1), stopping loading | expected an integer from "
      "0 to 65535");
}

TEST_CASE("load: a * that is of no use is only a warning, as nobody may ever ask for it") {
  auto config = load("[databases]\n* = foo bar\n[pgbouncer]\n");
  REQUIRE(config.ok());
  CHECK(warnings(*config) ==
        "the connection string of * is of no use: syntax error in connection string in "
        "configuration (/etc/x.ini:2)\n");
  CHECK(!config->find_database("x"));
}

TEST_CASE("load: the user list is read, and does without its file") {
  Files files{{{"/etc/x.ini", "[pgbouncer]\nauth_file = users\n"}}};
  auto missing = files.load();
  REQUIRE(missing.ok());
  CHECK(warnings(*missing) == "could not open auth_file users: No such file or directory\n");
  CHECK(missing->user_list.all().empty());

  files.texts["users"] = "\"a\" \"secret\"\nbroken\n";
  auto config = files.load();
  REQUIRE(config.ok());
  CHECK(config->user_list.find("a") != nullptr);
  CHECK(config->warnings.size() == 1);

  files.texts["/etc/x.ini"] += "auth_type = any\n";
  CHECK(files.load()->user_list.all().empty());
}

TEST_CASE("load: -v counts where the file says nothing") {
  const Files silent{{{"/etc/x.ini", "[pgbouncer]\n"}}};
  CHECK(load_config("/etc/x.ini", silent.reader(), nullptr, {.verbose = 2})->settings.verbose == 2);
  const Files loud{{{"/etc/x.ini", "[pgbouncer]\nverbose=1\n"}}};
  CHECK(load_config("/etc/x.ini", loud.reader(), nullptr, {.verbose = 2})->settings.verbose == 1);
}

TEST_CASE("reload: what needs a restart stays, the rest follows the file") {
  const Config running = with(
      "listen_port = 1\nworkers = 4\njob_name = j\ndefault_pool_size = 3\n"
      "auth_file = f\npkt_buf = 8192\n");
  const Config reloaded = with("listen_port = 2\nmin_pool_size = 1\n", &running);
  CHECK(reloaded.settings.listen_port == 1);
  CHECK(reloaded.settings.workers == 4);
  CHECK(reloaded.settings.others.at("job_name") == "j");
  CHECK(reloaded.settings.others.at("pkt_buf") == "8192");
  CHECK(reloaded.settings.default_pool_size == 20);
  CHECK(reloaded.settings.min_pool_size == 1);
  CHECK(!reloaded.settings.auth_file);
  CHECK(warnings(reloaded).empty());
}

TEST_CASE("reload: every setting obeys its column") {
  const Config running = with("");
  for (const Setting& setting : all_settings()) {
    CAPTURE(setting.name);
    Config changed = running;
    const View other_value = std::holds_alternative<Duration Settings::*>(setting.home) ? "7" : "1";
    if (assign(changed.settings, setting, other_value)) continue;  // an enum, shown elsewhere
    const Config reloaded = with("", &changed);
    const bool kept = show(reloaded.settings, setting) == show(changed.settings, setting);
    const bool same_anyway = show(running.settings, setting) == show(changed.settings, setting);
    // service_name is job_name, which needs a restart
    CHECK(kept == (setting.takes == Takes::restart || same_anyway));
  }
}

TEST_CASE("reload: a value that could not be started with is refused, even where it is not used") {
  const Config running = with("listen_port = 1\n");
  CHECK_FALSE(load("[pgbouncer]\nlisten_port = x\n", &running).ok());
}

TEST_CASE("reload: the users stay when their file cannot be read") {
  Files files{{{"/etc/x.ini", "[pgbouncer]\nauth_file = users\n"}, {"users", "\"a\" \"s\"\n"}}};
  const Config running = *files.load();
  files.texts.erase("users");
  const auto reloaded = files.load(&running);
  REQUIRE(reloaded.ok());
  CHECK(reloaded->user_list.find("a") != nullptr);
  CHECK(reloaded->warnings.size() == 1);
  files.texts["users"] = "";
  CHECK(files.load(&running)->user_list.find("a") == nullptr);
}

TEST_CASE("set: one setting changes in a copy") {
  const Config config = with("default_pool_size = 3\nso_reuseport = 1\n");
  auto changed = with_setting(config, "default_pool_size", "5");
  REQUIRE(changed.ok());
  CHECK(changed->settings.default_pool_size == 5);
  CHECK(config.settings.default_pool_size == 3);
  CHECK(changed->warnings.empty());
  CHECK(with_setting(config, "idle_timeout", "7")->settings.client_idle_timeout ==
        Duration(seconds(7)));
  CHECK(with_setting(config, "conffile", "/other.ini")->path == "/other.ini");
  CHECK(with_setting(config, "conffile", "")->path == "/etc/x.ini");
  CHECK(with_setting(config, "admin_users", "a # b")->settings.admin_users == "a # b");
}

TEST_CASE("settings: no secret is shown") {
  const Config config =
      with("auth_ldap_options = ldapserver=h ldapbasedn=x ldapbindpasswd=secret\n");
  for (const ShownSetting& row : show_settings(config.settings)) {
    CHECK(row.value.value_or("").find("secret") == std::string::npos);
  }
}

TEST_CASE("set: what needs a restart is accepted and ignored") {
  const Config config = with("listen_port = 1\n");
  auto changed = with_setting(config, "listen_port", "2");
  REQUIRE(changed.ok());
  CHECK(changed->settings.listen_port == 1);
}

TEST_CASE("set: errors") {
  const Config config = with("");
  CHECK(refusal(with_setting(config, "poolmode", "x")) ==
        "unknown parameter: pgbouncer/poolmode |  | did you mean pool_mode?");
  CHECK(refusal(with_setting(config, "pool_mode", "x")) ==
        "invalid value \"x\" for parameter pool_mode |  | expected one of session, transaction, "
        "statement");
  CHECK(refusal(with_setting(config, "auth_type", "ldap")) == "auth_ldap_options is null |  | ");
}

TEST_CASE("set: a Config that no file made can be changed, too") {
  CHECK(with_setting(Config{}, "pool_mode", "statement")->settings.pool_mode ==
        PoolMode::statement);
}

TEST_CASE("read_file: files and /dev/null, and why others cannot be read") {
  CHECK(read_file("/dev/null").value().empty());
  CHECK(read_file("/").error().message == "not a regular file");
  CHECK(read_file("/nonexistent/x").error().message == "No such file or directory");
  CHECK(read_file("/dev/zero").error().message == "the file is larger than 16 MB");
  CHECK(test::project_file("tests/unit/conf/files.h").starts_with("// Files that exist only"));
}
