"""A witness: samples pg_stat_activity as fast as it can while something else happens."""

import threading

QUERY = (
    "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
    " AND datname = %s AND (%s::text IS NULL OR usename = %s)"
)


class PeakServers:
    """with PeakServers(postgres, "single") as peak: ...; then peak.highest."""

    def __init__(self, postgres, database, user=None):
        self._postgres = postgres
        self._parameters = (database, user, user)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self.highest = 0
        self.samples = 0

    def _sample(self):
        with self._postgres.connect() as connection:
            while not self._done.wait(0.002):
                (count,) = connection.execute(QUERY, self._parameters).fetchone()
                self.highest = max(self.highest, count)
                self.samples += 1

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()
        self._thread.join()
