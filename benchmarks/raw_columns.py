"""Plain aggregates per account of every raw column of an interchange directory, named ``table.column:aggregate``.

They are deliberately dumb: what somebody would compute in an afternoon without knowing how the world was made.
"""

from __future__ import annotations

import ipaddress
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Matrix = dict[str, Floats]
FEW = 100  # distinct values up to which a value is itself a category
HOUR = 3_600_000_000


def raw_columns(folder: Path) -> Matrix:
    """All aggregates; float64 per account in the order of accounts.parquet, NaN where it has no such row."""
    accounts = pq.read_table(folder / "accounts.parquet")
    found: Matrix = {}
    size = len(accounts)
    everyone = np.arange(size)
    for name in accounts.column_names:
        if name != "account_id":
            _column(found, f"accounts.{name}", accounts[name], everyone, size)
    _mail_and_address(found, accounts)
    created = accounts["created_at"].cast(pa.int64()).to_numpy()
    for table in ("payments", "usage", "links", "signals"):
        path = folder / f"{table}.parquet"
        rows = pq.read_table(path if path.exists() else folder / table)
        owner = pc.index_in(rows["account_id"], value_set=accounts["account_id"].combine_chunks()).to_numpy()
        found[f"{table}.rows:count"] = np.bincount(owner, minlength=size).astype(np.float64)
        for name in rows.column_names:
            if name not in ("account_id", "event_id"):
                _column(found, f"{table}.{name}", rows[name], owner, size)
        moment = rows["happened_at"].cast(pa.int64()).to_numpy()
        found[f"{table}.happened_at:wait"] = _lowest(owner, moment, size) - created
    return found


def _column(found: Matrix, name: str, values: pa.ChunkedArray, owner: Ints, size: int) -> None:
    kind = values.type
    present = np.bincount(owner[~values.is_null().to_numpy()], minlength=size)
    found[f"{name}:present"] = present / np.maximum(np.bincount(owner, minlength=size), 1)
    if pa.types.is_timestamp(kind):
        _times(found, name, values.cast(pa.int64()).to_numpy(), owner, size)
    elif pa.types.is_string(kind) or pa.types.is_uint64(kind):
        _values(found, name, values, owner, size)
    else:
        numbers = values.cast(pa.float64()).to_numpy() if not pa.types.is_boolean(kind) else _booleans(values)
        _numbers(found, name, numbers, owner, size)


def _booleans(values: pa.ChunkedArray) -> Floats:
    return np.array([np.nan if v is None else float(v) for v in values.to_pylist()])


def _numbers(found: Matrix, name: str, numbers: Floats, owner: Ints, size: int) -> None:
    good = ~np.isnan(numbers)
    who, what = owner[good], numbers[good]
    count = np.bincount(who, minlength=size).astype(np.float64)
    count[count == 0] = np.nan
    mean = np.bincount(who, what, size) / count
    found[f"{name}:mean"] = mean
    found[f"{name}:spread"] = np.sqrt(np.maximum(np.bincount(who, what**2, size) / count - mean**2, 0)) / (
        np.abs(mean) + 1e-9
    )
    found[f"{name}:largest"] = -_lowest(who, -what, size)
    found[f"{name}:smallest"] = _lowest(who, what, size)


