"""Everything durable: facts, tiles, raw usage, labels, assessments and the registry, on SQLite or PostgreSQL.

SQL lives here and nowhere else. ``store.Store`` is the one class that other rooms use; ``writer.Writer`` commits the
writes of many threads together. Tables hold numbers and keyed hashes, never personal data in the clear; moments are
BIGINT microseconds.
"""
