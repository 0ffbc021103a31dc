#include "protocol/handover.h"

#include <limits>

namespace headgate::handover {

namespace {

Error malformed() { return Error(ErrorCode::protocol_violation, "malformed handover message"); }

char letter(Tag tag) { return static_cast<char>(tag); }

// --- fields that PostgreSQL's messages do not have

void put_long(Writer& out, uint64_t field) {
  out.put(static_cast<int32_t>(static_cast<uint32_t>(field >> 32)));
  out.put(static_cast<int32_t>(static_cast<uint32_t>(field)));
}

uint64_t get_long(Reader& in) {
  int32_t high = 0, low = 0;
  in.get(high);
  in.get(low);
  return uint64_t{static_cast<uint32_t>(high)} << 32 | static_cast<uint32_t>(low);
}

void put_bytes(Writer& out, View bytes) {
  out.put(static_cast<int32_t>(bytes.size()));
  out.raw(bytes);
}

View get_bytes(Reader& in, size_t most) {
  int32_t size = 0;
  in.get(size);
  if (size < 0 || static_cast<size_t>(size) > most) {
    in.spoil();
    return {};
  }
  return in.take(static_cast<size_t>(size));
}

void put_flag(Writer& out, bool flag) { out.put(static_cast<uint8_t>(flag ? 1 : 0)); }

bool get_flag(Reader& in) {
  uint8_t flag = 0;
  in.get(flag);
  if (flag > 1) in.spoil();
  return flag == 1;
}

/// So many of something follow. Each has at least one byte, so no count makes more memory than the
/// message itself.
size_t get_count(Reader& in, size_t most) {
  int32_t count = 0;
  in.get(count);
  if (count < 0 || static_cast<size_t>(count) > most ||
      static_cast<size_t>(count) > in.rest().size()) {
    in.spoil();
    return 0;
  }
  return static_cast<size_t>(count);
}

template <class Pairs>
void put_pairs(Writer& out, const Pairs& pairs) {
  out.put(static_cast<int32_t>(pairs.size()));
  for (const auto& [name, value] : pairs) {
    put_bytes(out, name);
    put_bytes(out, value);
  }
}

template <class Add>
void get_pairs(Reader& in, const Add& add) {
  const size_t count = get_count(in, ClientRecord::max_settings);
  for (size_t i = 0; i < count && !in.spoiled(); ++i) {
    const View name = get_bytes(in, ClientRecord::max_name);
    const View value = get_bytes(in, ClientRecord::max_value);
    if (!in.spoiled()) add(std::string(name), std::string(value));
  }
}

std::map<std::string, std::string, std::less<>> get_map(Reader& in) {
  std::map<std::string, std::string, std::less<>> map;
  get_pairs(in, [&](std::string name, std::string value) {
    if (!map.emplace(std::move(name), std::move(value)).second) in.spoil();
  });
  return map;
}

void put_statement(Writer& out, const ClientRecord::Statement& statement) {
  put_bytes(out, statement.name);
  put_bytes(out, statement.text);
  out.put(statement.copy);
}

ClientRecord::Statement get_statement(Reader& in) {
  ClientRecord::Statement statement;
  statement.name = get_bytes(in, max_message);
  statement.text = get_bytes(in, max_message);
  in.get(statement.copy);
  return statement;
}

}  // namespace

void encode(Bytes& out, Tag tag) { const Writer message(out, letter(tag)); }

void encode(Bytes& out, const Hello& message) {
  Writer(out, letter(Tag::hello)).put(message.version).put(message.process);
}

Result<Hello> decode_hello(View body) {
  Reader in(body);
  Hello message;
  in.get(message.version);
  in.get(message.process);
  // Whatever else another version says in it.
  if (in.spoiled() || (message.version == version && !in.complete())) return malformed();
  return message;
}

void encode(Bytes& out, const Socket& message) {
  Writer body(out, letter(Tag::socket));
  body.put(static_cast<uint8_t>(message.use));
  put_flag(body, message.owns_path);
  put_flag(body, message.passed);
}

Result<Socket> decode_socket(View body) {
  Reader in(body);
  Socket message;
  uint8_t use = 0;
  in.get(use);
  if (use > static_cast<uint8_t>(SocketUse::handover)) in.spoil();
  message.use = static_cast<SocketUse>(use);
  message.owns_path = get_flag(in);
  message.passed = get_flag(in);
  if (!in.complete()) return malformed();
  return message;
}

void encode(Bytes& out, const Held& message) {
  Writer body(out, letter(Tag::held));
  put_bytes(body, message.database);
  put_bytes(body, message.user);
  body.put(message.servers);
}

Result<Held> decode_held(View body) {
  Reader in(body);
  Held message;
  message.database = get_bytes(in, ClientRecord::max_name);
  message.user = get_bytes(in, ClientRecord::max_name);
  in.get(message.servers);
  if (!in.complete() || message.servers < 0) return malformed();
  return message;
}

void encode(Bytes& out, const Timeline& message) {
  Writer body(out, letter(Tag::timeline));
  put_bytes(body, message.host);
  body.put(message.port);
  body.put(static_cast<int32_t>(message.timeline));
}

Result<Timeline> decode_timeline(View body) {
  Reader in(body);
  Timeline message;
  message.host = get_bytes(in, ClientRecord::max_name);
  in.get(message.port);
  int32_t timeline = 0;
  in.get(timeline);
  message.timeline = static_cast<uint32_t>(timeline);
  if (!in.complete()) return malformed();
  return message;
}

void encode_taken(Bytes& out) { Writer(out, letter(Tag::taken)).put(additions); }

Result<int32_t> decode_taken(View body) {
  if (body.empty()) return 0;
  Reader in(body);
  int32_t known = 0;
  in.get(known);
  if (in.spoiled() || known < 0) return malformed();  // whatever a later one says behind it
  return known;
}

void encode(Bytes& out, const Cancel& message) {
  Writer body(out, letter(Tag::cancel));
  put_long(body, message.key);
  body.put(message.number);
}

Result<Cancel> decode_cancel(View body) {
  Reader in(body);
  Cancel message;
  message.key = get_long(in);
  in.get(message.number);
  if (!in.complete()) return malformed();
  return message;
}

void encode_cancel_done(Bytes& out, int32_t number) {
  Writer(out, letter(Tag::cancel_done)).put(number);
}

Result<int32_t> decode_cancel_done(View body) {
  Reader in(body);
  int32_t number = 0;
  in.get(number);
  if (!in.complete()) return malformed();
  return number;
}

void encode(Bytes& out, const ClientRecord& record) {
  Writer body(out, letter(Tag::client));
  put_bytes(body, record.database);
  put_bytes(body, record.user);
  put_bytes(body, record.server_user);
  put_long(body, record.cancel_key);
  for (const int64_t time : {record.age_us, record.idle_us, record.connect_wall_us}) {
    put_long(body, static_cast<uint64_t>(time));
  }
  put_flag(body, record.has_written);
  put_pairs(body, record.parameters);
  put_pairs(body, record.session.values);
  put_pairs(body, record.session.values_at_start);
  put_pairs(body, record.session.at_start);
  put_pairs(body, record.session.statements);
  put_flag(body, record.session.proved);
  body.put(static_cast<int32_t>(record.statements.size()));
  for (const auto& statement : record.statements) put_statement(body, statement);
  put_bytes(body, record.unnamed);
  put_flag(body, record.unnamed_shared.has_value());
  if (record.unnamed_shared) put_statement(body, *record.unnamed_shared);
  put_flag(body, record.keys.has_value());
  if (record.keys) {
    put_bytes(body, record.keys->client_key);
    put_bytes(body, record.keys->server_key);
    put_bytes(body, record.keys->verifier);
  }
  put_flag(body, record.secret.has_value());
  if (record.secret) put_bytes(body, *record.secret);
}

Result<ClientRecord> decode_client(View body) {
  Reader in(body);
  ClientRecord record;
  record.database = get_bytes(in, ClientRecord::max_name);
  record.user = get_bytes(in, ClientRecord::max_name);
  record.server_user = get_bytes(in, ClientRecord::max_name);
  record.cancel_key = get_long(in);
  for (int64_t* time : {&record.age_us, &record.idle_us, &record.connect_wall_us}) {
    *time = static_cast<int64_t>(get_long(in));
    if (*time < 0) in.spoil();
  }
  record.has_written = get_flag(in);
  get_pairs(in, [&](std::string name, std::string value) {
    record.parameters.emplace_back(std::move(name), std::move(value));
  });
  record.session.values = get_map(in);
  record.session.values_at_start = get_map(in);
  record.session.at_start = get_map(in);
  record.session.statements = get_map(in);
  record.session.proved = get_flag(in);
  const size_t count = get_count(in, ClientRecord::max_statements);
  for (size_t i = 0; i < count && !in.spoiled(); ++i) {
    record.statements.push_back(get_statement(in));
  }
  record.unnamed = get_bytes(in, max_message);
  if (get_flag(in)) record.unnamed_shared = get_statement(in);
  if (get_flag(in)) {
    ClientRecord::Keys& keys = record.keys.emplace();
    keys.client_key = get_bytes(in, ClientRecord::max_name);
    keys.server_key = get_bytes(in, ClientRecord::max_name);
    keys.verifier = get_bytes(in, ClientRecord::max_name);
  }
  if (get_flag(in)) record.secret = get_bytes(in, ClientRecord::max_name);
  if (!in.complete() || record.user.empty() || record.database.empty()) return malformed();
  return record;
}

}  // namespace headgate::handover
