// SHOW STATS, STATS_TOTALS, STATS_AVERAGES and TOTALS: the same counters under PgBouncer's various
// names.
#include "admin/table.h"
#include "admin/views.h"

namespace headgate {

namespace {

struct StatNames {
  uint64_t PoolStats::*counter;
  View stats_total, stats_average;  // in SHOW STATS
  View total, average;              // in SHOW STATS_TOTALS and STATS_AVERAGES
  View sum;                         // in SHOW TOTALS, behind total_ and avg_
};
constexpr StatNames stat_names[] = {
    {&PoolStats::server_assignment_count, "total_server_assignment_count",
     "avg_server_assignment_count", "server_assignment_count", "server_assignment_count",
     "server_assignment_count"},
    {&PoolStats::xact_count, "total_xact_count", "avg_xact_count", "xact_count", "xact_count",
     "xact_count"},
    {&PoolStats::query_count, "total_query_count", "avg_query_count", "query_count", "query_count",
     "query_count"},
    {&PoolStats::bytes_received, "total_received", "avg_recv", "bytes_received", "bytes_received",
     "client_bytes"},
    {&PoolStats::bytes_sent, "total_sent", "avg_sent", "bytes_sent", "bytes_sent", "server_bytes"},
    {&PoolStats::xact_time, "total_xact_time", "avg_xact_time", "xact_time", "xact_time",
     "xact_time"},
    {&PoolStats::query_time, "total_query_time", "avg_query_time", "query_time", "query_time",
     "query_time"},
    {&PoolStats::wait_time, "total_wait_time", "avg_wait_time", "wait_time", "wait_time",
     "wait_time"},
    {&PoolStats::client_parse_count, "total_client_parse_count", "avg_client_parse_count",
     "client_parse_count", "avg_client_parse_count", "ps_client_parse_count"},
    {&PoolStats::server_parse_count, "total_server_parse_count", "avg_server_parse_count",
     "server_parse_count", "avg_server_parse_count", "ps_server_parse_count"},
    {&PoolStats::bind_count, "total_bind_count", "avg_bind_count", "bind_count", "avg_bind_count",
     "ps_bind_count"},
    {&PoolStats::client_login_count, "total_client_login_count", "avg_client_login_count",
     "client_login_count", "avg_client_login_count", "client_login_count"},
};

constexpr bool every_counter_has_its_names() {
  return std::ranges::equal(stat_names, stat_rows, {}, &StatNames::counter, &StatRow::counter);
}
static_assert(every_counter_has_its_names());

PoolStats totals_of(const StatsRow& row) { return row.totals; }
PoolStats averages_of(const StatsRow& row) { return averages(row.before, row.totals, row.elapsed); }

// Twelve columns: what is shown, and under which names.
struct Block {
  PoolStats (*values)(const StatsRow& row);
  View StatNames::*name;
};
constexpr Block stats_blocks[] = {{totals_of, &StatNames::stats_total},
                                  {averages_of, &StatNames::stats_average}};
constexpr Block totals_blocks[] = {{totals_of, &StatNames::total}};
constexpr Block averages_blocks[] = {{averages_of, &StatNames::average}};

void put_stats(Bytes& out, const Snapshot& snapshot, std::span<const Block> blocks) {
  std::vector<TextColumn> heads = {{"database"}};
  for (const Block& block : blocks) {
    for (const StatNames& names : stat_names) {
      heads.push_back({names.*block.name, SqlType::numeric});
    }
  }
  encode_columns(out, heads);

  const auto less = [](const StatsRow& a, const StatsRow& b) { return a.database < b.database; };
  for (const StatsRow* row : in_order(snapshot.stats, less)) {
    TextRow line(out, heads.size());
    line.text(row->database);
    for (const Block& block : blocks) {
      const PoolStats values = block.values(*row);
      for (const StatNames& names : stat_names) {
        Cell(line, SqlType::numeric).put(values.*names.counter);
      }
    }
  }
}

struct TotalRow {
  std::string name;
  uint64_t value;
};
constexpr Column<TotalRow> total_columns[] = {
    {"name", SqlType::text, field<&TotalRow::name>},
    {"value", SqlType::numeric, field<&TotalRow::value>},
};

StatsRow sum_of(const std::vector<StatsRow>& rows) {
  StatsRow sum;
  for (const StatsRow& row : rows) {
    sum.totals += row.totals;
    sum.before += row.before;
    sum.elapsed = std::max(sum.elapsed, row.elapsed);
  }
  return sum;
}

void add_totals(std::vector<TotalRow>& rows, const std::string& prefix, const PoolStats& values) {
  for (const StatNames& names : stat_names) {
    rows.push_back({prefix + std::string(names.sum), values.*names.counter});
  }
}

}  // namespace

void show_stats(Bytes& out, const ShowRequest& asked) {
  put_stats(out, asked.snapshot, stats_blocks);
}

void show_stats_totals(Bytes& out, const ShowRequest& asked) {
  put_stats(out, asked.snapshot, totals_blocks);
}

void show_stats_averages(Bytes& out, const ShowRequest& asked) {
  put_stats(out, asked.snapshot, averages_blocks);
}

void show_totals(Bytes& out, const ShowRequest& asked) {
  const StatsRow sum = sum_of(asked.snapshot.stats);
  std::vector<TotalRow> rows;
  add_totals(rows, "total_", totals_of(sum));
  add_totals(rows, "avg_", averages_of(sum));
  put_table<TotalRow>(out, total_columns, as_they_are(rows));
}

}  // namespace headgate
