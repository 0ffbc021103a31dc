#include "proxy/admin_session.h"

#include "admin/commands.h"
#include "protocol/error_fields.h"
#include "protocol/messages.h"
#include "protocol/statement_shape.h"
#include "proxy/client.h"
#include "proxy/client_login.h"
#include "proxy/descriptors.h"
#include "proxy/log.h"
#include "proxy/pooler.h"
#include "proxy/worker.h"

namespace headgate {

namespace {

Result<Bytes> outcome(const ConsoleCommand& command, const std::optional<Error>& error) {
  if (error) return Error(*error);
  Bytes out;
  answer_done(out, command);
  return out;
}

Result<Bytes> set(Pooler& pooler, const ConsoleCommand& command) {
  const auto notice = pooler.set(command.argument, command.value);
  if (!notice) return Error(notice.error());
  Bytes out;
  if (!notice->empty()) encode_notice(out, *notice);
  answer_done(out, command);
  return out;
}

}  // namespace

struct AdminSession::Input {
  AdminSession& session;
  Treat on_header(char tag, uint32_t body_size) {
    if (tag == frontend::terminate) {
      session.goodbye_ = true;
      return Treat::stop;
    }
    if (!ConsoleProtocol::understands(tag)) return Treat::bad;
    return body_size <= ConsoleProtocol::max_message ? Treat::gather : Treat::bad;
  }
  void on_pass(View, bool) {}
  bool on_message(char tag, View body, bool) {
    session.message(tag, body);
    return session.listens() && !session.broken_ && session.client_.state() == ClientState::admin;
  }
};

AdminSession::AdminSession(Client& client, ConsoleRights rights)
    : client_(client), protocol_(rights) {
  ++client_.worker().console_stats().client_login_count;
  client_.worker().pooler().count_console(+1);
  if (is_owner()) log(LogLevel::log, client_.log_subject(), "pgbouncer access from unix socket");
}

AdminSession::~AdminSession() { client_.worker().pooler().count_console(-1); }

// User pgbouncer on a unix socket, run by our own user: may get descriptors.
bool AdminSession::is_owner() const {
  const auto process = client_.link().stream().peer_process();
  const View user = client_.login() ? View(client_.login()->user()) : client_.user();
  return user == console_database && process && process->uid == client_.worker().pooler().own_uid();
}

// One command at a time, and none for a client that does not read its answers.
bool AdminSession::listens() const { return !busy_ && !client_.link().slow(); }

void AdminSession::bytes(View in) {
  if (!listens() || !pending_.empty()) {
    pending_.append(in);
    if (pending_.size() > ConsoleProtocol::max_message) {
      client_.link().pause(Link::Pause::not_now);
    }
    return;
  }
  Input input{*this};
  const size_t taken = framer_.feed(in, input);
  if (client_.state() != ClientState::admin) return;
  if (goodbye_) return client_.close("client close request");
  if (broken_ || framer_.broken()) return client_.fail(Error(ErrorCode::bad_packet));
  pending_.append(in.substr(taken));
}

void AdminSession::message(char tag, View body) { take_step(protocol_.message(tag, body)); }

namespace {

// A command that is none is quoted in its error, and may be meant for PostgreSQL: ALTER ROLE ...
// PASSWORD, say. Nobody knows how it is encoded, so it ends at a backslash.
std::string for_log(const std::string& message) {
  constexpr View begin = "invalid command '", end = "', use SHOW HELP;";
  if (!message.starts_with(begin) || !message.ends_with(end)) return message;
  const View quoted =
      View(message).substr(begin.size(), message.size() - begin.size() - end.size());
  Bytes text(begin);
  append_without_constants(text, quoted.substr(0, quoted.find('\\')), true);
  return std::string(View(text.append(end)));
}

}  // namespace

void AdminSession::take_step(ConsoleStep step) {
  if (step.error) {
    const std::string message = for_log(step.error->message);
    log(LogLevel::error, "{}", message);
    if (client_.worker().config().settings.log_pooler_errors) {
      log(LogLevel::warning, client_.log_subject(), "pooler error: {}", field("reason", message));
    }
  }
  client_.link().send(step.out);
  switch (step.next) {
    case ConsoleStep::Next::read:
      return;
    case ConsoleStep::Next::run:
      return carry_out(protocol_.command());
    case ConsoleStep::Next::broken:
      broken_ = true;
      return;
  }
}

void AdminSession::carry_out(const ConsoleCommand& command) {
  const std::string& name = command.argument;
  switch (command.verb) {
    case ConsoleVerb::set:
      return on_pooler([command](Pooler& pooler) { return set(pooler, command); });
    case ConsoleVerb::reload:
      return run([](Pooler& pooler) {
        log(LogLevel::log, "RELOAD command issued");
        return pooler.reload() ? std::nullopt : std::optional(Error(ErrorCode::admin_reload));
      });
    case ConsoleVerb::resume:
      return run([name](Pooler& pooler) { return pooler.resume(name); });
    case ConsoleVerb::reconnect:
      return run([name](Pooler& pooler) { return pooler.reconnect(name); });
    case ConsoleVerb::kill:
      return run([name](Pooler& pooler) { return pooler.kill(name); });
    case ConsoleVerb::disable:
      return run([name](Pooler& pooler) { return pooler.disable(name, true); });
    case ConsoleVerb::enable:
      return run([name](Pooler& pooler) { return pooler.disable(name, false); });
    case ConsoleVerb::shutdown:
      if (command.mode == ShutdownMode::immediate) return shut_down_now();
      return run([mode = command.mode](Pooler& pooler) {
        log(LogLevel::log, "SHUTDOWN command issued");
        pooler.shut_down(mode);
        return std::optional<Error>();
      });
    case ConsoleVerb::pause:
    case ConsoleVerb::suspend:
    case ConsoleVerb::wait_close:
    case ConsoleVerb::kill_client:
      return wait(command);
    case ConsoleVerb::show_fds:
      return show_descriptors(command);
    default:
      return show(command);
  }
}

// The commands that are over at once.
void AdminSession::run(std::function<std::optional<Error>(Pooler&)> action) {
  on_pooler([command = protocol_.command(), action = std::move(action)](Pooler& pooler) {
    return outcome(command, action(pooler));
  });
}

// Those that may take their time.
void AdminSession::wait(const ConsoleCommand& command) {
  wait_on_pooler([command, id = client_.id()](Pooler& pooler, const Reply& reply) {
    const auto done = [command, reply](const std::optional<Error>& error) {
      reply(outcome(command, error));
    };
    const std::string& name = command.argument;
    switch (command.verb) {
      case ConsoleVerb::pause:
        return pooler.pause(name, done, id);
      case ConsoleVerb::suspend:
        return pooler.suspend(done, id);
      case ConsoleVerb::wait_close:
        return pooler.wait_close(name, done, id);
      default:
        return pooler.kill_client(name, done);
    }
  });
}

// The answer travels to the client's worker, and is dropped there if the console has left
// meanwhile.
AdminSession::Reply AdminSession::later() {
  busy_ = true;
  busy_since_ = client_.worker().now();
  Worker& worker = client_.worker();
  return [this, alive = std::weak_ptr(alive_), &worker](Result<Bytes> out) {
    worker.post([this, alive, out = std::move(out)](Worker&) {
      if (alive.expired() || client_.state() != ClientState::admin) return;
      answer(out);
    });
  };
}

void AdminSession::wait_on_pooler(std::function<void(Pooler&, Reply)> action) {
  client_.worker().pooler().post(
      [action = std::move(action), reply = later()](Pooler& pooler) { action(pooler, reply); });
}

void AdminSession::on_pooler(std::function<Outcome(Pooler&)> action) {
  wait_on_pooler(
      [action = std::move(action)](Pooler& pooler, const Reply& reply) { reply(action(pooler)); });
}

void AdminSession::show(const ConsoleCommand& command) {
  wait_on_pooler([command](Pooler& pooler, const Reply& reply) {
    const auto answer = [command, reply, &pooler](const Snapshot& snapshot) {
      Bytes out;
      answer_show(out, command, snapshot, pooler.config());
      reply(std::move(out));
    };
    if (const auto wanted = wanted_snapshot(command.verb)) {
      pooler.snapshot(answer, *wanted);
    } else {
      answer(Snapshot{});
    }
  });
}

// The descriptors themselves come to the console's worker with the rows, for the owner alone.
void AdminSession::show_descriptors(const ConsoleCommand& command) {
  const bool attach = is_owner();
  Worker& worker = client_.worker();
  wait_on_pooler([this, command, attach, alive = std::weak_ptr(alive_), &worker](
                     Pooler& pooler, const Reply& reply) {
    pooler.descriptors(attach, [this, command, alive, reply, &worker,
                                &pooler](const std::shared_ptr<DescriptorsFound>& found) {
      if (found->exhausted) {
        return reply(Error(ErrorCode::admin_command, "no descriptors are left to duplicate"));
      }
      Bytes out;
      answer_show(out, command, found->rows, pooler.config());
      worker.post([this, alive, found](Worker&) {
        if (!alive.expired()) attached_ = std::move(found->parcels);
      });
      reply(std::move(out));
    });
  });
}

// The end of the process is the answer.
void AdminSession::shut_down_now() {
  busy_ = true;
  client_.worker().pooler().post([](Pooler& pooler) {
    log(LogLevel::log, "SHUTDOWN command issued");
    pooler.shut_down(ShutdownMode::immediate);
  });
}

void AdminSession::cancel_requested() {
  if (!busy_) return;
  client_.worker().pooler().post(
      [id = client_.id()](Pooler& pooler) { pooler.cancel_console(id); });
}

void AdminSession::answer(Result<Bytes> out) {
  Worker& worker = client_.worker();
  PoolStats& stats = worker.console_stats();
  const auto time = static_cast<uint64_t>((worker.now() - busy_since_).count());
  ++stats.query_count;
  ++stats.xact_count;
  stats.query_time += time;
  stats.xact_time += time;
  busy_ = false;
  ConsoleStep step = protocol_.answered(std::move(out));
  if (!attached_.empty()) {
    worker.outbox().flush(client_.link());
    const size_t sent = send_with_descriptors(client_.link(), step.out, attached_);
    step.out.erase(0, sent);
    attached_.clear();
  }
  take_step(std::move(step));
  go_on();
}

void AdminSession::go_on() {
  if (!listens()) return;
  client_.link().resume(Link::Pause::not_now);
  Buffer said;
  std::swap(said, pending_);
  if (!said.empty()) bytes(said.view());
}

}  // namespace headgate
