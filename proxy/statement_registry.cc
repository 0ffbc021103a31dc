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

StatementPtr StatementRegistry::find(View key) const {
  const auto known = table_->statements.find(key);
  return known == table_->statements.end() ? nullptr : known->second.lock();
}

StatementPtr StatementRegistry::find_or_make(View text, uint8_t copy) {
  const Bytes key = Statement::key_of(text, copy);
  {
    const std::lock_guard lock(table_->mutex);
    if (StatementPtr statement = find(key)) return statement;
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
  StatementPtr made(new Statement(last_id_.fetch_add(1) + 1, key), take_out);
  auto marks = std::make_shared<const SessionMarks>(session_marks(text.substr(0, text.find('\0'))));
  if (marks->any() || marks->opaque) made->marks = std::move(marks);
  const std::lock_guard lock(table_->mutex);
  if (StatementPtr statement = find(key)) return statement;
  table_->statements.erase(key);  // its last user is about to take it out
  table_->statements.emplace(View(made->key), made);
  return made;
}

bool StatementRegistry::sees_again(View text) {
  const size_t hash = table_->statements.hash_function()(text);
  std::atomic<uint32_t>& seen = seen_[hash % most_seen];
  const auto rest = static_cast<uint32_t>(hash >> 32) | 1;  // 0: nothing was seen there
  if (seen.load(std::memory_order_relaxed) == rest) return true;
  seen.store(rest, std::memory_order_relaxed);
  return false;
}

size_t StatementRegistry::size() const {
  const std::lock_guard lock(table_->mutex);
  return table_->statements.size();
}

}  // namespace headgate
