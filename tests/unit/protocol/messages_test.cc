#include "protocol/messages.h"

#include <doctest/doctest.h>

#include <random>

#include "protocol/rows.h"

using namespace headgate;
using namespace std::literals;

namespace {

template <class M>
Bytes coded(const M& message) {
  Bytes out;
  encode(out, message);
  return out;
}

// A message is right about any bytes if it refuses them, or writes them again just as they were.
template <class M>
bool decodes(View body) {
  const auto decoded = decode<M>(body);
  if (!decoded.ok()) {
    REQUIRE(decoded.error().code == ErrorCode::bad_packet);
    REQUIRE(decoded.error().message == "broken " + std::string(M::name) + " packet");
    return false;
  }
  REQUIRE(View(coded(*decoded)).substr(header_size) == body);
  return true;
}

template <class M>
void survives_damage(View body) {
  std::mt19937 random(static_cast<unsigned>(body.size()));
  for (int round = 0; round < 2000; ++round) {
    Bytes damaged(body);
    for (size_t i = 0; i <= random() % 3 && !damaged.empty(); ++i) {
      const int kind = random() % 3;
      damaged[random() % damaged.size()] = kind == 0   ? '\xff'
                                           : kind == 1 ? '\0'
                                                       : static_cast<char>(random());
    }
    if (random() % 4 == 0) damaged.resize(random() % (damaged.size() + 1));
    decodes<M>(damaged);
  }
}

// A message with this body: both ways, cut short at every byte, continued, and damaged.
template <class M>
void check_closed(const M& message, View body) {
  INFO("message ", M::name);
  const Bytes whole = coded(message);
  REQUIRE(whole[0] == M::tag);
  REQUIRE(load_u32(whole.data() + 1) == whole.size() - 1);
  REQUIRE(View(whole).substr(header_size) == body);
  REQUIRE(decodes<M>(body));
  for (size_t size = 0; size < body.size(); ++size) {
    CAPTURE(size);
    REQUIRE_FALSE(decodes<M>(body.substr(0, size)));
  }
  REQUIRE_FALSE(decodes<M>(Bytes(body) + '\0'));
  REQUIRE_FALSE(decodes<M>(Bytes(body) + 'x'));
  survives_damage<M>(body);
}

// The same for one that ends with all the rest of its body: `least` bytes of it are needed.
template <class M>
void check_open(const M& message, View body, size_t least) {
  INFO("message ", M::name);
  const Bytes whole = coded(message);
  REQUIRE(whole[0] == M::tag);
  REQUIRE(load_u32(whole.data() + 1) == whole.size() - 1);
  REQUIRE(View(whole).substr(header_size) == body);
  for (size_t size = 0; size <= body.size(); ++size) {
    CAPTURE(size);
    REQUIRE(decodes<M>(body.substr(0, size)) == (size >= least));
  }
  survives_damage<M>(body);
}

}  // namespace

TEST_CASE("messages: what a client sends") {
  using namespace frontend;
  check_closed(Bind{"portal", "statement", {0, 1}, {"one", std::nullopt, ""}, {1}},
               "portal\0statement\0"
               "\0\2\0\0\0\1"
               "\0\3\0\0\0\3one\xff\xff\xff\xff\0\0\0\0"
               "\0\1\0\1"sv);
  check_closed(Bind{}, "\0\0\0\0\0\0\0\0"sv);
  check_closed(Close{Target::statement, "name"}, "Sname\0"sv);
  check_closed(Describe{Target::portal, ""}, "P\0"sv);
  check_closed(CopyDone{}, "");
  check_closed(CopyFail{"why"}, "why\0"sv);
  check_closed(Execute{"portal", 100}, "portal\0\0\0\0\x64"sv);
  check_closed(Flush{}, "");
  check_closed(FunctionCall{1299, {1}, {"x", std::nullopt}, 1},
               "\0\0\5\x13\0\1\0\1\0\2\0\0\0\1x\xff\xff\xff\xff\0\1"sv);
  check_closed(Parse{"name", "select $1", {23, 0}}, "name\0select $1\0\0\2\0\0\0\x17\0\0\0\0"sv);
  check_closed(Password{"secret"}, "secret\0"sv);
  check_closed(SaslInitialResponse{"SCRAM-SHA-256", "n,,"}, "SCRAM-SHA-256\0\0\0\0\3n,,"sv);
  check_closed(SaslInitialResponse{"OTHER", std::nullopt}, "OTHER\0\xff\xff\xff\xff"sv);
  check_closed(Query{"select 1"}, "select 1\0"sv);
  check_closed(Sync{}, "");
  check_closed(Terminate{}, "");
  check_open(CopyData{{"1\n\0"sv}}, "1\n\0"sv, 0);
  check_open(SaslResponse{{"c=biws"}}, "c=biws", 0);
  check_open(GssResponse{{"gss"}}, "gss", 0);
}

