// SHOW AUDIT: what clients have left in servers, by pool.
#include "admin/table.h"
#include "admin/views.h"

namespace headgate {

namespace {

constexpr SqlType text = SqlType::text;
constexpr SqlType int8 = SqlType::int8;

template <std::string AuditRow::*member>
void null_if_never(Cell& cell, const AuditRow& row) {
  row.wall_us == 0 ? cell.null() : cell.put(View(row.*member));
}

void put_last_time(Cell& cell, const AuditRow& row) {
  row.wall_us == 0 ? cell.null() : put_time(cell, row.wall_us);
}

constexpr Column<AuditRow> columns[] = {
    {"database", text, field<&AuditRow::database>},
    {"user", text, field<&AuditRow::user>},
    {"looks", int8, field<&AuditRow::looks>},
    {"differences", int8, field<&AuditRow::differences>},
    {"last_time", text, put_last_time},
    {"last_difference", text, null_if_never<&AuditRow::difference>},
    {"last_statements", text, null_if_never<&AuditRow::texts>},
};

}  // namespace

void show_audit(Bytes& out, const ShowRequest& asked) {
  put_table<AuditRow>(out, columns, as_they_are(asked.snapshot.audits));
}

}  // namespace headgate
