#include "protocol/client_channels.h"

#include <doctest/doctest.h>

using namespace headgate;

namespace {

using Hears = ClientChannels::Hears;
using Word = ClientChannels::Word;

NotificationPtr notification(const std::string& channel, Bytes message) {
  return std::make_shared<const Notification>(Notification{channel, std::move(message)});
}

NotificationPtr crossing(uint64_t number) {
  return std::make_shared<const Notification>(Notification{{}, {}, number});
}

/// Its server listens to these, of which all are reserved.
void listen(ClientChannels& client, const ChannelNames& names) {
  for (const std::string& name : names) client.reserve(name);
  client.listen_sent(names, 0);
  client.asked();
  CHECK(client.answered(names).empty());
}

/// It goes over to the shared connection.
void cross(ClientChannels& client, const ChannelNames& names, uint64_t number) {
  CHECK(client.begin_crossing(names, number));
  client.own_has_crossed(number);
  client.has_crossed(crossing(number));
}

/// A client that has listened to these, and hears them by the shared connection.
ClientChannels client_of(const ChannelNames& names) {
  ClientChannels client;
  listen(client, names);
  cross(client, names, 99);
  return client;
}

/// All that it may be told now.
std::string told(ClientChannels& client) {
  std::string all;
  while (const NotificationPtr next = client.next()) all += next->message;
  return all;
}

}  // namespace

TEST_CASE("client channels: a channel is heard when the client has crossed over to it") {
  ClientChannels client;
  client.reserve("a");
  CHECK(client.reserved("a"));
  CHECK(client.hears("a") == Hears::no);  // nothing was said yet
  CHECK_FALSE(client.listens());
  client.listen_sent({"a"}, 0);
  CHECK(client.listens());
  CHECK(client.hears("a") == Hears::perhaps);
  client.asked();
  CHECK(client.answered({"a"}).empty());
  CHECK(client.hears("a") == Hears::perhaps);
  CHECK(client.begin_crossing({"a"}, 1));
  client.own_has_crossed(1);
  CHECK(client.hears("a") == Hears::perhaps);
  client.has_crossed(crossing(1));
  CHECK(client.hears("a") == Hears::yes);
  CHECK(client.hears("b") == Hears::no);
  CHECK_FALSE(client.begin_crossing({"a"}, 2));
}

TEST_CASE("client channels: a LISTEN that was rolled back leaves nothing") {
  ClientChannels client;
  client.reserve("a");
  client.listen_sent({"a"}, 0);
  CHECK(client.keep(notification("a", "1")));
  client.asked();
  CHECK(client.answered({}) == ChannelNames{"a"});
  CHECK_FALSE(client.reserved("a"));
  CHECK(told(client).empty());
  CHECK_FALSE(client.keeps_any());
}

TEST_CASE("client channels: what was notified before the LISTEN is not heard") {
  ClientChannels client = client_of({"b"});
  client.reserve("a");
  client.listen_sent({"a"}, 0);
  for (const char* text : {"a1", "b1", "a2", "b2", "a3", "b3"}) {
    CHECK(client.keep(notification(std::string(1, text[0]), text)));
  }
  CHECK(client.of_own_server("a") == Word::keep);
  CHECK(client.of_own_server("b") == Word::drop);
  CHECK(client.of_own_server("c") == Word::tell);
  client.keep_own(notification("a", "a2"));
  client.asked();
  CHECK(client.answered({"a"}).empty());
  CHECK(client.begin_crossing({"a"}, 1));
  client.keep_own(notification("a", "a3"));
  client.keep_own(notification("a", "a4"));
  client.own_has_crossed(1);
  CHECK(client.of_own_server("a") == Word::drop);  // behind it, for the shared connection to tell
  CHECK(told(client).empty());
  CHECK(client.keep(notification("a", "a4")));
  client.has_crossed(crossing(1));
  CHECK(client.keep(notification("a", "a5")));
  CHECK(told(client) == "b1a2b2a3b3a4a5");
}

TEST_CASE("client channels: either may be the first to cross") {
  ClientChannels client;
  listen(client, {"a"});
  CHECK(client.begin_crossing({"a"}, 7));
  for (const char* text : {"1", "2"}) CHECK(client.keep(notification("a", text)));
  client.has_crossed(crossing(7));
  CHECK(client.keep(notification("a", "3")));
  CHECK(told(client).empty());
  client.keep_own(notification("a", "2"));
  client.own_has_crossed(7);
  CHECK(told(client) == "23");
  client.own_has_crossed(7);
  client.has_crossed(crossing(7));  // of no client any more
  CHECK_FALSE(client.keeps_any());
}

TEST_CASE("client channels: what its own server has told alone comes in its place") {
  ClientChannels client;
  client.reserve("a");
  CHECK(client.begin_crossing({"a"}, 1));  // it has listened for long
  client.keep_own(notification("a", "1"));
  CHECK(client.keep(notification("a", "0")));
  CHECK(client.keep(notification("a", "2")));
  client.keep_own(notification("a", "2"));
  client.own_has_crossed(1);
  client.has_crossed(crossing(1));
  CHECK(told(client) == "12");
}

