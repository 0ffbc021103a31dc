// The stories of COPY, the part of the message flow where counting is hardest.
#include <doctest/doctest.h>

#include "tests/unit/protocol/exchange_rig.h"

using namespace headgate;
using Rig = ExchangeRig;

TEST_CASE("exchange: COPY IN by simple query") {
  Rig rig;
  rig.ask("Q");
  CHECK(rig.hear("G") == "f");
  CHECK(rig.exchange.copying_in());
  CHECK_FALSE(rig.over());
  rig.ask("c");
  CHECK_FALSE(rig.exchange.copying_in());
  CHECK_FALSE(rig.over());
  CHECK(rig.hear("CZ") == "ff");
  CHECK(rig.over());
}

TEST_CASE("exchange: two COPY IN in one query") {
  Rig rig;
  rig.ask("Q");
  rig.hear("G");
  rig.ask("c");
  rig.hear("CG");
  CHECK(rig.exchange.copying_in());
  rig.ask("c");
  CHECK(rig.hear("CZ") == "ff");
  CHECK(rig.over());
}

TEST_CASE("exchange: COPY IN sent in one go with its data and its end") {
  Rig rig;
  rig.ask("Qc");
  rig.ask("Q");
  CHECK(rig.hear("G") == "f");
  CHECK_FALSE(rig.exchange.copying_in());  // the end is on its way already
  CHECK(rig.hear("CZ") == "ff");
  CHECK_FALSE(rig.over());
  CHECK(rig.hear("CZ") == "ff");
  CHECK(rig.over());
}

TEST_CASE("exchange: COPY IN by Execute: the server ignores the Sync that came with it") {
  Rig rig;
  rig.ask("PBDES");
  CHECK(rig.hear("12nG") == "ffff");
  CHECK(rig.exchange.copying_in());
  CHECK(rig.exchange.owed() == 1);
  CHECK(rig.exchange.batch_open());
  rig.ask("c");
  CHECK(rig.hear("C") == "f");
  CHECK_FALSE(rig.over());
  rig.ask("S");
  CHECK(rig.hear("Z") == "f");
  CHECK(rig.over());
}

TEST_CASE("exchange: COPY IN by Execute, with everything sent ahead") {
  Rig rig;
  rig.ask("BESScSQ");
  CHECK(rig.hear("2G") == "ff");
  CHECK(rig.exchange.owed() == 3);  // Execute, the last Sync, the Query
  CHECK_FALSE(rig.exchange.batch_open());
  CHECK(rig.hear("CZ") == "ff");
  CHECK(rig.exchange.owed() == 1);
  CHECK(rig.hear("CZ") == "ff");
  CHECK(rig.over());
}

TEST_CASE("exchange: Syncs sent while copying in are ignored") {
  Rig rig;
  rig.ask("BE");
  rig.hear("2G");
  rig.ask("SS");
  CHECK(rig.exchange.owed() == 1);
  rig.ask("cS");
  CHECK(rig.hear("CZ") == "ff");
  CHECK(rig.over());
  CHECK(rig.hear("Z") == "!");
}

TEST_CASE("exchange: a COPY IN that fails by itself; its end comes late and is not answered") {
  SUBCASE("by simple query: the end comes after ReadyForQuery") {
    Rig rig;
    rig.ask("Q");
    rig.hear("G");
    CHECK(rig.hear("EZ") == "ff");
    CHECK(rig.over());
    rig.ask("c");
    CHECK(rig.over());
  }
  SUBCASE("by simple query: the end comes between the error and ReadyForQuery") {
    Rig rig;
    rig.ask("Q");
    rig.hear("GE");
    CHECK_FALSE(rig.exchange.copying_in());
    rig.ask("cQ");
    CHECK(rig.hear("Z") == "f");
    CHECK(rig.exchange.owed() == 1);
    CHECK(rig.hear("CZ") == "ff");
    CHECK(rig.over());
  }
  SUBCASE("by Execute: the server skips the end, too") {
    Rig rig;
    rig.ask("BE");
    rig.hear("2GE");
    rig.ask("cS");
    CHECK(rig.hear("Z") == "f");
    CHECK(rig.over());
  }
  SUBCASE("before it began: the end was sent ahead") {
    Rig rig;
    rig.ask("Qcc");
    CHECK(rig.hear("E") == "f");
    CHECK_FALSE(rig.over());
    CHECK(rig.hear("Z") == "f");
    CHECK(rig.over());
    CHECK(rig.exchange.owed() == 0);
  }
  SUBCASE("an end with nothing owed is not answered") {
    Rig rig;
    rig.ask("c");
    CHECK(rig.over());
  }
}

