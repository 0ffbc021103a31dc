// The stories of the protocol's message flow, without COPY (exchange_copy_test.cc).
#include <doctest/doctest.h>

#include "tests/unit/protocol/exchange_rig.h"

using namespace headgate;
using Rig = ExchangeRig;

TEST_CASE("exchange: a fresh server owes nothing and is clean") {
  Rig rig;
  CHECK(rig.over());
  CHECK(rig.exchange.clean());
  CHECK(rig.exchange.owed() == 0);
}

TEST_CASE("exchange: a simple query is over at ReadyForQuery, however many commands it holds") {
  Rig rig;
  rig.ask("Q");
  for (const char tag : std::string_view("TDDCTDCICNSA")) {
    CHECK(rig.hear({&tag, 1}) == "f");
    CHECK_FALSE(rig.over());
  }
  CHECK(rig.hear("Z") == "f");
  CHECK(rig.over());
}

TEST_CASE("exchange: how many ReadyForQuery are owed is how many requests were sent") {
  Rig rig;
  CHECK(rig.exchange.readies_owed() == 0);
  rig.ask("PBE");
  CHECK(rig.exchange.readies_owed() == 0);
  rig.ask("SQ");
  CHECK(rig.exchange.readies_owed() == 2);
  rig.hear("12CZ");
  CHECK(rig.exchange.readies_owed() == 1);
  rig.hear("CZ");
  CHECK(rig.exchange.readies_owed() == 0);
}

TEST_CASE("exchange: a transaction left open is over but not clean") {
  Rig rig;
  rig.ask("Q");
  rig.hear("C");
  CHECK(rig.ready('T') == "f");
  CHECK(rig.over());
  CHECK_FALSE(rig.exchange.clean());
  CHECK(rig.exchange.status() == TransactionStatus::in_transaction);

  rig.ask("Q");
  rig.hear("E");
  rig.ready('E');
  CHECK(rig.exchange.status() == TransactionStatus::failed);
  CHECK_FALSE(rig.exchange.clean());

  rig.ask("Q");
  rig.hear("CZ");
  CHECK(rig.exchange.clean());
}

TEST_CASE("exchange: an error in a simple query is followed by ReadyForQuery") {
  Rig rig;
  rig.ask("QQ");
  CHECK(rig.hear("TDE") == "fff");
  CHECK(rig.exchange.owed() == 2);
  CHECK(rig.hear("Z") == "f");
  CHECK(rig.exchange.owed() == 1);
  CHECK(rig.hear("CZ") == "ff");
  CHECK(rig.over());
}

TEST_CASE("exchange: function calls end with ReadyForQuery, worked or failed") {
  Rig rig;
  rig.ask("FF");
  CHECK(rig.hear("VZ") == "ff");
  CHECK(rig.hear("E") == "f");
  CHECK_FALSE(rig.over());
  CHECK(rig.hear("Z") == "f");
  CHECK(rig.over());
}

TEST_CASE("exchange: a batch is not over before its Sync, though all of it was answered") {
  Rig rig;
  rig.ask("PBDE");
  CHECK(rig.exchange.batch_open());
  CHECK(rig.hear("12TDC") == "fffff");
  CHECK(rig.exchange.owed() == 0);
  CHECK_FALSE(rig.over());
  rig.ask("S");
  CHECK_FALSE(rig.exchange.batch_open());
  CHECK_FALSE(rig.over());
  CHECK(rig.hear("Z") == "f");
  CHECK(rig.over());
}

TEST_CASE("exchange: many Syncs may be in flight") {
  Rig rig;
  rig.ask("PBESBESS");
  CHECK(rig.hear("12CZ") == "ffff");
  CHECK_FALSE(rig.over());
  CHECK(rig.hear("2sZ") == "fff");
  CHECK_FALSE(rig.over());
  CHECK(rig.hear("Z") == "f");
  CHECK(rig.over());
}

TEST_CASE("exchange: thousands may be in flight, answered in order while more are sent") {
  Rig rig;
  for (int round = 0; round < 1000; ++round) {
    rig.ask("PBES");
    rig.ask("PBES");
    REQUIRE(rig.hear("12CZ") == "ffff");
  }
  CHECK(rig.exchange.owed() == 4000);
  for (int round = 0; round < 1000; ++round) {
    REQUIRE_FALSE(rig.over());
    REQUIRE(rig.hear("12CZ") == "ffff");
  }
  CHECK(rig.over());
}

