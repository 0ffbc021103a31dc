// Every message of a server but ErrorResponse and NoticeResponse.
#include "tests/fuzz/messages.h"

using namespace headgate::backend;
using BackendMessages =
    std::tuple<Authentication, AuthenticationOk, AuthenticationCleartextPassword,
               AuthenticationMd5Password, AuthenticationGss, AuthenticationGssContinue,
               AuthenticationSspi, AuthenticationSasl, AuthenticationSaslContinue,
               AuthenticationSaslFinal, BackendKeyData, BindComplete, CloseComplete,
               CommandComplete, CopyInResponse, CopyOutResponse, CopyBothResponse, CopyData,
               CopyDone, DataRow, EmptyQueryResponse, FunctionCallResponse,
               NegotiateProtocolVersion, NoData, NotificationResponse, ParameterDescription,
               ParameterStatus, ParseComplete, PortalSuspended, ReadyForQuery, RowDescription>;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  headgate::fuzz::check_messages<BackendMessages>(data, size);
  return 0;
}
