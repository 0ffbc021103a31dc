"""Programs that no comparison can use as they are: they break the rules of COPY, or PostgreSQL itself."""

from steps import (
    Bind, Close, CopyData, CopyDone, CopyFail, Execute, Flush, FunctionCall, Parse, Pause, Query, Sync,
)  # fmt: skip

STARTS_COPY = "FROM STDIN"
ENDS = ("COMMIT", "END", "ROLLBACK")
WITHIN_COPY = (CopyData, Flush, Pause)
NEVER_SKIPS = (Query, FunctionCall, Close, Flush, Pause, CopyData, CopyDone, CopyFail)


def breaks_copy(steps):
    """True if something else may be sent into a COPY, or follows one behind whose Execute a Sync was
    sent too early (the server ignored that Sync, or did not: only the next one makes it clear)."""
    watch = _Watch()
    return any(watch.is_broken_by(step) for step in steps)


class _Watch:
    def __init__(self):
        self._statements = set()  # names whose text starts a COPY
        self._portals = set()
        self._open = 0  # COPYs that have been asked for and not ended
        self._in_batch = False  # the COPY was asked for by Execute
        self._doubtful = False  # in it a Sync was sent too early, and none since the end

    def is_broken_by(self, step):
        if isinstance(step, WITHIN_COPY):
            return False
        if isinstance(step, (CopyDone, CopyFail)):
            self._open = max(0, self._open - 1)
            return False
        if isinstance(step, Sync):
            self._doubtful = self._open > 0 and self._in_batch
            return False
        if self._open or self._doubtful:
            return True
        self._note(step)
        return False

    def _note(self, step):
        if isinstance(step, Query):
            self._open, self._in_batch = step.sql.count(STARTS_COPY), False
        elif isinstance(step, Parse) and STARTS_COPY in step.sql:
            self._statements.add(step.name)
        elif isinstance(step, Bind) and step.statement in self._statements:
            self._portals.add(step.portal)
        elif isinstance(step, Execute) and step.portal in self._portals:
            self._open, self._in_batch = 1, True


def crashes_postgres(steps):
    """True if PostgreSQL 15 may crash, and take everybody's connections with it: in a failed transaction
    a simple query leaves its portal behind, and an Execute of the unnamed portal reads freed memory."""
    begun = stale = False
    certain = True  # nothing since the last Sync can have made the server skip this message
    for step in steps:
        if isinstance(step, Query):
            begun = not step.sql.startswith(ENDS) and (begun or "BEGIN" in step.sql or "START TR" in step.sql)
            stale = begun
        elif isinstance(step, Execute) and not step.portal and stale:
            return True
        elif step == Close("P", "") and certain:
            stale = False
        certain = isinstance(step, Sync) or (certain and isinstance(step, NEVER_SKIPS))
    return False
