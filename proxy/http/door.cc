#include "proxy/http/door.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "proxy/http/connection.h"
#include "proxy/http/listening.h"
#include "proxy/log.h"

namespace headgate {

namespace {

// Where the process is out of descriptors, accepting pauses for so long.
constexpr int accept_pause_ms = 100;

constexpr View come_again =
    "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\nRetry-After: 1\r\n"
    "Content-Length: 30\r\nConnection: close\r\n\r\ntoo many requests at one time\n";

// Content Security Policy, level 3: what a page may load, and that nothing else may.
constexpr const char* page_policy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
constexpr const char* no_policy = "default-src 'none'";
constexpr const char* ask_password = "Basic realm=\"Headgate\", charset=\"UTF-8\"";

}  // namespace

/// The library's reading of requests and writing of answers, with our pages behind it.
class HttpDoor::Requests final : public httplib::Server {
 public:
  explicit Requests(Pages& pages) {
    set_default_headers({{"Cache-Control", "no-store"},
                         {"X-Content-Type-Options", "nosniff"},
                         {"X-Frame-Options", "DENY"},
                         {"Referrer-Policy", "no-referrer"}});
    set_pre_routing_handler([&pages](const httplib::Request& request, httplib::Response& response) {
      HttpAnswer answer =
          pages.answer({request.method, request.path, request.get_header_value("Accept"),
                        request.get_header_value("Authorization"), request.remote_addr});
      response.status = answer.status;
      response.set_content(std::move(answer.body), answer.type);
      if (!answer.allow.empty()) response.set_header("Allow", answer.allow);
      if (answer.retry_after_s > 0) {
        response.set_header("Retry-After", std::to_string(answer.retry_after_s));
      }
      if (answer.asks_password) response.set_header("WWW-Authenticate", ask_password);
      response.set_header("Content-Security-Policy", answer.is_page ? page_policy : no_policy);
      return HandlerResponse::Handled;
    });
  }

  void serve(httplib::Stream& stream) {
    bool closed = false;
    process_request(stream, true, closed, tame);
  }

 private:
  // Many ranges of one page would be many pages, and the library's brotli takes seconds for a page
  // of some megabytes.
  static void tame(httplib::Request& request) {
    request.ranges.clear();
    const bool gzip = request.get_header_value("Accept-Encoding").find("gzip") != std::string::npos;
    request.headers.erase("Accept-Encoding");
    if (gzip) request.set_header("Accept-Encoding", "gzip");
  }
};

Result<std::unique_ptr<HttpDoor>> HttpDoor::open(Pooler& pooler, const Settings& settings,
                                                 std::vector<Descriptor> inherited) {
  if (settings.http_port == 0) return std::unique_ptr<HttpDoor>();
  auto listening = listen_for_http(settings.http_addr, settings.http_port, std::move(inherited));
  if (!listening) return Error(listening.error());
  for (const Descriptor& socket : *listening) {
    log(LogLevel::log, "listening on http://{}", address_of(socket));
  }
  return std::unique_ptr<HttpDoor>(
      new HttpDoor(pooler, std::move(*listening), settings.http_password.value_or("")));
}

HttpDoor::HttpDoor(Pooler& pooler, std::vector<Descriptor> listening, std::string password)
    : pages_(pooler, std::move(password)),
      requests_(std::make_unique<Requests>(pages_)),
      listening_(std::move(listening)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  MUST(wake_.valid());
  threads_.emplace_back([this] { accept_all(); });
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { serve_all(); });
  for (std::thread& thread : threads_) pthread_setname_np(thread.native_handle(), "http");
}

HttpDoor::~HttpDoor() {
  {
    const std::lock_guard guard(mutex_);
    closing_ = true;
    waiting_.clear();
    for (const int socket : busy_) shutdown(socket, SHUT_RDWR);
    changed_.notify_all();
  }
  eventfd_write(wake_.number(), 1);
  pages_.close();
  for (std::thread& thread : threads_) thread.join();
}

std::vector<Descriptor> HttpDoor::duplicates() const {
  std::vector<Descriptor> all;
  for (const Descriptor& socket : listening_) all.push_back(socket.duplicate());
  return all;
}

// --- coming in

void HttpDoor::accept_all() {
  std::vector<pollfd> watched = {{wake_.number(), POLLIN, 0}};
  for (const Descriptor& socket : listening_) watched.push_back({socket.number(), POLLIN, 0});
  bool well = true;
  while (true) {
    // While nothing can be accepted only the end is waited for.
    const auto count = static_cast<nfds_t>(well ? watched.size() : 1);
    poll(watched.data(), count, well ? -1 : accept_pause_ms);
    if (watched[0].revents != 0) return;
    well = true;
    for (size_t i = 0; i < listening_.size(); ++i) {
      if (count == 1 || watched[i + 1].revents != 0) well = accept_one(listening_[i]) && well;
    }
  }
}

// False: out of descriptors or memory. Whoever has just gone again is no reason to stop.
bool HttpDoor::accept_one(const Descriptor& listening) {
  Descriptor connection(
      accept4(listening.number(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (connection.valid()) {
    take_in(std::move(connection));
    return true;
  }
  return errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS;
}

void HttpDoor::take_in(Descriptor connection) {
  {
    const std::lock_guard guard(mutex_);
    if (waiting_.size() < most_waiting) {
      waiting_.push_back(std::move(connection));
      changed_.notify_one();
      return;
    }
  }
  send(connection.number(), come_again.data(), come_again.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

// --- answering

void HttpDoor::serve_all() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return closing_ || !waiting_.empty(); });
    if (closing_) return;
    Descriptor socket = std::move(waiting_.front());
    waiting_.pop_front();
    const int number = socket.number();
    busy_.insert(number);
    lock.unlock();
    HttpConnection connection(std::move(socket), HttpLimits{});
    requests_->serve(connection);
    connection.finish();
    lock.lock();
    busy_.erase(number);  // before its number is another's
  }
}

}  // namespace headgate
