#include "protocol/route_book.h"

#include <doctest/doctest.h>

#include <string>

using namespace headgate;

namespace {

std::string numbered(size_t number) { return "SELECT a FROM t" + std::to_string(number); }

size_t size(const RouteBook& book) {
  size_t count = 0;
  book.for_each([&](const RouteShape&) { ++count; });
  return count;
}

}  // namespace

TEST_CASE("route book: statements of one shape are one") {
  RouteBook book(1);
  const auto first = book.judge("SELECT a FROM t WHERE b = 1", nullptr);
  CHECK(first.shape.is_read());
  first.shape.replica = 7;
  const auto again = book.judge("SELECT a FROM t WHERE b = 2", nullptr);
  CHECK(again.number == first.number);
  CHECK(again.shape.replica == 7);
  CHECK(again.shape.text == "SELECT a FROM t WHERE b = ?");
  CHECK_FALSE(book.judge("DELETE FROM t WHERE b = 1", nullptr).shape.is_read());
  CHECK(size(book) == 2);
}

TEST_CASE("route book: what a replica has refused is for the primary") {
  RouteBook book(1);
  const uint64_t number = book.judge("SELECT a FROM v", nullptr).number;
  book.refuse(number);
  CHECK_FALSE(book.judge("SELECT a FROM v", nullptr).shape.is_read());
  CHECK(book.judge("SELECT b FROM v", nullptr).shape.is_read());
  SUBCASE("also where that was heard before the statement was seen") {
    RouteBook other(1);
    other.refuse(number);
    CHECK_FALSE(other.judge("SELECT a FROM v", nullptr).shape.is_read());
  }
  SUBCASE("until other functions are known than before, if any were") {
    const auto first = std::make_shared<UserFunctions>();
    CHECK_FALSE(book.judge("SELECT a FROM v", first).shape.is_read());
    CHECK(book.judge("SELECT a FROM v", std::make_shared<UserFunctions>()).shape.is_read());
  }
}

TEST_CASE("route book: other functions change verdicts, and take nothing from the counts") {
  RouteBook book(1);
  const auto functions = std::make_shared<UserFunctions>();
  functions->add("public", "f", true);
  functions->add("public", "lower", false);
  for (const View sql : {"SELECT f(1)", "SELECT lower(a) FROM t"}) {
    RouteShape& shape = book.judge(sql, nullptr).shape;
    ++(shape.is_read() ? shape.reads : shape.primary);
  }
  const RouteShape& one = book.judge("SELECT f(2)", functions).shape;
  CHECK(one.is_read());
  CHECK(one.primary == 1);
  const RouteShape& other = book.judge("SELECT lower(a) FROM t", functions).shape;
  CHECK_FALSE(other.is_read());
  CHECK(other.reads == 1);
  CHECK_FALSE(book.judge("SELECT f(3)", nullptr).shape.is_read());
}

TEST_CASE("route book: the shapes of late are remembered, in a bounded number") {
  RouteBook book(1);
  const uint64_t loved = book.judge("SELECT loved", nullptr).number;
  for (size_t i = 0; i < 10 * RouteBook::most; ++i) {
    book.judge(numbered(i), nullptr);
    book.judge("SELECT loved", nullptr).shape.reads++;
    REQUIRE(size(book) <= 2 * RouteBook::most);
  }
  REQUIRE(book.find(loved));
  CHECK(book.find(loved)->reads == 10 * RouteBook::most);
  CHECK_FALSE(book.find(book.judge(numbered(0), nullptr).number + 1));
}

TEST_CASE("route book: a text with a backslash is looked at each time") {
  RouteBook book(1);
  CHECK(book.judge(R"(SELECT '\a')", nullptr).shape.is_read());
  CHECK_FALSE(book.judge(R"(SELECT '\'' )", nullptr).shape.is_read());
  CHECK(book.judge(R"(SELECT '\a')", nullptr).shape.is_read());
}

TEST_CASE("route book: long texts are shown in part") {
  RouteBook book(1);
  const std::string wide = "SELECT a" + std::string(5000, 'b');
  CHECK(book.judge(wide, nullptr).shape.text.size() == RouteBook::longest_text);
}
