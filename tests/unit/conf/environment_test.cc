#include "conf/environment.h"

#include <doctest/doctest.h>

#include "conf/setting.h"
#include "tests/unit/conf/files.h"

using namespace headgate;
using test::Files;
using test::refusal;
using test::warnings;

namespace {

Result<Config> alone(Environment environment, const Files& files = {}) {
  return load_config("", files.reader(), nullptr, {0, std::move(environment)});
}

Result<Config> beside(const std::string& text, Environment environment) {
  const Files files{{{"/etc/x.ini", text}}};
  return load_config("/etc/x.ini", files.reader(), nullptr, {0, std::move(environment)});
}

Config loaded(Result<Config> config) {
  REQUIRE_MESSAGE(config.ok(), refusal(config));
  return std::move(*config);
}

std::string secret_of(const Config& config, View user) {
  const Secret* secret = config.user_list.find(user);
  return secret == nullptr ? "unknown" : std::string(secret->text());
}

/// NAME=value lines, as `--env-file` reads them.
Environment variables(View text) {
  Environment all;
  while (!text.empty()) {
    const View line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const size_t end = line.find('=');
    if (end == View::npos) continue;
    all.push_back({std::string(line.substr(0, end)), std::string(line.substr(end + 1))});
  }
  return all;
}

const Environment a_database = {{"DATABASES_HOST", "db"}};

Environment with_database(Environment more) {
  more.insert(more.end(), a_database.begin(), a_database.end());
  return more;
}

}  // namespace

TEST_CASE("environment: the example of a container") {
  const Config config =
      loaded(alone(variables(test::project_file("tests/unit/conf/examples/container.env"))));
  CHECK(warnings(config).empty());
  CHECK(config.settings.pool_mode == PoolMode::transaction);
  CHECK(config.settings.max_client_conn == 1000);
  CHECK(config.settings.default_pool_size == 25);
  CHECK(config.settings.listen_addr == "*");
  const DatabaseEntry& entry = config.databases.at("iac_dharma");
  CHECK(entry.host == "postgres");
  CHECK(entry.port == 5432);
  CHECK(entry.user == "iac");
  CHECK(entry.password == "secret");
  CHECK(secret_of(config, "iac") == "secret");
  CHECK(config.path.empty());
}

TEST_CASE("environment: any setting by either prefix, and ours beats theirs") {
  const Config config =
      loaded(alone(with_database({{"HEADGATE_QUERY_TIMEOUT", "5min"},
                                  {"PGBOUNCER_QUERY_TIMEOUT", "1"},
                                  {"PGBOUNCER_SERVER_LIFETIME", "1h"},
                                  {"PGBOUNCER_SERVER_RESET_QUERY", "SELECT 1 # 2"},
                                  {"HEADGATE_LISTEN_ADDR", "127.0.0.1"},
                                  {"HEADGATE_UNIX_SOCKET_DIR", ""},
                                  {"PGBOUNCER_POOL_MODE", ""}})));
  CHECK(warnings(config).empty());
  CHECK(config.settings.query_timeout == Duration(seconds(300)));
  CHECK(config.settings.server_lifetime == Duration(seconds(3600)));
  CHECK(config.settings.server_reset_query == "SELECT 1 # 2");
  CHECK(config.settings.listen_addr == "127.0.0.1");
  CHECK(config.settings.unix_socket_dir.empty());  // only ours can say so
  CHECK(config.settings.pool_mode == PoolMode::session);
}

TEST_CASE("environment: every setting can be said") {
  for (const Setting& setting : all_settings()) {
    std::string name = "HEADGATE_" + std::string(setting.name);
    for (char& c : name) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    CAPTURE(name);
    const std::string value = show(default_settings(), setting).value_or("");
    CHECK(alone(with_database({{name, value}})).ok());
  }
}

