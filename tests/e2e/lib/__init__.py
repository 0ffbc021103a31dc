"""What the end-to-end tests, the playground and the benchmark share: throw-away
PostgreSQL servers, the pooler under test, and a raw protocol client."""

import os

# psycopg's default is select(), which cannot wait beside 1,024 descriptors of other clients.
os.environ.setdefault("PSYCOPG_WAIT_FUNC", "wait_selector")

# What the tests are told by the environment. The programs that they start are not to inherit it: Headgate takes
# HEADGATE_... for settings.
VARIABLES = {name: os.environ.pop(name) for name in [*os.environ] if name.startswith(("HEADGATE_", "PGBOUNCER_"))}
