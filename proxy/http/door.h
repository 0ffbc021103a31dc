// The HTTP door: what an operator, his Prometheus and his orchestrator read. A thread accepts, a
// few answer; the workers' loops never see a byte of it. Bounded in connections, bytes and time;
// one request for each connection. The protocol is the library's (cpp-httplib), its sockets are
// ours.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "base/result.h"
#include "conf/settings.h"
#include "proxy/descriptor.h"
#include "proxy/http/pages.h"

namespace headgate {

class HttpDoor {
 public:
  static constexpr size_t threads = 4;
  /// Connections that wait for one of them; more are told to come again.
  static constexpr size_t most_waiting = 16;

  /// Opens the door that the settings ask for; null: none. The pooler must outlive it.
  /// Sockets of another process that listen there already are used.
  static Result<std::unique_ptr<HttpDoor>> open(Pooler& pooler, const Settings& settings,
                                                std::vector<Descriptor> inherited = {});
  /// Drops every connection, and waits for its threads.
  ~HttpDoor();
  /// Other holds on its listening sockets.
  std::vector<Descriptor> duplicates() const;

 private:
  class Requests;

  HttpDoor(Pooler& pooler, std::vector<Descriptor> listening, std::string password);
  void accept_all();
  bool accept_one(const Descriptor& listening);
  void take_in(Descriptor connection);
  void serve_all();

  Pages pages_;
  const std::unique_ptr<Requests> requests_;
  const std::vector<Descriptor> listening_;
  const Descriptor wake_;  // an eventfd: readable once the door is closing
  std::mutex mutex_;       // guards what follows
  std::condition_variable changed_;
  std::deque<Descriptor> waiting_;
  std::set<int> busy_;  // the sockets that are being served
  bool closing_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace headgate
