// headgate CONFIG: reads the command line and the configuration, prepares the process, and runs one
// worker for each CPU until it is told to stop.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>
#include <vector>

#include "auth/crypto.h"
#include "base/version.h"
#include "conf/advice.h"
#include "conf/cli.h"
#include "conf/convert.h"
#include "conf/load.h"
#include "conf/reference.h"
#include "conf/report.h"
#include "proxy/connect_check.h"
#include "proxy/directory/threads.h"
#include "proxy/http/door.h"
#include "proxy/http/health_check.h"
#include "proxy/log.h"
#include "proxy/pooler.h"
#include "proxy/process.h"
#include "proxy/process_service.h"
#include "proxy/uv/inheritance.h"
#include "proxy/uv/outside.h"
#include "proxy/uv/parcel.h"

namespace headgate {
namespace {

int die(const Error& error) {
  log(LogLevel::fatal, "{}", error.message);
  if (!error.detail.empty()) log(LogLevel::fatal, "{}", error.detail);
  if (!error.hint.empty()) log(LogLevel::fatal, "hint: {}", error.hint);
  return 1;
}

LogSetup log_setup(const CommandLine& command, const Settings& settings) {
  LogSetup setup;
  setup.to_stderr = !command.quiet && !command.daemon;
  setup.file = settings.logfile;
  setup.verbose = settings.verbose;
  setup.journal = stderr_is_journal();
  setup.syslog = settings.syslog;
  setup.syslog_ident = settings.syslog_ident;
  setup.syslog_facility = settings.syslog_facility;
  setup.format = settings.log_format;
  setup.repeat_limit = settings.log_repeat_limit;
  return setup;
}

class Program {
 public:
  Program(CommandLine command, Start start, ConfigPtr config, Tls tls)
      : command_(std::move(command)),
        start_(std::move(start)),
        config_(std::move(config)),
        tls_(std::move(tls)) {}
  ~Program() { take_down(); }

  Result<Done> prepare();
  /// The status to exit with.
  Result<int> run();

 private:
  Result<Done> find_sockets();
  Result<Done> take_sockets();
  void tell_inheritance(ProcessFacts& facts);
  Result<Done> open_http();
  std::vector<ParcelPtr> http_sockets() const;
  void take_over();
  void take_down();
  void on_signals(UvOutside& outside);
  void stop(int status);

