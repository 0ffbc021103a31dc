#include "auth/secret.h"

#include "auth/crypto.h"
#include "auth/scram.h"

namespace headgate {

namespace {

// Lower-case digits only, as PostgreSQL has it: anything else is a password that looks strange.
bool looks_like_md5(View text) {
  constexpr size_t size = 3 + 32;
  return text.size() == size && text.starts_with("md5") &&
         text.find_first_not_of("0123456789abcdef", 3) == View::npos;
}

SecretKind kind_of(View text) {
  if (text.empty()) return SecretKind::none;
  if (looks_like_md5(text)) return SecretKind::md5;
  if (parse_scram_verifier(text)) return SecretKind::scram;
  return SecretKind::plain;
}

}  // namespace

Secret::Secret(Bytes text) : text_(std::move(text)), kind_(kind_of(text_)) {}

bool Secret::operator==(const Secret& other) const {
  return equal_in_constant_time(text_, other.text_);
}

}  // namespace headgate
