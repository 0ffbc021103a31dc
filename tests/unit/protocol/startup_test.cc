#include "protocol/startup.h"

#include <doctest/doctest.h>

#include <random>

#include "protocol/wire.h"

using namespace headgate;
using namespace std::literals;

namespace {

using Parameters = std::vector<std::pair<std::string, std::string>>;

Bytes packet(int32_t code, View rest) {
  Bytes out;
  Writer(out, 0).put(code).raw(rest);
  return out;
}

StartupMessage started(View rest, int32_t version = protocol_3_0) {
  auto decoded = decode_startup(packet(version, rest));
  REQUIRE(decoded.ok());
  return std::get<StartupMessage>(*decoded);
}

ErrorCode refused(View whole) {
  const auto decoded = decode_startup(whole);
  REQUIRE_FALSE(decoded.ok());
  return decoded.error().code;
}

}  // namespace

TEST_CASE("startup: the parameters with a meaning are told apart, the others stay in order") {
  const StartupMessage message = started(
      "user\0ann\0database\0shop\0application_name\0till\0options\0-c a=b\0"
      "replication\0database\0client_encoding\0UTF8\0application_name\0again\0\0"sv);
  CHECK(message.version == protocol_3_0);
  CHECK(message.user == "ann");
  CHECK(message.database == "shop");
  CHECK(message.options == "-c a=b");
  CHECK(message.replication == "database");
  CHECK(message.parameters == Parameters{{"application_name", "till"},
                                         {"client_encoding", "UTF8"},
                                         {"application_name", "again"}});
  CHECK(message.unknown_options.empty());
}

TEST_CASE("startup: without a database it is the user's name") {
  CHECK(started("user\0ann\0\0"sv).database == "ann");
  CHECK(started("database\0\0user\0ann\0\0"sv).database == "ann");
}

TEST_CASE("startup: newer minor versions and unknown protocol options are understood") {
  const StartupMessage message =
      started("user\0ann\0_pq_.new\0on\0_pq_.newer\0\0\0"sv, protocol_3_2);
  CHECK(message.version == protocol_3_2);
  CHECK(message.unknown_options == std::vector<std::string>{"_pq_.new", "_pq_.newer"});
  CHECK(message.parameters.empty());
}

TEST_CASE("startup: a packet must end at its terminator") {
  const View rest = "user\0ann\0database\0shop\0\0"sv;
  REQUIRE(decode_startup(packet(protocol_3_0, rest)).ok());
  for (size_t size = 0; size < rest.size(); ++size) {
    CAPTURE(size);
    CHECK(refused(packet(protocol_3_0, rest.substr(0, size))) == ErrorCode::startup_layout);
  }
  CHECK(refused(packet(protocol_3_0, "user\0ann\0\0x"sv)) == ErrorCode::startup_layout);
  CHECK(refused(packet(protocol_3_0, "user\0ann\0\0\0"sv)) == ErrorCode::startup_layout);
}

TEST_CASE("startup: a user is needed") {
  CHECK(refused(packet(protocol_3_0, "\0"sv)) == ErrorCode::no_username);
  CHECK(refused(packet(protocol_3_0, "user\0\0\0"sv)) == ErrorCode::no_username);
  CHECK(refused(packet(protocol_3_0, "database\0shop\0\0"sv)) == ErrorCode::no_username);
}

TEST_CASE("startup: versions that nobody speaks") {
  CHECK(refused(packet(2 << 16, "user\0ann\0\0"sv)) == ErrorCode::old_protocol);
  CHECK(refused(packet(1 << 16, "")) == ErrorCode::bad_packet_header);
  CHECK(refused(packet(4 << 16, "user\0ann\0\0"sv)) == ErrorCode::bad_packet_header);
  CHECK(refused(packet(-1, "")) == ErrorCode::bad_packet_header);
}

TEST_CASE("startup: requests for encryption are bare") {
  Bytes ssl;
  encode_ssl_request(ssl);
  CHECK(ssl == "\0\0\0\x08\x04\xd2\x16\x2f"sv);
  CHECK(std::holds_alternative<SslRequest>(*decode_startup(ssl)));
  const Bytes gss = "\0\0\0\x08\x04\xd2\x16\x30"s;
  CHECK(std::holds_alternative<GssEncRequest>(*decode_startup(gss)));
  CHECK(refused("\0\0\0\x09\x04\xd2\x16\x2fx"sv) == ErrorCode::bad_packet);
  CHECK(refused("\0\0\0\x09\x04\xd2\x16\x30x"sv) == ErrorCode::bad_packet);
}

TEST_CASE("startup: a cancel request carries a secret of 4 to 256 bytes") {
  Bytes out;
  encode_cancel_request(out, 0x01020304, "\xff\0\x01\x02"sv);
  CHECK(out == "\0\0\0\x10\x04\xd2\x16\x2e\x01\x02\x03\x04\xff\0\x01\x02"sv);
  for (const size_t size : {4, 32, 256}) {
    Bytes request;
    encode_cancel_request(request, -5, Bytes(size, 'k'));
    const auto decoded = decode_startup(request);
    REQUIRE(decoded.ok());
    CHECK(std::get<CancelRequest>(*decoded).process == -5);
    CHECK(std::get<CancelRequest>(*decoded).secret == Bytes(size, 'k'));
  }
  for (const size_t size : {0, 3, 257}) {
    Bytes request;
    encode_cancel_request(request, -5, Bytes(size, 'k'));
    CHECK(refused(request) == ErrorCode::bad_packet);
  }
  CHECK(refused(View(out).substr(0, 10)) == ErrorCode::bad_packet);
}

