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

/// Appends the text for somebody to read, with nothing in it that may be a secret: no constants, no
/// values of settings, no passwords, nothing that cannot be told from them. Long texts are cut. The
/// encoding must be one that SqlScanner reads.
void append_without_constants(Bytes& out, View sql, bool standard_conforming_strings);

}  // namespace headgate
