// Anything at all may stand in a file: it loads or is refused, and nothing else happens. Sanitizers
// see to the rest.
#include <doctest/doctest.h>

#include <random>

#include "conf/connstr.h"
#include "conf/example.h"
#include "conf/setting.h"
#include "conf/values.h"
#include "tests/unit/conf/files.h"

using namespace headgate;
using test::Files;

namespace {

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}
  size_t below(size_t limit) { return engine_() % limit; }

  std::string bytes(size_t most) {
    std::string text(below(most), ' ');
    for (char& c : text) c = static_cast<char>(below(256));
    return text;
  }

  /// Pieces of valid lines in any order.
  std::string soup(size_t pieces) {
    static const View words[] = {"[pgbouncer]", "[databases]",
                                 "[users]",     "[peers]",
                                 "\n",          "\n",
                                 "\n",          " = ",
                                 "=",           "'",
                                 "''",          " ",
                                 "#",           " # ",
                                 ";",           "%include ",
                                 "/etc/x.ini",  "users",
                                 "host",        "port",
                                 "*",           "-1",
                                 "010",         "5min",
                                 "1e308",       "0x",
                                 "+",           ".",
                                 "on",          "a=b",
                                 "\"",          "\r",
                                 "pool_mode",   "transaction",
                                 "password",    "\\",
                                 "\t",          "99999999999999999999"};
    std::string text;
    for (size_t i = 0; i < pieces; ++i) {
      const auto settings = all_settings();
      text +=
          below(6) == 0 ? settings[below(settings.size())].name : words[below(std::size(words))];
    }
    return text;
  }

  /// `text` with a few bytes changed, dropped or doubled.
  std::string damaged(std::string text) {
    for (size_t i = below(8); i > 0; --i) {
      const size_t at = below(text.size());
      if (below(3) == 0)
        text.erase(at, below(20));
      else if (below(2) == 0)
        text.insert(at, text.substr(below(text.size()), below(40)));
      else
        text[at] = static_cast<char>(below(256));
    }
    return text;
  }

 private:
  std::mt19937 engine_;
};

size_t loaded_count = 0;

/// Loads `text`, and checks what holds for every configuration that loads.
void try_to_load(const std::string& text, const std::string& users) {
  const Files files{{{"/etc/x.ini", text}, {"users", users}}};
  auto config = files.load();
  if (!config) {
    CHECK(!config.error().message.empty());
    return;
  }
  ++loaded_count;
  CHECK(config->settings.default_pool_size >= 0);
  CHECK(config->settings.query_timeout >= Duration::zero());
  CHECK(config->settings.query_timeout <= longest_duration);
  CHECK(config->databases.count("pgbouncer") == 0);
  CHECK(show_settings(config->settings).size() == all_settings().size());
  if (auto entry = config->find_database("any")) CHECK(entry->port > 0);
  // Rules that cannot be read keep a reload from happening, and a start not.
  const Settings& settings = config->settings;
  if (!settings.auth_hba_file.empty() || settings.auth_ident_file) return;
  const auto again = files.load(&*config);
  CHECK_MESSAGE(again.ok(), (again ? "" : again.error().message) << "\n" << text);
}

}  // namespace

TEST_CASE("random: bytes as a file") {
  for (unsigned seed = 0; seed < 1000; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    try_to_load(random.bytes(300), random.bytes(100));
    try_to_load("[pgbouncer]\n" + random.bytes(300), random.bytes(100));
  }
}

TEST_CASE("random: pieces of lines as a file") {
  for (unsigned seed = 0; seed < 3000; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    try_to_load("[pgbouncer]\n" + random.soup(1 + random.below(30)), random.bytes(100));
  }
}

TEST_CASE("random: damaged examples as a file") {
  const std::string sark = test::project_file("tests/unit/conf/examples/sark.ini");
  loaded_count = 0;
  for (unsigned seed = 0; seed < 1000; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    try_to_load(random.damaged(sark), random.bytes(100));
  }
  CHECK(loaded_count > 50);  // the damage must not be so great that nothing loads
}

TEST_CASE("random: bytes as a value of every setting") {
  for (unsigned seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Settings settings;
    for (const Setting& setting : all_settings()) {
      CAPTURE(setting.name);
      const auto before = show(settings, setting);
      const bool refused = assign(settings, setting, random.bytes(12)).has_value();
      if (refused) CHECK(show(settings, setting) == before);
    }
  }
}

TEST_CASE("random: any value survives being quoted in a connection string") {
  for (unsigned seed = 0; seed < 2000; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const std::string value = "x" + random.bytes(40);
    std::string quoted;
    for (char c : value) quoted += c == '\'' ? std::string("''") : std::string(1, c);
    std::vector<std::string> warnings;
    auto pairs = parse_connection_string("a='" + quoted + "' b=c", warnings);
    REQUIRE(pairs.ok());
    REQUIRE(pairs->size() == 2);
    CHECK(pairs->at(0).value == value);
    CHECK(warnings.empty());
  }
}
