#include "protocol/request_scan.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "protocol/frontend.h"

using namespace headgate;
using End = RequestScan::End;

namespace {

struct Said {
  Bytes bytes;

  template <class Message>
  Said& say(const Message& message) {
    encode(bytes, message);
    return *this;
  }
  Said& parse(View name, View sql) { return say(frontend::Parse{name, sql, {}}); }
  Said& bind(View name) { return say(frontend::Bind{{}, name, {}, {}, {}}); }
  Said& execute() { return say(frontend::Execute{}); }
  Said& sync() { return say(frontend::Sync{}); }
};

std::vector<std::string> texts(const RequestScan& scan) {
  return {scan.texts().begin(), scan.texts().end()};
}

using Texts = std::vector<std::string>;

StatementPtr statement(View sql) {
  return std::make_shared<Statement>(1, Statement::key_of(Bytes(sql) + Bytes(3, '\0'), 0));
}

}  // namespace

TEST_CASE("request scan: a simple query is its text") {
  const Said said = Said().say(frontend::Query{"SELECT 1; SELECT 2"}).say(frontend::Query{"other"});
  const RequestScan scan = scan_request(said.bytes, nullptr);
  CHECK(scan.end == End::complete);
  CHECK(texts(scan) == Texts{"SELECT 1; SELECT 2"});
}

TEST_CASE("request scan: a batch is there when its Sync is") {
  const Said said = Said().parse("", "SELECT 1").bind("").execute().sync();
  for (size_t size = 0; size < said.bytes.size(); ++size) {
    REQUIRE(scan_request(View(said.bytes).substr(0, size), nullptr).end == End::incomplete);
  }
  const RequestScan scan = scan_request(said.bytes, nullptr);
  CHECK(scan.end == End::complete);
  CHECK(texts(scan) == Texts{"SELECT 1"});
}

TEST_CASE("request scan: a COPY in a batch is not waited for, since its client may wait for it") {
  for (const View sql : {"COPY t FROM STDIN", " /* c */ ; copy t FROM STDIN", "COPY t TO STDOUT"}) {
    const Said said = Said().parse("", sql).bind("").execute();
    CHECK(scan_request(said.bytes, nullptr).end == End::unclear);
  }
  ClientStatements known;
  known.set("in", statement("COPY t FROM STDIN"));
  CHECK(scan_request(Said().bind("in").execute().bytes, &known).end == End::unclear);
  const Said simple = Said().say(frontend::Query{"COPY t FROM STDIN"});
  CHECK(scan_request(simple.bytes, nullptr).end == End::complete);
}

TEST_CASE("request scan: a statement that runs twice is one text, and two Executes") {
  const Said said = Said().parse("s", "SELECT 1").bind("s").execute().bind("s").execute().sync();
  const ClientStatements known;
  const RequestScan scan = scan_request(said.bytes, &known);
  CHECK(texts(scan) == Texts{"SELECT 1"});
  CHECK(scan.executes == 2);
}

TEST_CASE("request scan: statements of before are found by their names") {
  ClientStatements known;
  known.set("old", statement("SELECT old"));
  known.set_unnamed(std::string("SELECT unnamed") + std::string(3, '\0'), nullptr);
  const Said said = Said()
                        .bind("old")
                        .say(frontend::Describe{frontend::Target::statement, ""})
                        .parse("new", "SELECT new")
                        .bind("new")
                        .bind("old")
                        .execute()
                        .sync();
  const RequestScan scan = scan_request(said.bytes, &known);
  CHECK(scan.end == End::complete);
  CHECK(texts(scan) == Texts{"SELECT old", "SELECT unnamed", "SELECT new"});
}

TEST_CASE("request scan: what cannot be told is unclear") {
  ClientStatements known;
  known.set("old", statement("SELECT old"));
  const auto end = [&](Said said, const ClientStatements* statements) {
    return scan_request(said.sync().bytes, statements).end;
  };
  CHECK(end(Said().bind("unheard_of"), &known) == End::unclear);
  CHECK(end(Said().bind("old"), nullptr) == End::unclear);
  CHECK(end(Said().bind(""), &known) == End::unclear);
  CHECK(end(Said().parse("old", "SELECT 1"), &known) == End::unclear);
  CHECK(end(Said().parse("a", "SELECT 1").parse("a", "SELECT 2"), &known) == End::unclear);
  CHECK(end(Said().parse("a", "SELECT 1"), nullptr) == End::unclear);
  CHECK(end(Said().parse("", "SELECT 1").say(frontend::Flush{}), &known) == End::unclear);
  CHECK(end(Said().say(frontend::Close{frontend::Target::statement, "old"}), &known) ==
        End::unclear);
  CHECK(end(Said().bind("old").say(frontend::Query{"SELECT 1"}), &known) == End::unclear);
  CHECK(end(Said().say(frontend::CopyDone{}), &known) == End::unclear);
}

TEST_CASE("request scan: garbage is unclear") {
  CHECK(scan_request(Bytes("Q\0\0\0\1", 5), nullptr).end == End::unclear);
  CHECK(scan_request(Bytes("P\0\0\0\6ab", 7), nullptr).end == End::unclear);
  CHECK(scan_request(Bytes("B\0\0\0\6a\0", 7), nullptr).end == End::unclear);
}

TEST_CASE("request scan: so many texts and no more") {
  Said said;
  for (size_t i = 0; i < RequestScan::most_texts; ++i) {
    said.parse("", "SELECT " + std::to_string(i)).bind("").execute();
  }
  Said more = said;
  CHECK(scan_request(said.sync().bytes, nullptr).end == End::complete);
  CHECK(scan_request(more.parse("", "SELECT more").sync().bytes, nullptr).end == End::unclear);
}

TEST_CASE("request scan: the names that a request gives") {
  const Said said =
      Said().parse("a", "SELECT 1").parse("", "SELECT 2").parse("b", "SELECT 3").sync();
  std::string names;
  for_each_named_parse(said.bytes, [&](View name) { names += std::string(name) + " "; });
  CHECK(names == "a b ");
}

TEST_CASE("request scan: a hint is a comment in front") {
  CHECK(route_hint("/* headgate:route=replica */ SELECT 1") == RouteHint::replica);
  CHECK(route_hint("  /*headgate:route=primary*/SELECT 1") == RouteHint::primary);
  CHECK(route_hint("/* app=web headgate:route=replica, user=1 */ SELECT 1") == RouteHint::replica);
  for (const View none :
       {"SELECT 1", "SELECT 1 /* headgate:route=replica */", "/* route=replica */",
        "/* headgate:route=elsewhere */", "-- headgate:route=replica\n", "",
        "/* a */ /* headgate:route=replica */ SELECT 1"}) {
    CAPTURE(none);
    CHECK(route_hint(none) == RouteHint::none);
  }
}
