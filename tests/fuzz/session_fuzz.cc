// A whole Headgate between a hostile client and a hostile server: the input says who sends which
// bytes, and when time passes. Whatever they say, nothing breaks, and once both have gone nothing
// of them is left.
#include <cstddef>
#include <cstdint>

#include "protocol/messages.h"
#include "protocol/startup.h"
#include "proxy/log.h"
#include "tests/fuzz/input.h"
#include "tests/sim/house.h"

namespace headgate::sim {
namespace {

constexpr const char* settings =
    "[databases]\n"
    "db = host=pg port=5432\n"
    "[users]\n"
    "u = pool_mode=transaction\n"
    "[pgbouncer]\n"
    "listen_addr = 10.0.0.9\n"
    "auth_type = trust\n"
    "admin_users = u\n"
    "default_pool_size = 2\n"
    "query_timeout = 3\n"
    "query_wait_timeout = 3\n"
    "server_idle_timeout = 5\n"
    "client_idle_timeout = 9\n";

constexpr size_t most_steps = 200;

class Stage {
 public:
  explicit Stage(uint64_t seed) : world_(seed), network_(world_) {
    network_.listen({Address::Kind::ip4, 5432, "10.0.0.1"}, [this](EndPtr end) {
      end->on_change = [this] { swallow(server_); };
      server_ = std::move(end);
    });
    house_ =
        std::make_unique<House>(world_, network_, settings, static_cast<WorkerId>(1 + seed % 2));
  }

  void connect() {
    network_.connect(House::address(), [this](EndPtr end) {
      if (!end) return;
      end->on_change = [this] { swallow(client_); };
      client_ = std::move(end);
    });
    run(milliseconds(1));
  }
  void client_says(View bytes) { say(client_, bytes); }
  void server_says(View bytes) { say(server_, bytes); }
  void client_leaves() { client_.close(); }
  void server_leaves() { server_.close(); }
  void run(Duration time) {
    const Instant end = world_.now() + time;
    while (world_.now() < end && world_.step()) continue;
  }

  // A server that comes later is refused, and what is left runs into its timeouts.
  void close() {
    client_leaves();
    server_leaves();
    network_.close({Address::Kind::ip4, 5432, "10.0.0.1"});
    run(seconds(60));
    for (WorkerId id = 0; id < house_->workers(); ++id) {
      Worker& worker = house_->pooler().worker(id);
      MUST(worker.clients().empty());
      MUST(worker.servers().empty());
      MUST(worker.cancellers().empty());
      MUST(house_->outside(id).streams() == 0);
    }
    MUST(house_->pooler().client_permits().used() == 0);
  }

 private:
  static void say(EndPtr& end, View bytes) {
    if (end) end->send_all(bytes);
  }
  static void swallow(EndPtr& end) {
    if (end && !end->arrived().empty()) end->take(end->arrived().size());
    if (end && (end->broken() || end->at_end())) end.close();
  }

  World world_;
  Network network_;
  EndPtr client_, server_;
  std::unique_ptr<House> house_;
};

Bytes client_login(bool console) {
  Bytes packet;
  encode_startup(packet, {{"user", "u"}, {"database", console ? "pgbouncer" : "db"}});
  return packet;
}

Bytes server_welcome() {
  Bytes out;
  encode(out, backend::AuthenticationOk{});
  encode(out, backend::ParameterStatus{"DateStyle", "ISO, MDY"});
  encode(out, backend::BackendKeyData{7, {"kkkk"}});
  encode(out, backend::ReadyForQuery{'I'});
  return out;
}

}  // namespace
}  // namespace headgate::sim

// Each step is a byte that says what happens.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate;
  redirect_log([](LogLevel, std::string_view) {});
  fuzz::FuzzInput input(data, size);
  sim::Stage stage(input.byte());
  for (size_t step = 0; step < sim::most_steps && !input.empty(); ++step) {
    switch (input.byte() % 10) {
      case 0:
        stage.connect();
        break;
      case 1:
      case 2:
        stage.client_says(input.piece());
        break;
      case 3:
      case 4:
        stage.server_says(input.piece());
        break;
      case 5:
        stage.client_says(sim::client_login(input.byte() == 'c'));
        break;
      case 6:
        stage.server_says(sim::server_welcome());
        break;
      case 7:
        stage.run(milliseconds(5));
        break;
      case 8:
        stage.run(seconds(2));
        break;
      case 9:
        input.byte() % 2 == 0 ? stage.client_leaves() : stage.server_leaves();
        break;
    }
  }
  stage.close();
  return 0;
}
