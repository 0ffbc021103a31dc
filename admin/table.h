// How a SHOW becomes a result: a table of columns, one entry for each (its name, its type, where
// its value comes from), and a loop over rows and columns that appends the messages.
//
//   constexpr Column<PoolRow> columns[] = {
//       {"database", SqlType::text, field<&PoolRow::database>},
//   };
//   put_table<PoolRow>(out, columns, in_order(snapshot.pools, less));
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "protocol/rows.h"

namespace headgate {

/// The place for one value of a row. What does not fit into the column's type is held to its limit,
/// because a driver that reads an int4 out of text refuses anything larger.
class Cell {
 public:
  Cell(TextRow& row, SqlType type) : row_(row), type_(type) {}

  void put(View text) { row_.text(text); }
  void put(const std::string& text) { row_.text(text); }
  /// A null pointer is NULL.
  void put(const char* text) { text ? put(View(text)) : null(); }
  void put(const std::optional<std::string>& text) { text ? put(View(*text)) : null(); }
  void put(bool set) { row_.number(set); }
  void put(std::signed_integral auto number) { put_number(number); }
  void put(std::unsigned_integral auto number) {
    put_number(static_cast<int64_t>(std::min<uint64_t>(number, INT64_MAX)));
  }
  void null() { row_.null(); }

 private:
  void put_number(int64_t number) {
    if (type_ == SqlType::int4) number = std::clamp<int64_t>(number, INT32_MIN, INT32_MAX);
    row_.number(number);
  }

  TextRow& row_;
  SqlType type_;
};

template <class Row>
struct Column {
  View name;
  SqlType type;
  void (*put)(Cell& cell, const Row& row);
};

template <class>
struct Member;
template <class Row, class T>
struct Member<T Row::*> {
  using Owner = Row;
};

/// The column's value is the row's member, as it is.
template <auto member>
void field(Cell& cell, const typename Member<decltype(member)>::Owner& row) {
  cell.put(row.*member);
}

/// The rows in the order that `less` says; rows that are equal stay as they were.
template <class Row, class Less>
std::vector<const Row*> in_order(const std::vector<Row>& rows, Less less) {
  std::vector<const Row*> sorted;
  sorted.reserve(rows.size());
  for (const Row& row : rows) sorted.push_back(&row);
  std::ranges::stable_sort(sorted, [&](const Row* a, const Row* b) { return less(*a, *b); });
  return sorted;
}

/// The rows as they came.
template <class Row>
std::vector<const Row*> as_they_are(const std::vector<Row>& rows) {
  return in_order(rows, [](const Row&, const Row&) { return false; });
}

/// In PgBouncer's form: 2026-01-31 12:00:00 UTC; empty for 0.
void put_time(Cell& cell, int64_t since_1970_us);

/// Appends the RowDescription and a DataRow for each row.
template <class Row>
void put_table(Bytes& out, std::span<const Column<Row>> columns,
               const std::vector<const Row*>& rows) {
  std::vector<TextColumn> heads;
  for (const Column<Row>& column : columns) heads.push_back({column.name, column.type});
  encode_columns(out, heads);
  for (const Row* row : rows) {
    TextRow values(out, columns.size());
    for (const Column<Row>& column : columns) {
      Cell cell(values, column.type);
      column.put(cell, *row);
    }
  }
}

}  // namespace headgate
