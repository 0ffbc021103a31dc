#include "tests/unit/proxy/worker_rig.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <utility>

#include "conf/load.h"
#include "protocol/messages.h"
#include "protocol/startup.h"
#include "proxy/log.h"

namespace headgate {

namespace {

const Address anywhere{Address::Kind::ip4, 5432, "10.0.0.1"};

struct WireParcel final : Parcel {
  explicit WireParcel(std::shared_ptr<Wire> w) : wire(std::move(w)) {}
  std::shared_ptr<Wire> wire;
};

std::string ini_of(int pool_size) {
  return fmt::format(
      "[databases]\n"
      "db = host=10.0.0.1 user=u\n"
      "[pgbouncer]\n"
      "auth_type = any\n"
      "pool_mode = transaction\n"
      "default_pool_size = {}\n",
      pool_size);
}

bool is_ready(const Wire& wire) {
  Bytes ready;
  encode(ready, backend::ReadyForQuery{'I'});
  return wire.from_pooler.ends_with(ready);
}

}  // namespace

// --- what the pooler sees

class MemoryStream final : public Stream {
 public:
  MemoryStream(ManualOutside& outside, StreamUser& user, std::shared_ptr<Wire> wire, bool dialled)
      : outside_(outside), user_(&user), wire_(std::move(wire)), connecting_(dialled) {}

  void read(bool wanted) override { reading_ = wanted; }
  void write(std::span<const View> slices) override {
    for (const View slice : slices) wire_->from_pooler.append(slice);
    wire_->pieces += slices.size();
  }
  size_t queued() const override { return 0; }
  uint64_t written() const override { return 0; }
  std::optional<uint64_t> confirmed() const override { return std::nullopt; }
  const Address& peer() const override { return anywhere; }
  const Address& local() const override { return anywhere; }
  std::optional<PeerProcess> peer_process() const override { return std::nullopt; }
  void finish_writing() override {}
  ParcelPtr detach() override { return std::make_unique<WireParcel>(wire_); }
  void close(bool linger) override;

  /// Tells its user one thing that has happened; false: there was none.
  bool tell() {
    if (!user_) return false;
    if (std::exchange(connecting_, false)) {
      user_->on_connected();
      return true;
    }
    if (!reading_ || wire_->to_pooler.empty()) return false;
    const Bytes bytes = std::exchange(wire_->to_pooler, {});
    user_->on_bytes(bytes);
    return true;
  }

 private:
  ManualOutside& outside_;
  StreamUser* user_;
  std::shared_ptr<Wire> wire_;
  bool connecting_, reading_ = true;
};

class ManualOutside final : public Outside {
 public:
  ManualOutside(WorkerRig& rig, LoopUser& user) : rig_(rig), user_(user) {}

  Instant now() override { return rig_.now_; }
  int64_t wall_microseconds() override { return rig_.now_.time_since_epoch().count(); }
  void random(std::span<char> out) override {
    for (char& byte : out) byte = static_cast<char>(engine_());
  }
  void wake_at(std::optional<Instant> at) override { alarm_ = at; }
  void wake() override { mail_ = true; }
  StreamPtr connect(const Address&, const SocketOptions&, StreamUser& user) override {
    rig_.servers_.push_back({std::make_shared<Wire>()});
    return add(user, rig_.servers_.back().wire, true);
  }
  StreamPtr attach(ParcelPtr parcel, const SocketOptions&, StreamUser& user) override {
    return add(user, static_cast<WireParcel&>(*parcel).wire, false);
  }
  Result<std::unique_ptr<Listener>> listen(const Address&, const ListenOptions&,
                                           ListenerUser&) override {
    return Error(ErrorCode::io, "nobody listens here");
  }
  void resolve(const std::string&, uint16_t, Resolved done) override {
    done_.emplace_back([done = std::move(done)] { done(std::vector{anywhere}); });
  }
  void aside(std::function<void()> work, std::function<void()> done) override {
    work();
    done_.push_back(std::move(done));
  }

  std::optional<Instant> alarm() const { return alarm_; }
  void gone(MemoryStream& stream) {
    std::erase_if(streams_, [&](const auto& one) { return one.get() == &stream; });
  }

  /// False: there was nothing to do.
  bool turn() {
    bool told = false;
    if (alarm_ && *alarm_ <= now()) {
      alarm_.reset();
      user_.on_time(now());
      told = true;
    }
    if (std::exchange(mail_, false)) {
      user_.on_mail();
      told = true;
    }
    for (const auto& done : std::exchange(done_, {})) {
      done();
      told = true;
    }
    const auto streams = streams_;  // each lives until it was asked
    for (const auto& stream : streams) told |= stream->tell();
    if (told) user_.on_turn_end();
    return told;
  }

 private:
  StreamPtr add(StreamUser& user, std::shared_ptr<Wire> wire, bool dialled) {
    streams_.push_back(std::make_shared<MemoryStream>(*this, user, std::move(wire), dialled));
    return StreamPtr(streams_.back().get());
  }

