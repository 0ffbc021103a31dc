#include "protocol/client_channels.h"

#include <doctest/doctest.h>

using namespace headgate;

namespace {

using Hears = ClientChannels::Hears;

NotificationPtr notification(const std::string& channel, Bytes message) {
  return std::make_shared<const Notification>(Notification{channel, std::move(message)});
}

/// A client that has listened to these, as its server has told.
ClientChannels client_of(const ChannelNames& names) {
  ClientChannels client;
  ChannelNames useless;
  for (const std::string& name : names) client.reserve(name);
  client.listen_sent(names);
  client.asked();
  CHECK(client.answered(names, useless));
  CHECK(useless.empty());
  return client;
}

/// All that it may be told now.
std::string told(ClientChannels& client) {
  std::string all;
  while (const NotificationPtr next = client.next()) all += next->message;
  return all;
}

}  // namespace

TEST_CASE(
    "client channels: a channel is heard when the server says that its LISTEN was committed") {
  ClientChannels client;
  ChannelNames useless;
  client.reserve("a");
  CHECK(client.reserved("a"));
  CHECK(client.hears("a") == Hears::no);  // nothing was said yet
  CHECK_FALSE(client.listens());
  client.listen_sent({"a"});
  CHECK(client.listens());
  CHECK(client.hears("a") == Hears::perhaps);
  client.asked();
  CHECK(client.hears("a") == Hears::perhaps);
  CHECK(client.answered({"a"}, useless));
  CHECK(client.hears("a") == Hears::yes);
  CHECK(client.hears("b") == Hears::no);
}

TEST_CASE("client channels: a LISTEN that was rolled back leaves nothing") {
  ClientChannels client;
  ChannelNames useless;
  client.reserve("a");
  client.listen_sent({"a"});
  CHECK(client.keep(notification("a", "1")));
  client.asked();
  CHECK(client.answered({}, useless));
  CHECK(useless == ChannelNames{"a"});
  CHECK_FALSE(client.reserved("a"));
  CHECK(told(client).empty());
  CHECK_FALSE(client.keeps_any());
}

TEST_CASE("client channels: what the server listens to besides keeps it with its client") {
  ClientChannels client = client_of({"a"});
  ChannelNames useless;
  client.listen_sent({"unreserved"});
  client.asked();
  CHECK_FALSE(client.answered({"unreserved"}, useless));
  client.asked();
  CHECK_FALSE(client.answered({"a", "b"}, useless));
  client.reserve("b");
  CHECK_FALSE(client.answered({"a", "b"}, useless));  // no LISTEN to it was sent since
}

TEST_CASE("client channels: a LISTEN behind the question is not in its answer") {
  ClientChannels client;
  ChannelNames useless;
  for (const char* name : {"a", "b"}) client.reserve(name);
  client.listen_sent({"a"});
  client.asked();
  client.listen_sent({"b"});
  CHECK(client.answered({"a"}, useless));
  CHECK(useless.empty());
  CHECK(client.hears("b") == Hears::perhaps);
  client.asked();
  client.question_failed();
  CHECK(client.hears("b") == Hears::perhaps);
  client.asked();
  CHECK(client.answered({"b"}, useless));
  CHECK(client.hears("a") == Hears::yes);
  CHECK(client.hears("b") == Hears::yes);
}

TEST_CASE("client channels: an UNLISTEN counts when its transaction is over, if nothing failed") {
  ClientChannels client = client_of({"a", "b", "c"});
  client.unlisten_sent({"a", "unknown"}, false, 0);
  CHECK(client.unlistens());
  CHECK(client.request_ended(false).empty());
  CHECK(client.hears("a") == Hears::yes);
  CHECK(client.request_ended(true) == ChannelNames{"a"});
  CHECK_FALSE(client.unlistens());
  CHECK(client.hears("a") == Hears::no);
  client.unlisten_sent({"b"}, false, 0);
  client.doubt();
  CHECK(client.request_ended(true).empty());
  CHECK(client.hears("b") == Hears::yes);
  client.doubt();  // of something before
  client.unlisten_sent({}, true, 0);
  CHECK(client.request_ended(true) == ChannelNames{"b", "c"});
  CHECK_FALSE(client.listens());
}

