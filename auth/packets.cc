#include "auth/packets.h"

#include "protocol/wire.h"

namespace headgate {

Bytes encode_request(AuthRequest request, View data) {
  Bytes out;
  Writer(out, 'R').put(static_cast<int32_t>(request)).raw(data);
  return out;
}

Bytes encode_sasl_request(std::initializer_list<View> mechanisms) {
  Bytes out;
  Writer writer(out, 'R');
  writer.put(static_cast<int32_t>(AuthRequest::sasl));
  for (const View mechanism : mechanisms) writer.put(mechanism);
  writer.put(View());
  return out;
}

Bytes encode_password(View password) {
  Bytes out;
  out.reserve(password.size() + 8);  // growing would leave copies of the password behind
  Writer(out, 'p').put(password);
  return out;
}

Bytes encode_sasl_initial(View mechanism, View data) {
  Bytes out;
  Writer(out, 'p').put(mechanism).put(static_cast<int32_t>(data.size())).raw(data);
  return out;
}

Bytes encode_sasl_response(View data) {
  Bytes out;
  Writer(out, 'p').raw(data);
  return out;
}

std::optional<View> decode_password(View body) {
  Reader reader(body);
  View password;
  reader.get(password);
  if (!reader.complete()) return std::nullopt;
  return password;
}

std::optional<SaslInitial> decode_sasl_initial(View body) {
  Reader reader(body);
  SaslInitial message;
  int32_t size = 0;
  reader.get(message.mechanism);
  reader.get(size);
  if (reader.spoiled() || size < 0) return std::nullopt;
  message.data = reader.take(static_cast<size_t>(size));
  if (!reader.complete()) return std::nullopt;
  return message;
}

bool offers_mechanism(View data, View mechanism) {
  Reader reader(data);
  bool found = false;
  View name;
  do {
    reader.get(name);
    found |= name == mechanism;
  } while (!reader.spoiled() && !name.empty());
  return found && reader.complete();
}

}  // namespace headgate