TEST_CASE("exchange: each kind of last answer completes its request") {
  Rig rig;
  rig.ask("EEEDDddCS");
  CHECK(rig.hear("DC") == "ff");  // rows
  CHECK(rig.hear("Ds") == "ff");  // PortalSuspended
  CHECK(rig.hear("I") == "f");    // EmptyQueryResponse
  CHECK(rig.hear("Tn") == "ff");  // portals: RowDescription, NoData
  CHECK(rig.exchange.owed() == 4);
  CHECK(rig.hear("t") == "f");  // a statement: ParameterDescription, and still
  CHECK(rig.exchange.owed() == 4);
  CHECK(rig.hear("Ttn") == "fff");  // RowDescription, or NoData
  CHECK(rig.exchange.owed() == 2);
  CHECK(rig.hear("3") == "f");  // CloseComplete
  CHECK(rig.hear("Z") == "f");
  CHECK(rig.over());
}

TEST_CASE("exchange: an error in a batch skips what was sent, up to Sync") {
  Rig rig;
  rig.ask("PBESPBES");
  CHECK(rig.hear("E") == "f");
  CHECK(rig.exchange.owed() == 5);
  CHECK(rig.hear("Z") == "f");
  CHECK(rig.hear("12CZ") == "ffff");
  CHECK(rig.over());
}

TEST_CASE("exchange: an error in a batch skips what is sent later, up to Sync") {
  Rig rig;
  rig.ask("PB");
  CHECK(rig.hear("1E") == "ff");
  rig.ask("EDdCPc");
  rig.ask("QF");  // a Query, too, is skipped
  CHECK(rig.exchange.owed() == 0);
  CHECK_FALSE(rig.over());
  CHECK(rig.exchange.batch_open());
  rig.ask("SQ");
  CHECK(rig.exchange.owed() == 2);
  CHECK(rig.hear("ZCZ") == "fff");
  CHECK(rig.over());
}

TEST_CASE("exchange: an error in a batch skips a Query that was sent without a Sync before it") {
  Rig rig;
  rig.ask("PBEQ");
  CHECK(rig.hear("12E") == "fff");
  CHECK_FALSE(rig.over());  // though no batch was open when the Query was sent
  CHECK(rig.exchange.batch_open());
  CHECK(rig.hear("Z") == "!");
  rig.ask("S");
  CHECK(rig.hear("Z") == "f");
  CHECK(rig.over());
}

TEST_CASE("exchange: a Query ends an open batch as a Sync does") {
  Rig rig;
  rig.ask("PBEQ");
  CHECK(rig.hear("12CTDCZ") == "fffffff");
  CHECK(rig.over());
}

TEST_CASE("exchange: an error while Sync commits is followed by one ReadyForQuery") {
  Rig rig;
  rig.ask("BESBES");
  CHECK(rig.hear("2CE") == "fff");
  CHECK(rig.exchange.owed() == 4);
  CHECK(rig.hear("Z") == "f");
  CHECK(rig.hear("2CZ") == "fff");
  CHECK(rig.over());
}

TEST_CASE("exchange: ReadyForQuery settles everything before it, even what was never answered") {
  Rig rig;
  rig.ask("PBESQ");
  CHECK(rig.hear("1Z") == "ff");
  CHECK(rig.exchange.owed() == 1);
  CHECK(rig.hear("CZ") == "ff");
  CHECK(rig.over());
}

TEST_CASE("exchange: what nobody asked for is unexpected") {
  Rig rig;
  for (const char tag : std::string_view("123tTnDCIsVGHWdcEZKRv?\x80\xff")) {
    CAPTURE(tag);
    CHECK(rig.hear({&tag, 1}) == "!");
  }
  CHECK(rig.hear("NSA") == "fff");
  CHECK(rig.exchange.clean());
}

TEST_CASE("exchange: an answer to something else is unexpected and settles nothing") {
  struct Row {
    std::string_view asked, fitting;
  };
  for (const Row& row :
       {Row{"Q", "TDCIGHWdcEZ"}, Row{"F", "VEZ"}, Row{"S", "EZ"}, Row{"P", "1E"}, Row{"B", "2E"},
        Row{"d", "tTnE"}, Row{"D", "TnE"}, Row{"E", "DCIsGHWdcTE"}, Row{"C", "3E"}}) {
    for (const char tag : std::string_view("123tTnDCIsVGHWdcEKRvZ")) {
      CAPTURE(row.asked);
      CAPTURE(tag);
      Rig rig;
      rig.ask(row.asked);
      const bool fits = row.fitting.find(tag) != std::string_view::npos;
      CHECK(rig.hear({&tag, 1}) == (fits ? "f" : "!"));
      if (!fits) CHECK(rig.exchange.owed() == 1);
    }
  }
}

TEST_CASE("exchange: ReadyForQuery knows three letters") {
  for (int letter = 0; letter < 256; ++letter) {
    Rig rig;
    rig.ask("Q");
    const bool known = letter == 'I' || letter == 'T' || letter == 'E';
    CHECK(rig.ready(static_cast<char>(letter)) == (known ? "f" : "!"));
    CHECK(rig.over() == known);
  }
}

