// What the tests of the console read answers with: the bytes as a client would see them.
#pragma once

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <vector>

#include "admin/commands.h"
#include "admin/console.h"
#include "protocol/error_fields.h"
#include "protocol/messages.h"

namespace headgate::test {

using Text = std::optional<std::string>;
using TextRows = std::vector<std::vector<Text>>;

/// The messages of an answer, by kind, and their tags in order.
struct Answer {
  std::string order;
  struct Head {
    std::string name;
    char type;  // t text, i int4, q int8, n numeric, b bytea
  };
  std::vector<Head> columns;
  TextRows rows;
  std::string tag;
  std::string notice, notice_detail;

  explicit Answer(View bytes) {
    while (!bytes.empty()) {
      REQUIRE(bytes.size() >= header_size);
      const size_t size = 1 + load_u32(bytes.data() + 1);
      REQUIRE(bytes.size() >= size);
      order += bytes[0];
      read(bytes[0], bytes.substr(header_size, size - header_size));
      bytes.remove_prefix(size);
    }
  }

  /// `name t, size i`, as the reference writes it.
  std::string heads() const {
    std::string text;
    for (const auto& column : columns) {
      if (!text.empty()) text += ", ";
      text += column.name + " " + column.type;
    }
    return text;
  }

  /// The values of the named column.
  std::vector<Text> column(View name) const {
    for (size_t i = 0; i < columns.size(); ++i) {
      if (columns[i].name != name) continue;
      std::vector<Text> values;
      for (const auto& row : rows) values.push_back(row.at(i));
      return values;
    }
    FAIL("no column " << std::string(name));
    return {};
  }
  /// The value of the named column in the only row.
  Text value(View name) const {
    REQUIRE(rows.size() == 1);
    return column(name).at(0);
  }

 private:
  static char letter(const backend::Column& column) {
    CHECK(column.table == 0);
    CHECK(column.number == 0);
    CHECK(column.modifier == -1);
    CHECK(column.format == 0);
    switch (column.type) {
      case 25:
        return column.type_size == -1 ? 't' : '?';
      case 23:
        return column.type_size == 4 ? 'i' : '?';
      case 20:
        return column.type_size == 8 ? 'q' : '?';
      case 17:
        return column.type_size == -1 ? 'b' : '?';
      case 1700:
        return column.type_size == -1 ? 'n' : '?';
      default:
        return '?';
    }
  }

  void read(char tag_of_message, View body) {
    if (tag_of_message == backend::row_description) {
      const auto description = decode<backend::RowDescription>(body);
      for (const auto& column : description->columns) {
        columns.push_back({std::string(column.name), letter(column)});
      }
    } else if (tag_of_message == backend::data_row) {
      const auto data = decode<backend::DataRow>(body);
      auto& row = rows.emplace_back();
      for (const Value& value : data->values) row.emplace_back(value);
    } else if (tag_of_message == backend::command_complete) {
      tag = decode<backend::CommandComplete>(body)->command;
    } else if (tag_of_message == backend::notice_response) {
      const ErrorFields fields = *decode_error_fields(body);
      CHECK(fields.severity == "NOTICE");
      CHECK(fields.sqlstate == "00000");
      notice = fields.message;
      notice_detail = fields.detail;
    } else {
      FAIL("unexpected message " << tag_of_message);
    }
  }
};

/// The answer to a SHOW or EXPLAIN ROUTE of somebody who may see all.
inline Answer show(View query, const Snapshot& snapshot = {}, const Config& config = {}) {
  const Result<ConsoleCommand> command = parse_console(query, ConsoleRights::admin);
  REQUIRE(command.ok());
  Bytes out;
  answer_show(out, *command, snapshot, config);
  Answer answer(out);
  CHECK(answer.tag == command_tag(command->verb));
  return answer;
}

}  // namespace headgate::test
