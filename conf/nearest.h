// "Did you mean ...?": the known name that a mistyped one is nearest to.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"

namespace headgate {

/// The candidate fewest edits away (insert, delete, replace, swap two neighbours), or an empty view
/// if none is near: more than a third of the name would have to change. Upper and lower case are
/// one.
View nearest_name(View name, std::span<const View> candidates);

/// `did you mean X?`, or an empty text where nothing is near.
std::string did_you_mean(View name, std::span<const View> candidates);

}  // namespace headgate