TEST_CASE("messages: what a server sends") {
  using namespace backend;
  check_closed(BindComplete{}, "");
  check_closed(CloseComplete{}, "");
  check_closed(CommandComplete{"INSERT 0 1"}, "INSERT 0 1\0"sv);
  check_closed(CopyInResponse{0, {0, 0}}, "\0\0\2\0\0\0\0"sv);
  check_closed(CopyOutResponse{1, {1}}, "\1\0\1\0\1"sv);
  check_closed(CopyBothResponse{0, {}}, "\0\0\0"sv);
  check_closed(CopyDone{}, "");
  check_closed(DataRow{{"one", std::nullopt, ""}}, "\0\3\0\0\0\3one\xff\xff\xff\xff\0\0\0\0"sv);
  check_closed(EmptyQueryResponse{}, "");
  check_closed(FunctionCallResponse{"now"}, "\0\0\0\3now"sv);
  check_closed(FunctionCallResponse{}, "\xff\xff\xff\xff"sv);
  check_closed(NegotiateProtocolVersion{0x30000, {{"_pq_.a", "_pq_.b"}}},
               "\0\3\0\0\0\0\0\2_pq_.a\0_pq_.b\0"sv);
  check_closed(NoData{}, "");
  check_closed(NotificationResponse{77, "channel", "payload"},
               "\0\0\0\x4d"
               "channel\0payload\0"sv);
  check_closed(ParameterDescription{{23, 25}}, "\0\2\0\0\0\x17\0\0\0\x19"sv);
  check_closed(ParameterStatus{"TimeZone", "UTC"}, "TimeZone\0UTC\0"sv);
  check_closed(ParseComplete{}, "");
  check_closed(PortalSuspended{}, "");
  check_closed(ReadyForQuery{'T'}, "T");
  check_closed(RowDescription{{Column{"id", 16384, 1, 23, 4, -1, 1}, Column{.name = "x"}}},
               "\0\2id\0\0\0\x40\0\0\1\0\0\0\x17\0\4\xff\xff\xff\xff\0\1"
               "x\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\0\0"sv);
  check_open(CopyData{{"row\n"}}, "row\n", 0);
  check_open(BackendKeyData{9, {"key!and more"}}, "\0\0\0\x09key!and more"sv, 8);
}