TEST_CASE("client channels: a shared connection that does not cross is done without") {
  using Uncrossed = ClientChannels::Uncrossed;
  for (const Uncrossed why : {Uncrossed::interrupted, Uncrossed::overdue}) {
    for (const bool early : {true, false}) {
      ClientChannels client;
      listen(client, {"a"});
      CHECK(client.begin_crossing({"a"}, 1));
      CHECK(client.keep(notification("a", "old")));
      client.keep_own(notification("a", "1"));
      if (early) client.will_not_cross(1, why);
      client.own_has_crossed(1);
      if (!early) client.will_not_cross(1, why);
      CHECK(client.hears("a") == Hears::yes);
      CHECK(told(client) == (why == Uncrossed::overdue ? "old1" : "1"));
    }
  }
}

TEST_CASE("client channels: a server that goes on listening is heard directly") {
  ClientChannels client = client_of({"b"});
  client.reserve("a");
  client.listen_sent({"a"}, 0);
  client.keep_own(notification("a", "1"));
  CHECK(client.keep(notification("a", "0")));
  client.asked();
  CHECK(client.answered({"a", "unshared"}).empty());
  client.stay();
  CHECK(client.hears("a") == Hears::no);
  CHECK(client.of_own_server("a") == Word::keep);  // behind what is kept
  client.keep_own(notification("a", "2"));
  CHECK(told(client) == "12");
  CHECK(client.of_own_server("a") == Word::tell);
  CHECK(client.begin_crossing({"a"}, 1));  // later
  CHECK(client.of_own_server("a") == Word::keep);
  client.own_has_crossed(1);
  client.has_crossed(crossing(1));
  CHECK(client.hears("a") == Hears::yes);
}

TEST_CASE("client channels: a crossing that has failed is begun again") {
  ClientChannels client;
  listen(client, {"a"});
  CHECK(client.begin_crossing({"a"}, 1));
  client.keep_own(notification("a", "1"));
  CHECK(client.begin_crossing({"a"}, 2));
  client.own_has_crossed(1);  // of no channel any more
  CHECK(client.of_own_server("a") == Word::keep);
  client.own_has_crossed(2);
  client.has_crossed(crossing(2));
  CHECK(told(client) == "1");
}

TEST_CASE("client channels: a LISTEN behind the question is not in its answer") {
  ClientChannels client;
  for (const char* name : {"a", "b"}) client.reserve(name);
  client.listen_sent({"a"}, 0);
  client.asked();
  client.listen_sent({"b"}, 0);
  CHECK(client.answered({"a"}).empty());
  cross(client, {"a"}, 1);
  CHECK(client.hears("b") == Hears::perhaps);
  client.asked();
  client.question_failed();
  CHECK(client.hears("b") == Hears::perhaps);
  client.asked();
  CHECK(client.answered({"b"}).empty());
  cross(client, {"b"}, 2);
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

TEST_CASE("client channels: UNLISTEN and LISTEN in one transaction lose nothing") {
  ClientChannels client = client_of({"a"});
  client.unlisten_sent({}, true, 0);
  client.listen_sent({"a"}, 0);
  CHECK(client.keep(notification("a", "1")));
  CHECK(client.request_ended(true).empty());
  CHECK(client.hears("a") == Hears::perhaps);
  CHECK(told(client) == "");
  client.asked();
  CHECK(client.answered({"a"}).empty());
  CHECK(client.hears("a") == Hears::yes);
  CHECK(told(client) == "1");
  // The other way round.
  client.listen_sent({"a"}, 0);
  client.unlisten_sent({"a"}, false, 0);
  CHECK(client.request_ended(true).empty());
  CHECK(client.keep(notification("a", "2")));
  client.asked();
  CHECK(client.answered({}) == ChannelNames{"a"});
  CHECK(told(client) == "");
}

TEST_CASE("client channels: a LISTEN in a transaction behind that of an UNLISTEN begins anew") {
  ClientChannels client = client_of({"a"});
  client.unlisten_sent({"a"}, false, 0);
  client.listen_sent({"a"}, 1);
  CHECK(client.keep(notification("a", "1")));
  CHECK(client.request_ended(true).empty());
  CHECK(client.of_own_server("a") == Word::keep);
  CHECK(client.request_ended(true).empty());
  client.asked();
  CHECK(client.answered({"a"}).empty());
  cross(client, {"a"}, 1);
  CHECK(told(client) == "");
}

TEST_CASE("client channels: DISCARD ALL ends all but what was said behind it") {
  ClientChannels client = client_of({"a", "b"});
  client.listen_sent({"b"}, 0);
  CHECK(client.discarded() == ChannelNames{"a"});
  CHECK(client.hears("b") == Hears::perhaps);
}

TEST_CASE("client channels: what is notified is told in order, and only what is heard") {
  ClientChannels client = client_of({"a", "b"});
  client.reserve("c");
  for (const char* name : {"a", "x", "b", "a"}) CHECK(client.keep(notification(name, name)));
  CHECK(client.keep(notification("", "!")));  // for whoever listens
  CHECK(told(client) == "aba!");
  client.listen_sent({"c"}, 0);
  for (const char* name : {"a", "c", "b"}) CHECK(client.keep(notification(name, name)));
  CHECK(told(client) == "a");  // not certain yet, and nothing may overtake it
  CHECK(client.keeps_any());
  client.asked();
  CHECK(client.answered({"c"}).empty());
  client.keep_own(notification("c", "c"));
  cross(client, {"c"}, 1);
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
  CHECK(client.keep(half));
  client.reserve("b");
  client.listen_sent({"b"}, 0);
  CHECK_FALSE(client.too_much());
  client.keep_own(notification("b", "z"));
  CHECK(client.too_much());
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
