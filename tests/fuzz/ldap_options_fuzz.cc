// The options of LDAP: what was taken can be used, and no name of a user changes the meaning of a
// filter.
//
// Input: the text of the options.
#include "auth/ldap_options.h"

#include <algorithm>

#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate;
  const fuzz::Exact text({reinterpret_cast<const char*>(data), size});
  const auto options = LdapOptions::parse(text.view());
  if (!options) {
    MUST(!options.error().message.empty());
    return 0;
  }
  MUST(size <= LdapOptions::max_size);
  MUST(options->port >= 0 && options->port < 65536);
  MUST(options->bind_name("bob").starts_with(options->prefix));
  MUST(!options->filter_for("a)(b"));
  const auto filter = options->filter_for("bob");
  MUST(filter && filter->find("$username") == Bytes::npos);
  return 0;
}
