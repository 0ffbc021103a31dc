#include "auth/key_cache.h"

#include <list>
#include <mutex>
#include <unordered_map>

namespace headgate {

struct KeyCache::Entries {
  struct Entry {
    Bytes name;
    DerivedKeys keys;
  };

  std::mutex lock;
  std::list<Entry> by_use;                                       // the last used in front
  std::unordered_map<View, std::list<Entry>::iterator> by_name;  // the names are the entries' own

  Entry* find(View name) {
    const auto found = by_name.find(name);
    if (found == by_name.end()) return nullptr;
    by_use.splice(by_use.begin(), by_use, found->second);
    return &*found->second;
  }

  void add(View name, const DerivedKeys& keys) {
    by_use.push_front({Bytes(name), keys});
    by_name.emplace(by_use.front().name, by_use.begin());
    if (by_use.size() <= capacity) return;
    by_name.erase(by_use.back().name);
    by_use.pop_back();
  }
};

KeyCache::KeyCache() : entries_(std::make_shared<Entries>()) {}
KeyCache::~KeyCache() = default;
KeyCache::KeyCache(const KeyCache&) = default;
KeyCache& KeyCache::operator=(const KeyCache&) = default;

std::optional<DerivedKeys> KeyCache::find(View name) const {
  const std::lock_guard guard(entries_->lock);
  const Entries::Entry* entry = entries_->find(name);
  return entry ? std::optional(entry->keys) : std::nullopt;
}

void KeyCache::remember(View name, const DerivedKeys& keys) {
  const std::lock_guard guard(entries_->lock);
  if (!entries_->find(name)) entries_->add(name, keys);
}

size_t KeyCache::size() const {
  const std::lock_guard guard(entries_->lock);
  return entries_->by_use.size();
}

}  // namespace headgate
