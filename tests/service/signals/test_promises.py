"""What holds for every batch that passes the door: neighbours, order and the way in change nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.facts import LinkFacts
from service.domain.raw import Link, Payment, Signal, Signup, Usage
from service.signals.checks import Rejection, accepted_rows
from service.signals.door import Door
from service.signals.keyring import Keyring, LinkSecret
from service.signals.reference.tables import AddressTables
from tests.service.signals import rows as drawn
from tests.service.signals.conftest import NOON

# In the middle of a rotation, so that facts link under two secrets.
DOOR = Door(
    Keyring(
        (LinkSecret("k2", NOON - 5, b"second secret of the tests"), LinkSecret("k1", 0, b"first secret of the tests")),
        b"content key of the tests",
    ),
    AddressTables(),
)

Read = Callable[[Sequence[Any]], tuple[Any, list[Rejection]]]
KINDS: dict[str, tuple[type[Any], st.SearchStrategy[Any], Read, Callable[..., Any]]] = {
    "signups": (Signup, drawn.signups, lambda rows: DOOR.signups(rows, NOON), DOOR.signups_table),
    "payments": (Payment, drawn.payments, lambda rows: DOOR.payments(rows, NOON), DOOR.payments_table),
    "usage": (Usage, drawn.usages, lambda rows: DOOR.usage(rows, NOON), DOOR.usage_table),
    "links": (Link, drawn.links, lambda rows: DOOR.links(rows, NOON), DOOR.links_table),
    "signals": (Signal, drawn.signals, lambda rows: DOOR.signals(rows, NOON), DOOR.signals_table),
}

each_kind = pytest.mark.parametrize("name", list(KINDS))


@each_kind
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_batch_gives_bit_for_bit_the_facts_of_its_rows_alone(name: str, data: st.DataObject) -> None:
    _, strategy, read, _ = KINDS[name]
    rows = data.draw(st.lists(strategy, max_size=8))
    together, wrong = read(rows)
    alone = [read([row]) for row in rows]
    assert wrong == [Rejection(i, bad.field, bad.reason) for i, (_, bads) in enumerate(alone) for bad in bads]
    sound = [facts for facts, bads in alone if not bads]
    assert len(together) == len(sound)
    assert accepted_rows(len(rows), wrong).tolist() == [i for i, (_, bads) in enumerate(alone) if not bads]
    for column in _columns(together):
        expected = [getattr(facts, column)[0] for facts in sound]
        assert _bits(getattr(together, column)) == _bits(np.array(expected)) if expected else True
    assert _shown(together) == _first([_shown(facts) for facts in sound], repeated=name != "usage")


@each_kind
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_the_order_of_a_batch_changes_nothing(name: str, data: st.DataObject) -> None:
    _, strategy, read, _ = KINDS[name]
    rows = data.draw(st.lists(strategy, max_size=8))
    order = data.draw(st.permutations(range(len(rows))))
    straight, shuffled = read(rows)[0], read([rows[i] for i in order])[0]
    kept = accepted_rows(len(rows), read(rows)[1]).tolist()
    place = [kept.index(i) for i in order if i in kept]
    for column in _columns(straight):
        there = getattr(straight, column)
        picked = there[place] if isinstance(there, np.ndarray) else [there[i] for i in place]
        assert _bits(getattr(shuffled, column)) == _bits(picked)
    assert _shown(straight) == _shown(shuffled)


@each_kind
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_file_says_the_same_as_a_call_down_to_the_content_hash(name: str, data: st.DataObject) -> None:
    kind, strategy, read, read_table = KINDS[name]
    rows = data.draw(st.lists(strategy, max_size=8))
    table = drawn.table(rows, kind)
    called, call_wrong = read(rows)
    for source in (table, table.to_batches()[0] if rows else table):
        imported, file_wrong = read_table(source, NOON)
        assert call_wrong == file_wrong
        for column in _columns(called):
            assert _bits(getattr(called, column)) == _bits(getattr(imported, column))
        assert _shown(called) == _shown(imported)
        if name == "usage":
            assert called.worded.hashes().tolist() == imported.worded.hashes().tolist()


def _columns(facts: Any) -> list[str]:
    return [field.name for field in fields(facts) if field.name not in ("links", "older", "names", "kinds", "worded")]


def _bits(column: Any) -> tuple[Any, ...]:
    """A column so that NaN equals itself and 0.0 is not -0.0."""
    values = np.asarray(column)
    return (values.tobytes(), values.shape) if values.dtype.kind in "fi" and values.size else tuple(values.tolist())


def _shown(facts: Any) -> Counter[tuple[int, int, int, int]]:
    parts = [part for part in (getattr(facts, "links", None), getattr(facts, "older", None)) if part is not None]
    every = LinkFacts.concat(parts)
    rows = zip(every.account.tolist(), every.kind.tolist(), every.key.tolist(), every.happened.tolist(), strict=True)
    return Counter(rows)


def _first(parts: list[Counter[tuple[int, int, int, int]]], *, repeated: bool) -> Counter[tuple[int, int, int, int]]:
    """All links; where they are not repeated, each (account, kind, key) once at its first moment."""
    every: Counter[tuple[int, int, int, int]] = sum(parts, Counter())
    if repeated:
        return every
    first: dict[tuple[int, int, int], int] = {}
    for account, kind, key, happened in every:
        first[account, kind, key] = min(happened, first.get((account, kind, key), happened))
    return Counter((*who, happened) for who, happened in first.items())
