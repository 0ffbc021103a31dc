// A value of a SHOW in PostgreSQL's binary format, for drivers that ask for it. The console makes
// text; what has a type other than text is a whole number, or bytes in hex.
#pragma once

#include "protocol/rows.h"

namespace headgate {

/// The value `text` of that type, as its type's send function would put it.
Bytes binary_value(SqlType type, View text);

}  // namespace headgate
