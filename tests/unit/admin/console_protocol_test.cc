// The simple and the extended protocol on the console, message by message.
#include "admin/console_protocol.h"

#include <doctest/doctest.h>

#include "admin/binary_value.h"
#include "tests/unit/admin/rig.h"

using namespace headgate;
using Next = ConsoleStep::Next;

namespace {

/// A client of the console: what it says and hears.
struct Talk {
  ConsoleProtocol console{ConsoleRights::stats};
  Snapshot snapshot;
  Bytes heard;
  int errors = 0;

  template <Message M>
  Talk& say(const M& message) {
    Bytes bytes;
    encode(bytes, message);
    take(console.message(bytes[0], View(bytes).substr(header_size)));
    return *this;
  }
  Talk& parse(View query, View name = "") { return say(frontend::Parse{name, query, {}}); }
  Talk& bind(View statement = "", View portal = "", std::vector<int16_t> formats = {}) {
    frontend::Bind message;
    message.statement = statement;
    message.portal = portal;
    message.result_formats = std::move(formats);
    return say(message);
  }
  Talk& describe(frontend::Target target, View name = "") {
    return say(frontend::Describe{target, name});
  }
  Talk& execute(View portal = "", int32_t rows = 0) { return say(frontend::Execute{portal, rows}); }
  Talk& sync() { return say(frontend::Sync{}); }

  void take(ConsoleStep step) {
    heard += step.out;
    errors += step.error.has_value();
    REQUIRE(step.next != Next::broken);
    if (step.next == Next::read) return;
    Bytes answer;
    answer_show(answer, console.command(), snapshot, {});
    take(console.answered(std::move(answer)));
  }

  /// The tags of what was heard since last asked.
  std::string tags() {
    std::string all;
    for (const auto& [tag, body] : messages()) all += tag;
    return all;
  }
  std::vector<std::pair<char, Bytes>> messages() {
    std::vector<std::pair<char, Bytes>> all;
    for (View rest = heard; !rest.empty();) {
      const size_t size = 1 + size_t{load_u32(rest.data() + 1)};
      all.emplace_back(rest[0], rest.substr(header_size, size - header_size));
      rest.remove_prefix(size);
    }
    heard.clear();
    return all;
  }
  /// The last error heard since last asked; it lends from here.
  ErrorFields error() {
    std::optional<ErrorFields> found;
    last_ = messages();
    for (const auto& [tag, body] : last_) {
      if (tag == backend::error_response) found = *decode_error_fields(body);
    }
    REQUIRE(found);
    return *found;
  }

 private:
  std::vector<std::pair<char, Bytes>> last_;
};

Snapshot three_clients() {
  Snapshot snapshot;
  snapshot.clients.resize(3);
  for (int i = 0; i < 3; ++i) snapshot.clients[static_cast<size_t>(i)].id = 7 + i;
  return snapshot;
}

}  // namespace

TEST_CASE("console: a simple query is answered with rows, tag and ReadyForQuery") {
  Talk talk;
  CHECK(talk.say(frontend::Query{"SHOW STATE"}).tags() == "TDDDCZ");
  CHECK(talk.say(frontend::Query{"SHOW NOTHING"}).tags() == "EZ");
  CHECK(talk.say(frontend::Query{"SHOW HELP"}).tags() == "NCZ");
  CHECK(talk.errors == 1);
}

TEST_CASE("console: the extended protocol runs a command without parameters") {
  Talk talk;
  talk.parse("SHOW STATE").bind().describe(frontend::Target::portal).execute().sync();
  CHECK(talk.tags() == "12TDDDCZ");
  talk.parse("SHOW STATE", "s").describe(frontend::Target::statement, "s").sync();
  CHECK(talk.tags() == "1tTZ");
  talk.bind("s").execute().sync();
  CHECK(talk.tags() == "2DDDCZ");
  talk.parse("SHOW HELP").bind().describe(frontend::Target::portal).execute().sync();
  CHECK(talk.tags() == "12nNCZ");
  talk.say(frontend::Close{frontend::Target::statement, "s"}).say(frontend::Flush{}).sync();
  CHECK(talk.tags() == "3Z");
  CHECK(talk.bind("s").sync().error().sqlstate == "26000");
}

TEST_CASE("console: every SHOW is described as it is answered") {
  for (const char* query :
       {"SHOW CLIENTS", "SHOW SOCKETS", "SHOW POOLS", "SHOW DATABASES", "SHOW USERS", "SHOW LISTS",
        "SHOW STATS", "SHOW TOTALS", "SHOW CONFIG", "SHOW MEM", "SHOW VERSION", "SHOW datestyle"}) {
    CAPTURE(query);
    Talk talk;
    talk.parse(query).bind().describe(frontend::Target::portal);
    const auto described = talk.messages();
    talk.say(frontend::Query{query});
    const auto answered = talk.messages();
    CHECK(described.back() == answered.front());
  }
}

TEST_CASE("console: after an error all is skipped up to Sync") {
  Talk talk;
  talk.parse("SHOW NOTHING").bind().describe(frontend::Target::portal).execute();
  talk.say(frontend::Query{"SHOW STATE"});
  CHECK(talk.tags() == "E");
  CHECK(talk.sync().tags() == "Z");
  CHECK(talk.say(frontend::Query{"SHOW VERSION"}).tags() == "TDCZ");
}

