// SHOW FDS: the connections that another process could take over.
#include "admin/table.h"
#include "admin/views.h"

namespace headgate {

namespace {

constexpr SqlType text = SqlType::text;
constexpr SqlType int4 = SqlType::int4;
constexpr SqlType int8 = SqlType::int8;
constexpr SqlType bytea = SqlType::bytea;

template <std::string DescriptorRow::*member>
void null_if_empty(Cell& cell, const DescriptorRow& row) {
  (row.*member).empty() ? cell.null() : cell.put(View(row.*member));
}

template <std::string DescriptorRow::*member>
void in_hex(Cell& cell, const DescriptorRow& row) {
  if ((row.*member).empty()) return cell.null();
  std::string hex = "\\x";
  for (const char c : row.*member) {
    constexpr View digits = "0123456789abcdef";
    hex += digits[static_cast<unsigned char>(c) >> 4];
    hex += digits[static_cast<unsigned char>(c) & 15];
  }
  cell.put(hex);
}

constexpr Column<DescriptorRow> columns[] = {
    {"fd", int4, field<&DescriptorRow::number>},
    {"task", text, field<&DescriptorRow::task>},
    {"user", text, null_if_empty<&DescriptorRow::user>},
    {"database", text, null_if_empty<&DescriptorRow::database>},
    {"addr", text, field<&DescriptorRow::address>},
    {"port", int4, field<&DescriptorRow::port>},
    {"cancel", int8, field<&DescriptorRow::cancel_key>},
    {"link", int4, field<&DescriptorRow::link>},
    {"client_encoding", text, null_if_empty<&DescriptorRow::client_encoding>},
    {"std_strings", text, null_if_empty<&DescriptorRow::standard_strings>},
    {"datestyle", text, null_if_empty<&DescriptorRow::datestyle>},
    {"timezone", text, null_if_empty<&DescriptorRow::timezone>},
    {"password", text, null_if_empty<&DescriptorRow::password>},
    {"scram_client_key", bytea, in_hex<&DescriptorRow::scram_client_key>},
    {"scram_server_key", bytea, in_hex<&DescriptorRow::scram_server_key>},
};

}  // namespace

void show_fds(Bytes& out, const ShowRequest& asked) {
  put_table<DescriptorRow>(out, columns, as_they_are(asked.snapshot.descriptors));
}

}  // namespace headgate
