// EXPLAIN ROUTE: where automatic routing would send a text of SQL, and why.
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

}  // namespace headgate