TEST_CASE("exchange: ReadyForQuery with only unsynced messages owed is unexpected") {
  Rig rig;
  rig.ask("PB");
  CHECK(rig.hear("Z") == "!");
  CHECK(rig.exchange.owed() == 2);
}

TEST_CASE("exchange: an injected query is swallowed whole, the client's own is not") {
  Rig rig;
  rig.inject("Q");
  rig.ask("Q");
  CHECK(rig.exchange.next_is_swallowed());
  CHECK(rig.hear("NCSZ") == "ssss");
  CHECK_FALSE(rig.exchange.next_is_swallowed());
  CHECK(rig.hear("NSTDCZ") == "ffffff");
  CHECK_FALSE(rig.exchange.next_is_swallowed());
  CHECK(rig.over());
}

TEST_CASE("exchange: a NOTIFY reaches the client even while its answers are swallowed") {
  Rig rig;
  rig.inject("Q");
  CHECK(rig.hear("ACAZ") == "fsfs");
}

TEST_CASE("exchange: an injected Parse in the middle of the client's batch is swallowed") {
  Rig rig;
  rig.ask("PB");
  rig.inject("P");
  rig.ask("BE");
  rig.inject("C");
  rig.ask("S");
  CHECK(rig.hear("12"
                 "1"
                 "2TDC"
                 "3"
                 "Z") ==
        "ff"
        "s"
        "ffff"
        "s"
        "f");
  CHECK(rig.over());
}

TEST_CASE(
    "exchange: when an injected Parse fails its error is swallowed and the batch is skipped") {
  Rig rig;
  rig.inject("P");
  rig.ask("BES");
  CHECK(rig.hear("E") == "s");
  CHECK(rig.hear("Z") == "f");
  CHECK(rig.over());
}

TEST_CASE("exchange: for a client that has gone everything still owed is swallowed") {
  Rig rig;
  rig.ask("QPBE");
  CHECK(rig.hear("TD") == "ff");
  rig.exchange.swallow_all();
  rig.inject("S");
  CHECK(rig.hear("DCZ12DCZ") == "ssssssss");
  CHECK(rig.over());
}

namespace headgate {

TEST_CASE("exchange: noted messages are told one by one, and those given up with the error") {
  Exchange exchange;
  const auto noted = [&](Asked asked) { return exchange.sent(asked, Fate::forward, true); };
  CHECK(noted(Asked::parse));
  exchange.sent(Asked::bind);
  CHECK(noted(Asked::parse));
  CHECK(noted(Asked::close));
  exchange.sent(Asked::sync);
  CHECK(exchange.received('1').noted);
  CHECK_FALSE(exchange.received('2').noted);
  const Answer error = exchange.received('E');
  CHECK(error.noted);  // the Parse itself failed
  CHECK(error.given_up == 2);
  CHECK(exchange.received_ready('I').given_up == 0);
}

TEST_CASE("exchange: what is sent while the server skips will not be answered") {
  Exchange exchange;
  exchange.sent(Asked::bind);
  exchange.received('E');
  CHECK_FALSE(exchange.sent(Asked::parse, Fate::forward, true));
  CHECK(exchange.sent(Asked::sync));
  CHECK(exchange.received_ready('I').given_up == 0);
  CHECK(exchange.over());
}

TEST_CASE("exchange: a noted query is told by its ReadyForQuery") {
  Exchange exchange;
  exchange.sent(Asked::parse, Fate::forward, true);
  exchange.sent(Asked::query, Fate::forward, true);
  const Answer answer = exchange.received_ready('I');  // without a word on the Parse
  CHECK(answer.noted);
  CHECK(answer.given_up == 1);
}

TEST_CASE("exchange: a query that has failed is told as that by its ReadyForQuery") {
  Exchange exchange;
  exchange.sent(Asked::query, Fate::forward, true);
  exchange.sent(Asked::query, Fate::forward, true);
  exchange.sent(Asked::query, Fate::forward, true);
  exchange.received('C');
  CHECK_FALSE(exchange.received_ready('I').failed);
  CHECK(exchange.received('E').given_up == 0);
  const Answer answer = exchange.received_ready('I');
  CHECK(answer.failed);
  CHECK(answer.noted);
  CHECK_FALSE(exchange.received_ready('I').failed);
}

TEST_CASE("exchange: an error for a quiet message is for the client") {
  Exchange exchange;
  exchange.sent(Asked::parse, Fate::quiet);
  CHECK(exchange.received('E').fate == Fate::forward);
  exchange.sent(Asked::sync);
  exchange.received_ready('I');
  exchange.sent(Asked::parse, Fate::quiet);
  CHECK(exchange.received('1').fate == Fate::quiet);
}

}  // namespace headgate
