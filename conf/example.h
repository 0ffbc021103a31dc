// The example file conf/headgate.ini, made from the settings table: every setting with its default
// and a line of help. A test compares the file with this text.
#pragma once

#include <string>

namespace headgate {

std::string example_ini();

}  // namespace headgate
