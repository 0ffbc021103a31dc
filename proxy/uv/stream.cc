#include "proxy/uv/stream.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "proxy/uv/lingering.h"
#include "proxy/uv/sockets.h"

namespace headgate {

namespace {

constexpr size_t slices_at_once = 64;  // one sendmsg; more slices take another
constexpr int last_reads = 16;         // of what had come before a write failed

bool try_again(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

}  // namespace

StreamPtr UvStream::connect(LoopState& state, const Address& to, const SocketOptions& options,
                            StreamUser& user) {
  StreamPtr owner;
  auto* stream = new UvStream(state, user);
  owner.reset(stream);
  stream->state_ = State::connecting;
  stream->dialled_ = true;
  stream->peer_ = to;
  if (int error = stream->dial(to, options)) stream->fail(error);
  return owner;
}

StreamPtr UvStream::attach(LoopState& state, UvParcel& parcel, const SocketOptions& options,
                           StreamUser& user) {
  StreamPtr owner;
  auto* stream = new UvStream(state, user);
  owner.reset(stream);
  stream->descriptor_ = std::move(parcel.descriptor);
  stream->peer_ = std::move(parcel.peer);
  stream->local_ = std::move(parcel.local);
  stream->written_ = parcel.written;
  stream->dialled_ = parcel.dialled;
  if (!parcel.configured && !stream->peer_.is_unix())
    set_tcp_options(stream->descriptor_.number(), options);
  int error = stream->enter_loop();
  if (parcel.error != 0) error = parcel.error;
  if (error != 0) {
    stream->fail(error);
  } else if (parcel.has_bytes) {
    stream->receive_later();
  }
  return owner;
}

int UvStream::dial(const Address& to, const SocketOptions& options) {
  auto address = to_system(to);
  if (!address) return EINVAL;
  descriptor_ = open_socket(to.kind);
  if (!descriptor_.valid()) return errno;
  if (!to.is_unix()) set_tcp_options(descriptor_.number(), options);
  // A connection made at once (unix sockets) is heard of like any other: the socket is writable.
  if (::connect(descriptor_.number(), address->get(), address->size) < 0 && errno != EINPROGRESS)
    return errno;
  return enter_loop();
}

int UvStream::enter_loop() {
  const uint32_t wanted = wanted_events();
  if (int error = loop_.poller.watch(descriptor_.number(), wanted, *this)) return error;
  watched_ = wanted;
  return 0;
}

void UvStream::leave_loop() {
  if (linked()) (error_ != 0 ? loop_.failed : loop_.unread).remove(*this);
  if (watched_ != 0) loop_.poller.forget(descriptor_.number(), *this);
  watched_ = 0;
}

// epoll is not told of a pause: what comes in it is remembered.
void UvStream::read(bool wanted) {
  reading_ = wanted;
  if (wanted && unread_) receive_later();
}

// At the end of a turn: of this one, or of the next if that has begun.
void UvStream::receive_later() {
  unread_ = true;
  if (state_ == State::open && error_ == 0 && !linked()) loop_.unread.push_back(*this);
}

uint32_t UvStream::wanted_events() const {
  if (state_ == State::connecting) return EPOLLOUT;
  if (state_ != State::open) return 0;
  return EPOLLIN | EPOLLRDHUP | EPOLLET | (queue_.empty() ? 0U : EPOLLOUT);
}

void UvStream::watch_what_is_wanted() {
  const uint32_t wanted = wanted_events();
  if (wanted == watched_) return;
  const int descriptor = descriptor_.number();
  if (wanted == 0) {
    loop_.poller.forget(descriptor, *this);
  } else if (watched_ != 0) {
    loop_.poller.change(descriptor, wanted, *this);
  } else if (int error = loop_.poller.watch(descriptor, wanted, *this)) {
    return fail(error);
  }
  watched_ = wanted;
}

// An error or a hangup may be behind each of the things that we wait for.
void UvStream::on_events(uint32_t events) {
  if ((events & (EPOLLERR | EPOLLHUP)) != 0) events |= EPOLLIN | EPOLLOUT | EPOLLRDHUP;
  if (error_ != 0) return;  // on_end() comes at the end of the turn
  if (state_ == State::connecting) return finish_connect();
  if ((events & EPOLLOUT) != 0 && !queue_.empty()) flush();
  if (state_ == State::open && error_ == 0 && (events & (EPOLLIN | EPOLLRDHUP)) != 0) {
    unread_ = true;
    hangup_seen_ = hangup_seen_ || (events & EPOLLRDHUP) != 0;
    if (reading_) {
      receive();
    } else if (hangup_seen_) {
      look_at_hangup();
    }
  }
  watch_what_is_wanted();
}

void UvStream::finish_connect() {
  if (int error = take_error(descriptor_.number())) return end(error);
  state_ = State::open;
  watch_what_is_wanted();
  user_->on_connected();
}

// A read that leaves room in the buffer has emptied the socket, and epoll tells of whatever comes
// then. Not so where descriptors come along: each of them ends a read.
void UvStream::receive() {
  char* buffer = loop_.read_buffer.get();
  const bool with_descriptors = expects_descriptors();
  const ssize_t got = with_descriptors
                          ? receive_into(buffer)
                          : recv(descriptor_.number(), buffer, LoopState::read_buffer_bytes, 0);
  if (got == 0) return end(0);
  if (got < 0 && !try_again(errno)) return end(errno);
  unread_ = got < 0 ? errno == EINTR
                    : static_cast<size_t>(got) == LoopState::read_buffer_bytes || hangup_seen_ ||
                          with_descriptors;
  if (unread_) receive_later();
  if (got > 0) user_->on_bytes(View(buffer, static_cast<size_t>(got)));
}

// With the descriptors that come along. One that there was no room for is lost, and the bytes that
// it belongs to with it: such a stream has failed.
ssize_t UvStream::receive_into(char* buffer) {
  constexpr size_t most = 16;
  alignas(cmsghdr) char control[CMSG_SPACE(most * sizeof(int))];
  iovec piece{buffer, LoopState::read_buffer_bytes};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t got = recvmsg(descriptor_.number(), &message, MSG_CMSG_CLOEXEC);
  if (got < 0) return got;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(header) + i * sizeof number, sizeof number);
      passing_->received.emplace_back(number);
    }
  }
  if ((message.msg_flags & MSG_CTRUNC) == 0) return got;
  errno = EMFILE;
  return -1;
}