TEST_CASE("console: access is the same as with simple queries") {
  Talk talk;
  CHECK(talk.parse("RELOAD").sync().error().message == "admin access needed");
  CHECK(talk.parse("SHOW FDS").sync().error().message == "admin access needed");
}

TEST_CASE("console: parameters are refused, where they are declared and where they are given") {
  Talk talk;
  talk.say(frontend::Parse{"", "SHOW STATE", {23}}).sync();
  CHECK(talk.error().message == "commands of the console take no parameters");
  talk.parse("SHOW STATE");
  frontend::Bind bind;
  bind.values = {View("1")};
  CHECK(talk.say(bind).sync().error().sqlstate == "0A000");
}

TEST_CASE("console: what does not exist, exists already or is wrong has PostgreSQL's SQLSTATE") {
  Talk talk;
  CHECK(talk.bind("nothing").sync().error().sqlstate == "26000");
  CHECK(talk.execute("nothing").sync().error().sqlstate == "34000");
  CHECK(talk.describe(frontend::Target::portal, "nothing").sync().error().sqlstate == "34000");
  CHECK(talk.describe(frontend::Target::statement, "x").sync().error().sqlstate == "26000");
  CHECK(talk.parse("SHOW STATE", "s").parse("SHOW STATE", "s").sync().error().sqlstate == "42P05");
  CHECK(talk.bind("s", "p").bind("s", "p").sync().error().sqlstate == "42P03");
  CHECK(talk.bind("s", "", {0, 1, 0}).sync().error().sqlstate == "08P01");
  CHECK(talk.bind("s", "", {2}).sync().error().sqlstate == "22023");
}

TEST_CASE("console: a portal gives its rows in parts, and ends with the batch") {
  Talk talk;
  talk.snapshot = three_clients();
  talk.parse("SHOW CLIENTS").bind("", "p").execute("p", 2).execute("p", 2).execute("p", 2);
  CHECK(talk.tags() == "12DDsDCE");
  talk.sync().execute("p").sync();
  CHECK(talk.error().message == "portal \"p\" does not exist");
}

TEST_CASE("console: statements and portals are bounded") {
  Talk talk;
  for (size_t i = 0; i < ConsoleProtocol::max_statements; ++i) {
    talk.parse("SHOW STATE", "s" + std::to_string(i));
  }
  CHECK(talk.errors == 0);
  CHECK(talk.parse("SHOW STATE", "one more").sync().error().sqlstate == "53400");
  for (size_t i = 0; i < ConsoleProtocol::max_portals; ++i) {
    talk.bind("s0", "p" + std::to_string(i));
  }
  CHECK(talk.errors == 1);
  CHECK(talk.bind("s0", "one more").sync().error().sqlstate == "53400");
}

TEST_CASE("console: messages that are broken, or none of the console's, are told apart") {
  ConsoleProtocol console(ConsoleRights::admin);
  for (const char tag : {'Q', 'P', 'B', 'D', 'E', 'C'}) {
    CHECK(console.message(tag, "x").next == Next::broken);
  }
  for (const char tag : {'F', 'd', 'c', 'f', 'p'}) CHECK_FALSE(ConsoleProtocol::understands(tag));
  for (const char tag : {'Q', 'P', 'B', 'D', 'E', 'C', 'S', 'H'}) {
    CHECK(ConsoleProtocol::understands(tag));
  }
}

TEST_CASE("console: values come in binary to those who ask for it") {
  Talk talk;
  talk.snapshot = three_clients();
  talk.parse("SHOW CLIENTS").bind("", "", {1}).describe(frontend::Target::portal).execute("", 1);
  const auto all = talk.messages();
  const auto heads = *decode<backend::RowDescription>(all[2].second);
  CHECK(heads.columns.back().format == 1);
  const auto row = *decode<backend::DataRow>(all[3].second);
  CHECK(*row.values.front() == "C");
  CHECK(*row.values.end()[-2] == View("\0\0\0\7", 4));
}

TEST_CASE("console: binary values are what PostgreSQL sends") {
  const auto bytes = [](std::initializer_list<int> all) {
    Bytes text;
    for (const int each : all) text += static_cast<char>(each);
    return text;
  };
  CHECK(binary_value(SqlType::text, "some") == "some");
  CHECK(binary_value(SqlType::boolean, "t") == bytes({1}));
  CHECK(binary_value(SqlType::int4, "-2") == bytes({255, 255, 255, 254}));
  CHECK(binary_value(SqlType::int8, "9223372036854775807") ==
        bytes({127, 255, 255, 255, 255, 255, 255, 255}));
  CHECK(binary_value(SqlType::bytea, "\\x009fff") == bytes({0, 0x9f, 0xff}));
  CHECK(binary_value(SqlType::numeric, "0") == bytes({0, 0, 0, 0, 0, 0, 0, 0}));
  CHECK(binary_value(SqlType::numeric, "10000") == bytes({0, 2, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0}));
  CHECK(binary_value(SqlType::numeric, "-12345") ==
        bytes({0, 2, 0, 1, 0x40, 0, 0, 0, 0, 1, 0x09, 0x29}));
}