  const CommandLine command_;
  const Start start_;
  const ConfigPtr config_;
  const Tls tls_;
  std::vector<Address> addresses_;
  std::vector<int> passed_;
  std::optional<Descriptor> old_process_;   // a connection to it
  std::optional<Inheritance> inheritance_;  // what it has given
  bool handed_over_ = false;                // pidfile and sockets are another process's now
  int status_ = 0;
  std::unique_ptr<Pooler> pooler_;
  std::vector<std::unique_ptr<UvOutside>> outsides_;
  std::unique_ptr<DirectoryThreads> directories_;  // goes first: it answers the others
  std::unique_ptr<HttpDoor> http_;                 // goes before what it asks
};

Result<Done> Program::prepare() {
  const Settings& settings = config_->settings;
  if (command_.daemon && settings.pidfile.empty()) {
    return Error(ErrorCode::config, "daemon needs pidfile configured");
  }
  if (command_.reboot) {
    auto found = find_old_process(settings);
    if (!found) return Error(found.error());
    old_process_ = std::move(*found);
    if (!old_process_) log(LogLevel::log, "old process not found, try to continue normally");
  }
  raise_descriptor_limit(*config_);
  if (own_uid() == 0) {
    log(LogLevel::warning, "running as root: set `user`, unless this is a container");
  }
  if (!old_process_) {
    if (auto result = Pidfile::check(settings.pidfile); !result) return result;
  }
  if (auto result = find_sockets(); !result) return result;
  if (command_.daemon) {
    if (auto result = become_daemon(); !result) return result;
    set_up_log(log_setup(command_, settings));  // stderr has gone
  }
  return old_process_ ? take_sockets() : Done{};
}

// The old process serves on, whatever fails from here until it is told that we have taken over.
Result<Done> Program::take_sockets() {
  auto given = inherit(*std::exchange(old_process_, std::nullopt));
  if (!given) return Error(given.error());
  inheritance_ = std::move(*given);
  if (!passed_.empty()) return Done{};
  for (Inheritance::Socket& socket : inheritance_->sockets) {
    if (socket.facts.passed) passed_.push_back(socket.descriptor.release());
  }
  if (!passed_.empty()) addresses_.clear();
  return Done{};
}

void Program::tell_inheritance(ProcessFacts& facts) {
  for (Inheritance::Socket& socket : inheritance_->sockets) {
    if (!socket.descriptor.valid() || socket.facts.use == handover::SocketUse::http) continue;
    facts.inherited.push_back({socket.facts, socket.descriptor.release(), socket.address});
  }
}

Result<Done> Program::open_http() {
  std::vector<Descriptor> inherited;
  if (inheritance_) {
    for (Inheritance::Socket& socket : inheritance_->sockets) {
      if (socket.facts.use == handover::SocketUse::http) {
        inherited.push_back(std::move(socket.descriptor));
      }
    }
  }
  auto http = HttpDoor::open(*pooler_, config_->settings, std::move(inherited));
  if (!http) return Error(http.error());
  http_ = std::move(*http);
  return Done{};
}

std::vector<ParcelPtr> Program::http_sockets() const {
  std::vector<ParcelPtr> holds;
  if (!http_) return holds;
  for (Descriptor& hold : http_->duplicates()) {
    if (hold.valid()) holds.push_back(std::make_unique<UvParcel>(std::move(hold), Address()));
  }
  return holds;
}

// From here on clients are accepted here, and come over from the old process.
void Program::take_over() {
  const Address at{Address::Kind::unix_path, 0, {}};
  pooler_->take_over(std::make_unique<UvParcel>(std::move(inheritance_->channel), at));
  notify_service_manager(fmt::format("MAINPID={}\nREADY=1", getpid()));
}

// What the service manager passes replaces what the settings say.
Result<Done> Program::find_sockets() {
  const Settings& settings = config_->settings;
  auto passed = passed_sockets();
  if (!passed) return Error(passed.error());
  passed_ = std::move(*passed);
  if (passed_.empty()) {
    auto addresses = listen_addresses(settings);
    if (!addresses) return Error(addresses.error());
    addresses_ = std::move(*addresses);
    return Done{};
  }
  const auto ignored = [](const char* name, const std::string& value) {
    if (value.empty()) return;
    log(LogLevel::warning, "sockets passed from service manager, {} ignored", name);
  };
  ignored("listen_addr", settings.listen_addr);
  ignored("unix_socket_dir", settings.unix_socket_dir);
  return Done{};
}

Result<int> Program::run() {
  const Settings& settings = config_->settings;
  const size_t wanted =
      settings.workers > 0 ? static_cast<size_t>(settings.workers) : usable_cpus();
  const size_t workers = std::min(wanted, max_workers);
  ProcessFacts facts;
  facts.read_file = read_file;
  facts.listen_on = addresses_;
  facts.passed = passed_;
  facts.uid = own_uid();
  facts.mock_key = random_bytes(32);
  facts.statement_salt = random_bytes(16);
  facts.channel_salt = random_bytes(8);
  facts.set_up_log = [this](const Settings& now) { set_up_log(log_setup(command_, now)); };
  facts.start = start_;
  facts.describe_error = describe_errno;
  facts.os_user_name = os_user_name;
  facts.handover_at = handover_address(settings);
  facts.http_sockets = [this] { return http_sockets(); };
  facts.handed_over = [this] {
    http_.reset();
    handed_over_ = true;
  };
  if (inheritance_) tell_inheritance(facts);
  directories_ = std::make_unique<DirectoryThreads>(directory_accepts);
  facts.directories = directories_.get();
  facts.stop = [this](int status) { stop(status); };
  facts.notify = notify_service_manager;
  facts.tls = tls_;
  pooler_ = std::make_unique<Pooler>(config_, workers, std::move(facts));
  for (WorkerId id = 0; id < workers; ++id) {
    outsides_.push_back(std::make_unique<UvOutside>(pooler_->worker(id)));
    pooler_->worker(id).set_outside(*outsides_.back());
  }
  on_signals(*outsides_[0]);  // first of all: from listen() on, others take us to be there
  if (auto result = open_http(); !result) return Error(result.error());
  if (auto result = pooler_->listen(); !result) return Error(result.error());
  const auto write_pidfile = inheritance_ ? Pidfile::replace : Pidfile::write;
  if (auto result = write_pidfile(settings.pidfile); !result) return Error(result.error());
  log(LogLevel::log, "process up: PgBouncer 1.26.0 (Headgate {}), libuv {}, workers: {}, tls: {}",
      version, uv_version_string(), workers, crypto_library());
  inheritance_ ? take_over() : notify_service_manager("READY=1");
  pooler_->start();
  std::vector<std::thread> threads;
  for (size_t id = 1; id < workers; ++id) {
    threads.emplace_back([&outside = *outsides_[id]] { outside.run(); });
  }
  outsides_[0]->run();
  for (std::thread& thread : threads) thread.join();
  const bool alone = directories_->close();
  take_down();
  if (!handed_over_) Pidfile::remove(settings.pidfile);
  if (!alone) std::_Exit(status_);
  return status_;
}

// Everything that a loop knows goes before the loop: it would wait for the rest for ever.
void Program::take_down() {
  http_.reset();
  if (outsides_.empty()) return;
  directories_.reset();
  const auto workers = static_cast<WorkerId>(outsides_.size());
  for (WorkerId id = 0; id < workers; ++id) pooler_->worker(id).close_everything();
  pooler_->close_listeners();
  pooler_->peers().close_everything();
  pooler_->monitors().stop();
  outsides_.clear();
}

void Program::on_signals(UvOutside& outside) {
  std::signal(SIGPIPE, SIG_IGN);
  outside.on_signal(SIGHUP, [this] { pooler_->on_sighup(); });
  outside.on_signal(SIGTERM, [this] { pooler_->on_sigterm(); });
  outside.on_signal(SIGINT, [this] { pooler_->on_sigint(); });
  outside.on_signal(SIGQUIT, [this] { pooler_->on_sigquit(); });
  outside.on_signal(SIGUSR1, [this] { pooler_->on_sigusr1(); });
  outside.on_signal(SIGUSR2, [this] { pooler_->on_sigusr2(); });
}

void Program::stop(int status) {
  status_ = status;
  for (const auto& outside : outsides_) outside->stop();
}

/// --connect: lines about the hosts of all databases; false: one of them cannot be used.
bool try_hosts(ConfigPtr config, Tls tls) {
  std::signal(SIGPIPE, SIG_IGN);
  ProcessFacts facts;
  facts.mock_key = random_bytes(32);
  facts.statement_salt = random_bytes(16);
  facts.channel_salt = random_bytes(8);
  facts.describe_error = describe_errno;
  facts.tls = std::move(tls);
  Pooler pooler(config, 1, std::move(facts));
  Worker& worker = pooler.worker(0);
  UvOutside outside(worker);
  worker.set_outside(outside);
  std::optional<ConnectCheck> check(std::in_place, worker, [&outside] { outside.stop(); });
  worker.post([&check](Worker&) { check->start(); });
  outside.run();
  fmt::print("{}", report(*config, *check));
  const bool fine = std::ranges::all_of(check->results(),
                                        [](const auto& result) { return result.error.empty(); });
  worker.close_everything();
  check.reset();  // before the loop that its connections are in
  return fine;
}

/// --check: everything that can be found out without starting.
int check_files(const CommandLine& command, const Start& start) {
  Inspection found = inspect_config(command.config_path, read_file, start);
  Tls tls;
  if (!check_tls(found.config.settings)) {
    auto made = make_tls(found.config.settings, read_file);
    if (made) {
      tls = std::move(*made);
    } else {
      found.errors.push_back(made.error());
    }
  }
  std::vector<Advice> advice;
  if (found.errors.empty()) advice = advise({found.config, found.places, descriptor_limit()});
  fmt::print("{}", report(found, advice));
  if (!found.errors.empty()) return 1;
  if (!command.connect) return 0;
  return try_hosts(std::make_shared<const Config>(std::move(found.config)), std::move(tls)) ? 0 : 1;
}

/// --health: for whoever starts the process and has no shell.
int check_health(const CommandLine& command, const Start& start) {
  const auto question = [&]() -> Result<HealthQuestion> {
    if (command.is_url()) return health_question(command.config_path);
    const std::string path =
        command.config_path.empty() ? file_of_first_process() : command.config_path;
    // What has become wrong in the files meanwhile says nothing about the process.
    return health_question(inspect_config(path, read_file, start).config.settings);
  }();
  const Result<Done> answer = question ? ask_health(*question) : Result<Done>(question.error());
  if (answer) {
    fmt::print("{}: ok\n", question->text());
    return 0;
  }
  fmt::print(stderr, "{}\n", answer.error().message);
  return 1;
}

/// --convert: the TOML on stdout, what is wrong on stderr.
int convert(const std::string& path) {
  const Conversion made = convert_to_toml(path, read_file);
  for (const Error& error : made.errors) fmt::print(stderr, "{}", describe(error));
  if (!made.errors.empty()) return 1;
  fmt::print("{}", made.toml);
  return 0;
}

int run(const CommandLine& command, const Start& start) {
  LogSetup first;
  first.to_stderr = !command.quiet;
  first.verbose = command.verbose;
  first.journal = stderr_is_journal();
  set_up_log(first);
  auto loaded = load_config(command.config_path, read_file, nullptr, start);
  if (!loaded) return die(loaded.error());
  const auto config = std::make_shared<const Config>(std::move(*loaded));
  auto tls = make_tls(config->settings, read_file);
  if (!tls) return die(tls.error());
  // Before the log's file is made: it must be that user's, to be opened anew at a reload.
  if (const std::string user = command.user.value_or(config->settings.user); !user.empty()) {
    if (auto result = switch_user(user); !result) return die(result.error());
  }
  LogSetup setup = log_setup(command, config->settings);
  setup.to_stderr = !command.quiet;  // a daemon's too, until it leaves the terminal
  if (!set_up_log(setup)) return 1;
  for (const std::string& warning : config->warnings) log(LogLevel::warning, "{}", warning);
  Program program(command, start, config, std::move(*tls));
  if (auto result = program.prepare(); !result) return die(result.error());
  const auto status = program.run();
  if (!status) return die(status.error());
  log_repetitions(true);
  return *status;
}

}  // namespace
}  // namespace headgate

