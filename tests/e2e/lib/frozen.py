"""One thread of another process is made to stand still, as a loop that is stuck would."""

import contextlib
import ctypes
import os

import pytest

from lib.processes import wait_until

PTRACE_ATTACH, PTRACE_DETACH, ALL_THREADS = 16, 17, 0x40000000


@contextlib.contextmanager
def frozen(thread):
    """The thread of this number does nothing meanwhile; the others of its process go on."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(PTRACE_ATTACH, thread, None, None) != 0:
        pytest.skip("this system allows nobody to be traced")
    os.waitpid(thread, ALL_THREADS)
    try:
        yield
    finally:
        libc.ptrace(PTRACE_DETACH, thread, None, None)


def threads_of_workers(pooler, web, count):
    """The threads of so many workers, in their order: they bear the program's own name, as the one does that
    ThreadSanitizer starts before them."""
    assert web.status("/healthz") == 200  # all run by now; others may not have got their names yet
    others = 1 if "tsan" in pooler.program else 0
    named = wait_until(
        lambda: len(found := _named_as_the_program(pooler.pid)) == count + others and found, what="the threads have names"
    )
    return [named[0], *named[1 + others :]]


def _named_as_the_program(pid):
    names = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/comm", encoding="ascii") as file:
            names[int(thread)] = file.read()
    return sorted(thread for thread, name in names.items() if name == names[pid])
