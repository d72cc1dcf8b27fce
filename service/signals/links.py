"""Link facts of a batch: which account showed which keys when."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from service.domain.codes import code32
from service.domain.facts import Int32s, Int64s, LinkFacts
from service.signals.batch import Texts
from service.signals.pseudonymise import Pseudonymiser

KeyFunction = Callable[[Any], str | None]


def keys_of(kind: str, values: Sequence[str | None], codes: Int64s, pseudonymiser: Pseudonymiser, now: int) -> Int64s:
    """Link keys of n rows, of which row i shows ``values[codes[i]]``; a code of -1 and a value of None show nothing.

    Shape (secrets active at ``now``, n); 0: no key.
    """
    places: dict[str, int] = {}
    place = np.array(
        [-1 if value is None else places.setdefault(value, len(places)) for value in (*values, None)], np.int64
    )
    hashed = pseudonymiser.link_keys(kind, list(places), now)
    none = np.zeros((len(hashed), 1), np.int64)
    keys: Int64s = np.concatenate([hashed, none], axis=1)[:, place[codes]]
    return keys


def links(kind: Int32s | int, keys: Int64s, account: Int64s, happened: Int64s) -> LinkFacts:
    """One link per secret and row with a key; ``keys`` has shape (secrets, n), the others (n,)."""
    secret, row = np.nonzero(keys)
    kinds = np.full(len(row), kind, np.int32) if isinstance(kind, int) else kind[row]
    return LinkFacts(account[row], kinds, keys[secret, row], happened[row])


def links_of(
    *,
    functions: Sequence[KeyFunction],
    parsed: Sequence[Any],
    codes: Int64s,
    account: Int64s,
    happened: Int64s,
    pseudonymiser: Pseudonymiser,
    now: int,
) -> list[LinkFacts]:
    """The links of every kind in ``functions``, made from the parsed values that rows show by ``codes``.

    None among ``parsed`` is a value without keys.
    """
    made = []
    for function in functions:
        values = [None if value is None else function(value) for value in parsed]
        keys = keys_of(function.__name__, values, codes, pseudonymiser, now)
        made.append(links(code32(function.__name__), keys, account, happened))
    return made


def small_hash(column: Texts, size: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A small category of each row's text, whatever its case; NaN where nothing was said. Shape (n,)."""
    codes = np.array([code32(value.strip().casefold()) % size for value in column.values], np.float64)
    spread: np.ndarray[Any, np.dtype[np.float64]] = column.spread(codes, np.nan)
    return spread
