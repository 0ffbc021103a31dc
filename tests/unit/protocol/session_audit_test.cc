#include "protocol/session_audit.h"

#include <doctest/doctest.h>

using namespace headgate;

namespace {

using Belief = SessionAudit::Belief;
using Row = std::vector<std::optional<View>>;

/// A look that is answered with these rows, in one line for each difference.
std::vector<std::string> look(SessionAudit& audit, const Belief& belief,
                              const std::vector<Row>& rows) {
  audit.question(belief, "");
  for (const Row& row : rows) audit.row(row);
  std::vector<std::string> lines;
  for (const AuditDifference& one : audit.compare(belief)) lines.push_back(to_text(one));
  return lines;
}
using Lines = std::vector<std::string>;

const Row time_stopped = {"s", "statement_timeout", "0", "0"};

}  // namespace

TEST_CASE("session audit: what nobody has left is told, kind by kind") {
  const std::pair<Row, std::string> found[] = {
      {{"s", "work_mem", "7MB"},
       "setting \"work_mem\" is \"7MB\", and no client of this moment has set it"},
      {{"s", "role", "boss"},
       "setting \"role\" is \"boss\", and no client of this moment has set it"},
      {{"p", "mine", ""}, "prepared statement \"mine\" is there"},
      {{"c", "news", ""}, "channel \"news\" is there"},
      {{"l", "0 7 1", "ExclusiveLock"}, "advisory lock \"0 7 1\" is there"},
      {{"t", "table x", ""}, "temporary object \"table x\" is there"},
      {{"h", "c", ""}, "cursor \"c\" is there"},
  };
  for (const auto& [row, line] : found) {
    SessionAudit audit;
    CHECK(look(audit, {}, {time_stopped, row}) == Lines{line});
  }
}

TEST_CASE("session audit: a server that is as it is believed to be has nothing to tell") {
  SessionAudit audit;
  Belief belief;
  belief.settings = {
      {"work_mem", "7MB"}, {"app.x", "1"}, {"app.gone", ""}, {"statement_timeout", "5s"}};
  belief.reported = {{"TimeZone", "GMT"}, {"session_authorization", "app"}};
  belief.made = {{"mine", "PREPARE mine AS SELECT 1"}};
  belief.prepared = {"headgate_7"};
  CHECK(look(audit, belief,
             {{"s", "statement_timeout", "5s", "0"},
              {"s", "statement_timeout", "0"},  // stopped meanwhile
              {"s", "work_mem", "7MB"},
              {"s", "work_mem", "7MB"},
              {"s", "app.x", "1"},
              {"s", "app.other", ""},
              {"s", "timezone", "GMT"},
              {"s", "role", "none"},
              {"s", "transaction_deferrable", "off"},
              {"s", "session_authorization", "app"},
              {"p", "mine", ""},
              {"p", "headgate_7", ""}})
            .empty());
}

TEST_CASE("session audit: what is missing, or has another value, is told") {
  SessionAudit audit;
  Belief belief;
  belief.settings = {{"work_mem", "7MB"}, {"app.x", "1"}};
  belief.made = {{"mine", "PREPARE mine AS SELECT 1"}};
  CHECK(look(audit, belief, {time_stopped, {"s", "work_mem", "8MB"}}) ==
        Lines{"setting \"work_mem\" is \"8MB\" and not \"7MB\"",
              "prepared statement \"mine\" is not there", "setting \"app.x\" is not there"});
}

TEST_CASE("session audit: other words for a value, and what nobody knows, are no difference") {
  SessionAudit audit;
  Belief belief;
  belief.settings = {{"work_mem", "4096kB"}, {"app.x", "1"}};
  belief.in_other_words = {"work_mem"};
  belief.unknown = {"app.x", "app.y"};
  const std::vector<Row> rows = {
      {"s", "work_mem", "4MB"}, {"s", "app.x", "2"}, {"s", "app.y", "2"}};
  CHECK(look(audit, belief, rows).empty());
  belief.in_other_words.clear();
  CHECK(look(audit, belief, rows).size() == 1);
}

