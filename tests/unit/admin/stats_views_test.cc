// The rows of SHOW STATS, STATS_TOTALS, STATS_AVERAGES and TOTALS.
#include <doctest/doctest.h>

#include <limits>

#include "tests/unit/admin/rig.h"

using namespace headgate;
using headgate::test::show;
using headgate::test::Text;
using headgate::test::TextRows;

namespace {

// Totals that are 1000, 2000, ... in the order of the columns, and half of that before.
StatsRow numbered(const char* database) {
  StatsRow row{.database = database, .totals = {}, .before = {}, .elapsed = seconds(10)};
  uint64_t next = 0;
  for (const StatRow& stat : stat_rows) {
    row.totals.*stat.counter = next += 1000;
    row.before.*stat.counter = next / 2;
  }
  return row;
}

const std::vector<Text> expected_totals = {"1000", "2000", "3000", "4000",  "5000",  "6000",
                                           "7000", "8000", "9000", "10000", "11000", "12000"};
// Per second over ten seconds; times by 1000 transactions, 1500 queries and 500 assignments.
const std::vector<Text> expected_averages = {"50", "100", "150", "200", "250", "3",
                                             "2",  "8",   "450", "500", "550", "600"};

template <class... Parts>
std::vector<Text> row_of(const char* name, const Parts&... parts) {
  std::vector<Text> row = {name};
  (row.insert(row.end(), parts.begin(), parts.end()), ...);
  return row;
}

Snapshot two_databases() {
  Snapshot snapshot;
  snapshot.stats = {numbered("shop"), numbered("blog")};
  return snapshot;
}

}  // namespace

TEST_CASE("views: SHOW STATS has totals and averages, by database") {
  const auto answer = show("SHOW STATS", two_databases());
  CHECK(answer.heads() ==
        "database t, total_server_assignment_count n, total_xact_count n, total_query_count n, "
        "total_received n, total_sent n, total_xact_time n, total_query_time n, "
        "total_wait_time n, total_client_parse_count n, total_server_parse_count n, "
        "total_bind_count n, total_client_login_count n, avg_server_assignment_count n, "
        "avg_xact_count n, avg_query_count n, avg_recv n, avg_sent n, avg_xact_time n, "
        "avg_query_time n, avg_wait_time n, avg_client_parse_count n, avg_server_parse_count n, "
        "avg_bind_count n, avg_client_login_count n");
  CHECK(answer.rows == TextRows{row_of("blog", expected_totals, expected_averages),
                                row_of("shop", expected_totals, expected_averages)});
}

TEST_CASE("views: SHOW STATS_TOTALS has the totals under other names") {
  const auto answer = show("SHOW STATS_TOTALS", two_databases());
  CHECK(answer.heads() ==
        "database t, server_assignment_count n, xact_count n, query_count n, bytes_received n, "
        "bytes_sent n, xact_time n, query_time n, wait_time n, client_parse_count n, "
        "server_parse_count n, bind_count n, client_login_count n");
  CHECK(answer.rows == TextRows{row_of("blog", expected_totals), row_of("shop", expected_totals)});
}

TEST_CASE("views: SHOW STATS_AVERAGES has the averages, the last four with a prefix") {
  const auto answer = show("SHOW STATS_AVERAGES", two_databases());
  CHECK(answer.heads() ==
        "database t, server_assignment_count n, xact_count n, query_count n, bytes_received n, "
        "bytes_sent n, xact_time n, query_time n, wait_time n, avg_client_parse_count n, "
        "avg_server_parse_count n, avg_bind_count n, avg_client_login_count n");
  CHECK(answer.rows ==
        TextRows{row_of("blog", expected_averages), row_of("shop", expected_averages)});
}

TEST_CASE("views: SHOW TOTALS sums over the databases, one row for each counter") {
  const auto answer = show("SHOW TOTALS", two_databases());
  CHECK(answer.heads() == "name t, value n");
  CHECK(answer.rows == TextRows{{"total_server_assignment_count", "2000"},
                                {"total_xact_count", "4000"},
                                {"total_query_count", "6000"},
                                {"total_client_bytes", "8000"},
                                {"total_server_bytes", "10000"},
                                {"total_xact_time", "12000"},
                                {"total_query_time", "14000"},
                                {"total_wait_time", "16000"},
                                {"total_ps_client_parse_count", "18000"},
                                {"total_ps_server_parse_count", "20000"},
                                {"total_ps_bind_count", "22000"},
                                {"total_client_login_count", "24000"},
                                {"avg_server_assignment_count", "100"},
                                {"avg_xact_count", "200"},
                                {"avg_query_count", "300"},
                                {"avg_client_bytes", "400"},
                                {"avg_server_bytes", "500"},
                                {"avg_xact_time", "3"},
                                {"avg_query_time", "2"},
                                {"avg_wait_time", "8"},
                                {"avg_ps_client_parse_count", "900"},
                                {"avg_ps_server_parse_count", "1000"},
                                {"avg_ps_bind_count", "1100"},
                                {"avg_client_login_count", "1200"}});
}

TEST_CASE("views: averages of a sum weigh each worker by what it did") {
  Snapshot whole, part;
  StatsRow row{.database = "a", .totals = {}, .before = {}, .elapsed = seconds(60)};
  row.totals.xact_count = 1;
  row.totals.xact_time = 1000;
  whole.stats = {row};
  row.totals.xact_count = 9;
  row.totals.xact_time = 0;
  part.stats = {row};
  merge(whole, std::move(part));
  CHECK(show("SHOW STATS", whole).value("avg_xact_time") == "100");
  CHECK(show("SHOW TOTALS", whole).column("value")[17] == "100");
}

TEST_CASE("views: before anything was counted, everything is zero") {
  const auto answer = show("SHOW TOTALS");
  CHECK(answer.column("value") == std::vector<Text>(24, "0"));
  CHECK(show("SHOW STATS").rows.empty());
}

TEST_CASE("views: a counter beyond what a signed number holds stays at the largest") {
  Snapshot snapshot;
  snapshot.stats = {numbered("a")};
  snapshot.stats[0].totals.bytes_sent = std::numeric_limits<uint64_t>::max();
  snapshot.stats[0].totals.bytes_received = std::numeric_limits<int64_t>::max();
  const auto answer = show("SHOW STATS_TOTALS", snapshot);
  CHECK(answer.value("bytes_sent") == "9223372036854775807");
  CHECK(answer.value("bytes_received") == "9223372036854775807");
}
