// The marks of a text, one kind at a time.
#pragma once

#include <string>
#include <vector>

#include "protocol/session_marks.h"

namespace headgate {

using Names = std::vector<std::string>;

inline Names settings(View sql, bool standard_strings = true) {
  return session_marks(sql, standard_strings).settings;
}
inline Names settings_reset(View sql) { return session_marks(sql).settings_reset; }
inline Pins begins(View sql) { return session_marks(sql).begins; }
inline Pins ends(View sql) { return session_marks(sql).ends; }
inline bool opaque(View sql) { return session_marks(sql).opaque; }
inline bool has_marks(View sql) { return session_marks(sql).any(); }

}  // namespace headgate
