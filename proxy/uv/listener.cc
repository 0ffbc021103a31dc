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
  if (options.defer_accept)
    set_option(descriptor, IPPROTO_TCP, TCP_DEFER_ACCEPT, defer_accept_seconds);
}

bool out_of_resources(int error) {
  return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS;
}

}  // namespace

struct UvListener::Handles {
  Handles(Descriptor listening, bool unix_socket, ListenerUser& hears)
      : socket(std::move(listening)), from_unix(unix_socket), user(&hears) {}

  int start(uv_loop_t& loop);
  void watch();
  void accept_some();
  bool accept_one();
  void pause(int error);
  void close();

  Descriptor socket;
  bool from_unix;
  ListenerUser* user;  // null once the listener is gone
  bool wanted = true;
  uv_poll_t poll;
  uv_timer_t resume;
  int open = 2;
};

int UvListener::Handles::start(uv_loop_t& loop) {
  if (int error = uv_poll_init(&loop, &poll, socket.number())) return -error;
  uv_timer_init(&loop, &resume);
  poll.data = resume.data = this;
  watch();
  return 0;
}

void UvListener::Handles::watch() {
  if (!wanted) return;
  uv_poll_start(&poll, UV_READABLE, [](uv_poll_t* handle, int, int) {
    static_cast<Handles*>(handle->data)->accept_some();
  });
}

void UvListener::Handles::accept_some() {
  for (int i = 0; i < most_accepts_at_once && user != nullptr && wanted && accept_one(); ++i) {
  }
}

// False: there is no more to accept now.
bool UvListener::Handles::accept_one() {
  SystemAddress from;
  Descriptor connection(
      accept4(socket.number(), from.get(), &from.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (connection.valid()) {
    user->on_accept(std::make_unique<UvParcel>(std::move(connection), from_system(from)),
                    from_unix);
    return true;
  }
  if (out_of_resources(errno)) {
    pause(errno);
    return false;
  }
  return errno != EAGAIN;  // all else concerns that one connection, which is gone already
}

void UvListener::Handles::pause(int error) {
  uv_poll_stop(&poll);
  uv_timer_start(
      &resume, [](uv_timer_t* timer) { static_cast<Handles*>(timer->data)->watch(); }, pause_ms, 0);
  user->on_accept_failed(error);
}

void UvListener::Handles::close() {
  user = nullptr;
  auto closed = [](uv_handle_t* handle) {
    auto* handles = static_cast<Handles*>(handle->data);
    if (--handles->open == 0) delete handles;
  };
  uv_close(reinterpret_cast<uv_handle_t*>(&poll), closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&resume), closed);
  socket = {};
}

int UvListener::start(uv_loop_t& loop, Descriptor socket, ListenerUser& user) {
  auto handles = std::make_unique<Handles>(std::move(socket), address_.is_unix(), user);
  int error = handles->start(loop);
  if (error == 0) handles_ = handles.release();
  return error;
}

void UvListener::accept_waiting() {
  for (int i = 0; i < most_accepts_at_end && handles_->accept_one(); ++i) {
  }
}

void UvListener::set_defer_accept(bool defer) {
  if (address_.is_unix()) return;
  set_option(handles_->socket.number(), IPPROTO_TCP, TCP_DEFER_ACCEPT,
             defer ? defer_accept_seconds : 0);
}

void UvListener::accept(bool wanted) {
  handles_->wanted = wanted;
  wanted ? handles_->watch() : void(uv_poll_stop(&handles_->poll));
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

Result<std::unique_ptr<Listener>> listen_on_passed(uv_loop_t& loop, const ListenOptions& options,
                                                   ListenerUser& user) {
  Address at = local_address(options.passed);
  auto listener = std::make_unique<UvListener>(at, UnixPath());
  if (int error = listener->start(loop, Descriptor(options.passed), user))
    return listen_error(at, "epoll_ctl", error);
  listener->set_defer_accept(options.defer_accept);
  return std::unique_ptr<Listener>(std::move(listener));
}

}  // namespace

Result<std::unique_ptr<Listener>> listen_on(uv_loop_t& loop, const Address& on,
                                            const ListenOptions& options, ListenerUser& user) {
  if (options.passed >= 0) return listen_on_passed(loop, options, user);
  auto system = to_system(on);
  if (on.is_unix()) {
    if (auto room = UnixPath::make_room(on); !room) return std::move(room).error();
  }
  if (!system) return listen_error(on, "inet_pton", EINVAL);
  Descriptor socket = open_socket(on.kind);
  if (!socket.valid()) return listen_error(on, "socket", errno);
  set_listening_options(socket.number(), on, options);
  if (bind(socket.number(), system->get(), system->size) < 0) {
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
  if (int error = listener->start(loop, std::move(socket), user))
    return listen_error(on, "epoll_ctl", error);
  return std::unique_ptr<Listener>(std::move(listener));
}

}  // namespace headgate
