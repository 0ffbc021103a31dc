// A stored secret: its kind, the SCRAM verifier in it, and base64.
//
// Input: the secret as it stands in a file.
#include "auth/secret.h"

#include "auth/scram.h"
#include "tests/fuzz/input.h"

namespace headgate::fuzz {
namespace {

void check_base64(View text) {
  const auto bytes = base64_decode(text);
  if (bytes) MUST(base64_encode(*bytes) == text);
  MUST(base64_decode(base64_encode(text)) == text);
}

Bytes written(const ScramVerifier& verifier) {
  return "SCRAM-SHA-256$" + verifier_name(verifier.salt, verifier.iterations) + "$" +
         base64_encode(verifier.stored_key) + ":" + base64_encode(verifier.server_key);
}

void check_verifier(const ScramVerifier& verifier) {
  MUST(verifier.iterations >= 1 && !verifier.salt.empty());
  MUST(verifier.salt.size() <= max_scram_salt);
  MUST(verifier.stored_key.size() == sha256_size && verifier.server_key.size() == sha256_size);
  const auto again = parse_scram_verifier(written(verifier));
  MUST(again && again->iterations == verifier.iterations && again->salt == verifier.salt);
  MUST(again->stored_key == verifier.stored_key && again->server_key == verifier.server_key);
}

}  // namespace
}  // namespace headgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate;
  const fuzz::Exact text({reinterpret_cast<const char*>(data), size});
  const Secret secret{Bytes(text.view())};
  MUST(secret.text() == text.view() && secret == Secret(Bytes(text.view())));
  MUST((secret.kind() == SecretKind::none) == text.view().empty());

  const auto verifier = parse_scram_verifier(text.view());
  MUST(verifier.has_value() == (secret.kind() == SecretKind::scram));
  if (verifier) fuzz::check_verifier(*verifier);
  fuzz::check_base64(text.view());
  return 0;
}
