#include "admin/live_page.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "admin/basic_auth.h"
#include "admin/page_files.h"
#include "auth/crypto.h"

using namespace headgate;
using Json = nlohmann::json;

namespace {

PoolRow pool(const char* database, uint32_t waiting, uint32_t active) {
  PoolRow row;
  row.database = database;
  row.user = "app";
  row.clients_waiting = waiting;
  row.servers_active = active;
  return row;
}

Json page_of(const Snapshot& snapshot) {
  return Json::parse(stats_json(snapshot, 5'000'000'000));  // throws where it is no JSON
}

}  // namespace

TEST_CASE("dashboard: what is waited for comes first, and the rest is counted") {
  Snapshot snapshot;
  for (size_t i = 0; i < most_live_pools + 5; ++i) snapshot.pools.push_back(pool("idle", 0, 0));
  snapshot.pools.push_back(pool("busy", 0, 7));
  snapshot.pools.push_back(pool("waiting", 3, 1));
  const Json page = page_of(snapshot);
  CHECK(page["waiting"] == 3);
  CHECK(page["pools_total"] == most_live_pools + 7);
  CHECK(page["pools"].size() == most_live_pools);
  CHECK(page["pools"][0]["database"] == "waiting");
  CHECK(page["pools"][1]["database"] == "busy");
}

TEST_CASE("dashboard: the console is no traffic") {
  Snapshot snapshot;
  StatsRow row;
  row.database = "app";
  row.totals.xact_count = 5;
  snapshot.stats.push_back(row);
  row.database = "pgbouncer";
  snapshot.stats.push_back(row);
  CHECK(page_of(snapshot)["totals"]["transactions"] == 5);
}

TEST_CASE("dashboard: histograms of all pools are one") {
  Snapshot snapshot;
  MetersRow row;
  row.meters.wait.add(Duration(60));
  snapshot.meters = {row, row};
  const Json page = page_of(snapshot);
  CHECK(page["times"]["wait"][1] == 2);
  CHECK(page["times"]["wait"].size() == page["times"]["bounds_us"].size() + 1);
  CHECK(page["times"]["bounds_us"][1] == 100);
}

TEST_CASE("dashboard: names that are no UTF-8 do not break it") {
  Snapshot snapshot;
  snapshot.pools = {pool("\xff\xfe\"</script>", 0, 0)};
  snapshot.troubles = {{1'000, "a\xc3", "b\n", "\x01\x02"}};
  const Json page = page_of(snapshot);
  CHECK(page["pools"][0]["database"] == "\uFFFD\uFFFD\"</script>");
  CHECK(page["errors"][0]["text"] == "\x01\x02");
}

TEST_CASE("dashboard: those who hold longest and the last errors, of all workers, up to a limit") {
  Snapshot snapshot;
  for (int64_t i = 0; i < 50; ++i) {
    HolderRow holder;
    holder.held_us = i;
    holder.holding = Holding::between_transactions;
    holder.kept_by = "session mode";
    snapshot.holders.push_back(holder);
    snapshot.troubles.push_back({i * 1000, "d", "u", std::to_string(i)});
  }
  const Json page = page_of(snapshot);
  CHECK(page["holders"].size() == most_holders);
  CHECK(page["holders"][0]["held_us"] == 49);
  CHECK(page["holders"][0]["why"] == "idle; session mode");
  CHECK(page["errors"].size() == most_troubles);
  CHECK(page["errors"][0]["text"] == "49");
}

TEST_CASE("dashboard: its state is the worst that is true") {
  Snapshot snapshot;
  CHECK(page_of(snapshot)["state"] == "active");
  snapshot.paused = true;
  CHECK(page_of(snapshot)["state"] == "paused");
  snapshot.process = ProcessRow{.shutting_down = true};
  CHECK(page_of(snapshot)["state"] == "shutting down");
}

TEST_CASE("dashboard: its files ask for nothing from elsewhere") {
  CHECK(page_files().size() == 5);
  CHECK(page_files()[0].path == "/");
  for (const PageFile& file : page_files()) {
    CHECK_FALSE(file.bytes.empty());
    if (file.path.starts_with("/uplot")) continue;
    CHECK(file.bytes.find("//cdn") == View::npos);
    CHECK(file.bytes.find("http://") == View::npos);
    CHECK(file.bytes.find("https://") == View::npos);
    CHECK(file.bytes.find("innerHTML") == View::npos);
    CHECK(file.bytes.find("style=\"") == View::npos);  // the page's policy forbids it
  }
}

TEST_CASE("basic auth: the password counts, whatever the user's name") {
  const auto brings = [](const std::string& said) {
    return brings_password("Basic " + base64_encode(said), "s3cret:with colon");
  };
  CHECK(brings("prometheus:s3cret:with colon"));
  CHECK(brings(":s3cret:with colon"));
  CHECK_FALSE(brings("prometheus:s3cret"));
  CHECK_FALSE(brings("s3cret:with colon:"));
  CHECK_FALSE(brings("prometheus:"));
  CHECK_FALSE(brings("no colon"));
  CHECK_FALSE(brings(""));
  CHECK(brings_password("bAsIc  " + base64_encode("a:b"), "b"));
  for (const View header :
       {"", "Basic", "Basic ", "Basic ***", "Bearer YTpi", "Basic YTpi=", "YTpi"}) {
    CHECK_FALSE(brings_password(header, "b"));
  }
}
