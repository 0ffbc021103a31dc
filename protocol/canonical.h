// Values of parameters as PostgreSQL spells them, whatever spelling it was given: clients compare
// what is reported to them with that. (PostgreSQL: pg_encname_tbl in encnames.c, parse_bool().)
#pragma once

#include "base/bytes.h"

namespace headgate {

/// `UTF8` for `utf-8`; empty where there is no such encoding. UNICODE stays as it is, as there.
View canonical_encoding(View name);

/// `on` or `off` for the words of a switch, and for what they begin with; empty for others.
View canonical_switch(View value);

}  // namespace headgate
