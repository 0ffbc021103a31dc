// Every error that Headgate itself makes, listed once, so that the reply to a client, the log line,
// the metric and the documentation agree. The texts are PgBouncer's where it has one, because
// clients and scripts match on them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace headgate {

enum class Severity : uint8_t { error, fatal };

enum class ErrorCode : uint8_t {
  // protocol
  protocol_violation,
  bad_packet_header,
  bad_packet,
  unknown_packet,
  packet_too_large,
  old_protocol,
  startup_layout,
  data_after_ssl_request,
  data_after_gss_request,
  pqexec_disallowed,
  statement_too_long,
  too_many_statements,
  // login
  ssl_required,
  no_username,
  username_too_long,
  password_too_long,
  unsupported_parameter,
  unsupported_parameter_in_options,
  unsupported_options,
  no_such_database,
  database_disabled,
  shutting_down,
  bouncer_config,
  no_auth_method,
  not_allowed,
  trust_failed,
  password_failed,
  sasl_failed,
  sasl_mechanism,
  empty_password,
  cert_failed,
  peer_failed,
  pam_failed,
  ldap_failed,
  login_rejected,
  no_such_user,
  auth_database_disabled,
  resources_exhausted,
  // limits and timeouts
  max_client_conn,
  max_db_client_connections,
  max_user_client_connections,
  query_timeout,
  query_timeout_waiting,
  query_wait_timeout,
  client_idle_timeout,
  idle_transaction_timeout,
  transaction_timeout,
  client_login_timeout,
  client_login_timeout_server_down,
  login_failing,
  query_canceled,
  notifications_unread,
  // server trouble
  server_crashed,
  server_shutting_down,
  server_connect_failed,
  no_host_of_role,
  primary_changed,
  server_tls_failed,
  server_login_failed,
  server_wrong_password_type,
  server_invalid_signature,
  server_no_mechanism,
  server_protocol,
  invalid_server_parameter,
  begin_failed,
  statement_mode_transaction,
  database_removed,
  configuration_changed,
  state_refused,
  too_many_pinned,
  replication_login_failed,
  // configuration and the outside
  config,
  io,
  // the admin console
  admin_command,
  admin_access,
  admin_reload,
  admin_disconnect,
  administrator_command,
  suspend_timeout,
};

/// How many codes there are.
constexpr size_t error_codes = static_cast<size_t>(ErrorCode::suspend_timeout) + 1;

struct ErrorRow {
  ErrorCode code;
  char sqlstate[6];               // PostgreSQL's, for the same or what is nearest to it
  char sqlstate_in_pgbouncer[6];  // for scripts that match on it: error_codes = pgbouncer
  Severity severity;
  std::string_view text;
};

/// The row of a code.
const ErrorRow& error_row(ErrorCode code);

/// An error as it happened: a row of the table, with the text of this case.
struct Error {
  ErrorCode code;
  std::string message;
  std::string detail{};
  std::string hint{};
  /// Where the text and SQLSTATE are a server's own, its SQLSTATE; else empty.
  std::string sqlstate_override{};

  /// The error with the text of its row.
  explicit Error(ErrorCode c) : code(c), message(error_row(c).text) {}
  Error(ErrorCode c, std::string text) : code(c), message(std::move(text)) {}

  std::string_view sqlstate() const {
    return sqlstate_override.empty() ? std::string_view(error_row(code).sqlstate)
                                     : std::string_view(sqlstate_override);
  }
  /// PgBouncer, too, passes on what a server says of a log-in.
  std::string_view sqlstate_in_pgbouncer() const {
    const bool of_server =
        code == ErrorCode::server_login_failed || code == ErrorCode::invalid_server_parameter;
    return of_server && !sqlstate_override.empty()
               ? std::string_view(sqlstate_override)
               : std::string_view(error_row(code).sqlstate_in_pgbouncer);
  }
  Severity severity() const { return error_row(code).severity; }
};

}  // namespace headgate
