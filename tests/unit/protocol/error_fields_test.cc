#include "protocol/error_fields.h"

#include <doctest/doctest.h>

#include <random>

#include "protocol/wire.h"

using namespace headgate;
using namespace std::literals;

namespace {

View body_of(View message) { return message.substr(header_size); }

}  // namespace

TEST_CASE("error fields: a server's error is read, fields in any order, unknown ones left alone") {
  const auto fields = decode_error_fields(
      "SFEHLER\0VERROR\0C42P01\0Mno table\0Dthe detail\0Hthe hint\0P15\0Fparse_relation.c\0RparserOpenTable\0?new\0\0"sv);
  REQUIRE(fields.ok());
  CHECK(fields->severity == "ERROR");
  CHECK(fields->sqlstate == "42P01");
  CHECK(fields->message == "no table");
  CHECK(fields->detail == "the detail");
  CHECK(fields->hint == "the hint");
  CHECK(fields->routine == "parserOpenTable");
}

TEST_CASE("error fields: old servers give no V, and a hostile one nothing at all") {
  const auto old = decode_error_fields("SFATAL\0C57P01\0Mbye\0\0"sv);
  REQUIRE(old.ok());
  CHECK(old->severity == "FATAL");
  const auto nothing = decode_error_fields("\0"sv);
  REQUIRE(nothing.ok());
  CHECK(nothing->severity.empty());
  CHECK(nothing->sqlstate.empty());
  CHECK(nothing->message.empty());
}

TEST_CASE("error fields: truncated or continued bodies are malformed") {
  const View body = "SERROR\0C42P01\0Mno table\0\0"sv;
  REQUIRE(decode_error_fields(body).ok());
  for (size_t size = 0; size < body.size(); ++size) {
    CAPTURE(size);
    CHECK_FALSE(decode_error_fields(body.substr(0, size)).ok());
  }
  CHECK_FALSE(decode_error_fields(Bytes(body) + "x").ok());
}

TEST_CASE("error fields: an error is written as PgBouncer writes it") {
  Bytes out;
  encode_error(out, Error(ErrorCode::query_wait_timeout));
  CHECK(out == "E\0\0\0\x27SFATAL\0C53300\0Mquery_wait_timeout\0\0"sv);
}

TEST_CASE("error fields: severity, detail and hint of an error") {
  Error error(ErrorCode::query_canceled);
  error.detail = "by a friend";
  error.hint = "ask again";
  Bytes out;
  encode_error(out, error);
  CHECK(body_of(out) ==
        "SERROR\0C57014\0Mcanceling statement due to user request\0Dby a friend\0Hask again\0\0"sv);
  out.clear();
  encode_error(out, error, Severity::fatal);
  CHECK(body_of(out).starts_with("SFATAL\0C57014\0"sv));
  error.sqlstate_override = "3D000";
  out.clear();
  encode_error(out, error);
  CHECK(decode_error_fields(body_of(out))->sqlstate == "3D000");
}

TEST_CASE("error fields: a zero in a text cannot forge another field") {
  Bytes out;
  encode_error(out, Error(ErrorCode::bad_packet, "bad\0C00000\0"s));
  const auto fields = decode_error_fields(body_of(out));
  REQUIRE(fields.ok());
  CHECK(fields->message == "bad");
  CHECK(fields->sqlstate == "08P01");
}

TEST_CASE("error fields: notices") {
  Bytes out;
  encode_notice(out, "in the queue");
  CHECK(out[0] == 'N');
  CHECK(body_of(out) == "SNOTICE\0C00000\0Min the queue\0\0"sv);
  out.clear();
  encode_notice(out, "m", "d", "h");
  CHECK(body_of(out) == "SNOTICE\0C00000\0Mm\0Dd\0Hh\0\0"sv);
}

TEST_CASE("error fields: a server's error with another detail keeps all else") {
  Bytes out;
  encode_error_with_detail(out, "SERROR\0VERROR\0C57014\0Mcanceled\0Dold\0Rfunction\0\0"sv, "new");
  CHECK(out[0] == 'E');
  CHECK(load_u32(out.data() + 1) == out.size() - 1);
  CHECK(body_of(out) == "SERROR\0VERROR\0C57014\0Mcanceled\0Rfunction\0Dnew\0\0"sv);
}

TEST_CASE("error fields: whatever the bytes, reading ends in fields of the body or in an error") {
  std::mt19937 random(7);
  const Bytes sample = "SERROR\0VERROR\0C57014\0Mcanceled\0Dold\0\0"s;
  for (int round = 0; round < 20000; ++round) {
    Bytes body = sample.substr(0, random() % (sample.size() + 1));
    for (int i = 0; i < 3 && !body.empty(); ++i) {
      body[random() % body.size()] = static_cast<char>(random() % 4 == 0 ? 0 : random());
    }
    const auto fields = decode_error_fields(body);
    if (fields.ok()) {
      Bytes again;
      encode_error_with_detail(again, body, "x");
      REQUIRE(decode_error_fields(body_of(again)).ok());
    }
  }
}
