// /metrics as text: the grammar of both forms, labels that nobody can break out of, histograms.
// That Prometheus' own parsers read it is shown in tests/e2e/test_metrics.py.
#include "admin/metrics.h"

#include <doctest/doctest.h>

#include <set>

using namespace headgate;

namespace {

using enum MetricsForm;

bool has_line(const Bytes& page, View line) {
  return ("\n" + page).find("\n" + std::string(line) + "\n") != Bytes::npos;
}

Snapshot small_snapshot() {
  Snapshot snapshot;
  PoolRow& pool = snapshot.pools.emplace_back();
  pool.database = "app";
  pool.user = "o\"neil";
  pool.clients_waiting = 3;
  pool.max_wait_us = 1'500'000;
  MetersRow& meters = snapshot.meters.emplace_back();
  meters.database = "app";
  meters.user = "o\"neil";
  for (const int64_t us : {10, 60, 60'000'000}) meters.meters.wait.add(Duration(us));
  StatsRow& stats = snapshot.stats.emplace_back();
  stats.database = "app";
  stats.totals.xact_count = 12;
  stats.totals.wait_time = 70;
  return snapshot;
}

}  // namespace

TEST_CASE("metrics: gauges, counters and times in Prometheus' own form") {
  const Bytes page = metrics_page(small_snapshot(), {}, prometheus);
  CHECK(has_line(page, "# TYPE headgate_pool_clients_waiting gauge"));
  CHECK(has_line(page, R"(headgate_pool_clients_waiting{database="app",user="o\"neil"} 3)"));
  CHECK(
      has_line(page, R"(headgate_pool_max_wait_seconds{database="app",user="o\"neil"} 1.500000)"));
  CHECK(has_line(page, "# TYPE headgate_database_transactions_total counter"));
  CHECK(has_line(page, R"(headgate_database_transactions_total{database="app"} 12)"));
  CHECK(has_line(page, R"(headgate_database_wait_seconds_total{database="app"} 0.000070)"));
  CHECK(has_line(page, "# TYPE headgate_build_info gauge"));
  CHECK(page.find("# EOF") == Bytes::npos);
  CHECK(page.find("# UNIT") == Bytes::npos);
}

TEST_CASE("metrics: what is said of the process as a whole") {
  Snapshot snapshot;
  snapshot.client_count = 7;
  ProcessRow process;
  process.client_slots = 100;
  process.client_slots_used = 5;
  process.started_wall_us = 1'700'000'000'250'000;
  snapshot.process = process;
  const Bytes page = metrics_page(snapshot, {.cpu_us = 1'500'000}, prometheus);
  CHECK(has_line(page, "headgate_clients 7"));
  CHECK(has_line(page, "headgate_client_slots 100"));
  CHECK(has_line(page, "headgate_client_slots_used 5"));
  CHECK(has_line(page, "process_start_time_seconds 1700000000.250000"));
  CHECK(has_line(page, "process_cpu_seconds_total 1.500000"));
}

TEST_CASE("metrics: OpenMetrics names counters and infos in its own way, and says when it ends") {
  const Bytes page = metrics_page(small_snapshot(), {}, open_metrics);
  CHECK(has_line(page, "# TYPE headgate_database_transactions counter"));
  CHECK(has_line(page, R"(headgate_database_transactions_total{database="app"} 12)"));
  CHECK(has_line(page, "# TYPE headgate_build info"));
  CHECK(has_line(page, "# UNIT headgate_pool_max_wait_seconds seconds"));
  CHECK(has_line(page, "# UNIT headgate_database_sent_bytes bytes"));
  CHECK(page.ends_with("\n# EOF\n"));
}

TEST_CASE("metrics: a histogram's buckets add up to its count") {
  const Bytes page = metrics_page(small_snapshot(), {}, prometheus);
  const std::string name = "headgate_pool_wait_seconds";
  const std::string labels = R"(database="app",user="o\"neil")";
  CHECK(has_line(page, "# TYPE " + name + " histogram"));
  CHECK(has_line(page, name + "_bucket{" + labels + ",le=\"5e-05\"} 1"));
  CHECK(has_line(page, name + "_bucket{" + labels + ",le=\"0.0001\"} 2"));
  CHECK(has_line(page, name + "_bucket{" + labels + ",le=\"52.4288\"} 2"));
  CHECK(has_line(page, name + "_bucket{" + labels + ",le=\"+Inf\"} 3"));
  CHECK(has_line(page, name + "_count{" + labels + "} 3"));
  CHECK(has_line(page, name + "_sum{" + labels + "} 60.000070"));
  // Nothing has happened of these: they are named, and no more.
  CHECK(has_line(page, "# TYPE headgate_pool_query_seconds histogram"));
  CHECK(page.find("headgate_pool_query_seconds_") == Bytes::npos);
}

