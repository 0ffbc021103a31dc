"""What the end-to-end tests, the playground and the benchmark share: throw-away
PostgreSQL servers, the pooler under test, and a raw protocol client."""

import os

# psycopg's default is select(), which cannot wait beside 1,024 descriptors of other clients.
os.environ.setdefault("PSYCOPG_WAIT_FUNC", "wait_selector")
