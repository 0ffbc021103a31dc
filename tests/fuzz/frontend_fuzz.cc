// Every message of a client.
#include "tests/fuzz/messages.h"

using namespace headgate::frontend;
using FrontendMessages = std::tuple<Bind, Close, CopyData, CopyDone, CopyFail, Describe, Execute,
                                    Flush, FunctionCall, Parse, Password, SaslInitialResponse,
                                    SaslResponse, GssResponse, Query, Sync, Terminate>;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  headgate::fuzz::check_messages<FrontendMessages>(data, size);
  return 0;
}