UvStream::Passing& UvStream::passing() {
  if (!passing_) passing_ = std::make_unique<Passing>();
  return *passing_;
}

void UvStream::expect_descriptors() { passing().expected = true; }

ParcelPtr UvStream::take_descriptor() {
  if (!passing_ || passing_->received.empty()) return nullptr;
  Descriptor next = std::move(passing_->received.front());
  passing_->received.pop_front();
  Address peer = peer_address(next.number());
  return std::make_unique<UvParcel>(std::move(next), std::move(peer));
}

// What is unread must not be lost: then the end waits until reading is resumed. A peer that has
// only said that it sends no more can wait as well; one that is gone is reported at once.
void UvStream::look_at_hangup() {
  int descriptor = descriptor_.number();
  if (unread_bytes(descriptor) == 0 && hung_up(descriptor)) end(take_error(descriptor));
}

void UvStream::write(std::span<const View> slices) {
  MUST(state_ != State::connecting && !finishing_);
  if (state_ != State::open || error_ != 0) return;
  size_t taken = queue_.empty() ? send_now(slices) : 0;
  if (error_ != 0) return;
  for (View slice : slices) {
    size_t skip = std::min(taken, slice.size());
    taken -= skip;
    if (skip < slice.size()) queue_.append(slice.substr(skip));
  }
  if (!queue_.empty()) watch_what_is_wanted();
}

