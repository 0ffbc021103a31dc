// Packets in front of the message stream: what is decoded can be sent again and means the same.
//
// Input: the packet.
#include "protocol/startup.h"

#include <algorithm>
#include <variant>

#include "tests/fuzz/input.h"

namespace headgate::fuzz {
namespace {

using Parameter = std::pair<std::string, std::string>;

StartupMessage decoded_again(const StartupMessage& message) {
  std::vector<Parameter> parameters = {{"user", message.user}, {"database", message.database}};
  if (!message.replication.empty()) parameters.emplace_back("replication", message.replication);
  if (!message.options.empty()) parameters.emplace_back("options", message.options);
  for (const std::string& option : message.unknown_options) parameters.emplace_back(option, "");
  parameters.insert(parameters.end(), message.parameters.begin(), message.parameters.end());
  Bytes packet;
  encode_startup(packet, parameters, message.version);
  auto again = decode_startup(packet);
  MUST(again.ok() && std::holds_alternative<StartupMessage>(*again));
  return std::get<StartupMessage>(*again);
}

void check_options(View options) {
  const auto parsed = parse_options(options);
  if (!parsed) {
    MUST(parsed.error().code == ErrorCode::unsupported_options);
    return;
  }
  std::string written;
  for (const auto& [name, value] : *parsed) {
    MUST(!name.empty());
    std::string word = name;
    word.append("=").append(value);
    written += " -c ";
    for (const char c : word) written.append("\\").append(1, c);
  }
  const auto again = parse_options(written);
  MUST(again.ok() && *again == *parsed);
}

void check(const StartupMessage& message, View) {
  MUST(!message.user.empty() && !message.database.empty());
  const StartupMessage again = decoded_again(message);
  MUST(again.version == message.version && again.user == message.user);
  MUST(again.database == message.database && again.replication == message.replication);
  MUST(again.options == message.options && again.parameters == message.parameters);
  MUST(again.unknown_options == message.unknown_options);
  check_options(message.options);
}

void check(const SslRequest&, View packet) { MUST(packet.size() == 8); }

void check(const GssEncRequest&, View packet) { MUST(packet.size() == 8); }

void check(const CancelRequest& request, View packet) {
  MUST(request.secret.size() >= 4 && request.secret.size() <= 256);
  Bytes written;
  encode_cancel_request(written, request.process, request.secret);
  MUST(written == packet);
}

}  // namespace
}  // namespace headgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate;
  const View packet(reinterpret_cast<const char*>(data), size);
  const auto whole = startup_packet_size(packet.substr(0, 4));
  if (whole) MUST(*whole >= 8 && *whole <= max_startup_size);
  const auto decoded = decode_startup(packet);
  if (decoded) std::visit([&](const auto& kind) { fuzz::check(kind, packet); }, *decoded);
  fuzz::check_options(packet);
  return 0;
}