TEST_CASE("metrics: what a row does not have is left out") {
  Snapshot snapshot;
  snapshot.users = {{.name = "set", .pool_size = 4}, {.name = "unset"}};
  HostRow& heard = snapshot.hosts.emplace_back();
  heard.database = "app", heard.host = "a", heard.role = "standby", heard.lsn = "0/1",
  heard.port = 5432;
  heard.lag_us = 2'000'000;
  HostRow& silent = snapshot.hosts.emplace_back();
  silent.database = "app", silent.host = "b", silent.role = "unknown", silent.error = "no",
  silent.port = 5432;
  snapshot.hosts.push_back(silent);  // the list names it twice
  const Bytes page = metrics_page(snapshot, {}, prometheus);
  CHECK(has_line(page, R"(headgate_user_pool_size{user="set"} 4)"));
  CHECK(page.find(R"(headgate_user_pool_size{user="unset"})") == Bytes::npos);
  CHECK(has_line(page, R"(headgate_host_up{database="app",host="a",port="5432"} 1)"));
  CHECK(
      has_line(page, R"(headgate_host_lag_seconds{database="app",host="a",port="5432"} 2.000000)"));
  CHECK(has_line(page, R"(headgate_host_up{database="app",host="b",port="5432"} 0)"));
  CHECK(page.find(R"(headgate_host_lag_seconds{database="app",host="b")") == Bytes::npos);
  CHECK(page.find(R"(headgate_host_up{database="app",host="b")") ==
        page.rfind(R"(headgate_host_up{database="app",host="b")"));
}

TEST_CASE("metrics: each error is counted under its own labels") {
  Snapshot snapshot;
  snapshot.failures[static_cast<size_t>(ErrorCode::query_wait_timeout)] = 2;
  const Bytes page = metrics_page(snapshot, {}, prometheus);
  CHECK(has_line(
      page, R"(headgate_client_failures_total{sqlstate="53300",error="query_wait_timeout"} 2)"));
  std::set<std::string> labels;
  for (size_t code = 0; code < error_codes; ++code) {
    const ErrorRow& row = error_row(static_cast<ErrorCode>(code));
    labels.insert(std::string(row.sqlstate) + std::string(row.text));
  }
  CHECK(labels.size() == error_codes);
}

TEST_CASE("metrics: label values are UTF-8, and different names stay different") {
  CHECK(as_utf8("größe") == "größe");
  CHECK(as_utf8("a\xff"
                "b") == "a\uFFFDFFb");
  CHECK(as_utf8("\xed\xa0\x80") == "\uFFFDED\uFFFDA0\uFFFD80");  // a surrogate
  CHECK(as_utf8("\uFFFDFF") == "\uFFFDEF\uFFFDBF\uFFFDBDFF");
  CHECK(as_utf8("\uFFFDFF") != as_utf8("\xff"));
  CHECK(as_utf8("cut \xf0\x9f\x98") == "cut \uFFFDF0\uFFFD9F\uFFFD98");
  CHECK(as_utf8("") == "");
}

TEST_CASE("metrics: nobody breaks out of a label") {
  Labels labels;
  labels.add("a", "x\"} 1\nevil{a=\"").add("b", "\\");
  CHECK(labels.text() == R"(a="x\"} 1\nevil{a=\"",b="\\")");
}

TEST_CASE("metrics: the form is the one that is preferred") {
  const auto form = [](View accept) { return preferred_form(accept); };
  CHECK(form("") == prometheus);
  CHECK(form("*/*") == prometheus);
  CHECK(form("application/openmetrics-text") == open_metrics);
  CHECK(form("application/openmetrics-text; version=1.0.0; q=0.75, text/plain;q=0.5, */*;q=0.1") ==
        open_metrics);
  CHECK(form("application/openmetrics-text;q=0.2,text/plain;q=0.5") == prometheus);
  CHECK(form("text/plain,application/openmetrics-text") == prometheus);
  CHECK(form("application/openmetrics-text;q=0") == prometheus);
  CHECK(form("application/openmetrics-text;q=nonsense") == prometheus);
  CHECK(form(",,;;q=,application/openmetrics-text") == open_metrics);
  CHECK(form("text/html") == prometheus);
}