def _times(found: Matrix, name: str, moment: Ints, owner: Ints, size: int) -> None:
    first, last = _lowest(owner, moment, size), -_lowest(owner, -moment, size)
    found[f"{name}:first"], found[f"{name}:length"] = first, last - first
    hour = (moment // HOUR) % 24
    _numbers(found, f"{name}:hour", hour.astype(np.float64), owner, size)
    found[f"{name}:weekday"] = np.floor(first / (24 * HOUR)) % 7
    hours, bucket = np.unique(moment // HOUR, return_inverse=True)
    crowd = np.bincount(bucket, minlength=len(hours))
    _numbers(found, f"{name}:crowd", crowd[bucket].astype(np.float64), owner, size)
    order = np.lexsort((moment, owner))
    gap = np.diff(moment[order]).astype(np.float64)
    same = owner[order][1:] == owner[order][:-1]
    _numbers(found, f"{name}:gap", np.log1p(gap[same]), owner[order][1:][same], size)
    days = np.unique(np.stack([owner, moment // (24 * HOUR)]), axis=1)[0]
    found[f"{name}:days"] = np.bincount(days, minlength=size).astype(np.float64)


def _values(found: Matrix, name: str, values: pa.ChunkedArray, owner: Ints, size: int) -> None:
    good = np.flatnonzero(~values.is_null().to_numpy())
    coded = values.take(pa.array(good)).combine_chunks().dictionary_encode()
    code, who = coded.indices.to_numpy().astype(np.int64), owner[good]
    distinct = len(coded.dictionary)
    pairs, times = np.unique(who * np.int64(distinct) + code, return_counts=True)
    sharing = np.bincount(pairs % distinct, minlength=distinct)  # accounts that have each value
    _numbers(found, f"{name}:sharing", np.log(sharing[code]), who, size)
    held = np.bincount(pairs // distinct, minlength=size).astype(np.float64)
    found[f"{name}:distinct"] = held
    most = -_lowest(pairs // distinct, -times.astype(np.float64), size)
    found[f"{name}:top_share"] = most / np.maximum(np.bincount(who, minlength=size), 1)
    if pa.types.is_string(values.type):
        _numbers(
            found, f"{name}:length", pc.utf8_length(coded.dictionary).to_numpy()[code].astype(np.float64), who, size
        )
    if distinct <= FEW:
        texts = coded.dictionary.to_pylist()
        stable = np.array([zlib.crc32(str(text).encode()) % 2**20 for text in texts], dtype=np.float64)
        _numbers(found, f"{name}:value", stable[code], who, size)
        rows = np.maximum(np.bincount(who, minlength=size), 1)
        for index in np.argsort(texts)[:12].tolist():
            found[f"{name}:is_{texts[index]}"] = np.bincount(who[code == index], minlength=size) / rows


def _mail_and_address(found: Matrix, accounts: pa.Table) -> None:
    size = len(accounts)
    everyone = np.arange(size)
    mails = [mail.rpartition("@") for mail in accounts["email"].to_pylist()]
    _values(found, "accounts.email:domain", pa.chunked_array([pa.array([d for _, _, d in mails])]), everyone, size)
    endings = pa.chunked_array([pa.array([d.rpartition(".")[2] for _, _, d in mails])])
    _values(found, "accounts.email:ending", endings, everyone, size)
    digits = np.array([sum(c.isdigit() for c in local) for local, _, _ in mails], dtype=np.float64)
    found["accounts.email:digits"] = digits
    found["accounts.email:local_length"] = np.array([len(local) for local, _, _ in mails], dtype=np.float64)
    found["accounts.email:plus"] = np.array(["+" in local for local, _, _ in mails], dtype=np.float64)
    found["accounts.email:dots"] = np.array([local.count(".") for local, _, _ in mails], dtype=np.float64)
    parsed = [None if ip is None else ipaddress.ip_address(ip) for ip in accounts["ip"].to_pylist()]
    found["accounts.ip:number"] = np.array(
        [np.nan if ip is None or ip.version == 6 else float(int(ip)) for ip in parsed]
    )
    for length in (16, 24):
        nets = [None if ip is None else f"{int(ip) >> ((32 if ip.version == 4 else 64) - length)}" for ip in parsed]
        _values(found, f"accounts.ip:net{length}", pa.chunked_array([pa.array(nets, pa.string())]), everyone, size)
    given = [None if name is None else name.split()[0] for name in accounts["full_name"].to_pylist()]
    _values(found, "accounts.full_name:given", pa.chunked_array([pa.array(given, pa.string())]), everyone, size)
    heads = [None if phone is None else phone[:6] for phone in accounts["phone"].to_pylist()]
    _values(found, "accounts.phone:head", pa.chunked_array([pa.array(heads, pa.string())]), everyone, size)


def _lowest(owner: Ints, values: NDArray[np.generic], size: int) -> Floats:
    lowest = np.full(size, np.inf)
    np.minimum.at(lowest, owner, values.astype(np.float64))
    lowest[np.isinf(lowest)] = np.nan
    return lowest
