#include "base/memory.h"

#include <cstddef>

extern "C" [[gnu::weak]] int mallctl(const char* name, void* old_value, size_t* old_size,
                                     void* value, size_t size);  // jemalloc's, where it is linked

// What jemalloc reads at its start. A slab costs it 128 bytes, and one has room for 1 object of 8
// KB or 4 of 1 KB only, by default: a client of TLS needs one of the former and three of the
// latter.
extern "C" const char* malloc_conf;
const char* malloc_conf = "slab_sizes:1024-1024:8|8192-8192:8";  // in pages

namespace headgate {

void give_memory_back() {
  constexpr const char* in_all_arenas = "arena.4096.decay";
  if (mallctl != nullptr) mallctl(in_all_arenas, nullptr, nullptr, nullptr, 0);
}

}  // namespace headgate
