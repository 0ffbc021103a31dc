"""Hold COUNT logged-in, silent clients on PORT until the standard input ends."""

import asyncio
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "e2e"))

from lib import processes  # noqa: E402
from lib.wire_async import log_in_many  # noqa: E402


async def main():
    processes.raise_file_limit()
    wires = await log_in_many(int(sys.argv[1]), int(sys.argv[2]))
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for wire in wires:
        wire.close()


asyncio.run(main())
