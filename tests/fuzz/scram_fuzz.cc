// SCRAM with a hostile peer, in both roles: whatever is said, bounds hold and nobody is convinced.
//
// Input: four texts behind their lengths: client-first, client-final, server-first, server-final.
// A # in the last three stands for the nonce that is expected there.
#include "auth/scram_client.h"
#include "auth/scram_server.h"
#include "tests/fuzz/input.h"

namespace headgate::fuzz {
namespace {

constexpr View random_bytes = "four and twenty bytes ..";

/// The value of the first attribute of a message.
View nonce_of(View message) { return ScramAttributes(message).take('r').value_or(View()); }

void check_server(View first, View last) {
  ScramServer server(scram_nonce(random_bytes));
  if (!server.read_first(Exact(first).view())) return;
  const ScramVerifier verifier{4096, "some salt", Bytes(sha256_size, 's'), Bytes(sha256_size, 'k')};
  const Bytes challenge = server.challenge(verifier);
  MUST(challenge.size() <= max_scram_nonce + 100);
  const View nonce = nonce_of(challenge);
  MUST(is_scram_nonce(nonce) && nonce.ends_with(scram_nonce(random_bytes)));
  MUST(nonce.size() <= max_scram_nonce);
  MUST(!server.read_final(Exact(with_nonce(last, nonce)).view()));
}

void check_client(View first, View last) {
  const Bytes nonce = scram_nonce(random_bytes);
  ScramClient client(nonce);
  const auto challenge = client.read_challenge(Exact(with_nonce(first, nonce)).view());
  if (!challenge) return;
  MUST(challenge->iterations >= 1 && challenge->iterations <= max_scram_iterations);
  MUST(!challenge->salt.empty() && challenge->salt.size() <= max_scram_salt);
  const Bytes proof = client.answer({Bytes(sha256_size, 'c'), Bytes(sha256_size, 's')});
  MUST(proof.size() <= max_scram_nonce + 100 && proof.starts_with("c=biws,r=" + nonce));
  MUST(!client.verify(Exact(last).view()));
}

}  // namespace
}  // namespace headgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate::fuzz;
  FuzzInput input(data, size);
  const headgate::View client_first = input.piece();
  check_server(client_first, input.piece());
  const headgate::View server_first = input.piece();
  check_client(server_first, input.rest());
  return 0;
}
