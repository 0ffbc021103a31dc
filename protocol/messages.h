// Every message of protocol 3, both ways: `encode(out, backend::ParameterStatus{...})`,
// `decode<frontend::Parse>(body)`, and the tags by name (`frontend::query`). Start-up packets are
// in protocol/startup.h, errors and notices in protocol/error_fields.h, made-up results in
// protocol/rows.h.
#pragma once

#include "protocol/backend.h"
#include "protocol/codec.h"
#include "protocol/frontend.h"