// Sends what the system takes at once; returns how many bytes that were.
size_t UvStream::send_now(std::span<const View> slices) {
  size_t total = 0;
  while (!slices.empty()) {
    std::array<iovec, slices_at_once> pieces;
    size_t count = std::min(slices.size(), pieces.size());
    size_t asked = 0;
    for (size_t i = 0; i < count; ++i) {
      pieces[i] = {const_cast<char*>(slices[i].data()), slices[i].size()};
      asked += slices[i].size();
    }
    slices = slices.subspan(count);
    if (asked == 0) continue;
    ssize_t sent;
    if (count == 1) {
      sent = send(descriptor_.number(), pieces[0].iov_base, asked, MSG_NOSIGNAL);
    } else {
      msghdr message{};
      message.msg_iov = pieces.data();
      message.msg_iovlen = count;
      sent = sendmsg(descriptor_.number(), &message, MSG_NOSIGNAL);
    }
    if (sent < 0 && !try_again(errno)) fail(errno);
    size_t taken = sent < 0 ? 0 : static_cast<size_t>(sent);
    total += taken;
    written_ += taken;
    if (taken < asked) break;
  }
  return total;
}

// Bytes with a descriptor need a sendmsg of their own.
size_t UvStream::send_waiting() {
  View waiting = queue_.view();
  if (!passing_) return send_now({&waiting, 1});
  const std::deque<Attached>& attached = passing_->attached;
  const uint64_t written_before = written_;
  while (!waiting.empty() && error_ == 0) {
    const bool with = !attached.empty() && attached.front().at == written_;
    const size_t next = with ? 1 : 0;
    const size_t end = attached.size() > next ? attached[next].at - written_ : waiting.size();
    const View piece = waiting.substr(0, end);
    const size_t taken = with ? send_attached(piece) : send_now({&piece, 1});
    waiting.remove_prefix(taken);
    if (taken < piece.size()) break;
  }
  return written_ - written_before;
}

size_t UvStream::send_attached(View bytes) {
  const int passed = passing_->attached.front().descriptor.number();
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof passed)] = {};
  iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof passed);
  std::memcpy(CMSG_DATA(header), &passed, sizeof passed);
  const ssize_t sent = sendmsg(descriptor_.number(), &message, MSG_NOSIGNAL);
  if (sent < 0) {
    if (!try_again(errno)) fail(errno);
    return 0;
  }
  passing_->attached.pop_front();
  written_ += static_cast<uint64_t>(sent);
  return static_cast<size_t>(sent);
}

void UvStream::write_with(View bytes, ParcelPtr attached) {
  MUST(state_ != State::connecting && !finishing_);
  if (state_ != State::open || error_ != 0) return;
  Descriptor& passed = static_cast<UvParcel&>(*attached).descriptor;
  passing().attached.push_back({written_ + queue_.size(), std::move(passed)});
  queue_.append(bytes);
  const size_t taken = send_waiting();
  if (error_ != 0) return;
  queue_.consume(taken);
  watch_what_is_wanted();
}

ParcelPtr UvStream::duplicate() const {
  Descriptor copy = descriptor_.duplicate();
  if (!copy.valid()) return nullptr;
  return std::make_unique<UvParcel>(std::move(copy), peer_);
}

void UvStream::flush() {
  size_t taken = send_waiting();
  if (error_ != 0) return;
  queue_.consume(taken);
  if (!queue_.empty()) return;
  if (finishing_) shutdown(descriptor_.number(), SHUT_WR);
  user_->on_drained();
}

void UvStream::finish_writing() {
  if (state_ != State::open || finishing_) return;
  finishing_ = true;
  if (queue_.empty()) shutdown(descriptor_.number(), SHUT_WR);
}

// Nothing may be called from within a call to the stream, so the user hears of it a little later.
void UvStream::fail(int error) {
  if (linked()) loop_.unread.remove(*this);
  error_ = error;
  queue_.clear();
  loop_.failed.push_back(*this);
}

