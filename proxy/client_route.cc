// Where a client's request goes, of a database with replicas: to the pool that it has logged in to,
// at the primary, or to that of a standby, for what is known to read. It is decided when the whole
// request is there, before anything of it is sent. In doubt it is the primary.
#include "protocol/lone_begin.h"
#include "protocol/request_scan.h"
#include "proxy/client.h"
#include "proxy/pooler.h"
#include "proxy/server.h"
#include "proxy/worker.h"

namespace headgate {

namespace {

View value_of(const SettingValuesPtr& values, View name) {
  if (!values) return {};
  const auto found = values->find(name);
  return found == values->end() ? View() : View(found->second);
}

}  // namespace

// True: the rest is to come first. `rest` is what stands behind a header that came in pieces.
bool Client::awaits_rest(View rest) {
  read_ = {};
  if (!pool_->settings().routes() || rest.size() > max_routed) return false;
  const Bytes whole = framer_.held().empty() ? Bytes() : Bytes(framer_.held()).append(rest);
  const RequestScan scan = scan_request(whole.empty() ? rest : View(whole), routed_statements());
  if (scan.end == RequestScan::End::incomplete) return true;
  if (scan.end == RequestScan::End::complete) judge(scan);
  return false;
}

const ClientStatements* Client::routed_statements() {
  return pool_->settings().prepared_statements > 0 ? &statements() : nullptr;
}

void Client::judge(const RequestScan& scan) {
  const std::span<const View> texts = scan.texts();
  const bool runs = !texts.empty() || is_deferring();  // a bare Sync runs nothing
  const Judgement judged = judge_texts(texts);
  const bool may_begin = judged != Judgement::reads || is_deferring();
  const RouteHint told = runs ? declared(texts, may_begin) : RouteHint::none;
  const bool declared_to_read = told == RouteHint::replica;
  const bool automatic = pool_->settings().read_routing == ReadRouting::automatic;
  // What is declared to read may write all the same, where it runs on the primary.
  read_.writes_nothing = judged != Judgement::may_write && !is_deferring();
  const bool may_go =
      declared_to_read || (automatic && told == RouteHint::none && judged == Judgement::reads);
  read_.for_replica = may_go && pool_->settings().sends_to_replicas();
  const bool several = texts.size() > 1 || scan.executes > 1;
  read_.withheld =
      !declared_to_read && !texts.empty() && (several || has_several_statements(texts[0]));
}

bool Client::came_to_read() const {
  const int port = worker_.config().settings.read_port;
  return port != 0 && !from_unix_ && link_.stream().local().port == port;
}

// What the client itself says of the request, or of the transaction that it opens.
RouteHint Client::declared(std::span<const View> texts, bool may_begin) const {
  const SettingValuesPtr& values = session_.values();
  if (value_of(values, "default_transaction_isolation") == "serializable") {
    return RouteHint::primary;
  }
  const View first = is_deferring() ? View(deferred_->sql) : texts[0];
  if (const RouteHint hint = route_hint(first); hint != RouteHint::none) return hint;
  View route = value_of(values, "headgate.route");
  if (route.empty() && came_to_read()) route = "replica";
  const bool reads_by_default =
      route != "primary" &&
      (route == "replica" || value_of(values, "default_transaction_read_only") == "on");
  const RouteHint by_default = reads_by_default ? RouteHint::replica : RouteHint::none;
  if (!may_begin || !opens_transaction(lone_statement(first))) {
    return route == "primary" ? RouteHint::primary : by_default;
  }
  const Access access = access_of(first);
  const bool reads =
      access == Access::read_only || (access == Access::as_usual && reads_by_default);
  return reads ? RouteHint::replica : RouteHint::primary;
}

Client::Judgement Client::judge_texts(std::span<const View> texts) {
  const ReadRouting routing = pool_->settings().read_routing;
  const bool counts = routing == ReadRouting::automatic || routing == ReadRouting::report;
  Readers& readers = pool_->readers();
  Judgement all = Judgement::reads;
  for (const View text : texts) {
    const RouteBook::Judged judged = readers.book().judge(text, readers.functions());
    if (counts) {
      read_.shape = judged.number;
      ++(judged.shape.is_read() ? judged.shape.reads : judged.shape.primary);
    }
    if (judged.shape.is_read()) continue;
    if (!only_session(text, judged.shape.verdict)) return Judgement::may_write;
    all = Judgement::only_session;
  }
  return all;
}

WorkerPool& Client::choose_lender() {
  WorkerPool* reader = read_.for_replica ? pool_->readers().pick(read_age()) : nullptr;
  if (!reader) return *pool_;
  ++reader->meters().replica_reads;
  if (RouteShape* shape = shape_at_hand()) ++shape->replica;
  return *reader;
}

RouteShape* Client::shape_at_hand() {
  return read_.shape == 0 ? nullptr : pool_->readers().book().find(read_.shape);
}

ReadAge Client::read_age() const {
  const ReadConsistency& consistency = pool_->settings().read_consistency;
  switch (consistency.kind) {
    case ReadConsistency::Kind::eventual:
      return {};
    case ReadConsistency::Kind::lag:
      return {Instant::min(), consistency.lag};
    case ReadConsistency::Kind::session:
      break;
  }
  const auto key = consistency_key();
  const Instant by_others = key ? worker_.pooler().recent_writes().last(*key) : Instant::min();
  return {std::max(wrote_, by_others), std::nullopt};
}

// With whom a client shares what it has written: all whose setting has that value.
std::optional<uint64_t> Client::consistency_key() const {
  const std::string& name = worker_.config().settings.read_consistency_key;
  if (name.empty()) return std::nullopt;
  View value = value_of(session_.values(), name);
  if (const auto tracked = worker_.pooler().tracked().find(name)) {
    if (const Text& reported = values_.get(*tracked)) value = *reported;
  }
  if (value.empty()) return std::nullopt;
  return RecentWrites::key_of(pool_->entry().database.name, value);
}

void Client::has_written() {
  const PoolSettings& settings = pool_->settings();
  if (!settings.sends_to_replicas()) return;
  // Not the time of the event, which may have begun before the commit.
  wrote_ = worker_.outside().now();
  if (const auto key = consistency_key()) worker_.pooler().recent_writes().note(*key, wrote_);
}

void Client::read_was_refused() {
  read_.writes_nothing = false;
  if (read_.shape == 0) return;
  worker_.pooler().post_to_all(
      [database = pool_->entry().database.name, shape = read_.shape](Worker& worker) {
        worker.for_each_pool([&](WorkerPool& pool) {
          if (pool.entry().database.name == database && pool.settings().routes()) {
            pool.readers().book().refuse(shape);
          }
        });
      });
}

// A replica has not done what was asked. Its primary is asked for all of it, so statements that the
// request had named are to be named once more.
void Client::serve_on_primary(const Unanswered& unanswered) {
  for_each_named_parse(unanswered.request, [&](View name) { statements().forget(name); });
  ++pool_->meters().replica_reads_repeated;
  if (RouteShape* shape = shape_at_hand()) ++shape->repeated;
  lender_ = pool_;
  read_ = {read_.writes_nothing};
  serve_again(unanswered);
}

// The host of its pool is not to be read any more.
void Client::lender_is_out() {
  if (!waiting() || lender_ == pool_) return;
  lender_->share().withdraw(*this, worker_.now());
  lender_ = &choose_lender();
  lender_->share().ask_again(*this, request_since_, worker_.now());
  lender_->look_again();
}

}  // namespace headgate
