#include "proxy/names.h"

#include <doctest/doctest.h>

#include <algorithm>

using namespace headgate;

namespace {

using Texts = std::vector<std::string>;

/// Names whose look-ups are answered by the test.
struct NamesRig {
  NamesRig() { names.set_lifetimes(seconds(15), seconds(5)); }

  void find(const std::string& host = "pg") {
    names.find(host, now, [this](const KnownHost& known) {
      told.emplace_back();
      use = known.use;
      for (const Address& address : known.addresses) told.back() += address.host + " ";
    });
  }
  void answer(const Texts& hosts) {
    std::vector<Address> addresses;
    for (const std::string& host : hosts) addresses.push_back({Address::Kind::ip4, 0, host});
    names.answered("pg", addresses, now);
  }
  void answer_error() { names.answered("pg", Error(ErrorCode::io), now); }

  Instant now = Instant(seconds(1000));
  Texts asked, told, gone;
  HostUse use;  // what a server would keep
  Names names{[this](const std::string& host) { asked.push_back(host); },
              [this](const HostUse&, const std::vector<Address>& addresses) {
                for (const Address& address : addresses) gone.push_back(address.host);
              }};
};

}  // namespace

TEST_CASE("names: a host is looked up once for all who ask, and remembered") {
  NamesRig rig;
  rig.find();
  rig.find();
  CHECK(rig.asked == Texts{"pg"});
  CHECK(rig.told.empty());
  CHECK(rig.names.look_ups() == 1);
  rig.answer({"10.0.0.1"});
  CHECK(rig.names.look_ups() == 0);
  CHECK(rig.told == Texts{"10.0.0.1 ", "10.0.0.1 "});
  rig.now += seconds(14);
  rig.find();
  CHECK(rig.told.size() == 3);
  CHECK(rig.asked.size() == 1);
  rig.now += seconds(1);
  rig.find();
  CHECK(rig.asked.size() == 2);
}

TEST_CASE("names: addresses take turns in standing first") {
  NamesRig rig;
  rig.find();
  rig.answer({"a", "b", "c"});
  rig.find();
  rig.find();
  rig.find();
  CHECK(rig.told == Texts{"a b c ", "b c a ", "c a b ", "a b c "});
}

TEST_CASE("names: a failed look-up is remembered too, for its own time") {
  NamesRig rig;
  rig.find();
  rig.answer_error();
  CHECK(rig.told == Texts{""});
  rig.now += seconds(5) - microseconds(1);
  rig.find();
  CHECK(rig.told == Texts{"", ""});
  CHECK(rig.asked.size() == 1);
  rig.now += microseconds(1);
  rig.find();
  CHECK(rig.asked.size() == 2);
  rig.answer({"a"});
  CHECK(rig.told.back() == "a ");
}

TEST_CASE("names: nothing is remembered with a lifetime of zero, but one answer is good for all") {
  NamesRig rig;
  rig.names.set_lifetimes({}, {});
  rig.find();
  rig.answer({"a"});
  CHECK(rig.told == Texts{"a "});
  rig.find();
  CHECK(rig.asked.size() == 2);
}

TEST_CASE("names: a host in use is looked up again, and what vanished is told") {
  NamesRig rig;
  rig.find();
  rig.answer({"a", "b"});
  REQUIRE(rig.names.next_refresh() == rig.now + seconds(15));
  rig.now = *rig.names.next_refresh();
  rig.names.refresh(rig.now);
  CHECK(rig.asked.size() == 2);
  rig.answer_error();  // says nothing about the servers that are there
  CHECK(rig.gone.empty());
  rig.now = *rig.names.next_refresh();
  rig.names.refresh(rig.now);
  rig.answer({"b", "c"});
  CHECK(rig.gone == Texts{"a"});
}

TEST_CASE("names: a host that nobody uses is forgotten") {
  NamesRig rig;
  rig.find();
  rig.answer({"a"});
  CHECK(rig.names.rows(rig.now).size() == 1);
  rig.use.reset();
  rig.now = *rig.names.next_refresh();
  rig.names.refresh(rig.now);
  CHECK(rig.asked.size() == 1);
  CHECK(rig.names.rows(rig.now).empty());
  CHECK_FALSE(rig.names.next_refresh());
}

TEST_CASE("names: a host in use is not looked up all the time, however short its lifetime") {
  NamesRig rig;
  rig.names.set_lifetimes({}, {});
  rig.find();
  rig.answer({"a"});
  CHECK(rig.names.next_refresh() == rig.now + Names::shortest_refresh);
}

TEST_CASE("names: a row says how long an answer is good for") {
  NamesRig rig;
  rig.find();
  rig.answer({"a", "b"});
  rig.now += seconds(5);
  const auto rows = rig.names.rows(rig.now);
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].hostname == "pg");
  CHECK(rows[0].ttl == 10);
  CHECK(rows[0].addresses == Texts{"a", "b"});
}
