#include "proxy/uv/jobs.h"

#include <netdb.h>

#include <algorithm>
#include <cstring>
#include <memory>

#include "proxy/uv/sockets.h"

namespace headgate {

struct Jobs::Work : ListNode<Work> {
  Jobs* jobs;
  std::function<void()> run, done;
  uv_work_t request;
};

struct Jobs::Lookup : ListNode<Lookup> {
  Jobs* jobs;
  std::string host;
  uint16_t port;
  Outside::Resolved done;
  uv_getaddrinfo_t request;
};

namespace {

Error lookup_error(const std::string& host, int status) {
  return Error{ErrorCode::io, "cannot resolve \"" + host + "\": " + uv_strerror(status)};
}

Result<std::vector<Address>> addresses_from(const addrinfo* found, uint16_t port) {
  std::vector<Address> addresses;
  for (; found != nullptr; found = found->ai_next) {
    SystemAddress system;
    std::memcpy(&system.storage, found->ai_addr, found->ai_addrlen);
    system.size = found->ai_addrlen;
    Address address = from_system(system);
    address.port = port;
    if (std::find(addresses.begin(), addresses.end(), address) == addresses.end())
      addresses.push_back(std::move(address));
  }
  return addresses;
}

template <class Request>
uv_req_t* any(Request& request) {
  return reinterpret_cast<uv_req_t*>(&request);
}

}  // namespace

void Jobs::resolve(const std::string& host, uint16_t port, Outside::Resolved done) {
  if (auto address = numeric_address(host, port)) {
    answers_.emplace_back(std::move(done), std::vector<Address>{*std::move(address)});
    return;
  }
  auto* lookup = new Lookup;
  lookup->jobs = this;
  lookup->host = host;
  lookup->port = port;
  lookup->request.data = lookup;
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;  // one answer for each address, not one for each protocol
  auto finished = [](uv_getaddrinfo_t* request, int status, addrinfo* found) {
    finish(static_cast<Lookup*>(request->data), status, found);
  };
  int error = uv_getaddrinfo(&loop_, &lookup->request, finished, host.c_str(), nullptr, &hints);
  if (error != 0) {  // not a name at all: too long, not encodable
    answers_.emplace_back(std::move(done), lookup_error(host, error));
    delete lookup;
    return;
  }
  lookup->done = std::move(done);
  lookups_.push_back(*lookup);
}

void Jobs::finish(Lookup* finished, int status, addrinfo* found) {
  std::unique_ptr<Lookup> lookup(finished);
  std::unique_ptr<addrinfo, void (*)(addrinfo*)> list(found, uv_freeaddrinfo);
  lookup->jobs->lookups_.remove(*lookup);
  if (!lookup->done) return;
  if (status == 0) {
    lookup->done(addresses_from(found, lookup->port));
  } else {
    lookup->done(lookup_error(lookup->host, status));
  }
}

void Jobs::aside(std::function<void()> run, std::function<void()> done) {
  auto* work = new Work;
  work->jobs = this;
  work->run = std::move(run);
  work->done = std::move(done);
  work->request.data = work;
  work_.push_back(*work);
  uv_queue_work(
      &loop_, &work->request, [](uv_work_t* request) { static_cast<Work*>(request->data)->run(); },
      [](uv_work_t* request, int) { finish(static_cast<Work*>(request->data)); });
}

void Jobs::finish(Work* finished) {
  std::unique_ptr<Work> work(finished);
  work->jobs->work_.remove(*work);
  if (work->done) work->done();
}

void Jobs::answer() {
  auto due = std::exchange(answers_, {});
  for (auto& [done, result] : due) done(std::move(result));
}

void Jobs::abandon() {
  answers_.clear();
  work_.for_each([](Work& work) {
    work.done = nullptr;
    uv_cancel(any(work.request));
  });
  lookups_.for_each([](Lookup& lookup) {
    lookup.done = nullptr;
    uv_cancel(any(lookup.request));
  });
}

}  // namespace headgate