TEST_CASE("messages: requests for authentication") {
  using namespace backend;
  check_closed(AuthenticationOk{}, "\0\0\0\0"sv);
  check_closed(AuthenticationCleartextPassword{}, "\0\0\0\3"sv);
  check_closed(AuthenticationMd5Password{{'s', 'a', 'l', '\0'}}, "\0\0\0\5sal\0"sv);
  check_closed(AuthenticationGss{}, "\0\0\0\7"sv);
  check_closed(AuthenticationSspi{}, "\0\0\0\x09"sv);
  check_closed(AuthenticationSasl{{{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"}}},
               "\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"sv);
  check_open(AuthenticationGssContinue{{"gss"}}, "\0\0\0\x08gss"sv, 4);
  check_open(AuthenticationSaslContinue{{"r=1"}}, "\0\0\0\x0br=1"sv, 4);
  check_open(AuthenticationSaslFinal{{"v=1"}}, "\0\0\0\x0cv=1"sv, 4);
  check_open(Authentication{Authentication::Kind::sasl_final, {"v=1"}}, "\0\0\0\x0cv=1"sv, 4);
}

TEST_CASE("messages: one request for authentication is not taken for another") {
  CHECK_FALSE(decode<backend::AuthenticationOk>("\0\0\0\3"sv).ok());
  CHECK_FALSE(decode<backend::AuthenticationSaslFinal>("\0\0\0\x0bv=1"sv).ok());
  const auto any = decode<backend::Authentication>("\0\0\0\x0bv=1"sv);
  REQUIRE(any.ok());
  CHECK(any->kind == backend::Authentication::Kind::sasl_continue);
  CHECK(any->data.bytes == "v=1");
}

TEST_CASE("messages: what is decoded is lent from the body") {
  const Bytes body = "name\0select 1\0\0\0"s;
  const auto parse = decode<frontend::Parse>(body);
  REQUIRE(parse.ok());
  CHECK(parse->statement == "name");
  CHECK(parse->query == "select 1");
  CHECK(parse->query.data() == body.data() + 5);
}

TEST_CASE("messages: a cancel key measures 4 to 256 bytes") {
  for (const size_t size : {4, 32, 256})
    CHECK(decodes<backend::BackendKeyData>(Bytes(4 + size, 'k')));
  for (const size_t size : {0, 3, 257}) {
    CHECK_FALSE(decodes<backend::BackendKeyData>(Bytes(4 + size, 'k')));
  }
}

TEST_CASE("messages: as many values as the wire can count") {
  frontend::Bind bind;
  bind.values.assign(65535, Value("v"));
  const auto again = decode<frontend::Bind>(View(coded(bind)).substr(header_size));
  REQUIRE(again.ok());
  CHECK(again->values.size() == 65535);
}

TEST_CASE("messages: a count or a length that lies is refused, and costs no memory") {
  CHECK_FALSE(decodes<backend::DataRow>("\xff\xff"sv));
  CHECK_FALSE(decodes<backend::DataRow>("\0\1\x7f\xff\xff\xff"sv));
  CHECK_FALSE(decodes<backend::DataRow>("\0\1\xff\xff\xff\xfe"sv));  // -2 is not NULL
  CHECK_FALSE(decodes<backend::DataRow>("\0\1\x80\0\0\0"sv));
  CHECK_FALSE(decodes<backend::NegotiateProtocolVersion>("\0\3\0\0\x7f\xff\xff\xff"sv));
  CHECK_FALSE(decodes<backend::NegotiateProtocolVersion>("\0\3\0\0\xff\xff\xff\xff"sv));
}

TEST_CASE("rows: a result made of text, as the admin console gives") {
  Bytes out;
  encode_columns(
      out, std::array{TextColumn{"name"}, TextColumn{"port", SqlType::int4},
                      TextColumn{"total", SqlType::int8}, TextColumn{"on", SqlType::boolean}});
  const auto description = decode<backend::RowDescription>(View(out).substr(header_size));
  REQUIRE(description.ok());
  REQUIRE(description->columns.size() == 4);
  CHECK(description->columns[0].name == "name");
  CHECK(description->columns[0].type == 25);
  CHECK(description->columns[0].type_size == -1);
  CHECK(description->columns[1].type == 23);
  CHECK(description->columns[1].type_size == 4);
  CHECK(description->columns[2].type_size == 8);
  CHECK(description->columns[3].type_size == 1);
  CHECK(description->columns[3].format == 0);

  out.clear();
  TextRow(out, 4).text("main").number(-9223372036854775807 - 1).null().text("");
  CHECK(out[0] == 'D');
  const auto row = decode<backend::DataRow>(View(out).substr(header_size));
  REQUIRE(row.ok());
  CHECK(row->values == std::vector<Value>{"main", "-9223372036854775808", std::nullopt, ""});
}
