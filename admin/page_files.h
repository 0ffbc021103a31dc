// The dashboard's files (admin/page/), compiled in.
#pragma once

#include <span>

#include "base/bytes.h"

namespace headgate {

struct PageFile {
  View path;  // by which it is asked for
  View type;  // its Content-Type
  View bytes;
};

/// All of them; the page itself is "/".
std::span<const PageFile> page_files();

}  // namespace headgate
