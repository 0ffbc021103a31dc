#include "admin/table.h"

#include <ctime>

namespace headgate {

// In the zone of the process, as PgBouncer and the log do.
void put_time(Cell& cell, int64_t since_1970_us) {
  char shown[64] = "";
  const time_t since_1970 = static_cast<time_t>(since_1970_us / 1'000'000);
  tm parts{};
  if (since_1970_us > 0 && localtime_r(&since_1970, &parts)) {
    strftime(shown, sizeof shown, "%Y-%m-%d %H:%M:%S %Z", &parts);
  }
  cell.put(View(shown));
}

}  // namespace headgate
