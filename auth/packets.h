// The messages of a log-in: the server's requests (tag R) and the client's answers (tag p), whose
// meaning depends on what was asked. (PostgreSQL documentation, "Message Formats".)
#pragma once

#include <initializer_list>
#include <optional>

#include "base/bytes.h"

namespace headgate {

/// The number in front of an R message.
enum class AuthRequest : int32_t {
  ok = 0,
  cleartext = 3,
  md5 = 5,
  sasl = 10,
  sasl_continue = 11,
  sasl_final = 12,
};

/// The longest R message that is looked at, and the longest p message of a SASL exchange.
constexpr size_t max_auth_message = 8192;
/// The longest password, as PgBouncer has it.
constexpr size_t max_password_size = 65530;
constexpr size_t max_user_size = 127;

/// An R message; `data` is what follows the number.
Bytes encode_request(AuthRequest request, View data = {});
/// AuthenticationSASL that offers these mechanisms, the best one first.
Bytes encode_sasl_request(std::initializer_list<View> mechanisms);

/// PasswordMessage; the password MUST NOT contain a zero.
Bytes encode_password(View password);
Bytes encode_sasl_initial(View mechanism, View data);
Bytes encode_sasl_response(View data);

/// The password of a PasswordMessage's body, lent from it; nothing if it is malformed.
std::optional<View> decode_password(View body);

struct SaslInitial {
  View mechanism, data;  // lent from the body
};
/// Nothing if the body is malformed or the first response is missing, which SCRAM does not allow.
std::optional<SaslInitial> decode_sasl_initial(View body);

/// Whether an AuthenticationSASL's data, a list of names that an empty one ends, has this name.
bool offers_mechanism(View data, View mechanism);

}  // namespace headgate
