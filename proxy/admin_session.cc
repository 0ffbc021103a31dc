#include "proxy/admin_session.h"

#include "protocol/error_fields.h"
#include "protocol/messages.h"
#include "proxy/client.h"
#include "proxy/log.h"
#include "proxy/pooler.h"
#include "proxy/worker.h"

namespace headgate {

struct AdminSession::Input {
  AdminSession& session;
  Treat on_header(char tag, uint32_t body_size) {
    switch (tag) {
      case frontend::terminate:
        session.goodbye_ = true;
        return Treat::stop;
      case frontend::query:
        return body_size <= max_query ? Treat::gather : Treat::bad;
      case frontend::parse:
      case frontend::bind:
      case frontend::execute:
      case frontend::describe:
      case frontend::close:
      case frontend::sync:
        session.extended_ = true;
        return Treat::stop;
      default:
        return Treat::bad;
    }
  }
  void on_pass(View, bool) {}
  bool on_message(char, View body, bool) {
    session.query(body);
    return !session.busy_ && session.client_.state() == ClientState::admin;
  }
};

AdminSession::AdminSession(Client& client, ConsoleRights rights)
    : client_(client), rights_(rights) {}

void AdminSession::bytes(View in) {
  if (busy_) {
    pending_.append(in);
    if (pending_.size() > max_query) client_.link().pause(Link::Pause::not_now);
    return;
  }
  Input input{*this};
  const size_t taken = framer_.feed(in, input);
  if (client_.state() != ClientState::admin) return;
  if (goodbye_) return client_.close("client close request");
  if (extended_) {
    Bytes out;
    encode_error(out, Error(ErrorCode::admin_command,
                            "extended query protocol not supported by admin console"));
    client_.link().send(out);
  }
  if (extended_ || framer_.broken()) return client_.fail(Error(ErrorCode::bad_packet));
  pending_.append(in.substr(taken));
}

void AdminSession::query(View body) {
  const auto message = decode<frontend::Query>(body);
  if (!message) return client_.fail(Error(ErrorCode::bad_packet));
  const auto command = parse_console(message->text, rights_);
  if (!command) return answer_error(command.error());
  carry_out(*command);
}

void AdminSession::carry_out(const ConsoleCommand& command) {
  const std::string& name = command.argument;
  switch (command.verb) {
    case ConsoleVerb::set:
      return on_pooler(command, [name, value = command.value](Pooler& pooler) {
        auto result = pooler.set(name, value);
        return result ? std::nullopt : std::optional(result.error());
      });
    case ConsoleVerb::reload:
      return on_pooler(command, [](Pooler& pooler) {
        log(LogLevel::log, "RELOAD command issued");
        return pooler.reload() ? std::nullopt : std::optional(Error(ErrorCode::admin_reload));
      });
    case ConsoleVerb::pause:
      return pause(command);
    case ConsoleVerb::resume:
      return on_pooler(command, [name](Pooler& pooler) { return pooler.resume(name); });
    case ConsoleVerb::reconnect:
      return on_pooler(command, [name](Pooler& pooler) { return pooler.reconnect(name); });
    case ConsoleVerb::kill:
      return on_pooler(command, [name](Pooler& pooler) { return pooler.kill(name); });
    case ConsoleVerb::disable:
      return on_pooler(command, [name](Pooler& pooler) { return pooler.disable(name, true); });
    case ConsoleVerb::enable:
      return on_pooler(command, [name](Pooler& pooler) { return pooler.disable(name, false); });
    case ConsoleVerb::shutdown:
      if (command.mode == ShutdownMode::immediate) return shut_down_now();
      return on_pooler(command, [mode = command.mode](Pooler& pooler) {
        log(LogLevel::log, "SHUTDOWN command issued");
        pooler.shut_down(mode);
        return std::optional<Error>();
      });
    default:
      return show(command);
  }
}

// What will be called with the answer, on any thread: it travels to the client's worker, and is
// dropped there if the console has left meanwhile.
std::function<void(Bytes)> AdminSession::later() {
  busy_ = true;
  Worker& worker = client_.worker();
  return [this, alive = std::weak_ptr(alive_), &worker](Bytes out) {
    worker.post([this, alive, out = std::move(out)](Worker&) {
      if (alive.expired() || client_.state() != ClientState::admin) return;
      answer(out);
    });
  };
}

void AdminSession::show(const ConsoleCommand& command) {
  client_.worker().pooler().post([command, reply = later()](Pooler& pooler) {
    const auto answer = [command, reply, &pooler](const Snapshot& snapshot) {
      Bytes out;
      answer_show(out, command, snapshot, pooler.config());
      reply(std::move(out));
    };
    if (needs_snapshot(command.verb)) {
      pooler.snapshot(answer);
    } else {
      answer(Snapshot{});
    }
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

void AdminSession::pause(const ConsoleCommand& command) {
  client_.worker().pooler().post([command, reply = later()](Pooler& pooler) {
    log(LogLevel::log, "PAUSE '{}' command issued", command.argument);
    pooler.pause(command.argument, [command, reply](const std::optional<Error>& error) {
      reply(outcome(command, error));
    });
  });
}

void AdminSession::on_pooler(const ConsoleCommand& command,
                             std::function<std::optional<Error>(Pooler&)> action) {
  client_.worker().pooler().post([command, action = std::move(action), reply = later()](
                                     Pooler& pooler) { reply(outcome(command, action(pooler))); });
}

Bytes AdminSession::outcome(const ConsoleCommand& command, const std::optional<Error>& error) {
  Bytes out;
  if (error) {
    log(LogLevel::error, "{}", error->message);
    encode_error(out, *error);
  } else {
    answer_done(out, command);
  }
  return out;
}

void AdminSession::answer_error(const Error& error) {
  log(LogLevel::error, "{}", error.message);
  if (client_.worker().config().settings.log_pooler_errors) {
    log(LogLevel::warning, "{}pooler error: {}", client_.log_name(), error.message);
  }
  Bytes out;
  encode_error(out, error);
  answer(out);
}

void AdminSession::answer(View out) {
  Bytes ready;
  encode(ready, backend::ReadyForQuery{'I'});
  client_.link().send(out);
  client_.link().send(ready);
  if (!std::exchange(busy_, false)) return;
  client_.link().resume(Link::Pause::not_now);
  Buffer said;
  std::swap(said, pending_);
  if (!said.empty()) bytes(said.view());
}

}  // namespace headgate
