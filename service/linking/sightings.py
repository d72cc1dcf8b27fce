"""Who showed which key: the matrix of accounts and keys that everything here works on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from service.domain.facts import Float64s, Int32s, Int64s

Bools = NDArray[np.bool_]
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Account ``account[i]`` (a place among the accounts) showed ``key[i]`` of kind ``kind[i]`` (a place in kinds)."""

    account: Int64s
    key: Int64s
    kind: Int64s

    @classmethod
    def joined(cls, parts: list[Rows]) -> Rows:
        """All rows of several."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("account", "key", "kind")))


@dataclass(frozen=True, slots=True, eq=False)
class Sightings:
    """Rows of keys that two accounts or more showed, each (account, key) once, ordered by key and account.

    ``n`` accounts; ``k`` keys. A key that one account alone showed links nobody; only ``shown`` counts it.
    """

    n: int
    kinds: tuple[str, ...]
    account: Int64s  # (rows,) place of the account
    key: Int64s  # (rows,) place of the key, ascending
    hashes: Int64s  # (k,) the keys themselves
    kind: Int64s  # (k,) place in kinds
    degree: Int64s  # (k,) accounts that showed it
    shown: Int32s  # (kinds, n) how many different keys of a kind each account showed, unshared ones too

    @property
    def first(self) -> Int64s:
        """(k + 1,) where the rows of each key begin."""
        return np.concatenate([[0], np.cumsum(self.degree)])


def sightings(n: int, kinds: tuple[str, ...], rows: Rows, alone: Int32s | None = None) -> Sightings:
    """``rows``, each (account, key) once, as Sightings. Keys of two kinds must differ.

    ``alone`` of shape (kinds, n) counts keys that are not among the rows because one account alone showed them.
    """
    order = np.argsort(rows.key)
    account, key, kind = rows.account[order], rows.key[order], rows.kind[order]
    shown = np.bincount(kind * n + account, minlength=len(kinds) * n).reshape(len(kinds), n).astype(np.int32)
    if alone is not None:
        shown += alone
    starts, degree = runs(key)
    shared = degree >= 2
    place = np.cumsum(shared) - 1
    of_row = np.repeat(np.arange(len(starts)), degree)
    kept = shared[of_row]
    # In one order whatever order they came in, so that sums have the same last bit in every run.
    code = np.sort(place[of_row[kept]] * n + account[kept])
    return Sightings(
        n=n,
        kinds=kinds,
        account=code % max(n, 1),
        key=code // max(n, 1),
        hashes=key[starts][shared],
        kind=kind[starts][shared],
        degree=degree[shared],
        shown=shown,
    )


def runs(ordered: Int64s) -> tuple[Int64s, Int64s]:
    """Where each run of equal values begins, and how long it is."""
    start = np.flatnonzero(np.concatenate([np.ones(min(1, len(ordered)), bool), ordered[1:] != ordered[:-1]]))
    return start, np.diff(np.append(start, len(ordered)))


def grown(values: NDArray[Number], size: int, fill: int) -> NDArray[Number]:
    """``values`` with room for ``size`` along the first axis, the new ones being ``fill``."""
    if len(values) >= size:
        return values
    out = np.full((size, *values.shape[1:]), fill, values.dtype)
    out[: len(values)] = values
    return out


def summed(place: Int64s | Int32s, values: Float64s, size: int) -> Float64s:
    """(size,) the sum of the values at each place."""
    return np.bincount(place, weights=values, minlength=size).astype(np.float64, copy=False)


def counted(code: Int64s) -> Int64s:
    """How often the value of each element is there. By sorting, which at millions beats numpy's ``unique`` tenfold."""
    order = np.argsort(code, kind="stable")
    _, length = runs(code[order])
    out = np.empty(len(code), np.int64)
    out[order] = np.repeat(length, length)
    return out
