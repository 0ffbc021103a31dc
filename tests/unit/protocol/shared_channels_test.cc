#include "protocol/shared_channels.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace headgate;

namespace {

using Wanted = SharedChannels::Wanted;
using Asker = SharedChannels::Asker;

/// The names that are told, with + for those that are listened to.
std::string told(const std::vector<SharedChannels::News>& news) {
  std::string all;
  for (const auto& one : news) {
    all += (one.listening ? "+" : "-") + one.channel;
    for (const Asker& asker : one.askers) {
      all += " " + std::to_string(asker.worker) + ":" + std::to_string(asker.number);
    }
    all += ";";
  }
  return all;
}

SharedChannels listening_to(const std::vector<std::string>& names) {
  SharedChannels channels;
  for (const std::string& name : names) CHECK(channels.want(name, {0, 1}) == Wanted::coming);
  CHECK_FALSE(channels.next(false).empty());
  channels.answered(false);
  CHECK(channels.next(false).empty());
  return channels;
}

size_t count(View text, View part) {
  size_t found = 0;
  for (size_t at = text.find(part); at != View::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

}  // namespace

TEST_CASE("shared channels: what is wanted is listened to once, and whoever wants it is told") {
  SharedChannels channels;
  CHECK_FALSE(channels.any_wanted());
  CHECK(channels.want("a", {1, 7}) == Wanted::coming);
  CHECK(channels.want("b\"c", {1, 8}) == Wanted::coming);
  CHECK(channels.next(false) == "LISTEN \"a\";LISTEN \"b\"\"c\";");
  CHECK(channels.want("a", {2, 3}) == Wanted::coming);
  CHECK(told(channels.answered(false)) == "+a 1:7 2:3;+b\"c 1:8;");
  CHECK(channels.next(true).empty());
  CHECK(channels.want("a", {3, 1}) == Wanted::listening);
  CHECK(channels.wanted_by("a") == 0b1110);
  CHECK(channels.wanted_by("x") == 0);
  CHECK(channels.wanted() == 0b1110);
}

TEST_CASE("shared channels: an answer is for the last wish of a worker") {
  SharedChannels channels;
  channels.want("a", {1, 1});
  CHECK_FALSE(channels.next(false).empty());
  channels.unwant("a", 1);
  CHECK(channels.want("a", {1, 2}) == Wanted::coming);
  CHECK(told(channels.answered(false)) == "+a 1:2;");
}

TEST_CASE("shared channels: what nobody wants is listened to until it is tidied") {
  SharedChannels channels = listening_to({"a", "b"});
  channels.unwant("a", 0);
  channels.unwant("a", 5);
  CHECK(channels.wanted_by("a") == 0);
  CHECK(channels.unwanted() == 1);
  CHECK(channels.next(false).empty());
  CHECK(channels.want("a", {1, 1}) == Wanted::listening);  // it has come back in time
  CHECK(channels.unwanted() == 0);
  channels.unwant("a", 1);
  CHECK(channels.next(true) == "UNLISTEN \"a\";");
  CHECK(channels.want("a", {1, 2}) == Wanted::coming);  // too late
  CHECK(channels.answered(false).empty());
  CHECK(channels.next(false) == "LISTEN \"a\";");
  CHECK(told(channels.answered(false)) == "+a 1:2;");
}

TEST_CASE("shared channels: an UNLISTEN that fails has changed nothing") {
  SharedChannels channels = listening_to({"a"});
  channels.unwant("a", 0);
  CHECK_FALSE(channels.next(true).empty());
  channels.want("a", {1, 2});
  CHECK(told(channels.answered(true)) == "+a 1:2;");
}

TEST_CASE("shared channels: not too many are listened to in vain") {
  SharedChannels channels;
  for (size_t i = 0; i <= SharedChannels::max_unwanted; ++i) {
    channels.want(std::to_string(i), {0, 1});
  }
  while (!channels.next(false).empty()) channels.answered(false);
  for (size_t i = 0; i <= SharedChannels::max_unwanted; ++i) channels.unwant(std::to_string(i), 0);
  CHECK(count(channels.next(false), "UNLISTEN") == SharedChannels::max_at_once);
}

TEST_CASE("shared channels: many are asked for at once, refused ones are tried alone") {
  SharedChannels channels;
  for (const char* name : {"a", "bad", "c"}) channels.want(name, {0, 1});
  CHECK(count(channels.next(false), "LISTEN") == 3);
  CHECK(channels.answered(true).empty());
  std::string news;
  for (std::string sql = channels.next(false); !sql.empty(); sql = channels.next(false)) {
    CHECK(count(sql, "LISTEN") == 1);
    news += told(channels.answered(sql.find("bad") != std::string::npos));
  }
  CHECK(news == "+a 0:1;-bad 0:1;+c 0:1;");
  CHECK(channels.wanted_by("bad") == 0);
  CHECK_FALSE(channels.forgets());
  for (size_t i = 0; i < 2 * SharedChannels::max_at_once; ++i) {
    channels.want("more" + std::to_string(i), {0, 1});
  }
  CHECK(count(channels.next(false), "LISTEN") == SharedChannels::max_at_once);
}

TEST_CASE("shared channels: when the connection is lost all that is wanted is asked for again") {
  SharedChannels channels = listening_to({"a", "b", "c"});
  channels.unwant("b", 0);
  channels.want("d", {1, 1});
  CHECK_FALSE(channels.next(false).empty());
  channels.lost();
  const std::string sql = channels.next(false);
  CHECK(count(sql, "LISTEN") == 3);
  CHECK(sql.find("\"b\"") == std::string::npos);
  CHECK(told(channels.answered(false)) == "+a 0:1;+c 0:1;+d 1:1;");
}

TEST_CASE("shared channels: a server that refuses what it has heard before is not the same") {
  SharedChannels channels = listening_to({"a"});
  channels.lost();
  CHECK_FALSE(channels.next(false).empty());
  channels.answered(true);
  CHECK(channels.forgets());
  channels.lost();
  CHECK_FALSE(channels.forgets());
  CHECK(channels.next(false) == "LISTEN \"a\";");  // it is wanted all the same
}

TEST_CASE("shared channels: without a server new wishes are refused, old ones stay") {
  SharedChannels channels = listening_to({"a"});
  channels.lost();
  channels.want("b", {1, 1});
  CHECK(told(channels.refuse()) == "-b 1:1;");
  CHECK(channels.any_wanted());
  CHECK(channels.next(false) == "LISTEN \"a\";");
  SharedChannels others;
  others.want("b", {1, 1});
  others.refuse();
  CHECK_FALSE(others.any_wanted());
}

TEST_CASE("shared channels: there is a limit") {
  SharedChannels channels;
  for (size_t i = 0; i < SharedChannels::max_channels; ++i) {
    channels.want(std::to_string(i), {0, 1});
  }
  CHECK(channels.want("one more", {0, 1}) == Wanted::refused);
  CHECK(channels.want("1", {1, 1}) == Wanted::coming);
  CHECK(channels.wanted_by("one more") == 0);
}

TEST_CASE("shared channels: a crossing is read as it was written, and nothing else is") {
  const Crossing crossing{7, 3, 18446744073709551615U};
  const auto read = Crossing::read(crossing.payload());
  REQUIRE(read);
  CHECK(read->pool == 7);
  CHECK(read->worker == 3);
  CHECK(read->number == crossing.number);
  for (const char* other : {"", "1", "1.2", "1.2.", "1.2.0", "1.2.3.", "1.2.3x", "-1.2.3", "1..3",
                            " 1.2.3", "1.2.18446744073709551616", "4294967296.0.1"}) {
    CHECK_FALSE(Crossing::read(other));
  }
}
