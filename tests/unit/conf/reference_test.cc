#include "conf/reference.h"

#include <doctest/doctest.h>

#include "conf/entries.h"
#include "conf/settings_table.h"
#include "tests/unit/conf/files.h"

using namespace headgate;

TEST_CASE("reference: docs/settings.md is what --print-settings prints (else write it there)") {
  CHECK(test::project_file("docs/settings.md") == settings_reference());
}

TEST_CASE("reference: every setting and every key of a line has its row") {
  const std::string text = settings_reference();
  const auto rows = [&](View name) {
    size_t count = 0;
    const std::string head = "\n| `" + std::string(name) + "` |";
    for (size_t at = text.find(head); at != std::string::npos; at = text.find(head, at + 1))
      ++count;
    return count;
  };
  const auto expected = [](View name) { return name == "user" ? 2u : 1u; };  // means two things
  for (const Setting& setting : all_settings()) {
    CHECK_MESSAGE(rows(setting.name) == expected(setting.name), setting.name);
  }
  for (const auto& keys : {database_keys(), user_keys(), peer_keys()}) {
    for (View key : keys) CHECK_MESSAGE(rows(key) == expected(key), key);
  }
}

TEST_CASE("reference: a row has the sections, the type, the default and what a change needs") {
  const std::string text = settings_reference();
  for (View row : {
           "| `listen_port` |  | number from 0 to 65535 | `6432` | restart | ",
           "| `pool_mode` | [databases], [users] | session, transaction, statement | `session` | "
           "reload | ",
           "| `query_timeout` | [users] | time | `0` | reload | ",
           "| `max_packet_size` |  | size | `2147483647` | reload | ",
           "| `tcp_user_timeout` |  | time, counted in milliseconds | `0` | reload | ",
           "| `host` | [databases], [peers] | text |  | ",
       }) {
    CHECK_MESSAGE(text.find(row) != std::string::npos, row);
  }
  CHECK(text.find("Size of PgBouncer's buffers; Headgate's are shared and need no size. Has no "
                  "effect. |") != std::string::npos);
}