TEST_CASE("environment: it overrides a file, which keeps the rest") {
  const Config config = loaded(beside(
      "[databases]\na = host=x\n[pgbouncer]\npool_mode = session\nmax_client_conn = 7\n",
      {{"HEADGATE_POOL_MODE", "statement"}, {"DATABASE_URL", "postgres://y/b"}, {"DB_HOST", "z"}}));
  CHECK(warnings(config).empty());
  CHECK(config.settings.pool_mode == PoolMode::statement);
  CHECK(config.settings.max_client_conn == 7);
  CHECK(config.settings.listen_addr.empty());
  CHECK(config.databases.size() == 1);
  CHECK(warnings(loaded(beside("[pgbouncer]\n", {{"DATABASES_HOST", "x"}}))) ==
        "environment variable DATABASES_HOST is not read: the file names the databases\n");
}

TEST_CASE("environment: a bad value names its variable") {
  CHECK(refusal(alone(with_database({{"HEADGATE_POOL_MODE", "sesion"}}))) ==
        "invalid value \"sesion\" for parameter pool_mode in environment variable "
        "HEADGATE_POOL_MODE |  | expected one of session, transaction, statement");
  CHECK(refusal(alone({{"DATABASES_HOST", "x"}, {"DATABASES_PORT", "http"}})) ==
        "invalid port: http | invalid value \"***\" for parameter * in environment variable "
        "DATABASES_HOST | ");
}

TEST_CASE("environment: an unknown name of ours is an error, of theirs a warning") {
  CHECK(refusal(alone(with_database({{"HEADGATE_POOL_MOD", "x"}}))) ==
        "unknown environment variable HEADGATE_POOL_MOD |  | did you mean HEADGATE_POOL_MODE?");
  CHECK(refusal(beside("[pgbouncer]\n", {{"HEADGATE_FOO_BAR_BAZ", "x"}})) ==
        "unknown environment variable HEADGATE_FOO_BAR_BAZ |  | ");
  CHECK(warnings(loaded(alone(
            with_database({{"PGBOUNCER_INIT_SLEEP_TIME", "10"}, {"PGBOUNCER_POOL_MOD", "x"}})))) ==
        "environment variable PGBOUNCER_INIT_SLEEP_TIME means nothing here\n"
        "environment variable PGBOUNCER_POOL_MOD means nothing here: did you mean "
        "PGBOUNCER_POOL_MODE?\n");
  CHECK(warnings(loaded(alone(with_database({{"DATABASES_POOL_SIZ", "3"}})))) ==
        "environment variable DATABASES_POOL_SIZ means nothing here: did you mean "
        "DATABASES_POOL_SIZE?\n");
  CHECK(warnings(loaded(alone(with_database({{"POOL_MODE", "x"}, {"USER", "root"}})))) ==
        "environment variable POOL_MODE is not read: call it HEADGATE_POOL_MODE\n");
}

TEST_CASE("environment: what a cluster says of a service with our name is none of ours") {
  const Config config =
      loaded(alone(with_database({{"HEADGATE_PORT", "tcp://10.0.0.1:6432"},
                                  {"HEADGATE_PORT_6432_TCP", "tcp://10.0.0.1:6432"},
                                  {"HEADGATE_PORT_6432_TCP_ADDR", "10.0.0.1"},
                                  {"HEADGATE_PORT_6432_TCP_PROTO", "tcp"},
                                  {"HEADGATE_SERVICE_HOST", "10.0.0.1"},
                                  {"HEADGATE_SERVICE_PORT", "6432"},
                                  {"HEADGATE_SERVICE_PORT_CLIENTS", "6432"},
                                  {"PGBOUNCER_PORT", "tcp://10.0.0.2:6432"},
                                  {"DB_PORT", "tcp://10.0.0.3:5432"}})));
  CHECK(warnings(config).empty());
  CHECK(config.settings.listen_port == 6432);
}

