// The yardstick of `./dev bench`: a relay that only moves bytes.
//
// Epoll (level-triggered), one server socket for each client socket, one recv and one send for
// each direction of a round trip through one shared buffer. It looks at nothing, pools nothing
// and knows no protocol: what it costs for each transaction is what the kernel asks of any
// proxy. It never keeps bytes but those that a slow reader has not taken, and stops reading
// from their sender meanwhile. With several threads, connections are dealt out in turn and
// the threads share nothing more: what two of them cost above one is the machine's doing.
//
// Usage: bench_relay LISTEN_PORT SERVER_PORT [THREADS]   (both on 127.0.0.1)

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace {

constexpr size_t buffer_bytes = 128 * 1024;
constexpr size_t events_at_once = 256;

[[noreturn]] void fail(const char* what) {
  std::perror(what);
  std::exit(1);
}

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int new_socket() {
  int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) fail("socket");
  return descriptor;
}

int listen_on(uint16_t port) {
  int descriptor = new_socket();
  int on = 1;
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  auto address = loopback(port);
  if (bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) < 0) fail("bind");
  if (listen(descriptor, 4096) < 0) fail("listen");
  return descriptor;
}

// One socket of a pair; its bytes go to `other`.
struct End {
  int descriptor = -1;
  End* other = nullptr;
  std::string untaken;  // bytes for this socket that it has not taken yet
  bool closed = false;

  uint32_t wanted_events() const {
    return (other->untaken.empty() ? uint32_t{EPOLLIN} : 0) |
           (untaken.empty() ? 0 : uint32_t{EPOLLOUT});
  }
};

struct Link {
  End client, server;
};

class Relay {
 public:
  explicit Relay(uint16_t server_port) : server_address_(loopback(server_port)) {}

  /// Accepts connections and deals them out. Before any of them runs.
  void listen_for(uint16_t listen_port, std::vector<Relay*> relays) {
    listener_ = listen_on(listen_port);
    relays_ = std::move(relays);
    watch(listener_, nullptr, EPOLLIN, EPOLL_CTL_ADD);
  }

  [[noreturn]] void run() {
    std::array<epoll_event, events_at_once> events;
    while (true) {
      int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < count; ++i) handle(events[static_cast<size_t>(i)]);
      forget_ended_links();
    }
  }

 private:
  void handle(const epoll_event& event) {
    End* end = static_cast<End*>(event.data.ptr);
    if (end == nullptr) return accept_one();
    if (end->closed) return;
    if (event.events & EPOLLOUT) return push_untaken(*end);
    move_bytes(*end);
  }

  void accept_one() {
    int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) return;
    relays_[next_++ % relays_.size()]->take(client);
  }

  void take(int client) {
    int server = new_socket();
    if (connect(server, reinterpret_cast<sockaddr*>(&server_address_), sizeof server_address_) <
        0) {
      close(server);
      close(client);
      return;
    }
    const std::lock_guard lock(taking_);
    auto& link = *links_.emplace_back(std::make_unique<Link>());
    prepare(link.client, client, link.server);
    prepare(link.server, server, link.client);
    for (End* end : {&link.client, &link.server})
      watch(end->descriptor, end, EPOLLIN, EPOLL_CTL_ADD);
  }

  static void prepare(End& end, int descriptor, End& other) {
    int on = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    end.descriptor = descriptor;
    end.other = &other;
  }

  void move_bytes(End& from) {
    ssize_t got = recv(from.descriptor, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return end_link(from);
    End& to = *from.other;
    size_t size = static_cast<size_t>(got);
    ssize_t sent = send(to.descriptor, buffer_.data(), size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return end_link(from);
    size_t taken = sent < 0 ? 0 : static_cast<size_t>(sent);
    if (taken == size) return;
    to.untaken.assign(buffer_.data() + taken, size - taken);
    watch_again(to);
  }

  void push_untaken(End& to) {
    ssize_t sent =
        send(to.descriptor, to.untaken.data(), to.untaken.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EAGAIN) return;
    if (sent < 0) return end_link(to);
    to.untaken.erase(0, static_cast<size_t>(sent));
    if (to.untaken.empty()) watch_again(to);
  }

  void watch_again(End& end) {
    for (End* one : {&end, end.other})
      watch(one->descriptor, one, one->wanted_events(), EPOLL_CTL_MOD);
  }

  void end_link(End& end) {
    const std::lock_guard lock(taking_);
    for (End* one : {&end, end.other}) {
      close(one->descriptor);
      one->closed = true;
    }
    some_ended_ = true;
  }

  // At the end of a turn and not earlier: a later event of the same turn may point to one.
  void forget_ended_links() {
    if (!some_ended_) return;
    const std::lock_guard lock(taking_);
    std::erase_if(links_, [](const auto& link) { return link->client.closed; });
    some_ended_ = false;
  }

  void watch(int descriptor, End* end, uint32_t events, int operation) {
    epoll_event event{.events = events, .data = {.ptr = end}};
    if (epoll_ctl(epoll_, operation, descriptor, &event) < 0) fail("epoll_ctl");
  }

  int epoll_ = epoll_create1(EPOLL_CLOEXEC);
  sockaddr_in server_address_;
  int listener_ = -1;
  std::vector<Relay*> relays_;
  size_t next_ = 0;
  std::mutex taking_;  // the thread that accepts adds to links_ and watches both ends of a link
  std::array<char, buffer_bytes> buffer_;
  std::vector<std::unique_ptr<Link>> links_;
  bool some_ended_ = false;
};

uint16_t number_from(std::string_view text) {
  uint16_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number == 0) {
    std::fprintf(stderr, "not a number: %.*s\n", static_cast<int>(text.size()), text.data());
    std::exit(2);
  }
  return number;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 3 || count > 4) {
    std::fputs("usage: bench_relay LISTEN_PORT SERVER_PORT [THREADS]\n", stderr);
    return 2;
  }
  std::vector<Relay*> relays;
  for (int threads = count == 4 ? number_from(arguments[3]) : 1; threads > 0; --threads)
    relays.push_back(new Relay(number_from(arguments[2])));
  relays[0]->listen_for(number_from(arguments[1]), relays);
  for (size_t i = 1; i < relays.size(); ++i)
    std::thread([relay = relays[i]] { relay->run(); }).detach();
  relays[0]->run();
}
