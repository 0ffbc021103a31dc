#include "protocol/catalog_functions.h"

#include "protocol/catalog_names.h"

namespace headgate {

namespace {

using namespace catalog_names;

static_assert(std::ranges::is_sorted(reading_functions));
static_assert(std::ranges::is_sorted(primary_functions));
static_assert(std::ranges::is_sorted(primary_relations));

// Of whole families, on whatever version.
constexpr View primary_prefixes[] = {"pg_stat", "pg_temp", "pg_toast_temp"};

template <size_t size>
View find(const View (&names)[size], View name) {
  const View* found = std::ranges::lower_bound(names, name);
  return found != std::end(names) && *found == name ? *found : View();
}

}  // namespace

bool is_reading_function(View name) { return !find(reading_functions, name).empty(); }

View primary_function(View name) { return find(primary_functions, name); }

View primary_name(View name) {
  for (const View prefix : primary_prefixes) {
    if (name.starts_with(prefix)) return prefix;
  }
  return find(primary_relations, name);
}

}  // namespace headgate