void UvStream::receive_unread() {
  if (state_ != State::open || !reading_) return;
  receive();
  watch_what_is_wanted();
}

void UvStream::deliver_failure() {
  if (watched_ != 0 && state_ == State::open) receive_the_last();
  if (state_ != State::open && state_ != State::connecting) return;
  // A unix peer that had not read everything leaves this behind; confirmed() needs to know.
  if (descriptor_.valid() && take_error(descriptor_.number()) == ECONNRESET) error_ = ECONNRESET;
  end(error_);
}

// A peer that refuses our bytes may have said why before: a server that shuts down.
void UvStream::receive_the_last() {
  for (int i = 0; i < last_reads && state_ == State::open && reading_; ++i) {
    char* buffer = loop_.read_buffer.get();
    ssize_t got = recv(descriptor_.number(), buffer, LoopState::read_buffer_bytes, 0);
    if (got < 0 && errno == ECONNRESET) error_ = ECONNRESET;
    if (got <= 0) return;
    user_->on_bytes(View(buffer, static_cast<size_t>(got)));
  }
}

void UvStream::end(int error) {
  if (linked()) loop_.unread.remove(*this);
  error_ = error;
  state_ = State::ended;
  queue_.clear();
  watch_what_is_wanted();
  user_->on_end(error);
}

// What a peer has not got before it closed its side, it cannot have acted upon; closing its side
// and going on reading is nothing that a database server does.
//
// TCP: the peer's FIN acknowledges all that had arrived by then (ours has been a FIN if the end was
// clean, or if later bytes were answered by a reset, EPIPE). Without a FIN nothing is proven: bytes
// that were acted upon may not have been acknowledged yet.
// Unix sockets: what was written is in the peer's queue at once. A peer that closes without having
// read its queue to the end makes that a reset; then at least the last byte was not read.
std::optional<uint64_t> UvStream::confirmed() const {
  if (state_ != State::ended) return std::nullopt;
  if (peer_.is_unix()) {
    if (error_ == 0 || error_ == EPIPE) return written_;
    if (error_ == ECONNRESET) return written_ == 0 ? 0 : written_ - 1;
    return std::nullopt;
  }
  if (error_ != 0 && error_ != EPIPE) return std::nullopt;
  auto acknowledged = acknowledged_bytes(descriptor_.number(), dialled_);
  if (!acknowledged) return std::nullopt;
  return std::min(*acknowledged, written_);  // our own FIN would count as a byte
}

const Address& UvStream::local() const {
  static const Address unknown;
  if (!local_ && descriptor_.valid())
    local_ = std::make_unique<Address>(local_address(descriptor_.number()));
  return local_ ? *local_ : unknown;
}

std::optional<Stream::PeerProcess> UvStream::peer_process() const {
  if (!peer_.is_unix() || !descriptor_.valid()) return std::nullopt;
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (getsockopt(descriptor_.number(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
    return std::nullopt;
  return PeerProcess{static_cast<uint32_t>(credentials.pid), credentials.uid};
}

ParcelPtr UvStream::detach() {
  MUST(state_ == State::open && queue_.empty());
  leave_loop();
  auto parcel = std::make_unique<UvParcel>(std::move(descriptor_), peer_);
  parcel->local = std::move(local_);
  parcel->written = written_;
  parcel->error = error_;
  parcel->dialled = dialled_;
  parcel->configured = true;
  state_ = State::detached;
  return parcel;
}

void UvStream::close(bool linger) {
  linger = linger && state_ == State::open && error_ == 0;
  user_ = nullptr;
  state_ = State::closed;
  leave_loop();
  if (linger) Lingering::start(loop_, std::move(descriptor_), std::move(queue_));
  descriptor_ = {};
  loop_.closed.push_back(*this);
}

}  // namespace headgate
