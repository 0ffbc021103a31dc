#include "proxy/uv/listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "proxy/uv/parcel.h"
#include "proxy/uv/sockets.h"

namespace headgate {

namespace {

// How long the system keeps a connection that says nothing from us.
constexpr int defer_accept_seconds = 45;

Error listen_error(const Address& address, const char* step, int error) {
  return Error{ErrorCode::io, "cannot listen on " + address_text(address) + ": " + step +
                                  "(): " + std::strerror(error)};
}

void set_listening_options(int descriptor, const Address& on, const ListenOptions& options) {
  if (on.is_unix()) return;
  set_option(descriptor, SOL_SOCKET, SO_REUSEADDR, 1);
  if (on.kind == Address::Kind::ip6) set_option(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  if (options.reuse_port) set_option(descriptor, SOL_SOCKET, SO_REUSEPORT, 1);
}

bool out_of_resources(int error) {
  return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

}  // namespace

struct UvListener::Handles final : Watcher {
  Handles(LoopState& state, Descriptor listening, bool unix_socket, ListenerUser& hears)
      : loop(state), socket(std::move(listening)), from_unix(unix_socket), user(&hears) {}

  int start();
  void on_events(uint32_t) override { accept_some(); }
  void watch();
  void leave();
  void accept_some();
  bool accept_one();
  void pause(int error);
  void close();

  LoopState& loop;
  Descriptor socket;
  const bool from_unix;
  ListenerUser* user;  // null once the listener is gone
  bool wanted = true, watched = false;
  bool defers = false;  // the system hands over who has said something
  uint64_t last_round = 0;
  int at_once = 1;
  uv_timer_t resume;
};

int UvListener::Handles::start() {
  if (int error = loop.poller.watch(socket.number(), EPOLLIN, *this)) return error;
  watched = true;
  uv_timer_init(&loop.loop, &resume);
  resume.data = this;
  return 0;
}

// Where the system lacks the memory for it now, it is tried again.
void UvListener::Handles::watch() {
  if (!wanted || watched) return;
  if (int error = loop.poller.watch(socket.number(), EPOLLIN, *this)) return pause(error);
  watched = true;
}

void UvListener::Handles::leave() {
  if (std::exchange(watched, false)) loop.poller.forget(socket.number(), *this);
}

// To ask for one more that is not there costs as much as one that is. More than one are asked for
// where there were some left in the round before.
void UvListener::Handles::accept_some() {
  const uint64_t round = loop.poller.rounds();
  const bool left = std::exchange(last_round, round) + 1 == round;
  at_once = left ? std::min(2 * at_once, most_accepts_at_once) : 1;
  for (int i = 0; i < at_once && user != nullptr && wanted && accept_one(); ++i) {
  }
}

// False: there is no more to accept now.
bool UvListener::Handles::accept_one() {
  SystemAddress from;
  Descriptor connection(
      accept4(socket.number(), from.get(), &from.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (connection.valid()) {
    auto parcel = std::make_unique<UvParcel>(std::move(connection), from_system(from));
    parcel->has_bytes = defers;
    user->on_accept(std::move(parcel), from_unix);
    return true;
  }
  if (out_of_resources(errno)) {
    pause(errno);
    return false;
  }
  return errno != EAGAIN;  // all else concerns that one connection, which is gone already
}

void UvListener::Handles::pause(int error) {
  leave();
  uv_timer_start(
      &resume, [](uv_timer_t* timer) { static_cast<Handles*>(timer->data)->watch(); }, pause_ms, 0);
  user->on_accept_failed(error);
}

void UvListener::Handles::close() {
  user = nullptr;
  leave();
  socket = {};
  uv_close(reinterpret_cast<uv_handle_t*>(&resume),
           [](uv_handle_t* handle) { delete static_cast<Handles*>(handle->data); });
}

int UvListener::start(LoopState& state, Descriptor socket, ListenerUser& user) {
  auto handles = std::make_unique<Handles>(state, std::move(socket), address_.is_unix(), user);
  const int error = handles->start();
  if (error == 0) handles_ = handles.release();
  return error;
}

void UvListener::accept_waiting() {
  for (int i = 0; i < most_accepts_at_end && handles_->accept_one(); ++i) {
  }
}

void UvListener::set_defer_accept(bool defer) {
  if (address_.is_unix()) return;
  handles_->defers = defer;
  set_option(handles_->socket.number(), IPPROTO_TCP, TCP_DEFER_ACCEPT,
             defer ? defer_accept_seconds : 0);
}

void UvListener::accept(bool wanted) {
  handles_->wanted = wanted;
  wanted ? handles_->watch() : handles_->leave();
}

int UvListener::descriptor() const { return handles_->socket.number(); }

ParcelPtr UvListener::duplicate() const {
  Descriptor copy = handles_->socket.duplicate();
  if (!copy.valid()) return nullptr;
  return std::make_unique<UvParcel>(std::move(copy), address_);
}

UvListener::~UvListener() {
  if (handles_ != nullptr) handles_->close();
}

namespace {

Result<std::unique_ptr<Listener>> listen_on_passed(LoopState& state, const ListenOptions& options,
                                                   ListenerUser& user) {
  make_non_blocking(options.passed);
  Address at = local_address(options.passed);
  auto listener = std::make_unique<UvListener>(at, UnixPath());
  if (int error = listener->start(state, Descriptor(options.passed), user))
    return listen_error(at, "epoll_ctl", error);
  listener->set_defer_accept(options.defer_accept);
  return std::unique_ptr<Listener>(std::move(listener));
}

}  // namespace

Result<std::unique_ptr<Listener>> listen_on(LoopState& state, const Address& on,
                                            const ListenOptions& options, ListenerUser& user) {
  if (options.passed >= 0) return listen_on_passed(state, options, user);
  auto system = to_system(on);
  if (on.is_unix()) {
    if (auto room = UnixPath::make_room(on); !room) return std::move(room).error();
  }
  if (!system) return listen_error(on, "inet_pton", EINVAL);
  Descriptor socket = open_socket(on.kind);
  if (!socket.valid()) return listen_error(on, "socket", errno);
  set_listening_options(socket.number(), on, options);
  const int outcome = on.is_unix() ? UnixPath::bind(socket.number(), *system, options.unix_mode)
                                   : bind(socket.number(), system->get(), system->size);
  if (outcome < 0) {
    if (on.is_unix() && errno == EADDRINUSE)
      return Error{ErrorCode::io, "unix socket is in use, cannot continue"};
    return listen_error(on, "bind", errno);
  }
  UnixPath path = on.is_unix() ? UnixPath(on) : UnixPath();
  // Before listen(): until then nobody can connect.
  if (int error = path.set_access(options.unix_mode, options.unix_group))
    return listen_error(on, "chmod", error);
  if (::listen(socket.number(), options.backlog) < 0) return listen_error(on, "listen", errno);
  Address bound = on.is_unix() ? on : local_address(socket.number());
  auto listener = std::make_unique<UvListener>(std::move(bound), std::move(path));
  if (int error = listener->start(state, std::move(socket), user))
    return listen_error(on, "epoll_ctl", error);
  listener->set_defer_accept(options.defer_accept);
  return std::unique_ptr<Listener>(std::move(listener));
}

}  // namespace headgate
