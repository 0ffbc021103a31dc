#include "tests/sim/outside.h"

#include <algorithm>
#include <cerrno>

namespace headgate::sim {

namespace {

constexpr size_t most_at_once = 128 * 1024;  // of what is read

// Where connections wait that nobody accepts for now.
struct Backlog {
  bool open = true;
  std::vector<std::function<void()>> waiting;
};

class SimListener final : public Listener {
 public:
  SimListener(Network& network, Address address, std::shared_ptr<Backlog> backlog,
              std::function<void(std::function<void()>)> soon)
      : network_(network),
        address_(std::move(address)),
        backlog_(std::move(backlog)),
        soon_(std::move(soon)) {}
  ~SimListener() override { network_.close(address_); }
  const Address& address() const override { return address_; }
  void accept(bool wanted) override {
    backlog_->open = wanted;
    if (!wanted) return;
    for (auto& connection : std::exchange(backlog_->waiting, {})) soon_(std::move(connection));
  }

 private:
  Network& network_;
  Address address_;
  std::shared_ptr<Backlog> backlog_;
  std::function<void(std::function<void()>)> soon_;
};

// What was sent last is to be read, so the end stays for a while and reads what still comes.
void linger_on(World& world, EndPtr& end, View rest) {
  constexpr Duration time = seconds(1);
  auto staying = std::make_shared<EndPtr>(std::move(end));
  End& one = **staying;
  one.send_all(rest);
  one.finish();
  one.on_change = [&one] { one.take(one.arrived().size()); };
  one.on_change();
  world.after(time, [staying] { staying->close(); });
}

}  // namespace

// --- streams

SimStream::SimStream(SimOutside& outside, StreamUser& user, Address peer)
    : outside_(outside), user_(&user), peer_(std::move(peer)) {
  local_ = {Address::Kind::ip4, 40000, "10.0.0.99"};
}

void SimStream::connected(EndPtr end) {
  if (state_ != State::connecting) return;
  arrived_ = true;
  refused_ = !end;
  end_ = std::move(end);
  watch();
}

void SimStream::attached(EndPtr end) {
  state_ = State::open;
  end_ = std::move(end);
  watch();
}

void SimStream::watch() {
  if (end_) end_->on_change = [outside = &outside_] { outside->call(); };
  outside_.call();
}

void SimStream::read(bool wanted) {
  reading_ = wanted;
  outside_.call();
}

void SimStream::write(std::span<const View> slices) {
  MUST(state_ != State::connecting && !finishing_);
  if (state_ != State::open || failed_) return;
  if (end_->peer_closed() && end_->broken()) {
    failed_ = true;
    queue_.clear();
    return outside_.call();
  }
  Dice& dice = outside_.world().dice;
  const bool reluctant = dice.chance(50);
  for (View slice : slices) {
    size_t taken = 0;
    if (queue_.empty()) {
      taken = end_->send(slice.substr(0, reluctant ? dice.roll(slice.size() + 1) : slice.size()));
    }
    if (taken < slice.size()) queue_.append(slice.substr(taken));
  }
  if (!queue_.empty()) outside_.call();
}

void SimStream::finish_writing() {
  if (state_ != State::open || finishing_) return;
  finishing_ = true;
  if (queue_.empty()) end_->finish();
}

std::optional<uint64_t> SimStream::confirmed() const {
  if (state_ != State::ended || !end_) return std::nullopt;
  return end_->confirmed();
}

ParcelPtr SimStream::detach() {
  MUST(state_ == State::open && queue_.empty());
  state_ = State::detached;
  end_->on_change = nullptr;
  return std::make_unique<SimParcel>(std::move(end_), peer_);
}

void SimStream::close(bool linger) {
  user_ = nullptr;
  if (linger && state_ == State::open && !failed_) linger_on(outside_.world(), end_, queue_.view());
  state_ = State::closed;
  end_.close();
  outside_.gone(*this);
}

// What a loop would find out about this stream next.
bool SimStream::tell() {
  switch (state_) {
    case State::connecting:
      return tell_connected();
    case State::open:
      return tell_drained() || tell_bytes() || tell_end();
    case State::ended:
    case State::detached:
    case State::closed:
      return false;
  }
  return false;
}

bool SimStream::tell_connected() {
  if (!arrived_) return false;
  if (refused_) {
    end(ECONNREFUSED);
    return true;
  }
  state_ = State::open;
  user_->on_connected();
  return true;
}

bool SimStream::tell_drained() {
  if (queue_.empty() || failed_ || end_->room() == 0) return false;
  if (end_->broken()) return false;
  queue_.consume(end_->send(queue_.view()));
  if (!queue_.empty()) return true;
  if (finishing_) end_->finish();
  user_->on_drained();
  return true;
}

// The memory lent is overwritten afterwards, so that nobody can live on what was not his to keep.
bool SimStream::tell_bytes() {
  if (!reading_ || end_->arrived().empty()) return false;
  Dice& dice = outside_.world().dice;
  size_t count = std::min(end_->arrived().size(), most_at_once);
  if (dice.chance(50)) count = 1 + dice.roll(count);
  Bytes& scratch = outside_.scratch();
  scratch.assign(end_->arrived().substr(0, count));
  end_->take(count);
  user_->on_bytes(scratch);
  std::fill(scratch.begin(), scratch.end(), '\xDD');
  return true;
}

// As UvStream: with reading paused an end is told only of a peer that is gone for good, and not
// before what it had sent was read.
bool SimStream::tell_end() {
  const bool unread = !end_->arrived().empty();
  if (failed_ || (end_->broken() && !unread)) {
    end(end_->peer_finished() ? EPIPE : ECONNRESET);
    return true;
  }
  if (!end_->at_end() || (!reading_ && !end_->peer_closed())) return false;
  end(0);
  return true;
}

void SimStream::end(int error) {
  state_ = State::ended;
  queue_.clear();
  if (end_) end_->on_change = nullptr;
  user_->on_end(error);
}

// --- the loop

SimOutside::SimOutside(World& world, Network& network, LoopUser& user, int number)
    : world_(world), network_(network), user_(user), number_(number) {}

void SimOutside::call() {
  if (std::exchange(called_, true)) return;
  Duration delay = world_.dice.between(microseconds(0), microseconds(20));
  if (world_.dice.chance(5)) delay = world_.dice.between(microseconds(0), milliseconds(3));
  world_.at(std::max(world_.now() + delay, stalled_until_), [this] {
    called_ = false;
    if (!stopped_) turn();
  });
}

void SimOutside::turn() {
  world_.mark(static_cast<uint64_t>(number_));
  const bool mail_first = world_.dice.chance(500);
  if (alarm_ && *alarm_ <= world_.now()) {
    alarm_.reset();
    user_.on_time(world_.now());
  }
  if (mail_first && std::exchange(mail_, false)) user_.on_mail();
  tell_streams();
  for (const auto& done : std::exchange(done_, {})) done();
  if (!mail_first && std::exchange(mail_, false)) user_.on_mail();
  if (!stopped_) user_.on_turn_end();
}

// Each stream that has something to tell, in any order; what is left over is told in the next turn.
void SimOutside::tell_streams() {
  std::vector<std::shared_ptr<SimStream>> all = streams_;
  for (size_t left = all.size(); left > 1; --left) {
    std::swap(all[left - 1], all[world_.dice.roll(left)]);
  }
  bool told = false;
  for (const auto& stream : all) told |= stream->tell();
  if (told) call();
}

int64_t SimOutside::wall_microseconds() {
  return 1'700'000'000'000'000 + world_.now().time_since_epoch().count();
}

void SimOutside::random(std::span<char> out) {
  for (char& byte : out) byte = static_cast<char>(world_.dice.next());
}

void SimOutside::wake_at(std::optional<Instant> at) {
  alarm_ = at;
  if (!at) return;
  const Instant due = *at + world_.dice.between(microseconds(0), milliseconds(1));
  alarm_ = due;
  world_.at(due, [this, due] {
    if (alarm_ == due) call();
  });
}

void SimOutside::wake() {
  mail_ = true;
  call();
}

StreamPtr SimOutside::connect(const Address& to, const SocketOptions&, StreamUser& user) {
  auto stream = std::make_shared<SimStream>(*this, user, to);
  streams_.push_back(stream);
  network_.connect(to, [weak = std::weak_ptr(stream)](EndPtr end) {
    if (const auto still = weak.lock()) still->connected(std::move(end));
  });
  return StreamPtr(stream.get());
}

StreamPtr SimOutside::attach(ParcelPtr parcel, const SocketOptions&, StreamUser& user) {
  auto& sent = static_cast<SimParcel&>(*parcel);
  auto stream = std::make_shared<SimStream>(*this, user, sent.peer);
  streams_.push_back(stream);
  stream->attached(std::move(sent.end));
  return StreamPtr(stream.get());
}

Result<std::unique_ptr<Listener>> SimOutside::listen(const Address& on, const ListenOptions&,
                                                     ListenerUser& user) {
  const auto backlog = std::make_shared<Backlog>();
  const auto soon = [this](std::function<void()> accept) {
    done_.push_back(std::move(accept));
    call();
  };
  network_.listen(on, [&user, soon, backlog, from_unix = on.is_unix()](EndPtr end) {
    auto accept = [&user, from_unix, parcel = std::make_shared<EndPtr>(std::move(end))] {
      const Address peer{Address::Kind::ip4, 50000, "10.0.0.7"};
      user.on_accept(std::make_unique<SimParcel>(std::move(*parcel), peer), from_unix);
    };
    backlog->open ? soon(std::move(accept)) : backlog->waiting.push_back(std::move(accept));
  });
  return std::unique_ptr<Listener>(std::make_unique<SimListener>(network_, on, backlog, soon));
}

void SimOutside::resolve(const std::string& host, uint16_t port, Resolved done) {
  Result<std::vector<Address>> answer = Error(ErrorCode::io, "no such host");
  const auto found = names.find(host);
  if (found == names.end() || world_.dice.chance(failing_lookups)) {
    if (lookup_failed) lookup_failed();
  } else {
    std::vector<Address> all;
    for (const std::string& one : found->second) all.push_back({Address::Kind::ip4, port, one});
    answer = std::move(all);
  }
  const Duration delay = world_.dice.between(microseconds(10), milliseconds(2));
  world_.after(delay, [this, answer = std::move(answer), done = std::move(done)] {
    done_.push_back([answer, done] { done(answer); });
    call();
  });
}

void SimOutside::aside(std::function<void()> work, std::function<void()> done) {
  world_.after(world_.dice.between(microseconds(10), milliseconds(5)),
               [this, work = std::move(work), done = std::move(done)] {
                 work();
                 done_.push_back(done);
                 call();
               });
}

}  // namespace headgate::sim
