// What PostgreSQL's own functions and views ask of a server, by name: whether a hot standby answers
// them as the primary does. The lists are those of PostgreSQL 15's pg_catalog
// (protocol/catalog_names.h).
//
// Names are as the catalog has them: those without quotes are to be given in lower case. What is
// found is held by the program, not by the text.
#pragma once

#include "base/bytes.h"

namespace headgate {

/// Whether no function of this name in pg_catalog writes or tells about its server: all of them are
/// stable or immutable, or volatile for a reason that does no harm, as random() is.
bool is_reading_function(View name);

/// The name, if a function of pg_catalog has it that is for the primary: one that is volatile, or
/// tells about its server or session. Else empty.
View primary_function(View name);

/// The same for what is for the primary even if nobody calls it: views that tell about their server
/// or session, and the schemas of temporary objects. Of families that are told by how their names
/// begin, that beginning.
View primary_name(View name);

}  // namespace headgate
