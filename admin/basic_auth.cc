#include "admin/basic_auth.h"

#include "auth/crypto.h"

namespace headgate {

namespace {

bool starts_with_any_case(View text, View lower) {
  return text.size() >= lower.size() &&
         std::ranges::equal(text.substr(0, lower.size()), lower,
                            [](char a, char b) { return (a | 0x20) == (b | 0x20); });
}

}  // namespace

bool brings_password(View authorization, View password) {
  constexpr View scheme = "basic ";
  if (!starts_with_any_case(authorization, scheme)) return false;
  authorization.remove_prefix(scheme.size());
  authorization.remove_prefix(std::min(authorization.find_first_not_of(' '), authorization.size()));
  auto said = base64_decode(authorization);
  if (!said) return false;
  const size_t colon = said->find(':');
  const bool right =
      colon != Bytes::npos && equal_in_constant_time(View(*said).substr(colon + 1), password);
  wipe(*said);
  return right;
}

}  // namespace headgate
