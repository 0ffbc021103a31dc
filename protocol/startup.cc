#include "protocol/startup.h"

#include <algorithm>

#include "protocol/wire.h"

namespace headgate {

namespace {

// In place of a version: a major number that no protocol has.
constexpr int32_t cancel_code = (1234 << 16) | 5678;
constexpr int32_t ssl_code = (1234 << 16) | 5679;
constexpr int32_t gss_enc_code = (1234 << 16) | 5680;

constexpr uint32_t least_startup_size = 8;  // length and code
constexpr size_t least_secret_size = 4;
constexpr size_t most_secret_size = 256;
constexpr View protocol_option_prefix = "_pq_.";

int major_of(int32_t version) { return version >> 16; }

Error bad_header(View front) {
  constexpr View digits = "0123456789abcdef";
  std::string text = "bad packet header: '";
  for (const char c : front.substr(0, least_startup_size)) {
    const auto byte = static_cast<uint8_t>(c);
    text += {digits[byte >> 4], digits[byte & 15]};
  }
  return Error(ErrorCode::bad_packet_header, text + "'");
}

Result<StartupPacket> decode_cancel(Reader reader) {
  CancelRequest request;
  reader.get(request.process);
  const View secret = reader.rest();
  if (reader.spoiled() || secret.size() < least_secret_size || secret.size() > most_secret_size) {
    return Error(ErrorCode::bad_packet);
  }
  request.secret = secret;
  return StartupPacket(std::move(request));
}

void take_parameter(StartupMessage& message, View name, View value) {
  if (name == "user") {
    message.user = value;
  } else if (name == "database") {
    message.database = value;
  } else if (name == "replication") {
    message.replication = value;
  } else if (name == "options") {
    message.options = value;
  } else if (name.starts_with(protocol_option_prefix)) {
    message.unknown_options.emplace_back(name);
  } else {
    message.parameters.emplace_back(name, value);
  }
}

Result<StartupPacket> decode_message(Reader reader, int32_t version) {
  StartupMessage message;
  message.version = version;
  while (!reader.spoiled()) {
    View name;
    View value;
    reader.get(name);
    if (name.empty()) break;
    reader.get(value);
    if (!reader.spoiled()) take_parameter(message, name, value);
  }
  if (!reader.complete()) return Error(ErrorCode::startup_layout);
  if (message.user.empty()) return Error(ErrorCode::no_username);
  if (message.database.empty()) message.database = message.user;
  return StartupPacket(std::move(message));
}

template <class Request>
Result<StartupPacket> decode_bare(const Reader& reader) {
  if (!reader.complete()) return Error(ErrorCode::bad_packet);
  StartupPacket request = Request{};
  return request;
}

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// Takes the next word off the front of `rest`. A backslash takes the meaning off the character
// behind it, a space included.
std::string take_word(View& rest) {
  std::string word;
  while (!rest.empty() && !is_space(rest[0])) {
    if (rest[0] == '\\') rest.remove_prefix(1);
    if (rest.empty()) break;
    word += rest[0];
    rest.remove_prefix(1);
  }
  return word;
}

void skip_space(View& rest) {
  while (!rest.empty() && is_space(rest[0])) rest.remove_prefix(1);
}

using Parameter = std::pair<std::string, std::string>;

std::optional<Parameter> split_assignment(View word) {
  const size_t equals = word.find('=');
  if (equals == View::npos || equals == 0) return std::nullopt;
  Parameter parameter(word.substr(0, equals), word.substr(equals + 1));
  std::replace(parameter.first.begin(), parameter.first.end(), '-', '_');  // as PostgreSQL does
  return parameter;
}

}  // namespace

std::optional<Replication> decode_replication(View value) {
  if (value == "database") return Replication::logical;  // the only word whose case matters
  constexpr View yes[] = {"true", "yes", "on", "1"};
  constexpr View no[] = {"false", "no", "off", "0", ""};
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  const auto same = [&](View word) { return std::ranges::equal(value, word, {}, lower); };
  if (std::ranges::any_of(yes, same)) return Replication::physical;
  if (std::ranges::any_of(no, same)) return Replication::none;
  return std::nullopt;
}

const char* name_of(Replication kind) {
  switch (kind) {
    case Replication::none:
      return "none";
    case Replication::logical:
      return "logical";
    case Replication::physical:
      return "physical";
  }
  return "";
}

Result<uint32_t> startup_packet_size(View front) {
  if (front.size() < length_size) return bad_header(front);
  const uint32_t size = load_u32(front.data());
  if (size < least_startup_size || size > max_startup_size) return bad_header(front);
  return size;
}

Result<StartupPacket> decode_startup(View packet) {
  Reader reader(packet);
  int32_t size;
  int32_t code;
  reader.get(size);
  reader.get(code);
  if (reader.spoiled() || static_cast<uint32_t>(size) != packet.size()) {
    return Error(ErrorCode::bad_packet);
  }
  switch (code) {
    case cancel_code:
      return decode_cancel(reader);
    case ssl_code:
      return decode_bare<SslRequest>(reader);
    case gss_enc_code:
      return decode_bare<GssEncRequest>(reader);
    default:
      break;
  }
  if (major_of(code) == major_of(protocol_3_0)) return decode_message(reader, code);
  if (major_of(code) == 2) return Error(ErrorCode::old_protocol);
  return bad_header(packet);
}

Result<std::vector<Parameter>> parse_options(View options) {
  std::vector<Parameter> parameters;
  for (skip_space(options); !options.empty(); skip_space(options)) {
    std::string word = take_word(options);
    std::optional<Parameter> parameter;
    if (word == "-c") {
      skip_space(options);
      parameter = split_assignment(take_word(options));
    } else if (word.starts_with("-c") || word.starts_with("--")) {
      parameter = split_assignment(View(word).substr(2));
    }
    if (!parameter) return Error(ErrorCode::unsupported_options);
    parameters.push_back(std::move(*parameter));
  }
  return parameters;
}

void encode_startup(Bytes& out, const std::vector<Parameter>& parameters, int32_t version) {
  Writer writer(out, 0);
  writer.put(version);
  for (const auto& [name, value] : parameters) writer.put(View(name)).put(View(value));
  writer.put('\0');
}

void encode_ssl_request(Bytes& out) { Writer(out, 0).put(ssl_code); }

void encode_cancel_request(Bytes& out, int32_t process, View secret) {
  Writer(out, 0).put(cancel_code).put(process).raw(secret);
}

void encode_negotiate_version(Bytes& out, int32_t version,
                              const std::vector<std::string>& unknown) {
  Writer writer(out, 'v');
  writer.put(version).put(static_cast<int32_t>(unknown.size()));
  for (const std::string& option : unknown) writer.put(View(option));
}

}  // namespace headgate
