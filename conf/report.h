// What --check says: the errors, the warnings, the advice, and what matters of the rest.
#pragma once

#include <string>
#include <vector>

#include "conf/advice.h"
#include "conf/load.h"

namespace headgate {

/// An error as a person reads it: the message, and indented below it the rest.
///
///     error: invalid value "5m" for parameter query_timeout in configuration (x.ini:3)
///       hint: expected seconds, or a number with a unit (us, ms, s, min, h, d)
std::string describe(const Error& error);

/// Everything that was found, in lines: all errors; the warnings and the advice; then, if there is
/// no error, a summary.
std::string report(const Inspection& inspection, const std::vector<Advice>& advice);

}  // namespace headgate
