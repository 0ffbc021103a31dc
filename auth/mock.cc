#include "auth/mock.h"

namespace headgate {

namespace {

Bytes made_up(View mock_key, View purpose, View user) {
  return hmac_sha256(mock_key, Bytes(purpose).append(":").append(user));
}

}  // namespace

Bytes made_up_salt(View mock_key, View user) {
  constexpr size_t salt_size = 16;
  return made_up(mock_key, "salt", user).substr(0, salt_size);
}

ScramVerifier made_up_verifier(View mock_key, View user, int iterations) {
  return {iterations, made_up_salt(mock_key, user), made_up(mock_key, "stored key", user),
          made_up(mock_key, "server key", user)};
}

}  // namespace headgate