TEST_CASE("exchange: an end of a COPY that never was does not get in the way of other answers") {
  Rig rig;
  rig.ask("EcES");
  CHECK(rig.hear("CCZ") == "fff");
  for (int round = 0; round < 100; ++round) {
    rig.ask("Qcc");
    REQUIRE(rig.hear("CZ") == "ff");
    REQUIRE(rig.exchange.owed() == 0);
    REQUIRE(rig.over());
  }
}

TEST_CASE("exchange: a server that ends a COPY IN by itself is not copying in any more") {
  for (const std::string_view end : {"C", "E", "c", "Z"}) {
    for (const std::string_view request : {"Q", "E"}) {
      CAPTURE(request);
      CAPTURE(end);
      Rig rig;
      rig.ask(request);
      rig.hear("G");
      REQUIRE(rig.exchange.copying_in());
      if (request == "E" && end == "Z") continue;  // that is no answer to Execute
      CHECK(rig.hear(end) == "f");
      CHECK_FALSE(rig.exchange.copying_in());
    }
  }
}

TEST_CASE("exchange: an end sent ahead of its COPY waits for it, also during another COPY") {
  Rig rig;
  rig.ask("QQ");
  CHECK(rig.hear("H") == "f");
  rig.ask("c");
  CHECK(rig.hear("dcCZ") == "ffff");
  CHECK(rig.hear("G") == "f");
  CHECK_FALSE(rig.exchange.copying_in());
  CHECK(rig.hear("CZ") == "ff");
  CHECK(rig.over());
}

TEST_CASE("exchange: COPY OUT") {
  SUBCASE("by simple query") {
    Rig rig;
    rig.ask("Q");
    CHECK(rig.hear("HddcCZ") == "ffffff");
    CHECK(rig.over());
  }
  SUBCASE("by Execute") {
    Rig rig;
    rig.ask("BESBES");
    CHECK(rig.hear("2HdcCZ") == "ffffff");
    CHECK(rig.hear("2CZ") == "fff");
    CHECK(rig.over());
  }
  SUBCASE("that fails") {
    Rig rig;
    rig.ask("BES");
    CHECK(rig.hear("2HdE") == "ffff");
    CHECK_FALSE(rig.over());
    CHECK(rig.hear("Z") == "f");
    CHECK(rig.over());
  }
}

TEST_CASE("exchange: replication copies both ways until both sides have ended") {
  SUBCASE("the client ends first") {
    Rig rig;
    rig.ask("Q");
    rig.hear("Wdd");
    CHECK_FALSE(rig.exchange.copying_in());
    rig.ask("c");
    CHECK_FALSE(rig.exchange.copying_in());
    CHECK(rig.hear("dc") == "ff");
    CHECK_FALSE(rig.exchange.copying_in());
    CHECK(rig.hear("TDCCZ") == "fffff");
    CHECK(rig.over());
  }
  SUBCASE("the server ends first") {
    Rig rig;
    rig.ask("Q");
    rig.hear("Wdc");
    CHECK(rig.exchange.copying_in());
    rig.ask("c");
    CHECK_FALSE(rig.exchange.copying_in());
    CHECK(rig.hear("CZ") == "ff");
    CHECK(rig.over());
  }
}

