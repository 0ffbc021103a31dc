// The version of the program, said once.
#pragma once

#include <string_view>

namespace headgate {

inline constexpr std::string_view version = "0.1.0";

}  // namespace headgate