TEST_CASE("client channels: an error in another request of a pipeline casts no doubt on UNLISTEN") {
  ClientChannels client = client_of({"a", "b"});
  client.unlisten_sent({"a"}, false, 1);
  client.doubt();  // of the request ahead
  CHECK(client.request_ended(true).empty());
  CHECK(client.hears("a") == Hears::yes);
  client.unlisten_sent({"b"}, false, 2);
  CHECK(client.request_ended(true) == ChannelNames{"a"});
  CHECK(client.request_ended(true).empty());
  client.doubt();  // of its own
  CHECK(client.request_ended(true).empty());
  CHECK(client.hears("b") == Hears::yes);
  CHECK_FALSE(client.unlistens());
}

TEST_CASE("client channels: what is taken back of a transaction can be said once more in it") {
  ClientChannels client = client_of({"a", "b"});
  client.unlisten_sent({"a", "b"}, false, 0);
  CHECK(client.request_ended(false).empty());
  client.doubt();  // ROLLBACK TO
  CHECK(client.request_ended(false).empty());
  client.unlisten_sent({"a"}, false, 0);
  CHECK(client.request_ended(false).empty());
  CHECK(client.request_ended(true) == ChannelNames{"a"});
  CHECK(client.hears("b") == Hears::yes);
}

TEST_CASE(
    "client channels: where requests cannot be counted an UNLISTEN counts if nothing failed") {
  ClientChannels client = client_of({"a", "b"});
  client.unlisten_sent({"a"}, false, 3);
  CHECK(client.request_ended(true).empty());
  CHECK(client.settle() == ChannelNames{"a"});
  client.unlisten_sent({"b"}, false, 3);
  client.doubt();
  CHECK(client.settle().empty());
  CHECK_FALSE(client.unlistens());
  CHECK(client.hears("b") == Hears::yes);
}

TEST_CASE("client channels: an UNLISTEN that went to a server that was lost counts for nothing") {
  ClientChannels client = client_of({"a"});
  client.unlisten_sent({"a"}, false, 0);
  client.forget_unlistens();
  CHECK(client.settle().empty());
  CHECK(client.hears("a") == Hears::yes);
}

TEST_CASE("client channels: a LISTEN behind an UNLISTEN lets the channel be heard") {
  ClientChannels client = client_of({"a"});
  ChannelNames useless;
  client.unlisten_sent({}, true, 0);
  client.listen_sent({"a"});
  CHECK(client.request_ended(true).empty());
  CHECK(client.hears("a") == Hears::perhaps);
  client.asked();
  CHECK(client.answered({"a"}, useless));
  CHECK(client.hears("a") == Hears::yes);
}

TEST_CASE("client channels: DISCARD ALL ends all but what was said behind it") {
  ClientChannels client = client_of({"a", "b"});
  client.listen_sent({"b"});
  CHECK(client.discarded() == ChannelNames{"a"});
  CHECK(client.hears("b") == Hears::perhaps);
}

TEST_CASE("client channels: what is notified is told in order, and only what is heard") {
  ClientChannels client = client_of({"a", "b"});
  client.reserve("c");
  for (const char* name : {"a", "x", "b", "a"}) CHECK(client.keep(notification(name, name)));
  CHECK(client.keep(notification("", "!")));  // for whoever listens
  CHECK(told(client) == "aba!");
  client.listen_sent({"c"});
  for (const char* name : {"a", "c", "b"}) CHECK(client.keep(notification(name, name)));
  CHECK(told(client) == "a");  // not certain yet, and nothing may overtake it
  CHECK(client.keeps_any());
  ChannelNames useless;
  client.asked();
  CHECK(client.answered({"c"}, useless));
  CHECK(told(client) == "cb");
}

TEST_CASE("client channels: what is kept is bounded") {
  ClientChannels client = client_of({"a"});
  const NotificationPtr half = notification("a", Bytes(ClientChannels::max_kept / 2, 'x'));
  CHECK(client.keep(half));
  CHECK(client.keep(half));
  CHECK_FALSE(client.keep(notification("a", "y")));
  CHECK(told(client).size() == ClientChannels::max_kept);
  CHECK(client.keep(half));
}

TEST_CASE("client channels: no client has more channels than are remembered") {
  ClientChannels client;
  for (size_t i = 0; i < ClientChannels::max_channels; ++i) {
    CHECK_FALSE(client.full());
    client.reserve(std::to_string(i));
  }
  CHECK(client.full());
  CHECK(client.all().size() == ClientChannels::max_channels);
}
