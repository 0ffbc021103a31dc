// userlist.txt: what was read, written again, is read the same.
//
// Input: the text of the file.
#include "auth/userlist.h"

#include "auth/packets.h"
#include "tests/fuzz/input.h"

namespace headgate::fuzz {
namespace {

std::string field(View text) {
  std::string quoted = "\"";
  for (const char c : text) quoted.append(c == '"' ? 2 : 1, c);
  return quoted + '"';
}

std::string written(const UserList& list) {
  std::string text = "; a comment\n\n";
  for (const auto& [name, secret] : list.all()) {
    text += " " + field(name) + "\t" + field(secret.text()) + " more\n";
  }
  return text;
}

void check_user(const UserList& list, const std::string& name, const Secret& secret) {
  MUST(name.size() <= max_user_size && name.find('\0') == View::npos);
  MUST(secret.text().size() <= max_password_size && secret.text().find('\0') == View::npos);
  MUST((secret.kind() == SecretKind::none) == secret.text().empty());
  MUST(list.find(name) == &secret);
}

}  // namespace
}  // namespace headgate::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace headgate;
  const fuzz::Exact text({reinterpret_cast<const char*>(data), size});
  std::vector<std::string> errors;
  const UserList list = UserList::parse(text.view(), "userlist.txt", errors);
  MUST(errors.size() <= 1);
  for (const auto& [name, secret] : list.all()) fuzz::check_user(list, name, secret);

  std::vector<std::string> no_errors;
  const UserList again = UserList::parse(fuzz::written(list), "userlist.txt", no_errors);
  MUST(no_errors.empty() && again.all() == list.all());
  return 0;
}