TEST_CASE("session audit: kinds that the operator does not care for are not told") {
  SessionAudit audit;
  Belief belief;
  belief.ignored.add(Pin::advisory_lock);
  belief.ignored.add(Pin::setting);
  CHECK(look(audit, belief,
             {{"s", "work_mem", "7MB"}, {"l", "0 7 1", "ExclusiveLock"}, {"c", "news", ""}}) ==
        Lines{"channel \"news\" is there"});
}

TEST_CASE("session audit: what a reset does not take away was nobody's doing, and is believed") {
  SessionAudit audit;
  const Row connect = {"s", "work_mem", "6MB"}, left = {"s", "app.x", "7"};
  audit.question({}, "");
  for (const Row& row : {connect, left}) audit.row(row);
  auto before = audit.compare({});
  CHECK(before.size() == 2);
  audit.question({}, "");
  audit.row(connect);
  const auto told = audit.confirm(before, {});
  REQUIRE(told.size() == 1);
  CHECK(told[0].name == "app.x");
  CHECK(look(audit, {}, {connect}).empty());
  CHECK(look(audit, {}, {{"s", "work_mem", "7MB"}}) ==
        Lines{"setting \"work_mem\" is \"7MB\" and not \"6MB\""});
}

TEST_CASE("session audit: what was told can be believed from then on") {
  SessionAudit audit;
  audit.question({}, "");
  audit.row({"c", "news", ""});
  audit.believe(audit.compare({}));
  CHECK(look(audit, {}, {{"c", "news", ""}}).empty());
}

TEST_CASE("session audit: a look that fails, or has no end, is told") {
  SessionAudit audit;
  audit.question({}, "");
  audit.failed("permission denied");
  REQUIRE(audit.compare({}).size() == 1);
  CHECK(to_text(audit.compare({})[0]) == "the server cannot be looked at: permission denied");
  CHECK(audit.confirm(audit.compare({}), {}).size() == 1);
  CHECK(look(audit, {}, {{"?", "a", "b"}}).size() == 1);
  CHECK(look(audit, {}, {}).empty());
  std::vector<Row> many(SessionAudit::max_rows + 1, Row{"c", "news", ""});
  CHECK(look(audit, {}, many) ==
        Lines{"the server cannot be looked at: its answer is too long, or none"});
  const std::string large(SessionAudit::max_bytes + 1, 'x');
  CHECK(look(audit, {}, {{"s", "app.x", large}}).size() == 1);
  CHECK(look(audit, {}, {Row{}, Row{"s"}, Row{"s", std::nullopt, "x"}}).empty());
}

TEST_CASE("session audit: settings in no catalog are asked for when somebody has named them") {
  SessionAudit audit;
  CHECK(audit.question({}, "first;").starts_with("first;SELECT"));
  CHECK(audit.question({}, "").find("$h$app.tenant$h$") == std::string::npos);
  audit.heard("SET app.tenant = 'it''s'; SET work_mem = '1MB'");
  CHECK(audit.question({}, "").find("ARRAY[$h$app.tenant$h$]") != std::string::npos);
  Belief belief;
  belief.settings = {{"app.y", "1"}, {"work_mem", "1MB"}};
  CHECK(audit.question(belief, "").find("ARRAY[$h$app.y$h$,$h$work_mem$h$]") != std::string::npos);
  CHECK(audit.question({}, "").find("ARRAY[$h$app.tenant$h$,$h$app.y$h$]") != std::string::npos);
  for (int i = 0; i < 1000; ++i) audit.heard("SET app.n" + std::to_string(i) + " = 1");
  CHECK(audit.question({}, "").find("$h$app.n999$h$") == std::string::npos);
}

TEST_CASE("session audit: of what clients say the last is kept, and the beginning of it") {
  SessionAudit audit;
  CHECK(audit.texts().empty());
  for (const char* text : {"one", "two", "three", "four"}) audit.heard(text);
  CHECK(audit.texts() == "two | three | four");
  audit.forget_texts();
  audit.heard(std::string(5000, 'x'));
  CHECK(audit.texts().size() == SessionAudit::kept_bytes);
}
