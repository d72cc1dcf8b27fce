"""Small reads and writes go by index on PostgreSQL, whatever it knows of its tables at that moment."""

from __future__ import annotations

from service.storage.sql import Runs, cursor_of

# It plans by averages: a link key has nineteen accounts on average, so it read, and sorted, all hundred thousand of a
# mail domain to find the newest but 256, and after an import, before its statistics are renewed, it went through all
# verdicts for each key: half a second to two seconds an answer among 230,000 accounts. A plan that it makes for a table
# of a few rows goes through all of it, and is kept while the table grows. These statements have one good plan each, so
# it is made once for each connection, of what can be looked up. SQLite's are told by their words.
POSTGRES_BY_INDEX = (
    "SELECT set_config('plan_cache_mode', 'force_generic_plan', true), "
    "set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true), "
    "set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true)"
)


def by_index(connection: Runs) -> None:
    """Has the rest of the transaction planned by index."""
    if connection.dialect.name == "postgresql":
        cursor = cursor_of(connection)
        cursor.execute(POSTGRES_BY_INDEX)
        cursor.close()
