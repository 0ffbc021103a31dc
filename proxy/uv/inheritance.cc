#include "proxy/uv/inheritance.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "proxy/uv/sockets.h"

namespace headgate {

using handover::Tag;

namespace {

constexpr timeval longest_wait{10, 0};
constexpr uint32_t max_said = 1024;

Error refusal(std::string why) {
  return Error(ErrorCode::io, "cannot take over from the old process: " + std::move(why));
}

Error system_refusal(const char* step) {
  return refusal(fmt::format("{}(): {}", step, std::strerror(errno)));
}

struct Said {
  char tag = 0;
  Bytes body;
  Descriptor attached;
};

/// Exactly so many bytes; a descriptor that comes along goes to `attached`. False: there are no
/// more, and errno says why.
bool receive(int channel, char* into, size_t size, Descriptor& attached) {
  while (size > 0) {
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
    iovec piece{into, size};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t got = recvmsg(channel, &message, MSG_CMSG_CLOEXEC);
    if (got < 0 && errno == EINTR) continue;
    if (got == 0) errno = ECONNRESET;
    if (got <= 0) return false;
    for (cmsghdr* at = CMSG_FIRSTHDR(&message); at; at = CMSG_NXTHDR(&message, at)) {
      if (at->cmsg_level != SOL_SOCKET || at->cmsg_type != SCM_RIGHTS) continue;
      int number = -1;
      std::memcpy(&number, CMSG_DATA(at), sizeof number);
      attached = Descriptor(number);
    }
    into += got;
    size -= static_cast<size_t>(got);
  }
  return true;
}

Result<Said> receive_message(int channel) {
  Said said;
  char header[header_size];
  if (!receive(channel, header, sizeof header, said.attached)) return system_refusal("recvmsg");
  said.tag = header[0];
  const uint32_t size = load_u32(header + 1);
  if (size < length_size || size > max_said) return refusal("it is not understood");
  said.body.resize(size - length_size);
  if (!receive(channel, said.body.data(), said.body.size(), said.attached)) {
    return system_refusal("recvmsg");
  }
  return said;
}

/// Another user could listen at this path as well, and give us what it likes.
bool is_trusted(int channel) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(channel, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) return false;
  return peer.uid == geteuid() || peer.uid == 0;
}

Result<Done> greet(int channel) {
  Bytes hello;
  encode(hello, handover::Hello{handover::version, static_cast<int32_t>(getpid())});
  const ssize_t sent = send(channel, hello.data(), hello.size(), MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(hello.size())) return system_refusal("send");
  auto answer = receive_message(channel);
  if (!answer) return Error(answer.error());
  const auto theirs = handover::decode_hello(answer->body);
  if (answer->tag != static_cast<char>(Tag::hello) || !theirs) {
    return refusal("it is not understood");
  }
  if (theirs->version == handover::version) return Done{};
  return refusal(fmt::format("it hands over by version {}, this program by {}; restart normally",
                             theirs->version, handover::version));
}

}  // namespace

std::optional<Address> handover_address(const Settings& settings) {
  if (settings.unix_socket_dir.empty()) return std::nullopt;
  return Address{Address::Kind::unix_path, 0,
                 fmt::format("{}/.s.HEADGATE.{}", settings.unix_socket_dir, settings.listen_port)};
}

Result<std::optional<Descriptor>> find_old_process(const Settings& settings) {
  const auto at = handover_address(settings);
  const auto address = at ? to_system(*at) : std::nullopt;
  if (!address) return std::optional<Descriptor>();
  Descriptor channel(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!channel.valid()) return system_refusal("socket");
  for (const int option : {SO_RCVTIMEO, SO_SNDTIMEO}) {
    setsockopt(channel.number(), SOL_SOCKET, option, &longest_wait, sizeof longest_wait);
  }
  if (connect(channel.number(), address->get(), address->size) < 0) {
    if (errno == ENOENT || errno == ECONNREFUSED) return std::optional<Descriptor>();
    return system_refusal("connect");
  }
  if (!is_trusted(channel.number())) return refusal("it belongs to another user");
  return std::optional<Descriptor>(std::move(channel));
}

Result<Inheritance> inherit(Descriptor channel) {
  if (auto result = greet(channel.number()); !result) return Error(result.error());
  Inheritance inheritance;
  for (;;) {
    auto said = receive_message(channel.number());
    if (!said) return Error(said.error());
    if (said->tag == static_cast<char>(Tag::sockets_end)) break;
    const auto facts = handover::decode_socket(said->body);
    if (said->tag != static_cast<char>(Tag::socket) || !facts || !said->attached.valid()) {
      return refusal("it is not understood");
    }
    Address address = local_address(said->attached.number());
    inheritance.sockets.push_back({*facts, std::move(said->attached), std::move(address)});
  }
  make_non_blocking(channel.number());
  inheritance.channel = std::move(channel);
  return inheritance;
}

}  // namespace headgate
