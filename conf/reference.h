// The page of all settings, docs/settings.md, made from the tables that the program itself uses.
#pragma once

#include <string>

namespace headgate {

/// Markdown: what --print-settings prints.
std::string settings_reference();

}  // namespace headgate
