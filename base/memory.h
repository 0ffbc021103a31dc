// The process's memory, as its allocator sees it.
#pragma once

namespace headgate {

/// Has the allocator give memory back that nobody has used for ten seconds. By itself it looks for
/// such memory only when somebody allocates, and a herd of log-ins leaves much behind. To be called
/// now and then: a thread of the allocator's own would make each system call of a single worker
/// dearer, as kernel and C library take short cuts where there is one thread.
void give_memory_back();

}  // namespace headgate