  WorkerRig& rig_;
  LoopUser& user_;
  std::mt19937 engine_{1};
  std::vector<std::shared_ptr<MemoryStream>> streams_;
  std::vector<std::function<void()>> done_;
  std::optional<Instant> alarm_;
  bool mail_ = false;
};

void MemoryStream::close(bool) {
  user_ = nullptr;
  outside_.gone(*this);
}

// --- the house

WorkerRig::WorkerRig(WorkerId workers, int pool_size) {
  set_up_log({.to_stderr = false, .file = ""});
  ProcessFacts facts;
  facts.read_file = [pool_size](const std::string&) -> Result<std::string> {
    return ini_of(pool_size);
  };
  facts.mock_key = Bytes(32, 'k');
  facts.statement_salt = Bytes(16, 's');
  facts.set_up_log = [](const Settings&) {};
  facts.describe_error = [](int error) { return std::to_string(error); };
  facts.stop = [](int) {};
  auto config = load_config("headgate.ini", facts.read_file);
  if (!config) FAIL(config.error().message);
  pooler_ = std::make_unique<Pooler>(std::make_shared<const Config>(std::move(*config)), workers,
                                     std::move(facts));
  for (WorkerId id = 0; id < workers; ++id) {
    Worker& worker = pooler_->worker(id);
    outsides_.push_back(std::make_unique<ManualOutside>(*this, worker));
    worker.set_outside(*outsides_.back());
  }
  pooler_->start();
  settle();
}

// As main() ends.
WorkerRig::~WorkerRig() {
  pooler_->monitors().stop();
  const auto workers = static_cast<WorkerId>(pooler_->workers());
  for (WorkerId id = 0; id < workers; ++id) pooler_->worker(id).close_everything();
  pooler_->close_listeners();
  set_up_log({});
}

void WorkerRig::settle() {
  bool told = true;
  while (told) {
    told = let_in_servers();
    for (const auto& outside : outsides_) told |= outside->turn();
  }
}

bool WorkerRig::let_in_servers() {
  bool told = false;
  for (Backend& server : servers_) {
    if (server.started || server.wire->from_pooler.empty()) continue;
    server.started = told = true;
    server.wire->from_pooler.clear();
    Bytes& out = server.wire->to_pooler;
    encode(out, backend::AuthenticationOk{});
    encode(out, backend::BackendKeyData{1, {"key!"}});
    encode(out, backend::ParameterStatus{"client_encoding", "UTF8"});
    encode(out, backend::ReadyForQuery{'I'});
  }
  return told;
}

void WorkerRig::pass(Duration time) {
  const Instant end = now_ + time;
  while (true) {
    Instant next = end;
    for (const auto& outside : outsides_) next = std::min(next, outside->alarm().value_or(end));
    now_ = std::max(now_, next);
    settle();
    if (next == end) return;
  }
}

// --- clients

// The pooler gives it to the worker with the fewest.
Wire& WorkerRig::client(WorkerId worker) {
  constexpr int many = 1000;
  Wire& wire = *clients_.emplace_back(std::make_shared<Wire>());
  encode_startup(wire.to_pooler, {{"user", "u"}, {"database", "db"}});
  pooler_->worker(worker).count_client(-many);
  static_cast<ListenerUser&>(*pooler_).on_accept(std::make_unique<WireParcel>(clients_.back()),
                                                 false);
  pooler_->worker(worker).count_client(many);
  settle();
  REQUIRE(is_ready(wire));
  return wire;
}

void WorkerRig::query(Wire& client, View text) {
  client.from_pooler.clear();
  encode(client.to_pooler, frontend::Query{text});
  settle();
}

bool WorkerRig::answered(const Wire& client) { return is_ready(client); }

// --- servers

std::vector<Wire*> WorkerRig::busy() const {
  std::vector<Wire*> found;
  for (const Backend& server : servers_) {
    if (server.started && !server.wire->from_pooler.empty()) found.push_back(server.wire.get());
  }
  return found;
}

void WorkerRig::tell(Wire& server, View messages) {
  server.to_pooler.append(messages);
  settle();
}

void WorkerRig::answer(Wire& server, View rows) {
  View asked = server.from_pooler;
  REQUIRE_FALSE(asked.empty());
  while (!asked.empty()) {
    REQUIRE(asked[0] == frontend::query);
    asked.remove_prefix(1 + load_u32(asked.data() + 1));
    server.to_pooler.append(rows);
    encode(server.to_pooler, backend::CommandComplete{"SELECT 0"});
    encode(server.to_pooler, backend::ReadyForQuery{'I'});
  }
  server.from_pooler.clear();
  settle();
}

Pool& WorkerRig::share(WorkerId worker) {
  return pooler_->worker(worker).pool(*pooler_->registry().pool("db", "u")).share();
}

Worker& WorkerRig::worker(WorkerId worker) { return pooler_->worker(worker); }

}  // namespace headgate
