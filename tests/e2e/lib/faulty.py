"""A byte proxy with faults, for between a client and the pooler or the pooler and PostgreSQL.

Each connection through it is a Line with two lanes, `asked` (from who connected) and `answered`.
A lane can stand still (a black hole: nothing arrives, nobody is told), be slow, or be cut behind
so many bytes. The faults given to the proxy befall every line, those of befall_next() one only.
"""

import asyncio
import socket
import struct
import threading
from dataclasses import dataclass

CHUNK = 1 << 16


@dataclass
class Fault:
    """What befalls one lane. `cut_after` so many bytes comes its `end`: close or reset (of the whole
    line), half_close, or black_hole."""

    delay: float = 0.0
    bytes_per_second: float = 0.0
    cut_after: int | None = None
    end: str = "close"


class Lane:
    """One direction of a line: a task that carries bytes from one socket to the other."""

    def __init__(self, line, source, target, fault):
        self._line = line
        self._source = source
        self._target = target
        self._moving = asyncio.Event()
        self._moving.set()
        self.fault = fault
        self.passed = 0

    def stand_still(self, still=True):
        self._moving.clear() if still else self._moving.set()

    async def run(self):
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(self._source, self._size()):
            left = None if self.fault.cut_after is None else self.fault.cut_after - self.passed
            await self._carry(loop, data[:left])
            if left is not None and len(data) >= left:
                return await self._end(loop)
        await self._moving.wait()
        self._target.shutdown(socket.SHUT_WR)

    def _size(self):
        return max(1, min(CHUNK, int(self.fault.bytes_per_second / 20))) if self.fault.bytes_per_second else CHUNK

    async def _carry(self, loop, data):
        await self._moving.wait()
        pace = len(data) / self.fault.bytes_per_second if self.fault.bytes_per_second else 0
        if self.fault.delay + pace:
            await asyncio.sleep(self.fault.delay + pace)
            await self._moving.wait()
        self.passed += len(data)  # before it is sent: whoever has got it finds it counted
        await loop.sock_sendall(self._target, data)

    async def _end(self, loop):
        if self.fault.end == "half_close":
            self._target.shutdown(socket.SHUT_WR)
        if self.fault.end in ("close", "reset"):
            return self._line.close(reset=self.fault.end == "reset")
        while await loop.sock_recv(self._source, CHUNK):
            pass


class Line:
    """One connection through the proxy."""

    def __init__(self, near, far, asked, answered):
        self._sockets = (near, far)
        self.asked = Lane(self, near, far, asked)
        self.answered = Lane(self, far, near, answered)
        self.tasks = [asyncio.create_task(self._run(lane)) for lane in (self.asked, self.answered)]
        self._running = len(self.tasks)
        for task in self.tasks:
            task.add_done_callback(self._lane_ended)

    async def _run(self, lane):
        try:
            await lane.run()
        except OSError:
            self.close(reset=True)

    def _lane_ended(self, _task):
        self._running -= 1
        if self._running == 0:
            for end in self._sockets:
                end.close()

    def close(self, reset=False):
        """End both lanes; the last one to end closes the sockets."""
        for end in self._sockets:
            if reset and end.fileno() >= 0:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        for task in self.tasks:
            if task is not asyncio.current_task():
                task.cancel()


class Faulty:
    """with Faulty(postgres.port) as proxy: ... proxy.port. All its methods may be called from any thread."""

    def __init__(self, target_port, accepting=True, asked=None, answered=None):
        self._target_port = target_port
        self._faults = (asked or Fault(), answered or Fault())
        self._next_faults = None
        self._loop = asyncio.new_event_loop()
        self._accepting = None
        self._fillers = []
        self.lines = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024 if accepting else 0)
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.accept() if accepting else self._fill_backlog()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, function, *arguments):
        async def call():
            function(*arguments)

        return asyncio.run_coroutine_threadsafe(call(), self._loop).result(10)

    def _fill_backlog(self):
        """The system drops what wants to connect while the queue of the listener is full."""
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))
            self._fillers.append(filler)

    def accept(self):
        """Take connections from now on."""
        self._call(self._start_accepting)

    def _start_accepting(self):
        for filler in self._fillers:
            filler.close()
        self._fillers = []
        self._listener.listen(1024)
        self._accepting = self._loop.create_task(self._accept())

    async def _accept(self):
        while True:
            near, _ = await self._loop.sock_accept(self._listener)
            far = socket.socket()
            for end in (near, far):
                end.setblocking(False)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                await self._loop.sock_connect(far, ("127.0.0.1", self._target_port))
            except OSError:
                near.close()
                far.close()
                continue
            faults, self._next_faults = self._next_faults or self._faults, None
            self.lines.append(Line(near, far, *faults))

    async def _stop(self):
        tasks = [task for line in self.lines for task in line.tasks] + [self._accepting] * bool(self._accepting)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._listener.close()
        for filler in self._fillers:
            filler.close()

    # faults

    def befall_next(self, asked=None, answered=None):
        """The faults of the next line, and of no other."""
        self._call(self._set_next, (asked or Fault(), answered or Fault()))

    def _set_next(self, faults):
        self._next_faults = faults

    def black_hole(self, lines=None):
        """These lines (all, if none are named) carry nothing any more."""
        self._call(self._stand_still, self.lines if lines is None else lines, True)

    def heal(self):
        """Everything that stands still moves again."""
        self._call(self._stand_still, self.lines, False)

    @staticmethod
    def _stand_still(lines, still):
        for line in lines:
            line.asked.stand_still(still)
            line.answered.stand_still(still)

    def reset(self, lines):
        """These lines end now, with a TCP reset on both sides."""
        self._call(lambda: [line.close(reset=True) for line in lines])
