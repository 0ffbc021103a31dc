// The messages of a log-in: what is decoded, coded again, gives the same bytes.
//
// Input: the body of a p message, or the data of AuthenticationSASL.
#include "auth/packets.h"

#include "auth/scram.h"
#include "protocol/wire.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate;
  const fuzz::Exact exact({reinterpret_cast<const char*>(data), size});
  const View body = exact.view();
  if (const auto password = decode_password(body)) {
    MUST(View(encode_password(*password)).substr(header_size) == body);
  }
  if (const auto initial = decode_sasl_initial(body)) {
    const Bytes again = encode_sasl_initial(initial->mechanism, initial->data);
    MUST(View(again).substr(header_size) == body);
  }
  if (offers_mechanism(body, scram_mechanism)) {
    MUST(body.find(scram_mechanism) != View::npos && body.ends_with(View("\0\0", 2)));
  }
  return 0;
}
