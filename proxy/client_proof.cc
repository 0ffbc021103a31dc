// How a client proves who it is: the method, the secret to check it against (from the file, or
// looked up by auth_query), and the proof itself, by messages, certificate or unix socket.
#include <fmt/format.h>

#include <algorithm>

#include "conf/entries.h"
#include "protocol/messages.h"
#include "proxy/client.h"
#include "proxy/client_login.h"
#include "proxy/directories.h"
#include "proxy/log.h"
#include "proxy/pooler.h"
#include "proxy/tls_facts.h"
#include "proxy/worker.h"

namespace headgate {

namespace {

// Names that come from clients must not pile up until it is time to tidy.
void keep_names_few(Pooler& pooler) {
  if (pooler.registry().crowded()) pooler.post([](Pooler& p) { p.tidy(); });
}

}  // namespace

struct ClientLogin::Input {
  ClientLogin& login;
  Treat on_header(char tag, uint32_t body_size) {
    if (tag == frontend::terminate) {
      login.progress_ = Progress::leaves;
      return Treat::stop;
    }
    if (tag != frontend::password || body_size > max_message || login.working_) return Treat::bad;
    return Treat::gather;
  }
  void on_pass(View, bool) {}
  bool on_message(char tag, View body, bool) {
    login.message(tag, body);
    return login.progress_ == Progress::goes_on;
  }
};

// --- the method

void ClientLogin::prove_who() {
  login_user_ = startup_.user;
  const bool owner = to_console_ && is_owner();
  method_ = client_.worker().config().settings.auth_type;
  if (owner || method_ == AuthMethod::any) return authenticated();
  if (!choose_method()) return refuse(Error(ErrorCode::no_auth_method));
  if (method_ == AuthMethod::reject) return refuse(Error(ErrorCode::login_rejected));
  const Secret* secret = known_secret();
  if (needs_auth_query(secret)) return look_up_secret();
  if (!secret && !by_directory() && client_.worker().config().settings.log_connections) {
    log(LogLevel::log, client_.log_subject(), "no such user: {}", startup_.user);
  }
  prove_with(secret);
}

// False where no rule of the HBA file fits.
bool ClientLogin::choose_method() {
  const Config& config = client_.worker().config();
  const LdapOptions* ldap = &config.ldap;
  if (method_ == AuthMethod::hba) {
    const HbaRule* rule = config.hba.find(as_hba_login());
    if (!rule) return false;
    method_ = rule->method;
    ident_map_ = rule->map;
    ldap = &rule->ldap;
  }
  if (method_ == AuthMethod::ldap) ldap_ = std::make_unique<LdapOptions>(*ldap);
  return true;
}

HbaLogin ClientLogin::as_hba_login() const {
  const Link& link = client_.link();
  HbaLogin login;
  login.is_local = client_.from_unix();
  login.has_tls = link.tls() != nullptr;
  if (!login.is_local) login.address = IpNumber::of_peer(link.stream().peer().host);
  login.database = startup_.database;
  login.user = startup_.user;
  login.replication = replication_;
  return login;
}

// --- the secret

// Null: an unknown user. Of kind none: a known one without a usable secret.
const Secret* ClientLogin::known_secret() const {
  static const Secret unusable;
  const Config& config = client_.worker().config();
  if (const Secret* secret = config.user_list.find(startup_.user)) return secret;
  return config.users.contains(startup_.user) ? &unusable : nullptr;
}

bool ClientLogin::by_directory() const {
  return method_ == AuthMethod::pam || method_ == AuthMethod::ldap;
}

bool ClientLogin::needs_auth_query(const Secret* secret) const {
  if (by_directory()) return false;
  if (secret && secret->kind() != SecretKind::none) return false;
  const Settings& settings = client_.worker().config().settings;
  const bool by_entry = entry_ && entry_->auth_user;
  if (!by_entry && (!settings.auth_user || settings.auth_user->empty())) return false;
  // A database that nobody has heard of, or the console, has no pool of its own to ask in.
  return entry_ || settings.auth_dbname || (to_console_ && !secret);
}

void ClientLogin::look_up_secret() {
  const auto pool = auth_pool();
  if (!pool) return refuse(Error(pool.error()));
  const Settings& settings = client_.worker().config().settings;
  const std::string& query =
      entry_ && entry_->auth_query ? *entry_->auth_query : settings.auth_query;
  working_ = true;
  auth_query_ = std::make_unique<AuthQuery>(
      **pool, query, startup_.user, [this](Result<AuthQuery::Found> found) {
        go_on_later([this, &found] { secret_found(std::move(found)); });
      });
  if (const auto error = auth_query_->start()) refuse(Error(*error));
}

// The database in which auth_query runs: the entry's, the global one, the client's own.
Result<WorkerPool*> ClientLogin::auth_pool() const {
  Worker& worker = client_.worker();
  const Config& config = worker.config();
  std::string name = startup_.database;
  if (config.settings.auth_dbname) name = *config.settings.auth_dbname;
  if (entry_ && entry_->auth_dbname) name = *entry_->auth_dbname;
  if (name == console_database) {
    log(LogLevel::error, client_.log_subject(),
        "cannot use the reserved \"pgbouncer\" database as an auth_dbname");
    return Error(ErrorCode::bouncer_config);
  }
  const auto database = config.find_database(name);
  if (!database) {
    log(LogLevel::error, client_.log_subject(), "authentication database \"{}\" is not configured.",
        field("auth_dbname", name));
    return Error(ErrorCode::bouncer_config);
  }
  Registry& registry = worker.pooler().registry();
  if (registry.database(name)->disabled.load()) {
    return Error(ErrorCode::auth_database_disabled,
                 fmt::format("authentication database \"{}\" is disabled", name));
  }
  const std::string& user =
      entry_ && entry_->auth_user ? *entry_->auth_user : *config.settings.auth_user;
  if (name != startup_.database) registry.remember(*registry.database(name));
  keep_names_few(worker.pooler());
  return &worker.pool(*registry.pool(name, user));
}

void ClientLogin::secret_found(Result<AuthQuery::Found> found) {
  if (!found) {
    if (found.error().code == ErrorCode::no_such_user) log_failed_login();
    return refuse(Error(found.error()));
  }
  login_user_ = std::move(found->user);
  found_secret_ = std::move(found->secret);
  prove_with(&*found_secret_);
}

// --- the proof

// A user has to be known, also to methods that do not ask for its secret.
void ClientLogin::prove_with(const Secret* secret) {
  switch (method_) {
    case AuthMethod::trust:
      return secret ? authenticated() : refuse(Error(ErrorCode::trust_failed));
    case AuthMethod::cert:
      return secret ? prove_by_certificate() : refuse(Error(ErrorCode::cert_failed));
    case AuthMethod::peer:
      return secret ? prove_by_peer() : refuse(Error(ErrorCode::peer_failed));
    default:
      return prove_by_messages(secret);
  }
}

bool ClientLogin::may_log_in_as_user(const std::vector<std::string>& system_names) const {
  const IdentMaps& maps = client_.worker().config().ident;
  return std::any_of(system_names.begin(), system_names.end(), [&](const std::string& name) {
    return ident_map_.empty() ? name == startup_.user
                              : maps.allows(ident_map_, name, startup_.user);
  });
}

void ClientLogin::prove_by_certificate() {
  const TlsFacts* tls = client_.link().tls();
  if (tls && may_log_in_as_user(tls->peer_names)) return authenticated();
  if (!ident_map_.empty()) {
    log(LogLevel::log, client_.log_subject(), "ident map: {} does not have a match",
        field("ident_map", ident_map_));
  }
  refuse(Error(ErrorCode::cert_failed));
}

// The name of a user of the operating system may come over a network.
void ClientLogin::prove_by_peer() {
  const auto process = client_.link().stream().peer_process();
  const auto& look_up = client_.worker().pooler().os_user_name();
  if (!client_.from_unix() || !process || !look_up) return refuse(Error(ErrorCode::peer_failed));
  auto name = std::make_shared<std::optional<std::string>>();
  work_aside([name, look_up, uid = process->uid] { *name = look_up(uid); },
             [this, name] {
               if (*name && may_log_in_as_user({**name})) return authenticated();
               if (!ident_map_.empty()) {
                 log(LogLevel::log, client_.log_subject(), "ident map {} cannot be matched",
                     field("ident_map", ident_map_));
               }
               refuse(Error(ErrorCode::peer_failed));
             });
}

void ClientLogin::prove_by_messages(const Secret* secret) {
  Worker& worker = client_.worker();
  ClientAuth::Who who;
  who.method = method_;
  who.user = login_user_;
  if (secret) who.secret = *secret;
  who.scram_iterations = worker.config().settings.scram_iterations;
  who.random.resize(32);
  worker.outside().random(std::span(who.random.data(), who.random.size()));
  who.mock_key = worker.pooler().mock_key();
  if (const TlsFacts* tls = client_.link().tls()) who.server_end_point = tls->server_end_point;
  auth_ = std::make_unique<ClientAuth>(std::move(who), worker.pooler().key_cache());
  take_step(auth_->start());
}

size_t ClientLogin::message_bytes(View in) {
  Input input{*this};
  const size_t taken = framer_.feed(in, input);
  if (framer_.broken()) refuse(Error(ErrorCode::bad_packet));
  return progress_ == Progress::goes_on ? in.size() : taken;
}

void ClientLogin::message(char, View body) { take_step(auth_->answer(body)); }

void ClientLogin::take_step(AuthStep step) {
  if (!step.out.empty()) client_.link().send(step.out);
  switch (step.next) {
    case AuthStep::Next::read:
      return;
    case AuthStep::Next::failed:
      return refuse(std::move(*step.error));
    case AuthStep::Next::done:
      return authenticated();
    case AuthStep::Next::ask:
      return ask_directory(std::move(step.password));
    case AuthStep::Next::work:
      return work_aside(std::move(step.work), [this] { take_step(auth_->worked()); });
  }
}

// --- what takes its time

// The client must not talk on before it has our answer.
void ClientLogin::work_aside(std::function<void()> work, std::function<void()> done) {
  working_ = true;
  client_.link().pause(Link::Pause::not_now);
  Worker& worker = client_.worker();
  worker.outside().aside(std::move(work),
                         [this, alive = std::weak_ptr(alive_), &worker, done = std::move(done)] {
                           if (alive.expired()) return;
                           worker.begin_event();
                           client_.link().resume(Link::Pause::not_now);
                           go_on_later(done);
                           worker.outbox().flush();
                         });
}

void ClientLogin::ask_directory(Bytes password) {
  Worker& worker = client_.worker();
  const Settings& settings = worker.config().settings;
  DirectoryQuestion question;
  question.method = method_;
  question.user = startup_.user;
  question.password = std::move(password);
  if (!client_.from_unix()) question.remote_host = client_.link().stream().peer().host;
  if (ldap_) question.ldap = *ldap_;
  const bool bounded = settings.client_login_timeout.count() > 0;
  question.patience = bounded ? settings.client_login_timeout : Duration(seconds(60));

  Directories* directories = worker.pooler().directories();
  const std::weak_ptr<bool> alive = alive_;
  const auto answer = [this, alive, &worker](bool right) {
    worker.post([this, alive, right](Worker&) {
      if (alive.expired()) return;
      go_on_later([this, right] { take_step(auth_->directory_said(right)); });
    });
  };
  working_ = true;
  if (!directories || !directories->ask(std::move(question), alive, answer)) {
    refuse(Error(ErrorCode::resources_exhausted));
  }
}

// What was waited for is there, outside of any call of the client.
void ClientLogin::go_on_later(const std::function<void()>& step) {
  if (client_.state() != ClientState::login) return;
  working_ = false;
  step();
  client_.login_progressed();  // may be the end of this object
}

// For who watches the log for break-ins: a name that there is none of.
void ClientLogin::log_failed_login() const {
  if (!client_.worker().config().settings.log_connections) return;
  log(LogLevel::log, client_.log_subject(), "login failed: db={} user={}", startup_.database,
      startup_.user);
}

// --- proved

void ClientLogin::authenticated() {
  Pooler& pooler = client_.worker().pooler();
  if (to_console_) {
    progress_ = Progress::admin;
    return;
  }
  // A reload may have taken it away meanwhile.
  if (!entry_ || !client_.worker().config().has_database(entry_->name)) {
    log_failed_login();
    return refuse(error_naming(ErrorCode::no_such_database, startup_.database));
  }
  Registry& registry = pooler.registry();
  if (counted_database_->disabled.load()) {
    return refuse(Error(ErrorCode::database_disabled,
                        fmt::format("database \"{}\" is disabled", entry_->name)));
  }
  if (pooler.turns_away(client_.from_unix())) return refuse(Error(ErrorCode::shutting_down));
  if (method_ == AuthMethod::any && !entry_->user) return refuse(Error(ErrorCode::bouncer_config));
  if (!count_user()) return refuse(too_many_of_user());
  registry.remember(*counted_database_);
  keep_names_few(pooler);
  pool_ = registry.pool(entry_->name, entry_->user.value_or(login_user_));
  teach_pool();
  progress_ = Progress::awaits_welcome;
}

// A user that no file names is counted from here on, when it has shown that it exists.
bool ClientLogin::count_user() {
  if (counted_user_ || method_ == AuthMethod::any) return true;
  user_state_ = client_.worker().pooler().registry().user(login_user_);
  if (!user_state_->clients.try_take()) return false;
  counted_user_ = user_state_;
  return true;
}

// What the client has proved opens the server for the same user, too.
void ClientLogin::teach_pool() {
  if (entry_->user) return;
  if (auth_ && auth_->keys()) pool_->set_keys(*auth_->keys());
  if (auth_ && auth_->typed()) found_secret_ = *auth_->typed();
  if (found_secret_) pool_->set_secret(*found_secret_);
}

}  // namespace headgate
