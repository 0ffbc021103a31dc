#include "admin/console_protocol.h"

#include "admin/binary_value.h"
#include "protocol/error_fields.h"
#include "protocol/messages.h"

namespace headgate {

namespace {

using Next = ConsoleStep::Next;

template <Message M>
ConsoleStep say(const M& message) {
  ConsoleStep step;
  encode(step.out, message);
  return step;
}

void add_ready(Bytes& out) { encode(out, backend::ReadyForQuery{'I'}); }

ConsoleStep broken() { return {.next = Next::broken, .out = {}, .error = {}}; }

Error refusal(std::string text, const char* sqlstate) {
  Error error(ErrorCode::admin_command, std::move(text));
  error.sqlstate_override = sqlstate;
  return error;
}

Error unknown(const char* what, View name) {
  const bool is_portal = View(what) == "portal";
  return refusal(std::string(what) + " \"" + std::string(name) + "\" does not exist",
                 is_portal ? "34000" : "26000");
}

Error too_many(const char* what) {
  return refusal(std::string("too many ") + what + " on the console", "53400");
}

// The message at the front, header included.
View first_message(View messages) {
  return messages.substr(0, 1 + size_t{load_u32(messages.data() + 1)});
}

std::vector<SqlType> column_types(const ConsoleCommand& command) {
  Bytes heads;
  describe_answer(heads, command);
  std::vector<SqlType> types;
  if (heads.empty()) return types;
  const auto description = decode<backend::RowDescription>(View(heads).substr(header_size));
  for (const auto& column : description->columns) {
    types.push_back(static_cast<SqlType>(column.type));
  }
  return types;
}

// None: all text; one: for all; else one for each column.
int16_t format_of(const std::vector<int16_t>& formats, size_t column) {
  if (formats.empty()) return 0;
  return formats.size() == 1 ? formats[0] : formats[column];
}

void put_heads(Bytes& out, const ConsoleCommand& command, const std::vector<int16_t>& formats) {
  Bytes heads;
  describe_answer(heads, command);
  if (heads.empty()) return encode(out, backend::NoData{});
  auto description = decode<backend::RowDescription>(View(heads).substr(header_size));
  for (size_t i = 0; i < description->columns.size(); ++i) {
    description->columns[i].format = format_of(formats, i);
  }
  encode(out, *description);
}

void put_row(Bytes& out, View row, const std::vector<SqlType>& types,
             const std::vector<int16_t>& formats) {
  if (formats.empty()) {
    out += row;
    return;
  }
  auto data = decode<backend::DataRow>(row.substr(header_size));
  std::vector<Bytes> in_binary(data->values.size());
  for (size_t i = 0; i < data->values.size(); ++i) {
    if (!data->values[i] || format_of(formats, i) == 0) continue;
    in_binary[i] = binary_value(types[i], *data->values[i]);
    data->values[i] = in_binary[i];
  }
  encode(out, *data);
}

}  // namespace

bool ConsoleProtocol::understands(char tag) { return View("QPBDECSH").find(tag) != View::npos; }

ConsoleStep ConsoleProtocol::message(char tag, View body) {
  if (tag == frontend::sync) return sync();
  if (skipping_) return {};
  switch (tag) {
    case frontend::query:
      return query(body);
    case frontend::parse:
      return parse(body);
    case frontend::bind:
      return bind(body);
    case frontend::describe:
      return describe(body);
    case frontend::execute:
      return execute(body);
    case frontend::close:
      return close(body);
    case frontend::flush:  // everything is sent at once
      return {};
    default:
      return broken();
  }
}

ConsoleStep ConsoleProtocol::query(View body) {
  const auto message = decode<frontend::Query>(body);
  if (!message) return broken();
  running_ = nullptr;
  auto command = parse_console(message->text, rights_);
  if (!command) return answered(Error(command.error()));
  command_ = std::move(*command);
  return {.next = Next::run, .out = {}, .error = {}};
}

ConsoleStep ConsoleProtocol::parse(View body) {
  const auto message = decode<frontend::Parse>(body);
  if (!message) return broken();
  const bool named = !message->statement.empty();
  if (!message->types.empty()) {
    return fail(refusal("commands of the console take no parameters", "0A000"));
  }
  if (named && statements_.contains(message->statement)) {
    return fail(refusal(
        "prepared statement \"" + std::string(message->statement) + "\" already exists", "42P05"));
  }
  if (statements_.size() >= max_statements) return fail(too_many("prepared statements"));
  auto command = parse_console(message->query, rights_);
  if (!command) return fail(Error(command.error()));
  Statement statement{std::move(*command), {}};
  statement.types = column_types(statement.command);
  statements_.insert_or_assign(std::string(message->statement), std::move(statement));
  return say(backend::ParseComplete{});
}

ConsoleStep ConsoleProtocol::bind(View body) {
  const auto message = decode<frontend::Bind>(body);
  if (!message) return broken();
  const auto statement = statements_.find(message->statement);
  if (statement == statements_.end()) {
    return fail(unknown("prepared statement", message->statement));
  }
  if (!message->values.empty()) {
    return fail(refusal("commands of the console take no parameters", "0A000"));
  }
  const std::vector<int16_t>& formats = message->result_formats;
  const size_t columns = statement->second.types.size();
  for (const int16_t format : formats) {
    if (format != 0 && format != 1) return fail(refusal("unsupported format code", "22023"));
  }
  if (formats.size() > 1 && formats.size() != columns) {
    return fail(refusal("bind message has " + std::to_string(formats.size()) +
                            " result formats but query has " + std::to_string(columns) + " columns",
                        "08P01"));
  }
  if (!message->portal.empty() && portals_.contains(message->portal)) {
    return fail(refusal("portal \"" + std::string(message->portal) + "\" already exists", "42P03"));
  }
  if (portals_.size() >= max_portals) return fail(too_many("portals"));
  portals_.insert_or_assign(std::string(message->portal), Portal{statement->second, formats});
  return say(backend::BindComplete{});
}

ConsoleStep ConsoleProtocol::describe(View body) {
  const auto message = decode<frontend::Describe>(body);
  if (!message) return broken();
  ConsoleStep step;
  if (message->target == frontend::Target::portal) {
    const auto portal = portals_.find(message->of);
    if (portal == portals_.end()) return fail(unknown("portal", message->of));
    put_heads(step.out, portal->second.statement.command, portal->second.formats);
    return step;
  }
  const auto statement = statements_.find(message->of);
  if (statement == statements_.end()) return fail(unknown("prepared statement", message->of));
  encode(step.out, backend::ParameterDescription{});
  put_heads(step.out, statement->second.command, {});
  return step;
}

ConsoleStep ConsoleProtocol::execute(View body) {
  const auto message = decode<frontend::Execute>(body);
  if (!message) return broken();
  const auto portal = portals_.find(message->portal);
  if (portal == portals_.end()) return fail(unknown("portal", message->portal));
  max_rows_ = message->max_rows;
  if (portal->second.rest) return send_rows(portal->second);
  running_ = &portal->second;
  command_ = running_->statement.command;
  return {.next = Next::run, .out = {}, .error = {}};
}

ConsoleStep ConsoleProtocol::close(View body) {
  const auto message = decode<frontend::Close>(body);
  if (!message) return broken();
  if (message->target == frontend::Target::portal) {
    portals_.erase(std::string(message->of));
  } else {
    statements_.erase(std::string(message->of));
  }
  return say(backend::CloseComplete{});
}

ConsoleStep ConsoleProtocol::sync() {
  skipping_ = false;
  portals_.clear();
  return say(backend::ReadyForQuery{'I'});
}

ConsoleStep ConsoleProtocol::fail(Error error) {
  skipping_ = true;
  ConsoleStep step;
  encode_error(step.out, error);
  step.error = std::move(error);
  return step;
}

ConsoleStep ConsoleProtocol::answered(Result<Bytes> answer) {
  if (running_ == nullptr) {
    ConsoleStep step;
    if (answer) {
      step.out = std::move(*answer);
    } else {
      encode_error(step.out, answer.error());
      step.error = answer.error();
    }
    add_ready(step.out);
    return step;
  }
  Portal& portal = *std::exchange(running_, nullptr);
  if (!answer) return fail(Error(answer.error()));
  portal.rest = std::move(*answer);
  return send_rows(portal);
}

// A portal that has said its tag is at its end.
ConsoleStep ConsoleProtocol::send_rows(Portal& portal) {
  if (portal.rest->empty()) return fail(refusal("portal cannot be run anymore", "55000"));
  ConsoleStep step;
  View rest = *portal.rest;
  for (int32_t rows = 0; !rest.empty();) {
    const View message = first_message(rest);
    if (message[0] == backend::data_row) {
      if (max_rows_ > 0 && rows++ == max_rows_) {
        encode(step.out, backend::PortalSuspended{});
        break;
      }
      put_row(step.out, message, portal.statement.types, portal.formats);
    } else if (message[0] != backend::row_description) {
      step.out += message;
    }
    rest.remove_prefix(message.size());
  }
  portal.rest = Bytes(rest);
  return step;
}

}  // namespace headgate
