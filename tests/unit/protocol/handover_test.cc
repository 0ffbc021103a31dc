#include "protocol/handover.h"

#include <doctest/doctest.h>

#include <random>

using namespace headgate;
using namespace headgate::handover;

namespace {

ClientRecord full_record() {
  ClientRecord record;
  record.database = "shop";
  record.user = "app";
  record.server_user = "owner";
  record.cancel_key = 0x7123456789abcdef;
  record.age_us = 3'600'000'000;
  record.idle_us = 5;
  record.connect_wall_us = 1'700'000'000'000'000;
  record.has_written = true;
  record.parameters = {{"client_encoding", "UTF8"}, {"application_name", ""}};
  record.session.values = {{"search_path", "a, b"}, {"work_mem", "7MB"}};
  record.session.values_at_start = {{"work_mem", "4MB"}};
  record.session.at_start = {{"application_name", "x"}, {"work_mem", "4MB"}};
  record.session.statements = {{"p", "PREPARE p AS SELECT 1"}};
  record.session.proved = false;
  record.statements = {{"s1", Bytes("SELECT $1\0\0\1\0\0\0\x17", 16), 0}, {"s2", "SELECT 1", 3}};
  record.unnamed = Bytes("SELECT 2\0\0\0", 11);
  record.unnamed_shared = ClientRecord::Statement{"", "SELECT 3", 1};
  record.keys = ClientRecord::Keys{Bytes(32, '\1'), Bytes(32, '\0'), "4096:salt"};
  record.secret = "typed";
  return record;
}

View body_of(const Bytes& message) { return View(message).substr(header_size); }

Bytes encoded(const auto& message) {
  Bytes out;
  encode(out, message);
  return out;
}

}  // namespace

TEST_CASE("handover: a client's record comes back as it was") {
  const ClientRecord sent = full_record();
  const Bytes message = encoded(sent);
  CHECK(message[0] == static_cast<char>(Tag::client));
  CHECK(load_u32(message.data() + 1) + 1 == message.size());
  const auto got = decode_client(body_of(message));
  REQUIRE(got.ok());
  CHECK(got->database == "shop");
  CHECK(got->user == "app");
  CHECK(got->server_user == "owner");
  CHECK(got->cancel_key == sent.cancel_key);
  CHECK(got->age_us == sent.age_us);
  CHECK(got->idle_us == 5);
  CHECK(got->connect_wall_us == sent.connect_wall_us);
  CHECK(got->has_written);
  CHECK(got->parameters == sent.parameters);
  CHECK(got->session.values == sent.session.values);
  CHECK(got->session.values_at_start == sent.session.values_at_start);
  CHECK(got->session.at_start == sent.session.at_start);
  CHECK(got->session.statements == sent.session.statements);
  CHECK_FALSE(got->session.proved);
  REQUIRE(got->statements.size() == 2);
  CHECK(got->statements[0].name == "s1");
  CHECK(got->statements[0].text == sent.statements[0].text);
  CHECK(got->statements[1].copy == 3);
  CHECK(got->unnamed == sent.unnamed);
  REQUIRE(got->unnamed_shared);
  CHECK(got->unnamed_shared->text == "SELECT 3");
  REQUIRE(got->keys);
  CHECK(got->keys->server_key == Bytes(32, '\0'));
  CHECK(got->keys->verifier == "4096:salt");
  CHECK(got->secret == "typed");
  CHECK(encoded(*got) == message);
}

TEST_CASE("handover: the least that a client can have") {
  ClientRecord sent;
  sent.database = "d";
  sent.user = "u";
  const auto got = decode_client(body_of(encoded(sent)));
  REQUIRE(got.ok());
  CHECK(got->statements.empty());
  CHECK_FALSE(got->keys);
  CHECK_FALSE(got->secret);
  CHECK_FALSE(got->unnamed_shared);
}

TEST_CASE("handover: a record that is cut short anywhere, or goes on, is refused") {
  const Bytes message = encoded(full_record());
  const View body = body_of(message);
  for (size_t size = 0; size < body.size(); ++size)
    CHECK_FALSE(decode_client(body.substr(0, size)));
  CHECK_FALSE(decode_client(Bytes(body) + "x"));
}

