#include "protocol/error_fields.h"

#include "protocol/wire.h"

namespace headgate {

namespace {

// The letters of the fields; a zero ends the list.
constexpr char severity_field = 'S';
constexpr char untranslated_severity_field = 'V';
constexpr char sqlstate_field = 'C';
constexpr char message_field = 'M';
constexpr char detail_field = 'D';
constexpr char hint_field = 'H';
constexpr char routine_field = 'R';
constexpr char no_more_fields = '\0';

// Visits each field of a body. False if the body is malformed.
template <class Visit>
bool for_each_field(View body, Visit visit) {
  Reader reader(body);
  while (!reader.spoiled()) {
    char letter;
    reader.get(letter);
    if (letter == no_more_fields) break;
    View text;
    reader.get(text);
    if (!reader.spoiled()) visit(letter, text);
  }
  return reader.complete();
}

// Texts may quote what a peer sent; a zero in them must not end the field and forge another.
void put_field(Writer& writer, char letter, View text) {
  writer.put(letter).put(text.substr(0, text.find('\0')));
}

void put_optional_field(Writer& writer, char letter, View text) {
  if (!text.empty()) put_field(writer, letter, text);
}

View severity_word(Severity severity) { return severity == Severity::fatal ? "FATAL" : "ERROR"; }

void put_notice(Bytes& out, View severity, View sqlstate, View message, View detail, View hint) {
  Writer writer(out, 'N');
  put_field(writer, severity_field, severity);
  put_field(writer, sqlstate_field, sqlstate);
  put_field(writer, message_field, message);
  put_optional_field(writer, detail_field, detail);
  put_optional_field(writer, hint_field, hint);
  writer.put(no_more_fields);
}

}  // namespace

Result<ErrorFields> decode_error_fields(View body) {
  ErrorFields fields;
  View translated_severity;
  const bool well_formed = for_each_field(body, [&](char letter, View text) {
    switch (letter) {
      case severity_field:
        translated_severity = text;
        break;
      case untranslated_severity_field:
        fields.severity = text;
        break;
      case sqlstate_field:
        fields.sqlstate = text;
        break;
      case message_field:
        fields.message = text;
        break;
      case detail_field:
        fields.detail = text;
        break;
      case hint_field:
        fields.hint = text;
        break;
      case routine_field:
        fields.routine = text;
        break;
      default:
        break;  // "unrecognized types should be silently ignored"
    }
  });
  if (!well_formed) return Error(ErrorCode::server_protocol, "broken error or notice");
  if (fields.severity.empty()) fields.severity = translated_severity;
  return fields;
}

void encode_error(Bytes& out, const Error& error) { encode_error(out, error, error.severity()); }

void encode_error(Bytes& out, const Error& error, Severity severity) {
  Writer writer(out, 'E');
  put_field(writer, severity_field, severity_word(severity));
  put_field(writer, sqlstate_field, error.sqlstate());
  put_field(writer, message_field, error.message);
  put_optional_field(writer, detail_field, error.detail);
  put_optional_field(writer, hint_field, error.hint);
  writer.put(no_more_fields);
}

void encode_notice(Bytes& out, View message, View detail, View hint) {
  put_notice(out, "NOTICE", "00000", message, detail, hint);
}

void encode_warning(Bytes& out, View message, View detail, View hint) {
  put_notice(out, "WARNING", "01000", message, detail, hint);
}

void encode_error_with_detail(Bytes& out, View body, View detail) {
  Writer writer(out, 'E');
  for_each_field(body, [&](char letter, View text) {
    if (letter != detail_field) put_field(writer, letter, text);
  });
  put_optional_field(writer, detail_field, detail);
  writer.put(no_more_fields);
}

void encode_error_with_message(Bytes& out, View body, View message) {
  Writer writer(out, 'E');
  for_each_field(body, [&](char letter, View text) {
    put_field(writer, letter, letter == message_field ? message : text);
  });
  writer.put(no_more_fields);
}

}  // namespace headgate
