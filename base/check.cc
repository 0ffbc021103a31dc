#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace headgate {

void must_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "headgate: bug: MUST(%s) failed at %s:%d\n", condition, file, line);
  std::abort();
}

}  // namespace headgate
