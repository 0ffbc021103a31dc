#include "base/error.h"

#include <array>

#include "base/check.h"

namespace headgate {

namespace {

constexpr Severity fatal = Severity::fatal;
constexpr Severity error = Severity::error;

constexpr ErrorRow error_table[] = {
    {ErrorCode::protocol_violation, "08P01", "08P01", fatal, "protocol violation"},
    {ErrorCode::bad_packet_header, "08P01", "08P01", fatal, "bad packet header"},
    {ErrorCode::bad_packet, "08P01", "08P01", fatal, "bad packet"},
    {ErrorCode::unknown_packet, "08P01", "08P01", fatal, "unknown pkt"},
    {ErrorCode::packet_too_large, "08P01", "08P01", fatal, "packet too large"},
    {ErrorCode::old_protocol, "0A000", "08P01", fatal, "old V2 protocol not supported"},
    {ErrorCode::startup_layout, "08P01", "08P01", fatal,
     "invalid startup packet layout: expected terminator as last byte"},
    {ErrorCode::data_after_ssl_request, "08P01", "08P01", fatal,
     "received unencrypted data after SSL request"},
    {ErrorCode::data_after_gss_request, "08P01", "08P01", fatal,
     "received unencrypted data after GSSAPI encryption request"},
    {ErrorCode::pqexec_disallowed, "0A000", "08P01", fatal, "PQexec disallowed"},
    {ErrorCode::statement_too_long, "54000", "54000", fatal,
     "statement is too long to be prepared under a name in this pool mode"},
    {ErrorCode::too_many_statements, "54000", "54000", fatal, "too many prepared statements"},
    {ErrorCode::ssl_required, "28000", "08P01", fatal, "SSL required"},
    {ErrorCode::no_username, "28000", "08P01", fatal, "no username supplied"},
    {ErrorCode::username_too_long, "28000", "08P01", fatal, "username too long"},
    {ErrorCode::password_too_long, "08P01", "08P01", fatal, "password too long"},
    {ErrorCode::unsupported_parameter, "42704", "08P01", fatal, "unsupported startup parameter"},
    {ErrorCode::unsupported_parameter_in_options, "42704", "08P01", fatal,
     "unsupported startup parameter in options"},
    {ErrorCode::unsupported_options, "42601", "08P01", fatal,
     "unsupported options startup parameter: only '-c config=val' and '--config=val' are allowed"},
    {ErrorCode::no_such_database, "3D000", "08P01", fatal, "no such database"},
    {ErrorCode::database_disabled, "55000", "08P01", fatal, "database is disabled"},
    {ErrorCode::shutting_down, "57P03", "08P01", fatal, "pooler is shutting down"},
    {ErrorCode::bouncer_config, "F0000", "08P01", fatal, "bouncer config error"},
    {ErrorCode::no_auth_method, "28000", "08P01", fatal, "no authentication method is found"},
    {ErrorCode::not_allowed, "42501", "08P01", fatal, "not allowed"},
    {ErrorCode::trust_failed, "28000", "08P01", fatal, "\"trust\" authentication failed"},
    {ErrorCode::password_failed, "28P01", "08P01", fatal, "password authentication failed"},
    {ErrorCode::sasl_failed, "28P01", "08P01", fatal, "SASL authentication failed"},
    {ErrorCode::sasl_mechanism, "08P01", "08P01", fatal,
     "client selected an invalid SASL authentication mechanism"},
    {ErrorCode::empty_password, "28P01", "08P01", fatal, "empty password returned by client"},
    {ErrorCode::cert_failed, "28000", "08P01", fatal, "certificate authentication failed"},
    {ErrorCode::peer_failed, "28000", "08P01", fatal, "unix socket login rejected"},
    {ErrorCode::pam_failed, "28000", "08P01", fatal, "PAM authentication failed"},
    {ErrorCode::ldap_failed, "28000", "08P01", fatal, "LDAP authentication failed"},
    {ErrorCode::login_rejected, "28000", "08P01", fatal, "login rejected"},
    {ErrorCode::no_such_user, "28P01", "08P01", fatal, "no such user"},
    {ErrorCode::auth_database_disabled, "55000", "08P01", fatal,
     "authentication database is disabled"},
    {ErrorCode::resources_exhausted, "53000", "08P01", fatal, "bouncer resources exhaustion"},
    {ErrorCode::max_client_conn, "53300", "08P01", fatal,
     "no more connections allowed (max_client_conn)"},
    {ErrorCode::max_db_client_connections, "53300", "08P01", fatal,
     "client connections exceeded (max_db_client_connections)"},
    {ErrorCode::max_user_client_connections, "53300", "08P01", fatal,
     "client connections exceeded (max_user_client_connections)"},
    {ErrorCode::query_timeout, "57014", "08P01", fatal, "query timeout"},
    {ErrorCode::query_timeout_waiting, "57014", "08P01", fatal, "query_timeout"},
    {ErrorCode::query_wait_timeout, "53300", "08P01", fatal, "query_wait_timeout"},
    {ErrorCode::client_idle_timeout, "57P05", "08P01", fatal, "client_idle_timeout"},
    {ErrorCode::idle_transaction_timeout, "25P03", "08P01", fatal, "idle transaction timeout"},
    {ErrorCode::transaction_timeout, "25P04", "08P01", fatal, "transaction timeout"},
    {ErrorCode::client_login_timeout, "57014", "08P01", fatal, "client_login_timeout"},
    {ErrorCode::client_login_timeout_server_down, "57P03", "08P01", fatal,
     "client_login_timeout (server down)"},
    {ErrorCode::login_failing, "57P03", "08P01", fatal, "server login has been failing"},
    {ErrorCode::query_canceled, "57014", "57014", error, "canceling statement due to user request"},
    {ErrorCode::notifications_unread, "54000", "54000", fatal,
     "too many notifications wait for this client: it does not read them, or its transaction is "
     "too long"},
    {ErrorCode::server_crashed, "08006", "08P01", fatal, "server conn crashed?"},
    {ErrorCode::server_shutting_down, "57P01", "08P01", fatal, "server shutting down"},
    {ErrorCode::server_connect_failed, "57P03", "08P01", fatal, "connect failed"},
    {ErrorCode::no_host_of_role, "57P03", "08P01", fatal, "no host is known to have the role"},
    {ErrorCode::primary_changed, "57P01", "08P01", fatal, "the primary is another host now"},
    {ErrorCode::server_tls_failed, "08001", "08P01", fatal, "TLS handshake with the server failed"},
    {ErrorCode::server_login_failed, "08001", "08P01", fatal, "server login failed"},
    {ErrorCode::server_wrong_password_type, "08001", "08P01", fatal,
     "server login failed: wrong password type"},
    {ErrorCode::server_invalid_signature, "08001", "08P01", fatal,
     "server login failed: invalid server signature"},
    {ErrorCode::server_no_mechanism, "08001", "08P01", fatal,
     "server login failed: none of the server's SASL authentication mechanisms are supported"},
    {ErrorCode::server_protocol, "08P01", "08P01", fatal, "protocol violation by the server"},
    {ErrorCode::invalid_server_parameter, "22023", "08P01", fatal, "invalid server parameter"},
    {ErrorCode::begin_failed, "25000", "08P01", fatal, "transaction could not be begun"},
    {ErrorCode::statement_mode_transaction, "0A000", "08P01", fatal,
     "transaction blocks not allowed in statement pooling mode"},
    {ErrorCode::database_removed, "57P04", "08P01", fatal, "database removed"},
    {ErrorCode::configuration_changed, "57P01", "08P01", fatal, "database configuration changed"},
    {ErrorCode::state_refused, "0A000", "0A000", error, "not allowed by session_policy"},
    {ErrorCode::too_many_pinned, "53400", "53400", error,
     "no more servers can be kept for one client (max_pinned_servers)"},
    {ErrorCode::replication_login_failed, "08001", "08P01", fatal, "login failed"},
    {ErrorCode::config, "F0000", "F0000", error, "configuration error"},
    {ErrorCode::io, "58030", "58030", error, "I/O error"},
    {ErrorCode::admin_command, "08P01", "08P01", error, "invalid command"},
    {ErrorCode::admin_access, "08P01", "08P01", error, "admin access needed"},
    {ErrorCode::admin_reload, "F0000", "F0000", error,
     "RELOAD failed, see logs for additional details"},
    {ErrorCode::admin_disconnect, "57P01", "08P01", fatal, "admin forced disconnect"},
    {ErrorCode::administrator_command, "57P01", "08P01", fatal,
     "terminating connection due to administrator command"},
    {ErrorCode::suspend_timeout, "57P01", "08P01", fatal, "suspend_timeout"},
};

constexpr bool rows_stand_at_their_code() {
  for (size_t i = 0; i < std::size(error_table); ++i) {
    if (static_cast<size_t>(error_table[i].code) != i) return false;
  }
  return std::size(error_table) == error_codes;
}
static_assert(rows_stand_at_their_code());

}  // namespace

const ErrorRow& error_row(ErrorCode code) { return error_table[static_cast<size_t>(code)]; }

}  // namespace headgate
