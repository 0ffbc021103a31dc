// What a text of SQL looks like, whatever its constants are: statements that a program says again
// and again have one shape. For counting and for remembering what was found out about them.
//
// No I/O, no state; the time is in proportion to the length.
#pragma once

#include "base/bytes.h"

namespace headgate {

/// Appends the shape: constants are `?`, several between commas are one, comments are gone, blanks
/// are one each. Two texts of one shape call the same functions and write the same, unless there is
/// a backslash in them.
void append_shape(Bytes& out, View sql);

}  // namespace headgate