TEST_CASE("environment: the words of the image of PgBouncer's project") {
  const Files files{{{"/run/secrets/pw", "s3 cr'et\r\n"}, {"/run/secrets/query", "select 1\n"}}};
  const Config config = loaded(alone({{"DATABASES_HOST", "db"},
                                      {"DATABASES_DBNAME", "shop"},
                                      {"DATABASES_USER", "app"},
                                      {"DATABASES_PASSWORD_FILE", "/run/secrets/pw"},
                                      {"DATABASES_POOL_SIZE", "7"},
                                      {"DATABASES_CLIENT_ENCODING", ""},
                                      {"HEADGATE_AUTH_QUERY_FILE", "/run/secrets/query"},
                                      {"HEADGATE_CLIENT_TLS_KEY_FILE", "/run/secrets/key"}},
                                     files));
  const DatabaseEntry& entry = config.databases.at("shop");
  CHECK(entry.password == "s3 cr'et");
  CHECK(entry.pool_size == 7);
  CHECK(entry.startup_parameters.empty());
  CHECK(secret_of(config, "app") == "s3 cr'et");
  CHECK(config.settings.auth_query == "select 1");
  CHECK(config.settings.client_tls_key_file == "/run/secrets/key");
}

TEST_CASE("environment: a file of a secret that is missing, doubled or broken is an error") {
  CHECK(refusal(alone(with_database({{"DATABASES_PASSWORD_FILE", "/none"}}))) ==
        "could not open DATABASES_PASSWORD_FILE /none: No such file or directory |  | ");
  CHECK(refusal(alone(with_database(
            {{"DATABASES_PASSWORD", "a"}, {"DATABASES_PASSWORD_FILE", "/etc/x.ini"}}))) ==
        "DATABASES_PASSWORD and DATABASES_PASSWORD_FILE are both set |  | ");
  const Files zero{{{"/zero", std::string("a\0b", 3)}}};
  CHECK(refusal(alone(with_database({{"DATABASES_PASSWORD_FILE", "/zero"}}), zero)) ==
        "there is a zero byte in DATABASES_PASSWORD_FILE /zero |  | ");
}

TEST_CASE("environment: a database as a URL") {
  const Config config =
      loaded(alone({{"DATABASE_URL",
                     "postgres://app:p%40ss@db.example:5433/shop?sslmode=verify-full"
                     "&sslrootcert=/ca&application_name=x&schema=public"}}));
  const DatabaseEntry& entry = config.databases.at("shop");
  CHECK(entry.host == "db.example");
  CHECK(entry.port == 5433);
  CHECK(entry.dbname == "shop");
  CHECK(!entry.user);  // others keep their names, and app looks them up
  CHECK(entry.auth_user == "app");
  CHECK(entry.startup_parameters.size() == 1);
  CHECK(secret_of(config, "app") == "p@ss");
  CHECK(config.settings.server_tls_sslmode == SslMode::verify_full);
  CHECK(config.settings.server_tls_ca_file == "/ca");
  CHECK(warnings(config) == "schema is ignored in environment variable DATABASE_URL\n");
  CHECK(loaded(alone({{"DATABASE_URL", "postgres://a:b@c/d?sslmode=require"},
                      {"HEADGATE_SERVER_TLS_SSLMODE", "disable"}}))
            .settings.server_tls_sslmode == SslMode::disable);
  CHECK(loaded(alone({{"DATABASE_URL", "postgres://a:b@c"}})).fallback.has_value());
  CHECK(refusal(alone({{"DATABASE_URL", "mysql://a:secret@b"}})) ==
        "not a database URL: it does not begin with postgres:// in environment variable "
        "DATABASE_URL |  | expected postgres://user:password@host:port/name?sslmode=...");
}