TEST_CASE("exchange: a Sync sent into a COPY that fails: it may have been ignored, or not") {
  Rig rig;
  rig.ask("PBES");
  rig.hear("12G");
  CHECK(rig.hear("E") == "f");
  CHECK(rig.exchange.unsure());
  CHECK_FALSE(rig.over());

  SUBCASE("the COPY failed before the server read the Sync, which is therefore answered") {
    CHECK(rig.exchange.received_ready('I').stray);
    CHECK_FALSE(rig.exchange.unsure());
    CHECK(rig.over());
    rig.ask("cS");  // what libpq sends at the end of a COPY
    CHECK_FALSE(rig.over());
    CHECK(rig.hear("Z") == "f");
    CHECK(rig.over());
  }
  SUBCASE("as before, with the end on its way: two ReadyForQuery come") {
    rig.ask("cS");
    CHECK(rig.hear("Z") == "f");
    CHECK_FALSE(rig.over());
    CHECK(rig.hear("Z") == "f");
    CHECK(rig.over());
  }
  SUBCASE("the server had read the Sync: one ReadyForQuery comes, and the next answer shows it") {
    rig.ask("cS");
    CHECK(rig.hear("Z") == "f");
    CHECK(rig.exchange.unsure());
    rig.ask("Q");
    CHECK(rig.hear("T") == "f");
    CHECK_FALSE(rig.exchange.unsure());
    CHECK(rig.hear("DCZ") == "fff");
    CHECK(rig.over());
  }
  SUBCASE("as before, and the next answer is an error") {
    rig.ask("cSQ");
    CHECK(rig.hear("ZEZ") == "fff");
    CHECK(rig.over());
  }
  SUBCASE("as before, and the next answers are a batch's") {
    rig.ask("cSPES");
    CHECK(rig.hear("Z1EZ") == "ffff");
    CHECK(rig.over());
  }
  SUBCASE("the relay asks something harmless to find out: one ReadyForQuery more does not come") {
    rig.ask("cS");
    rig.hear("Z");
    rig.inject("CS");
    CHECK(rig.hear("3") == "s");
    CHECK_FALSE(rig.exchange.unsure());
    CHECK(rig.hear("Z") == "s");
    CHECK(rig.over());
  }
  SUBCASE("the relay asks something harmless to find out: it does come") {
    rig.ask("cS");
    rig.hear("Z");
    rig.inject("CS");
    CHECK(rig.hear("Z") == "f");
    CHECK(rig.hear("3Z") == "ss");
    CHECK(rig.over());
  }
  SUBCASE(
      "an error while the Sync commits settles nothing: it is that Sync's, or the early one's") {
    rig.ask("cS");
    CHECK(rig.hear("EZ") == "ff");
    CHECK(rig.exchange.unsure());
  }
  SUBCASE("the extra one tells the status, too") {
    CHECK(rig.ready('E') == "f");
    CHECK(rig.exchange.status() == TransactionStatus::failed);
  }
  SUBCASE("the client has gone: the extra one is swallowed; the next client's is its own again") {
    rig.exchange.swallow_all();
    rig.inject("S");
    CHECK(rig.hear("ZZ") == "ss");
    CHECK(rig.over());
    rig.ask("ES");
    CHECK(rig.hear("GEZ") == "fff");
    CHECK(rig.over());
  }
}

TEST_CASE("exchange: the same for a Sync sent into a COPY by simple query") {
  Rig rig;
  rig.ask("Q");
  rig.hear("G");
  rig.ask("S");
  CHECK(rig.hear("EZ") == "ff");
  CHECK(rig.exchange.unsure());
  SUBCASE("it is answered") {
    CHECK(rig.hear("Z") == "f");
    CHECK(rig.over());
  }
  SUBCASE("it was ignored") {
    rig.ask("PS");
    CHECK(rig.hear("1Z") == "ff");
    CHECK(rig.over());
  }
}

TEST_CASE("exchange: a COPY that works leaves no doubt about the Syncs sent into it") {
  Rig rig;
  rig.ask("QScQ");
  rig.hear("G");
  CHECK(rig.hear("CZ") == "ff");
  CHECK_FALSE(rig.exchange.unsure());
  CHECK(rig.hear("CZ") == "ff");
  CHECK(rig.over());
}

TEST_CASE("exchange: anything else sent into a COPY makes the count lost for good") {
  SUBCASE("sent while copying in: the server consumes it, and fails the COPY") {
    Rig rig;
    rig.ask("Q");
    rig.hear("G");
    rig.ask("Q");
    CHECK(rig.exchange.owed() == 1);
    CHECK(rig.exchange.lost());
    CHECK(rig.hear("EZ") == "ff");
    CHECK_FALSE(rig.over());
  }
  SUBCASE("sent ahead, by simple query: the first is consumed, the rest is processed") {
    Rig rig;
    rig.ask("QPBS");
    rig.hear("G");
    CHECK(rig.exchange.owed() == 3);
    CHECK(rig.hear("EZ2Z") == "ffff");
    CHECK(rig.exchange.owed() == 0);
    CHECK_FALSE(rig.over());
  }
  SUBCASE("sent ahead, by Execute: all up to Sync is skipped") {
    Rig rig;
    rig.ask("ESPBES");
    rig.hear("G");
    CHECK(rig.hear("EZ") == "ff");
    CHECK(rig.exchange.owed() == 0);
    CHECK_FALSE(rig.over());
  }
  SUBCASE("sent behind the end of a COPY that failed, with a Sync before it") {
    Rig rig;
    rig.ask("EScPS");
    rig.hear("GE");
    CHECK(rig.exchange.lost());
  }
  SUBCASE("sent after such a failure, before the doubt is settled") {
    Rig rig;
    rig.ask("ES");
    rig.hear("GE");
    CHECK_FALSE(rig.exchange.lost());
    rig.ask("P");
    CHECK(rig.exchange.lost());
  }
  SUBCASE("then whatever comes is the client's, and nothing is unexpected") {
    Rig rig;
    rig.ask("QQ");
    rig.hear("GEZ");
    CHECK(rig.hear("TDCZ1") == "fffff");
    rig.ask("Q");
    rig.hear("CZ");
    CHECK_FALSE(rig.over());
    CHECK_FALSE(rig.exchange.clean());
  }
}
