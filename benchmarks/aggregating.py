"""The peer of an import: one DuckDB query that makes the columns of usage tiles from the same Parquet files.

A module of its own, which loads nothing of ours: ``python -m benchmarks.aggregating DIRECTORY FILE``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import duckdb

_HOUR = 3_600_000_000
_BITMAPS = (
    ("addresses", "ip", 2),
    ("networks", "regexp_replace(ip, '[.][0-9]+$', '')", 2),
    ("clients", "client", 1),
    ("models", "model", 1),
    ("templates", "prompt_prefix_hash", 2),
    ("prompts", "prompt_simhash", 4),
    ("near", "prompt_simhash & 4095", 4),
)
_KNOWN = "input_tokens IS NOT NULL AND output_tokens IS NOT NULL"
NUMBERS = {
    "requests": "count(*)",
    "errors": "count(*) FILTER (status = 'error')",
    "rate_limited": "count(*) FILTER (status = 'rate_limited')",
    "sized": f"count(*) FILTER ({_KNOWN})",
    "prompted": "count(prompt_simhash)",
    "input_tokens": "coalesce(sum(input_tokens), 0)",
    "output_tokens": "coalesce(sum(output_tokens), 0)",
    "input_log": "sum(input_log)",
    "output_log": "sum(output_log)",
    "input_log_sq": "sum(input_log * input_log)",
    "output_log_sq": "sum(output_log * output_log)",
    "input_max": "coalesce(max(input_tokens), 0)",
    "output_max": "coalesce(max(output_tokens), 0)",
    "minutes_0": "bit_or(1::BIGINT << minute)",
    "first_at": "min(us)",
    "last_at": "max(us)",
}


def query(files: Path) -> str:
    """The peer's: the columns of a usage tile by account and hour, of all Parquet files below ``files``."""
    bits = [
        f"bit_or(CASE WHEN {name} IS NOT NULL AND ({name} >> 6) % {words} = {word} "
        f"THEN 1::UBIGINT << ({name} & 63) ELSE 0 END) AS {name}_{word}"
        for name, _, words in _BITMAPS
        for word in range(words)
    ]
    hashes = [f"CASE WHEN ({source}) IS NOT NULL THEN hash({source}) END AS {name}" for name, source, _ in _BITMAPS]
    logs = [
        f"CASE WHEN {_KNOWN} THEN round(log2(1.0 + {side}_tokens) * 1024)::BIGINT ELSE 0 END AS {side}_log"
        for side in ("input", "output")
    ]
    return f"""
        CREATE TABLE tiles AS
        SELECT account_id, hour, {", ".join([*(f"{sql} AS {name}" for name, sql in NUMBERS.items()), *bits])}
        FROM (
            SELECT account_id, status, input_tokens, output_tokens, prompt_simhash, epoch_us(happened_at) AS us,
                epoch_us(happened_at) // {_HOUR} * {_HOUR} AS hour, (epoch_us(happened_at) // 60000000) % 60 AS minute,
                {", ".join([*logs, *hashes])}
            FROM read_parquet('{files}/**/*.parquet')
        )
        GROUP BY account_id, hour
    """  # noqa: S608  names and paths are ours


def aggregate(files: Path, into: Path) -> None:
    """The peer's whole work."""
    with duckdb.connect(str(into)) as database:
        database.execute("SET threads = 2")
        database.execute(query(files))
        database.execute("CHECKPOINT")


if __name__ == "__main__":
    aggregate(Path(sys.argv[1]), Path(sys.argv[2]))