TEST_CASE("environment: the words of other images") {
  const Config db = loaded(
      alone({{"DB_HOST", "db"}, {"DB_USER", "app"}, {"DB_PASSWORD", "pw"}, {"DB_NAME", "shop"}}));
  CHECK(db.databases.at("shop").auth_user == "app");
  CHECK(!db.databases.at("shop").user);
  CHECK(secret_of(db, "app") == "pw");
  CHECK(db.settings.ignore_startup_parameters == "extra_float_digits");

  Environment bitnami = {{"POSTGRESQL_HOST", "pg"},
                         {"POSTGRESQL_PORT", "5433"},
                         {"POSTGRESQL_PASSWORD", "pw"},
                         {"POSTGRESQL_DATABASE", "shop"},
                         {"PGBOUNCER_DATABASE", "front"},
                         {"PGBOUNCER_PORT", "7000"},
                         {"PGBOUNCER_BIND_ADDRESS", "::1"},
                         {"PGBOUNCER_USERLIST", "\"x\" \"y\""},
                         {"PGBOUNCER_DSN_0", "other=host=o port=1"}};
  const Config free = loaded(alone(bitnami));
  CHECK(warnings(free).empty());
  CHECK(free.databases.at("front").dbname == "shop");
  CHECK(free.databases.at("front").port == 5433);
  CHECK(!free.databases.at("front").user);
  CHECK(free.databases.at("other").host == "o");
  CHECK(free.settings.listen_port == 7000);
  CHECK(free.settings.listen_addr == "::1");
  CHECK(secret_of(free, "postgres") == "pw");  // the user that the images take
  CHECK(secret_of(free, "x") == "y");
  bitnami.push_back({"PGBOUNCER_SET_DATABASE_USER", "yes"});
  CHECK(loaded(alone(bitnami)).databases.at("front").user == "postgres");
}

TEST_CASE("environment: without a name of a database it serves all") {
  const Config config = loaded(alone({{"DB_HOST", "db"}, {"DB_PASSWORD", "x"}}));
  CHECK(config.databases.empty());
  CHECK(config.find_database("any")->host == "db");
  CHECK(config.find_database("any")->dbname == "any");
}

TEST_CASE("environment: one database counts, the others are told") {
  CHECK(warnings(loaded(alone({{"DATABASES_HOST", "a"}, {"DB_HOST", "b"}}))) ==
        "DB_HOST is not read: DATABASES_HOST names the database\n");
  CHECK(refusal(alone({{"HEADGATE_POOL_MODE", "session"}})) ==
        "the environment names no database |  | set DATABASES_HOST, DATABASE_URL, DB_HOST or "
        "POSTGRESQL_HOST, or name a configuration file");
}

TEST_CASE("environment: it is known beforehand whether it is enough to run") {
  CHECK(configures({{"DATABASES_HOST", "x"}}));
  CHECK(configures({{"DATABASE_URL_FILE", "/x"}}));
  CHECK(configures({{"HEADGATE_POOL_MODE", "x"}}));
  CHECK_FALSE(configures({{"DB_HOST", ""}, {"DB_NAME", "x"}, {"PATH", "/bin"}}));
  for (View name : {"HEADGATE_X", "PGBOUNCER_X", "DATABASES_HOST", "DATABASE_URL", "DB_HOST_FILE",
                    "POSTGRESQL_HOST", "POOL_MODE"}) {
    CHECK(may_concern_us(name));
  }
  for (View name : {"PATH", "USER", "HOME", "AWS_SECRET_ACCESS_KEY", "pool_mode"}) {
    CHECK_FALSE(may_concern_us(name));
  }
}

TEST_CASE("environment: a reload reads the secrets' files again, and keeps all if one is gone") {
  Files files{{{"/pw", "one"}}};
  const Start start{0,
                    {{"DATABASES_HOST", "x"},
                     {"DATABASES_USER", "u"},
                     {"DATABASES_DBNAME", "d"},
                     {"DATABASES_PASSWORD_FILE", "/pw"}}};
  const Config first = loaded(load_config("", files.reader(), nullptr, start));
  files.texts["/pw"] = "two";
  const Config second = loaded(load_config("", files.reader(), &first, start));
  CHECK(second.databases.at("d").password == "two");
  CHECK(secret_of(second, "u") == "two");
  files.texts.clear();
  CHECK_FALSE(load_config("", files.reader(), &second, start).ok());
}
