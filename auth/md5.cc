#include "auth/md5.h"

#include "auth/crypto.h"

namespace headgate {

namespace {

constexpr View prefix = "md5";

std::optional<Bytes> hash_of_both(View first, View second) {
  Bytes text;
  text.reserve(first.size() + second.size());  // growing would leave a copy behind
  text.append(first).append(second);
  std::optional<Bytes> hash = md5_hex(text);
  wipe(text);
  if (hash) hash->insert(0, prefix);
  return hash;
}

}  // namespace

std::optional<Bytes> md5_secret(View password, View user) { return hash_of_both(password, user); }

std::optional<Bytes> md5_answer(const Secret& secret, View user, View salt) {
  if (secret.kind() == SecretKind::md5) {
    return hash_of_both(secret.text().substr(prefix.size()), salt);
  }
  if (secret.kind() != SecretKind::plain) return std::nullopt;
  std::optional<Bytes> stored = md5_secret(secret.text(), user);
  if (!stored) return std::nullopt;
  std::optional<Bytes> answer = hash_of_both(View(*stored).substr(prefix.size()), salt);
  wipe(*stored);
  return answer;
}

}  // namespace headgate