int main(int argc, char** argv) {
  using headgate::CommandLine;
  const std::vector<const char*> arguments(argv + std::min(argc, 1), argv + argc);
  headgate::Start start{.environment = headgate::own_environment()};
  const auto command =
      headgate::parse_command_line(arguments, headgate::configures(start.environment));
  if (!command) {
    fmt::print(stderr, "{}: {}\n", argv[0], command.error().message);
    if (!command.error().hint.empty()) fmt::print(stderr, "{}\n", command.error().hint);
    return 1;
  }
  start.verbose = command->verbose;
  switch (command->task) {
    case CommandLine::Task::show_help:
      fmt::print("{}", headgate::help_text());
      return 0;
    case CommandLine::Task::convert:
      return headgate::convert(command->config_path);
    case CommandLine::Task::print_settings:
      fmt::print("{}", headgate::settings_reference());
      return 0;
    case CommandLine::Task::show_version:
      fmt::print("{}libuv {}\nadns: libuv\ntls: {}\nsystemd: yes\n", headgate::version_text(),
                 uv_version_string(), headgate::crypto_library());
      return 0;
    case CommandLine::Task::health:
      return headgate::check_health(*command, start);
    case CommandLine::Task::check:
      return headgate::check_files(*command, start);
    case CommandLine::Task::run:
      return headgate::run(*command, start);
  }
}
