"""Makes a program that shows a difference smaller, as long as it still shows one."""

import dataclasses
import time

from disorder import crashes_postgres
from lane import Difference

SHRINK_SECONDS = 60
RUN_SECONDS = 5  # a hang takes so long at each try
ATTEMPTS = 5  # a difference may depend on timing


class Shrinker:
    """`lane` is used for every try, with connections that nobody used before."""

    def __init__(self, lane, mode, seconds=SHRINK_SECONDS):
        self._lane = lane
        self._mode = mode
        self._until = time.monotonic() + seconds
        self._attempts = 1
        self._risky = False

    async def shrink(self, found):
        """The Difference of the smallest program, or `found` itself if it does not come again."""
        normal, self._lane.seconds = self._lane.seconds, RUN_SECONDS
        try:
            return await self._shrink(found)
        finally:
            self._lane.seconds = normal

    async def _shrink(self, found):
        self._risky = crashes_postgres(found.program.steps)
        best = await self._repeat(found.program)
        if best is None:
            return dataclasses.replace(found, text=f"{found.text}\n    (alone it did not come again)")
        while time.monotonic() < self._until:
            smaller = await self._fewer_steps(best)
            smaller = await self._shorter_steps(smaller)
            if smaller.program == best.program:
                break
            best = smaller
        return dataclasses.replace(best, shrunk=True)

    async def _repeat(self, program):
        for self._attempts in range(1, ATTEMPTS + 1):
            found = await self._try(program)
            if found:
                return found
        return None

    async def _try(self, program):
        if time.monotonic() > self._until or (not self._risky and crashes_postgres(program.steps)):
            return None
        for _ in range(self._attempts):
            self._lane.forget_connections()
            for found in await self._lane.check(program, (self._mode,)):
                if found.mode == self._mode:
                    return found
        return None

    async def _fewer_steps(self, best):
        """Leave out stretches: first halves, in the end single steps."""
        size = max(1, len(best.program.steps) // 2)
        while size:
            at = 0
            while at < len(best.program.steps):
                steps = best.program.steps
                smaller = await self._try(best.program.with_steps(steps[:at] + steps[at + size :]))
                if smaller:
                    best = smaller
                else:
                    at += size
            size //= 2
        return best

    async def _shorter_steps(self, best):
        """Shorten the texts and lists of each step."""
        for at in range(len(best.program.steps)):
            again = True
            while again:
                again = False
                steps = best.program.steps
                for step in shorter(steps[at]):
                    smaller = await self._try(best.program.with_steps((*steps[:at], step, *steps[at + 1 :])))
                    if smaller:
                        best, again = smaller, True
                        break
        return best


def shorter(step):
    """The same step with one value shorter, the shortest first."""
    for field in dataclasses.fields(step):
        value = getattr(step, field.name)
        if field.name == "sql":
            candidates = shorter_sql(value)
        elif isinstance(value, (str, bytes)) and field.name in ("data", "reason"):
            candidates = halves(value)
        elif field.name == "values":
            candidates = shorter_values(value)
        else:
            continue
        for candidate in candidates:
            if candidate != value:
                yield dataclasses.replace(step, **{field.name: candidate})


def halves(value):
    if len(value) > 1:
        yield value[: len(value) // 2]
        yield value[len(value) // 2 :]


def shorter_sql(sql):
    parts = sql.split("; ")
    if len(parts) > 1:
        yield from ("; ".join(parts[:at] + parts[at + 1 :]) for at in range(len(parts)))
    before, quote, rest = sql.partition("'")
    literal, quote, after = rest.partition("'")
    if quote and len(literal) > 20:
        yield f"{before}'{literal[: len(literal) // 2]}'{after}"


def shorter_values(values):
    for at, value in enumerate(values):
        if value and len(value) > 8:
            yield (*values[:at], value[: len(value) // 2], *values[at + 1 :])


async def shrunk(lane, found) -> Difference:
    return found if found.mode == "no" else await Shrinker(lane, found.mode).shrink(found)
