#include "proxy/takeover.h"

#include "protocol/cancel_key.h"
#include "proxy/log.h"
#include "proxy/pooler.h"
#include "proxy/worker.h"

namespace headgate {

using handover::Tag;

Takeover::Takeover(Pooler& pooler, ParcelPtr channel)
    : pooler_(pooler),
      link_(pooler.worker(0), *this),
      accept_at_(
          pooler.worker(0).deadlines(),
          [](void* self, Instant) { static_cast<Takeover*>(self)->accept(); }, this) {
  pooler.worker(0).begin_event();
  link_.attach(std::move(channel), {});
  link_.stream().expect_descriptors();
  accept_at_.arm(pooler.worker(0).now() + patience);
  Bytes message;
  handover::encode_taken(message);
  const View said = message;
  link_.stream().write({&said, 1});
}

void Takeover::on_link_bytes(View bytes) {
  bool understood = true;
  WholeMessages input{handover::max_message,
                      [&](char tag, View body) { return understood = message(tag, body); }};
  framer_.feed(bytes, input);
  if (framer_.broken() || !understood) end("it is not understood");
}

void Takeover::on_link_end(int error) { end(error == 0 ? "it has gone" : "the connection failed"); }

bool Takeover::message(char tag, View body) {
  switch (static_cast<Tag>(tag)) {
    case Tag::client:
      client_comes(body);
      return true;
    case Tag::held: {
      const auto held = handover::decode_held(body);
      if (held) pooler_.servers_elsewhere(*held);
      return held.ok();
    }
    case Tag::timeline: {
      const auto seen = handover::decode_timeline(body);
      if (seen) pooler_.monitors().saw_primary({seen->host, seen->port}, seen->timeline);
      return seen.ok();
    }
    case Tag::go:
      accept();
      return true;
    case Tag::cancel_done: {
      const auto number = handover::decode_cancel_done(body);
      if (!number) return false;
      const auto found = cancels_.find(*number);
      if (found == cancels_.end()) return true;
      const Requester requester = found->second;
      cancels_.erase(found);
      pooler_.tell_requester(requester, "cancel request for a client of the old process");
      return true;
    }
    default:
      return false;
  }
}

// One that cannot be read takes its connection with it, and nobody else's.
void Takeover::client_comes(View body) {
  ParcelPtr connection = link_.stream().take_descriptor();
  auto record = handover::decode_client(body);
  if (!connection || !record) {
    log(LogLevel::error, "a client of the old process cannot be taken over");
    return;
  }
  ++clients_;
  pooler_.take_in(std::move(*record), std::move(connection));
}

void Takeover::accept() {
  if (std::exchange(accepts_, true)) return;
  accept_at_.disarm();
  pooler_.accept_clients();
}

void Takeover::pass_on(const CancelRequest& request, Requester requester) {
  const auto key = CancelKey::of(request);
  if (!key || !link_.open()) return pooler_.tell_requester(requester, "failed cancel request");
  cancels_.emplace(++last_number_, requester);
  Bytes message;
  encode(message, handover::Cancel{key->bits, last_number_});
  const View said = message;
  link_.stream().write({&said, 1});
}

void Takeover::end(const char* why) {
  if (!link_.open()) return;
  log(LogLevel::log, "the old process: {}; {} of its clients came over", why, clients_);
  link_.close(false);
  accept();
  for (const auto& [number, requester] : cancels_) {
    pooler_.tell_requester(requester, "failed cancel request");
  }
  cancels_.clear();
  pooler_.predecessor_gone();
}

}  // namespace headgate
