// The parameters that a client and a server may differ in: the SET that closes the difference sets
// only what differs, and is nothing but SETs.
//
// Input: for the client and then the server, the values behind their lengths; an empty one is
// none.
#include "proxy/parameters.h"

#include "protocol/sql.h"
#include "tests/fuzz/input.h"

namespace headgate::fuzz {
namespace {

const TrackedNames names({"IntervalStyle", "search_path", "app.tenant"});

TrackedValues values_from(FuzzInput& input) {
  TrackedValues values;
  for (size_t i = 0; i < names.size(); ++i) {
    const View text = input.piece();
    if (!text.empty()) values.set(static_cast<Tracked>(i), intern(text));
  }
  return values;
}

size_t how_many_differ(const TrackedValues& mine, const TrackedValues& its) {
  size_t count = 0;
  for (size_t i = 0; i < names.size(); ++i) {
    TrackedValues one;
    one.set(static_cast<Tracked>(i), mine.get(static_cast<Tracked>(i)));
    count += !one.difference(its, names).empty();
  }
  return count;
}

void check_difference(const TrackedValues& mine, const TrackedValues& its) {
  const std::string sql = mine.difference(its, names);
  Statements statements(sql);
  size_t count = 0;
  for (auto statement = statements.next(); statement; statement = statements.next()) {
    MUST(statement->kind == StatementKind::set && !statement->broken);
    ++count;
  }
  MUST(count == how_many_differ(mine, its));
}

}  // namespace
}  // namespace headgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate;
  fuzz::FuzzInput input(data, size);
  TrackedValues mine = fuzz::values_from(input);
  const TrackedValues its = fuzz::values_from(input);
  MUST(mine.difference(mine, fuzz::names).empty());
  fuzz::check_difference(mine, its);
  mine.fill_from(its);
  for (size_t i = 0; i < fuzz::names.size(); ++i) {
    const auto parameter = static_cast<Tracked>(i);
    MUST(mine.get(parameter) || !its.get(parameter));
    MUST(fuzz::names.find(fuzz::names.name(parameter)) == parameter);
  }
  return 0;
}
