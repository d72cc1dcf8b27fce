"""The interchange tables' columns, and writers whose bytes depend on the rows alone."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

TIME = pa.timestamp("us", tz="UTC")
TEXT = pa.string()


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema(list(columns.items()))


SCHEMAS: dict[str, pa.Schema] = {
    "accounts": _schema(
        account_id=TEXT,
        created_at=TIME,
        email=TEXT,
        full_name=TEXT,
        phone=TEXT,
        country=TEXT,
        ip=TEXT,
        user_agent=TEXT,
        device_id=TEXT,
        accept_language=TEXT,
        plan=TEXT,
        signup_source=TEXT,
        form_seconds=pa.float64(),
        email_verified=pa.bool_(),
        phone_verified=pa.bool_(),
    ),
    "payments": _schema(
        event_id=TEXT,
        account_id=TEXT,
        happened_at=TIME,
        kind=TEXT,
        method=TEXT,
        card_fingerprint=TEXT,
        card_bin=TEXT,
        card_country=TEXT,
        card_funding=TEXT,
        amount_minor=pa.int64(),
        currency=TEXT,
    ),
    "usage": _schema(
        event_id=TEXT,
        account_id=TEXT,
        happened_at=TIME,
        ip=TEXT,
        client=TEXT,
        model=TEXT,
        input_tokens=pa.int64(),
        output_tokens=pa.int64(),
        status=TEXT,
        prompt_prefix_hash=pa.uint64(),
        prompt_simhash=pa.uint64(),
    ),
    "links": _schema(account_id=TEXT, happened_at=TIME, key_type=TEXT, key_value=TEXT),
    "signals": _schema(account_id=TEXT, happened_at=TIME, name=TEXT, value=pa.float64()),
    "labels": _schema(
        account_id=TEXT, verdict=TEXT, decided_at=TIME, analyst=TEXT, campaign_id=TEXT, evidence=TEXT, retracted_at=TIME
    ),
    "truth": _schema(account_id=TEXT, campaign_id=TEXT, kind=TEXT),
}


def table(name: str, columns: dict[str, object]) -> pa.Table:
    """A table of the named schema; times come as int64 microseconds, the rest as the schema's type or Python values."""
    schema = SCHEMAS[name]
    return pa.Table.from_arrays([_column(columns[field.name], field.type) for field in schema], schema=schema)


def write(path: Path, rows: pa.Table) -> None:
    """Write one Parquet file; every option that a pyarrow release might change its mind about is set here."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        rows,
        path,
        compression="zstd",
        compression_level=3,
        version="2.6",
        data_page_version="1.0",
        use_dictionary=True,
        write_statistics=True,
        row_group_size=131_072,
        store_schema=True,
    )


def _column(values: object, kind: pa.DataType) -> pa.Array:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values.cast(kind) if values.type != kind else values
    if pa.types.is_timestamp(kind):
        return pa.array(values, type=pa.int64()).cast(kind)
    return pa.array(values, type=kind)