TEST_CASE("startup: the length field must tell the truth") {
  Bytes whole = packet(protocol_3_0, "user\0ann\0\0"sv);
  CHECK(refused(View(whole).substr(0, whole.size() - 1)) == ErrorCode::bad_packet);
  CHECK(refused("") == ErrorCode::bad_packet);
  whole += 'x';
  CHECK(refused(whole) == ErrorCode::bad_packet);
}

TEST_CASE("startup: the size of a packet is known from its first four bytes, and bounded") {
  CHECK(*startup_packet_size("\0\0\0\x08"sv) == 8);
  CHECK(*startup_packet_size("\0\0\x27\x10"sv) == max_startup_size);
  for (const View front : {"\0\0\0\x07"sv, "\0\0\0\0"sv, "\0\0\x27\x11"sv, "\xff\xff\xff\xff"sv,
                           "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03"sv, "GET / HTTP/1.1\r\n"sv}) {
    const auto size = startup_packet_size(front);
    REQUIRE_FALSE(size.ok());
    CHECK(size.error().code == ErrorCode::bad_packet_header);
  }
  CHECK(startup_packet_size("GET / HTTP/1.1\r\n").error().message ==
        "bad packet header: '474554202f204854'");
}

TEST_CASE("startup: options as psql and drivers write them") {
  CHECK(*parse_options("") == Parameters{});
  CHECK(*parse_options("  ") == Parameters{});
  CHECK(*parse_options("-c a=b") == Parameters{{"a", "b"}});
  CHECK(*parse_options("-ca=b --c=d") == Parameters{{"a", "b"}, {"c", "d"}});
  CHECK(*parse_options("  -c   a=b\t-c c=\n--d=e=f ") ==
        Parameters{{"a", "b"}, {"c", ""}, {"d", "e=f"}});
  CHECK(*parse_options("--search-path=a") == Parameters{{"search_path", "a"}});
}

TEST_CASE("startup: in options a backslash takes the meaning off what follows") {
  CHECK(*parse_options(R"(-c search_path=a,\ b)") == Parameters{{"search_path", "a, b"}});
  CHECK(*parse_options(R"(--a=\\)") == Parameters{{"a", "\\"}});
  CHECK(*parse_options(R"(--a=b\)") == Parameters{{"a", "b"}});
}

TEST_CASE("startup: anything else in options is unsupported") {
  for (const View options : {"-d 5", "a=b", "-c", "-c a", "--a", "--", "-c =b", "--=b", "-", "-e",
                             "-c a=b x", "-B 5 -c a=b"}) {
    CAPTURE(options);
    const auto parsed = parse_options(options);
    REQUIRE_FALSE(parsed.ok());
    CHECK(parsed.error().code == ErrorCode::unsupported_options);
  }
}

TEST_CASE("startup: what Headgate sends to a server") {
  Bytes out;
  encode_startup(out, {{"user", "ann"}, {"database", "shop"}});
  CHECK(out == "\0\0\0\x20\0\x03\0\0user\0ann\0database\0shop\0\0"sv);
  CHECK(std::get<StartupMessage>(*decode_startup(out)).database == "shop");
  out.clear();
  encode_startup(out, {{"user", "ann"}}, protocol_3_2);
  CHECK(std::get<StartupMessage>(*decode_startup(out)).version == protocol_3_2);
}

TEST_CASE("startup: the answer to a client that asks for too much") {
  Bytes out;
  encode_negotiate_version(out, protocol_3_0, {});
  CHECK(out == "v\0\0\0\x0c\0\x03\0\0\0\0\0\0"sv);
  out.clear();
  encode_negotiate_version(out, protocol_3_2, {"_pq_.a", "_pq_.b"});
  CHECK(out == "v\0\0\0\x1a\0\x03\0\x02\0\0\0\x02_pq_.a\0_pq_.b\0"sv);
}

TEST_CASE("startup: whatever the bytes, decoding ends in a packet or an error") {
  const Bytes sample = packet(protocol_3_0, "user\0ann\0database\0shop\0options\0-c a=b\0\0"sv);
  std::mt19937 random(11);
  for (int round = 0; round < 20000; ++round) {
    Bytes bytes = sample.substr(0, random() % (sample.size() + 1));
    for (int i = 0; i < 4 && !bytes.empty(); ++i) {
      bytes[random() % bytes.size()] = static_cast<char>(random() % 3 == 0 ? 0 : random());
    }
    if (bytes.size() >= 4) store_u32(bytes.data(), static_cast<uint32_t>(bytes.size()));
    const auto decoded = decode_startup(bytes);
    if (!decoded.ok()) continue;
    if (const auto* message = std::get_if<StartupMessage>(&*decoded)) {
      REQUIRE_FALSE(message->user.empty());
      REQUIRE_FALSE(message->database.empty());
    }
  }
}

TEST_CASE("startup: what the parameter replication asks for") {
  for (View yes : {"true", "TRUE", "yes", "on", "1"}) {
    CHECK(decode_replication(yes) == Replication::physical);
  }
  for (View no : {"false", "No", "off", "0", ""})
    CHECK(decode_replication(no) == Replication::none);
  CHECK(decode_replication("database") == Replication::logical);
  for (View bad : {"Database", "2", "maybe", "tru"}) CHECK_FALSE(decode_replication(bad));
}
