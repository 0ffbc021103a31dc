// What the log says of a client: who it is, and that it has waited long.
#include "proxy/admin_session.h"
#include "proxy/client.h"
#include "proxy/client_login.h"
#include "proxy/log_subject.h"
#include "proxy/worker.h"

namespace headgate {

LogSubject Client::log_subject() const {
  LogSubject subject{.letter = 'C', .socket = this, .id = id_};
  if (user_name_) subject.user = *user_name_;
  if (login_ && !login_->user().empty()) subject.user = login_->user();
  if (login_ && !login_->database().empty()) subject.database = login_->database();
  if (pool_) subject.database = pool_->entry().database.name;
  if (admin_) subject.database = "pgbouncer";
  if (!link_.open()) return subject;
  subject.place = logged_place(link_.stream().peer());
  if (!link_.stream().peer().is_unix()) return subject;
  const auto process = link_.stream().peer_process();
  subject.place.port = worker_.config().settings.listen_port;
  subject.place.process = process ? static_cast<int>(process->pid) : 0;
  return subject;
}

std::string Client::peer_name() const { return log_subject().place.text(); }

void Client::count_wait(std::string_view how_it_ended) {
  const Duration waited = worker_.now() - request_since_;
  pool_->stats().wait_time += static_cast<uint64_t>(waited.count());
  pool_->meters().wait.add(waited);
  const Duration least = worker_.config().settings.log_min_wait;
  if (least.count() < 0 || waited < least) return;
  WorkerPool& of = lender_ ? *lender_ : *pool_;
  const PoolEntry& entry = of.entry();
  log(LogLevel::log, log_subject(),
      "waited for a server: {:.3f} ms, {}; pool {}: {} clients still waiting, {} servers active",
      field("wait_ms", static_cast<double>(waited.count()) / 1e3), field("ended", how_it_ended),
      field("pool", fmt::format("{}/{}", entry.database.name, entry.user.name)),
      field("clients_waiting", of.clients_waiting()), field("servers_active", of.share().active()));
}

}  // namespace headgate
