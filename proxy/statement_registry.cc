#define XXH_INLINE_ALL
#include "proxy/statement_registry.h"

#include <fmt/format.h>
#include <xxhash.h>

#include "base/check.h"

namespace headgate {

namespace {

uint64_t load_u64(View bytes) {
  MUST(bytes.size() >= 8);
  return static_cast<uint64_t>(load_u32(bytes.data())) << 32 | load_u32(bytes.data() + 4);
}

}  // namespace

size_t StatementRegistry::Hash::operator()(View text) const {
  return XXH3_64bits_withSeed(text.data(), text.size(), seed);
}

StatementRegistry::StatementRegistry(View salt)
    : table_(std::make_shared<Table>(load_u64(salt))),
      unknown_name_(fmt::format("{}none_{:016x}", statement_prefix, load_u64(salt.substr(8)))) {}

StatementPtr StatementRegistry::find_or_make(View text, uint8_t copy) {
  auto made = std::make_unique<Statement>(last_id_.fetch_add(1) + 1, text, copy);
  const std::lock_guard lock(table_->mutex);
  const auto known = table_->statements.find(made->key);
  if (known != table_->statements.end()) {
    if (StatementPtr statement = known->second.lock()) return statement;
    table_->statements.erase(known);  // its last user is about to take it out
  }
  const auto take_out = [table = table_](Statement* statement) {
    {
      const std::lock_guard lock(table->mutex);
      const auto entry = table->statements.find(statement->key);
      // Somebody may have made it anew meanwhile.
      if (entry != table->statements.end() && entry->second.expired()) {
        table->statements.erase(entry);
      }
    }
    delete statement;
  };
  const View sql = text.substr(0, text.find('\0'));
  auto marks = std::make_shared<const SessionMarks>(session_marks(sql));
  if (marks->any() || marks->opaque) made->marks = std::move(marks);
  StatementPtr statement(made.release(), take_out);
  table_->statements.emplace(View(statement->key), statement);
  return statement;
}

size_t StatementRegistry::size() const {
  const std::lock_guard lock(table_->mutex);
  return table_->statements.size();
}

}  // namespace headgate
