// ErrorResponse and NoticeResponse: a server's, read and written again, and our own, whose texts
// may quote anything a peer has sent.
//
// Input: a detail behind its length, the body.
#include "protocol/error_fields.h"

#include "protocol/wire.h"
#include "tests/fuzz/input.h"

namespace headgate::fuzz {
namespace {

View up_to_zero(View text) { return text.substr(0, text.find('\0')); }

ErrorFields fields_of(View message) {
  MUST(load_u32(message.data() + 1) == message.size() - 1);
  const auto fields = decode_error_fields(message.substr(header_size));
  MUST(fields.ok());
  return *fields;
}

void check_servers(View body, View detail) {
  const auto fields = decode_error_fields(body);
  if (!fields) {
    MUST(fields.error().code == ErrorCode::server_protocol);
    return;
  }
  for (const View field :
       {fields->severity, fields->sqlstate, fields->message, fields->detail, fields->hint}) {
    MUST(lent_from(body, field));
  }
  Bytes written;
  encode_error_with_detail(written, body, detail);
  const ErrorFields again = fields_of(written);
  MUST(again.severity == fields->severity && again.sqlstate == fields->sqlstate);
  MUST(again.message == fields->message && again.hint == fields->hint);
  MUST(again.detail == up_to_zero(detail));
}

void check_ours(View message, View detail) {
  Error error(ErrorCode::server_login_failed, std::string(message));
  error.detail = detail;
  Bytes written;
  encode_error(written, error);
  const ErrorFields ours = fields_of(written);
  MUST(ours.message == up_to_zero(message) && ours.detail == up_to_zero(detail));
  MUST(ours.severity == "FATAL" && ours.sqlstate == error.sqlstate() && ours.hint.empty());
  written.clear();
  encode_notice(written, message, detail);
  MUST(fields_of(written).message == up_to_zero(message));
}

}  // namespace
}  // namespace headgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate::fuzz;
  FuzzInput input(data, size);
  const headgate::View detail = input.piece();
  check_servers(input.rest(), detail);
  check_ours(input.rest(), detail);
  return 0;
}
