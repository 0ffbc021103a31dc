#include "proxy/connect_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include "conf/advice.h"
#include "conf/lists.h"
#include "conf/values.h"
#include "protocol/error_fields.h"
#include "protocol/messages.h"
#include "proxy/pooler.h"
#include "proxy/worker.h"

namespace headgate {

namespace {

constexpr View question =
    "SELECT pg_catalog.current_setting('max_connections')::int - "
    "pg_catalog.current_setting('superuser_reserved_connections')::int";

std::optional<int64_t> number_in(View text) {
  int64_t number = 0;
  const auto end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, number);
  if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return number;
}

}  // namespace

ConnectProbe::ConnectProbe(Worker& worker, PoolSettingsPtr settings, std::string host,
                           std::string user, Finished finished)
    : worker_(worker),
      settings_(std::move(settings)),
      finished_(std::move(finished)),
      link_(worker, *this),
      deadline_(
          worker.deadlines(),
          [](void* self, Instant) { static_cast<ConnectProbe*>(self)->finish("no answer"); },
          this) {
  result_.database = settings_->entry.name;
  result_.port = settings_->entry.port;
  result_.host = std::move(host);
  result_.user = std::move(user);
}

ConnectProbe::~ConnectProbe() = default;

void ConnectProbe::start() {
  login_ = std::make_unique<ServerLogin>(*this, worker_, link_);
  const Duration limit = settings_->connect_timeout;
  if (limit > Duration::zero()) deadline_.arm(worker_.now() + limit);
  login_->start();
}

void ConnectProbe::connect_to(const Address& address, size_t) {
  link_.connect(address, settings_->socket);
}

LoginUser::Identity ConnectProbe::identity() const {
  Identity identity;
  identity.user = result_.user;
  identity.secret = secret_for_server(worker_.config(), settings_->entry, result_.user);
  identity.parameters = {{"application_name", "headgate: check"}};
  return identity;
}

void ConnectProbe::finish(std::string error) {
  if (finished_ == nullptr) return;
  result_.error = std::move(error);
  deadline_.disarm();
  link_.close(false);
  const auto finished = std::exchange(finished_, nullptr);
  finished(result_);
}

void ConnectProbe::on_link_end(int error) {
  if (finished_ == nullptr) return;
  if (!asked_ && login_->try_next_address()) return;
  finish(error == 0 ? "the connection was closed" : worker_.pooler().describe_error(error));
}

void ConnectProbe::login_went_on() {
  if (finished_ == nullptr || asked_) return;
  if (login_->progress() == ServerLogin::Progress::failed) {
    const Error& error = login_->error();
    return finish(error.message + (error.detail.empty() ? "" : ": " + error.detail));
  }
  if (login_->progress() != ServerLogin::Progress::done) return;
  asked_ = true;
  Bytes message;
  encode(message, frontend::Query{question});
  link_.send(message);
}

void ConnectProbe::on_link_bytes(View bytes) {
  if (!asked_) {
    const size_t taken = login_->bytes(bytes);
    login_went_on();
    if (finished_ == nullptr || taken == bytes.size()) return;
    bytes.remove_prefix(taken);
  }
  WholeMessages input{max_message, [this](char tag, View body) {
                        answer(tag, body);
                        return finished_ != nullptr;
                      }};
  framer_.feed(bytes, input);
  if (framer_.broken()) finish("protocol violation by the server");
}

void ConnectProbe::answer(char tag, View body) {
  if (tag == backend::error_response) {
    const auto fields = decode_error_fields(body);
    return finish(fields ? std::string(fields->message) : "an error that cannot be read");
  }
  if (tag != backend::data_row) return;
  const auto row = decode<backend::DataRow>(body);
  const bool has_value = row && row->values.size() == 1 && row->values[0];
  const auto number = has_value ? number_in(*row->values[0]) : std::nullopt;
  if (!number) return finish("an answer that cannot be read");
  result_.connections = *number;
  finish("");
}

// --- all of them

ConnectCheck::ConnectCheck(Worker& worker, std::function<void()> done)
    : worker_(worker), done_(std::move(done)) {}

ConnectCheck::~ConnectCheck() = default;

void ConnectCheck::start() {
  const Config& config = worker_.config();
  for (const auto& [name, entry] : config.databases) {
    const std::string user = user_without_client(config, entry);
    if (user.empty()) {
      untried_.push_back(name);
      continue;
    }
    PoolSettings settings = resolve_pool(config, entry, user);
    settings.tls = worker_.tls().servers;
    settings.entry.target = TargetRole::any;  // each of its hosts is tried, whatever its role is
    const auto shared = std::make_shared<const PoolSettings>(std::move(settings));
    auto hosts = split_at_commas(entry.host);
    if (hosts.empty()) hosts.emplace_back();  // the unix socket
    for (std::string& host : hosts) {
      waiting_.push_back(std::make_unique<ConnectProbe>(worker_, shared, std::move(host), user,
                                                        [this](ConnectResult result) {
                                                          results_.push_back(std::move(result));
                                                          // Not from here: what fails at once would
                                                          // nest as deep as there are databases.
                                                          worker_.post([this](Worker&) { next(); });
                                                        }));
    }
  }
  if (waiting_.empty()) return done_();
  for (size_t count = 0; count < most_at_once; ++count) next();
}

void ConnectCheck::next() {
  if (waiting_.empty()) {
    if (results_.size() == begun_.size() && done_ != nullptr) std::exchange(done_, nullptr)();
    return;
  }
  begun_.push_back(std::move(waiting_.front()));
  waiting_.pop_front();
  begun_.back()->start();
}

std::string report(const Config& config, const ConnectCheck& check) {
  std::string text;
  std::map<std::string, int64_t> taken;
  for (const ConnectResult& result : check.results()) {
    const std::string where =
        result.host.empty() ? config.settings.unix_socket_dir : printable(result.host);
    const std::string server = fmt::format("{}:{}", where, result.port);
    const std::string what = fmt::format("database {} at {} as {}", printable(result.database),
                                         server, printable(result.user));
    if (!result.error.empty()) {
      text += fmt::format("error: {}: {}\n", what, printable(result.error));
      continue;
    }
    text += fmt::format("{}: logged in\n", what);
    taken[server] = result.connections;
  }
  for (const std::string& name : check.untried()) {
    text += fmt::format("database {}: not tried, no user of it is known here\n", printable(name));
  }
  for (const auto& [server, wanted] : most_connections(config)) {
    const auto found = taken.find(server);
    if (found == taken.end() || wanted <= found->second) continue;
    text += fmt::format(
        "warning: {} takes {} connections (max_connections less superuser_reserved_connections), "
        "the pools of a single user may open {}\n",
        server, found->second, wanted);
  }
  return text;
}

std::string user_without_client(const Config& config, const DatabaseEntry& entry) {
  for (const auto* user : {&entry.user, &entry.auth_user, &config.settings.auth_user}) {
    if (*user && !(*user)->empty()) return **user;
  }
  const auto& known = config.user_list.all();
  return known.size() == 1 ? known.begin()->first : std::string();
}

}  // namespace headgate
