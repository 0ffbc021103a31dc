// EXPLAIN ROUTE: where automatic routing would send a text of SQL, and why. SHOW ROUTES: the same
// of what clients have said of late, by the shapes of statements, and where it went.
#include "admin/table.h"
#include "admin/views.h"
#include "protocol/read_verdict.h"

namespace headgate {

namespace {

constexpr SqlType text = SqlType::text;

void put_route(Cell& cell, const ReadVerdict& verdict) {
  cell.put(verdict.is_read() ? "replica" : "primary");
}

void put_reason(Cell& cell, const ReadVerdict& verdict) { cell.put(to_text(verdict)); }

void put_functions(Cell& cell, const ReadVerdict& verdict) {
  std::string all;
  for (const std::string& function : verdict.unknown_functions) {
    all.append(all.empty() ? "" : ", ").append(function);
  }
  cell.put(all);
}

void put_route_of_shape(Cell& cell, const RouteRow& row) {
  cell.put(row.is_read ? "replica" : "primary");
}

constexpr SqlType int8 = SqlType::int8;

constexpr Column<RouteRow> shape_columns[] = {
    {"database", text, field<&RouteRow::database>},
    {"route", text, put_route_of_shape},
    {"reason", text, field<&RouteRow::reason>},
    {"reads", int8, field<&RouteRow::reads>},
    {"replica", int8, field<&RouteRow::replica>},
    {"repeated", int8, field<&RouteRow::repeated>},
    {"primary", int8, field<&RouteRow::primary>},
    {"statement", text, field<&RouteRow::statement>},
};

constexpr Column<ReadVerdict> columns[] = {
    {"route", text, put_route},
    {"reason", text, put_reason},
    {"functions", text, put_functions},
};

}  // namespace

void explain_route(Bytes& out, const ShowRequest& asked) {
  const std::vector<ReadVerdict> verdicts = {read_verdict(asked.command.value)};
  put_table<ReadVerdict>(out, columns, as_they_are(verdicts));
}

// What was said most comes first.
void show_routes(Bytes& out, const ShowRequest& asked) {
  put_table<RouteRow>(out, shape_columns,
                      in_order(asked.snapshot.routes, [](const RouteRow& a, const RouteRow& b) {
                        return a.reads + a.primary > b.reads + b.primary;
                      }));
}

}  // namespace headgate
