#include "proxy/handover.h"

#include <fmt/format.h>

#include "proxy/departures.h"
#include "proxy/log.h"
#include "proxy/pooler.h"
#include "proxy/worker.h"

namespace headgate {

using handover::Tag;

namespace {

/// More cancel requests than these are not under way at a time.
constexpr size_t most_cancels = 10'000;

/// What a new process may say is short.
constexpr size_t max_said = 64;

}  // namespace

// --- the connection

Successor::Successor(Handover& handover, ParcelPtr connection)
    : handover_(handover),
      link_(handover.pooler().worker(0), *this),
      deadline_(
          handover.pooler().worker(0).deadlines(),
          [](void* self, Instant) {
            auto& successor = *static_cast<Successor*>(self);
            successor.handover_.lost(successor, "it took too long");
          },
          this) {
  link_.attach(std::move(connection), {});
  deadline_.arm(handover.pooler().worker(0).now() + patience);
}

void Successor::send(View message) {
  if (link_.open()) link_.stream().write({&message, 1});
}

void Successor::send_with(View message, ParcelPtr attached) {
  if (link_.open()) link_.stream().write_with(message, std::move(attached));
}

void Successor::on_link_bytes(View bytes) {
  WholeMessages input{max_said, [this](char tag, View body) {
                        message(tag, body);
                        return link_.open();
                      }};
  framer_.feed(bytes, input);
  if (framer_.broken()) handover_.lost(*this, "it is not understood");
}

void Successor::on_link_end(int) { handover_.lost(*this, "it has gone"); }

void Successor::message(char tag, View body) {
  const auto refuse = [this] { handover_.lost(*this, "it is not understood"); };
  if (process_ == 0) {
    const auto hello = handover::decode_hello(body);
    if (tag != static_cast<char>(Tag::hello) || !hello || hello->process <= 0) return refuse();
    return greeted(*hello);
  }
  if (tag == static_cast<char>(Tag::taken) && !taken_) {
    const auto additions = handover::decode_taken(body);
    if (!additions) return refuse();
    additions_ = *additions;
    taken_ = true;
    deadline_.disarm();
    return handover_.taken(process_);
  }
  const auto cancel = handover::decode_cancel(body);
  if (tag != static_cast<char>(Tag::cancel) || !taken_ || !cancel) return refuse();
  handover_.cancel(*cancel);
}

// The version is told first: a process of another one knows then why it gets no more.
void Successor::greeted(const handover::Hello& hello) {
  process_ = hello.process;
  Bytes answer;
  encode(answer, handover::Hello{handover::version, 0});
  send(answer);
  if (hello.version != handover::version) {
    return handover_.lost(*this, fmt::format("it hands over by version {}, this process by {}",
                                             hello.version, handover::version));
  }
  handover_.asked(*this);
}

// --- the process

Handover::Handover(Pooler& pooler) : pooler_(pooler) {}
Handover::~Handover() = default;

Result<Done> Handover::listen(const Address& at, const ListenOptions& options) {
  auto listener = pooler_.worker(0).outside().listen(at, options, *this);
  if (!listener) return Error(listener.error());
  listener_ = std::move(*listener);
  return Done{};
}

void Handover::close_everything() {
  listener_.reset();
  successor_.reset();
  dead_.clear();
}

void Handover::on_accept(ParcelPtr connection, bool) {
  pooler_.worker(0).begin_event();
  dead_.clear();
  auto successor = std::make_unique<Successor>(*this, std::move(connection));
  const auto peer = successor->peer();
  if (!peer || (peer->uid != pooler_.own_uid() && peer->uid != 0)) {
    log(LogLevel::warning, "a process of another user wants to take over: refused");
    return;
  }
  if (successor_) {
    log(LogLevel::warning, "another process wants to take over while one does: refused");
    return;
  }
  successor_ = std::move(successor);
}

void Handover::asked(Successor& successor) {
  if (!pooler_.may_hand_over()) {
    return lost(successor, "this process is paused, suspended or shutting down");
  }
  Bytes message;
  const auto send = [&](const handover::Socket& facts, ParcelPtr hold) {
    if (!hold) return false;
    message.clear();
    encode(message, facts);
    successor.send_with(message, std::move(hold));
    return true;
  };
  bool whole = true;
  for (auto& [facts, hold] : pooler_.listening()) whole &= send(facts, std::move(hold));
  for (ParcelPtr& hold : pooler_.http_sockets()) {
    whole &= send({handover::SocketUse::http, false, false}, std::move(hold));
  }
  whole &= send({handover::SocketUse::handover, true, false}, listener_->duplicate());
  if (!whole) return lost(successor, "this process is out of descriptors");
  message.clear();
  encode(message, Tag::sockets_end);
  successor.send(message);
}

void Handover::taken(int process) {
  listener_->leave_path();
  listener_.reset();
  pooler_.hand_over(process);
}

void Handover::go() {
  tell_what_is_held(true);
  tell_timelines();
  Bytes message;
  encode(message, Tag::go);
  if (successor_) successor_->send(message);
}

// From now on no pool opens more than is told here, so a number that is old is too high.
void Handover::tell_what_is_held(bool all) {
  if (!successor_) return;
  Bytes message;
  for (PoolEntry* pool : pooler_.registry().pools()) {
    if (pool->is_reader()) continue;
    const int clients = pool->clients.load();
    const int most = clients > 0 ? pooler_.worker(0).settings_for(*pool)->rules.pool_size : 0;
    const int wanted = std::min(clients, most);
    const int held = std::max(pool->shared.open(), wanted) + pool->elsewhere.load();
    int& told = told_[{pool->database.name, pool->user.name}];
    if (told == held && !(all && held > 0)) continue;
    told = held;
    message.clear();
    encode(message, handover::Held{pool->database.name, pool->user.name, held});
    successor_->send(message);
  }
}

void Handover::tell_timelines() {
  if (!successor_ || successor_->additions() < handover::with_timelines) return;
  const KnownTimelines& known = pooler_.monitors().timelines();
  Bytes message;
  for (const auto& [host, cluster] : known.hosts()) {
    const uint32_t latest = known.latest(host);
    if (latest == 0 || host.name.size() > handover::ClientRecord::max_name) continue;
    message.clear();
    encode(message, handover::Timeline{host.name, host.port, latest});
    successor_->send(message);
  }
}

void Handover::give(const Bytes& record, ParcelPtr connection) {
  pooler_.worker(0).begin_event();
  if (successor_) return successor_->send_with(record, std::move(connection));
  auto client = handover::decode_client(View(record).substr(header_size));
  if (client) pooler_.take_in(std::move(*client), std::move(connection));
}

void Handover::cancel(const handover::Cancel& cancel) {
  if (cancels_.size() >= most_cancels) cancels_.clear();
  const uint64_t requester = pooler_.next_id();
  cancels_.emplace(requester, cancel.number);
  const CancelKey key{cancel.key};
  Bytes secret(4, '\0');
  store_u32(secret.data(), static_cast<uint32_t>(key.secret()));
  pooler_.cancel(CancelRequest{key.process(), std::move(secret)}, Requester{0, requester});
}

void Handover::cancel_is_done(uint64_t requester) {
  const auto found = cancels_.find(requester);
  if (found == cancels_.end()) return;
  Bytes message;
  handover::encode_cancel_done(message, found->second);
  cancels_.erase(found);
  if (successor_) successor_->send(message);
}

// Within a call of it, so its memory goes later.
void Handover::lost(Successor& successor, const std::string& why) {
  if (&successor != successor_.get()) return;
  successor.close();
  const bool took_over = successor.takes_over();
  dead_.push_back(std::move(successor_));
  if (!took_over) {
    log(LogLevel::warning, "a process wanted to take over, and {}: serving on", why);
    return;
  }
  log(LogLevel::error, "the process that has taken over is lost ({}): the clients left here stay",
      why);
  pooler_.post_to_all([](Worker& worker) { worker.departures().keep(); });
}

}  // namespace headgate
