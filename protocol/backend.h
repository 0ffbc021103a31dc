// What a server sends to a client: tags, and a struct for each message. ErrorResponse and
// NoticeResponse are in protocol/error_fields.h. (PostgreSQL documentation, "Message Formats".)
#pragma once

#include "protocol/codec.h"

namespace headgate::backend {

constexpr char authentication = 'R';
constexpr char backend_key_data = 'K';
constexpr char bind_complete = '2';
constexpr char close_complete = '3';
constexpr char command_complete = 'C';
constexpr char copy_both_response = 'W';
constexpr char copy_data = 'd';
constexpr char copy_done = 'c';
constexpr char copy_in_response = 'G';
constexpr char copy_out_response = 'H';
constexpr char data_row = 'D';
constexpr char empty_query_response = 'I';
constexpr char error_response = 'E';
constexpr char function_call_response = 'V';
constexpr char negotiate_protocol_version = 'v';
constexpr char no_data = 'n';
constexpr char notice_response = 'N';
constexpr char notification_response = 'A';
constexpr char parameter_description = 't';
constexpr char parameter_status = 'S';
constexpr char parse_complete = '1';
constexpr char portal_suspended = 's';
constexpr char ready_for_query = 'Z';
constexpr char row_description = 'T';

/// Any message with tag R: which one, and what it carries.
struct Authentication {
  static constexpr char tag = authentication;
  static constexpr View name = "Authentication";
  enum class Kind : int32_t {
    ok = 0,
    kerberos_v5 = 2,
    cleartext_password = 3,
    md5_password = 5,
    scm_credential = 6,
    gss = 7,
    gss_continue = 8,
    sspi = 9,
    sasl = 10,
    sasl_continue = 11,
    sasl_final = 12,
  };
  Kind kind = Kind::ok;
  Rest data;
  static auto fields(auto& m) { return std::tie(m.kind, m.data); }
};

template <Authentication::Kind kind>
using KindIs = Constant<static_cast<int32_t>(kind)>;

struct AuthenticationOk {
  static constexpr char tag = authentication;
  static constexpr View name = "Authentication";
  KindIs<Authentication::Kind::ok> kind{};
  static auto fields(auto& m) { return std::tie(m.kind); }
};

struct AuthenticationCleartextPassword {
  static constexpr char tag = authentication;
  static constexpr View name = "Authentication";
  KindIs<Authentication::Kind::cleartext_password> kind{};
  static auto fields(auto& m) { return std::tie(m.kind); }
};

struct AuthenticationMd5Password {
  static constexpr char tag = authentication;
  static constexpr View name = "Authentication";
  std::array<char, 4> salt{};
  KindIs<Authentication::Kind::md5_password> kind{};
  static auto fields(auto& m) { return std::tie(m.kind, m.salt); }
};

struct AuthenticationGss {
  static constexpr char tag = authentication;
  static constexpr View name = "Authentication";
  KindIs<Authentication::Kind::gss> kind{};
  static auto fields(auto& m) { return std::tie(m.kind); }
};

struct AuthenticationGssContinue {
  static constexpr char tag = authentication;
  static constexpr View name = "Authentication";
  Rest data;
  KindIs<Authentication::Kind::gss_continue> kind{};
  static auto fields(auto& m) { return std::tie(m.kind, m.data); }
};

struct AuthenticationSspi {
  static constexpr char tag = authentication;
  static constexpr View name = "Authentication";
  KindIs<Authentication::Kind::sspi> kind{};
  static auto fields(auto& m) { return std::tie(m.kind); }
};

struct AuthenticationSasl {
  static constexpr char tag = authentication;
  static constexpr View name = "Authentication";
  ClosedList mechanisms;  // in the server's order of preference
  KindIs<Authentication::Kind::sasl> kind{};
  static auto fields(auto& m) { return std::tie(m.kind, m.mechanisms); }
};

struct AuthenticationSaslContinue {
  static constexpr char tag = authentication;
  static constexpr View name = "Authentication";
  Rest data;
  KindIs<Authentication::Kind::sasl_continue> kind{};
  static auto fields(auto& m) { return std::tie(m.kind, m.data); }
};

struct AuthenticationSaslFinal {
  static constexpr char tag = authentication;
  static constexpr View name = "Authentication";
  Rest data;
  KindIs<Authentication::Kind::sasl_final> kind{};
  static auto fields(auto& m) { return std::tie(m.kind, m.data); }
};

/// What a CancelRequest must name. The secret measures 4 bytes, in protocol 3.2 up to 256.
struct BackendKeyData {
  static constexpr char tag = backend_key_data;
  static constexpr View name = "BackendKeyData";
  int32_t process = 0;
  Tail<4, 256> secret;
  static auto fields(auto& m) { return std::tie(m.process, m.secret); }
};

struct BindComplete {
  static constexpr char tag = bind_complete;
  static constexpr View name = "BindComplete";
  static auto fields(auto&) { return std::tie(); }
};

struct CloseComplete {
  static constexpr char tag = close_complete;
  static constexpr View name = "CloseComplete";
  static auto fields(auto&) { return std::tie(); }
};

struct CommandComplete {
  static constexpr char tag = command_complete;
  static constexpr View name = "CommandComplete";
  View command;  // PostgreSQL's "command tag", with its count of rows
  static auto fields(auto& m) { return std::tie(m.command); }
};

/// The three that start a COPY differ in their tag only.
template <char tag_of>
struct CopyResponse {
  static constexpr char tag = tag_of;
  static constexpr View name = "CopyResponse";
  uint8_t format = 0;  // 0: text, 1: binary
  std::vector<int16_t> columns;
  static auto fields(auto& m) { return std::tie(m.format, m.columns); }
};
using CopyInResponse = CopyResponse<copy_in_response>;
using CopyOutResponse = CopyResponse<copy_out_response>;
using CopyBothResponse = CopyResponse<copy_both_response>;

struct CopyData {
  static constexpr char tag = copy_data;
  static constexpr View name = "CopyData";
  Rest data;
  static auto fields(auto& m) { return std::tie(m.data); }
};

struct CopyDone {
  static constexpr char tag = copy_done;
  static constexpr View name = "CopyDone";
  static auto fields(auto&) { return std::tie(); }
};

struct DataRow {
  static constexpr char tag = data_row;
  static constexpr View name = "DataRow";
  std::vector<Value> values;
  static auto fields(auto& m) { return std::tie(m.values); }
};

struct EmptyQueryResponse {
  static constexpr char tag = empty_query_response;
  static constexpr View name = "EmptyQueryResponse";
  static auto fields(auto&) { return std::tie(); }
};

struct FunctionCallResponse {
  static constexpr char tag = function_call_response;
  static constexpr View name = "FunctionCallResponse";
  Value result;
  static auto fields(auto& m) { return std::tie(m.result); }
};

struct NegotiateProtocolVersion {
  static constexpr char tag = negotiate_protocol_version;
  static constexpr View name = "NegotiateProtocolVersion";
  int32_t version = 0;          // the newest supported, as in a start-up packet
  CountedList unknown_options;  // the `_pq_.` options that are not
  static auto fields(auto& m) { return std::tie(m.version, m.unknown_options); }
};

struct NoData {
  static constexpr char tag = no_data;
  static constexpr View name = "NoData";
  static auto fields(auto&) { return std::tie(); }
};

struct NotificationResponse {
  static constexpr char tag = notification_response;
  static constexpr View name = "NotificationResponse";
  int32_t process = 0;
  View channel;
  View payload;
  static auto fields(auto& m) { return std::tie(m.process, m.channel, m.payload); }
};

struct ParameterDescription {
  static constexpr char tag = parameter_description;
  static constexpr View name = "ParameterDescription";
  std::vector<int32_t> types;
  static auto fields(auto& m) { return std::tie(m.types); }
};

struct ParameterStatus {
  static constexpr char tag = parameter_status;
  static constexpr View name = "ParameterStatus";
  View parameter;
  View value;
  static auto fields(auto& m) { return std::tie(m.parameter, m.value); }
};

struct ParseComplete {
  static constexpr char tag = parse_complete;
  static constexpr View name = "ParseComplete";
  static auto fields(auto&) { return std::tie(); }
};

struct PortalSuspended {
  static constexpr char tag = portal_suspended;
  static constexpr View name = "PortalSuspended";
  static auto fields(auto&) { return std::tie(); }
};

struct ReadyForQuery {
  static constexpr char tag = ready_for_query;
  static constexpr View name = "ReadyForQuery";
  char status = 'I';  // the letters of TransactionStatus
  static auto fields(auto& m) { return std::tie(m.status); }
};

/// One column of a RowDescription.
struct Column {
  View name;
  int32_t table = 0;   // object id, zero if the column is not a table's
  int16_t number = 0;  // in the table
  int32_t type = 0;    // object id
  int16_t type_size = -1;
  int32_t modifier = -1;
  int16_t format = 0;
  static auto fields(auto& m) {
    return std::tie(m.name, m.table, m.number, m.type, m.type_size, m.modifier, m.format);
  }
};

struct RowDescription {
  static constexpr char tag = row_description;
  static constexpr View name = "RowDescription";
  std::vector<Column> columns;
  static auto fields(auto& m) { return std::tie(m.columns); }
};

}  // namespace headgate::backend
