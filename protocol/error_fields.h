// ErrorResponse and NoticeResponse: a list of fields, each a letter and a string.
// (PostgreSQL documentation, "Error and Notice Message Fields".)
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "base/result.h"

namespace headgate {

/// The fields that Headgate reads. Lent from the body; absent ones are empty (a hostile or ancient
/// server may leave out even the SQLSTATE).
struct ErrorFields {
  View severity;  // V if given (never translated), else S
  View sqlstate;
  View message;
  View detail;
  View hint;
  View routine;  // the function in PostgreSQL's source that reports it
};

/// Reads the body of an 'E' or 'N' message. Malformed bodies are an error.
Result<ErrorFields> decode_error_fields(View body);

/// Appends an ErrorResponse as PgBouncer writes it: exactly the fields S, C, M, and D and H where
/// the error has them.
void encode_error(Bytes& out, const Error& error);
/// The same with severity FATAL or ERROR whatever the code's row says.
void encode_error(Bytes& out, const Error& error, Severity severity);
/// Appends a NoticeResponse, severity NOTICE, SQLSTATE 00000.
void encode_notice(Bytes& out, View message, View detail = {}, View hint = {});
/// The same with severity WARNING, SQLSTATE 01000.
void encode_warning(Bytes& out, View message, View detail = {}, View hint = {});
/// Appends the body of a server's ErrorResponse again, with D replaced by `detail`.
void encode_error_with_detail(Bytes& out, View body, View detail);
/// The same with another M.
void encode_error_with_message(Bytes& out, View body, View message);

}  // namespace headgate