TEST_CASE("handover: whatever bytes come, a record is read within bounds") {
  const Bytes message = encoded(full_record());
  std::mt19937 random(7);
  for (int round = 0; round < 20'000; ++round) {
    Bytes body(body_of(message));
    for (int change = 0; change < 3; ++change) {
      body[random() % body.size()] = static_cast<char>(random() % 2 ? random() : 0xff);
    }
    const auto got = decode_client(body);
    if (got) CHECK(got->statements.size() <= ClientRecord::max_statements);
  }
}

TEST_CASE("handover: names that are too long, and counts that nothing stands behind, are refused") {
  ClientRecord sent = full_record();
  sent.user = std::string(ClientRecord::max_name + 1, 'u');
  CHECK_FALSE(decode_client(body_of(encoded(sent))));
  sent = full_record();
  sent.user.clear();
  CHECK_FALSE(decode_client(body_of(encoded(sent))));
  sent = full_record();
  for (size_t i = 0; i <= ClientRecord::max_settings; ++i) {
    sent.session.values.emplace("s" + std::to_string(i), "v");
  }
  CHECK_FALSE(decode_client(body_of(encoded(sent))));
}

TEST_CASE("handover: the other messages come back as they were") {
  const auto hello = decode_hello(body_of(encoded(Hello{version, 4711})));
  REQUIRE(hello.ok());
  CHECK(hello->process == 4711);

  const auto socket = decode_socket(body_of(encoded(Socket{SocketUse::http, false, true})));
  REQUIRE(socket.ok());
  CHECK(socket->use == SocketUse::http);
  CHECK_FALSE(socket->owns_path);
  CHECK(socket->passed);

  const auto held = decode_held(body_of(encoded(Held{"d", "u", 12})));
  REQUIRE(held.ok());
  CHECK(held->user == "u");
  CHECK(held->servers == 12);

  const auto seen = decode_timeline(body_of(encoded(Timeline{"10.0.0.1", 5432, ~uint32_t{0}})));
  REQUIRE(seen.ok());
  CHECK(seen->host == "10.0.0.1");
  CHECK(seen->port == 5432);
  CHECK(seen->timeline == ~uint32_t{0});

  const auto cancel = decode_cancel(body_of(encoded(Cancel{~uint64_t{0} >> 1, 3})));
  REQUIRE(cancel.ok());
  CHECK(cancel->key == ~uint64_t{0} >> 1);
  CHECK(cancel->number == 3);

  Bytes done;
  encode_cancel_done(done, 3);
  CHECK(*decode_cancel_done(body_of(done)) == 3);
}

TEST_CASE("handover: what another version says first is understood as far as its number") {
  Bytes message = encoded(Hello{version + 1, 1});
  message += "more";
  const auto hello = decode_hello(body_of(message));
  REQUIRE(hello.ok());
  CHECK(hello->version == version + 1);
  message = encoded(Hello{version, 1});
  message += "more";
  CHECK_FALSE(decode_hello(body_of(message)));
}

TEST_CASE("handover: who takes over tells what it knows beyond the first of its version") {
  Bytes message;
  encode_taken(message);
  CHECK(*decode_taken(body_of(message)) == additions);
  CHECK(*decode_taken(Bytes(body_of(message)) + "more") == additions);
  CHECK(*decode_taken(body_of(encoded(Tag::taken))) == 0);  // before there was more
  CHECK_FALSE(decode_taken(View("123")));
  CHECK_FALSE(decode_taken(View("\xFF\0\0\0", 4)));
}

TEST_CASE("handover: short messages that are cut, or say what there is not, are refused") {
  for (const View bad : {View(""), View("\0", 1), View("\3\0\0", 3), View("\0\2\0", 3)}) {
    CHECK_FALSE(decode_socket(bad));
  }
  CHECK_FALSE(decode_held(body_of(encoded(Held{"d", "u", -1}))));
  CHECK_FALSE(decode_timeline(View("\0\0\0\1h1234567", 12)));
  CHECK_FALSE(decode_timeline(Bytes(body_of(encoded(Timeline{"h", 1, 1}))) + "x"));
  CHECK_FALSE(decode_cancel(View("1234567")));
  CHECK_FALSE(decode_cancel_done(View("12345")));
}
