"""Columns that were filled by live calls equal those that an import of the same facts fills, for every feature.

A simulated world is taken in twice: once as files, and once call by call, out of order and in batches of odd sizes,
each fact learned at its own moment. Then every account is asked for at several moments, alone as a call would and all
together as a job would. Four ways, one answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from service.domain.campaigns import CampaignEvidence, CampaignState, ReviewAction, ReviewAsked
from service.domain.codes import hash64_many
from service.domain.detection import CampaignKeys, FoundCampaign
from service.domain.enums import CardFunding, PaymentKind, PaymentMethod, UsageStatus, Verdict
from service.domain.raw import Label, Link, Payment, Signal, Signup, Usage
from service.domain.time import DAY, micros
from service.engine.embedded import columns
from service.features.catalogue import RULED, features_for, matrix
from service.features.linkage import KINDS
from service.signals.door import Door
from service.signals.keyring import Keyring
from service.signals.reference.tables import AddressTables
from service.storage.arrivals import Arrival
from service.storage.store import Store, open_store
from service.usecases.import_directory import import_directory
from training.simulate import DEFAULT_START, simulate
from training.starter import Quiet

START = micros(DEFAULT_START)
DAYS = 12
END = START + DAYS * DAY
PROBES = (START + 3 * DAY + 1, START + 7 * DAY, END)

WORDS = {
    "kind": PaymentKind,
    "method": PaymentMethod,
    "card_funding": CardFunding,
    "status": UsageStatus,
    "verdict": Verdict,
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "w"
    simulate(folder, accounts=500, days=DAYS, campaigns=2, seed=11, exchanges_per_day=3.0)
    return folder


@pytest.fixture(scope="module")
def door() -> Door:
    return Door(Keyring.generated(START, lambda n: bytes(range(n))), AddressTables())


def rows(world: Path, table: str, record: type[Any]) -> Iterator[Any]:
    """The rows of a table as the records that a call brings."""
    (path,) = world.glob(f"{table}*")
    for row in pq.read_table(path).to_pylist():
        said: dict[str, Any] = {}
        for name, value in row.items():
            if value is None:
                continue
            said[name] = micros(value) if name.endswith("_at") else WORDS[name](value) if name in WORDS else value
        yield record(**said)


def replayed(url: str, world: Path, door: Door) -> Store:
    """A store that heard everything live: newest tables first, shuffled, each fact at its own moment."""
    store = open_store(url)
    rng = np.random.default_rng(3)
    parts: list[tuple[str, Any, Any]] = [
        ("usage", door.usage, Usage),
        ("signals", door.signals, Signal),
        ("links", door.links, Link),
        ("payments", door.payments, Payment),
        ("signups", door.signups, Signup),
    ]
    for part, read, record in parts:
        said = list(rows(world, "accounts" if part == "signups" else part, record))
        order = rng.permutation(len(said))
        place = 0
        while place < len(said):
            size = int(rng.integers(1, 700))
            facts, bad = read([said[i] for i in order[place : place + size]], END)
            assert bad == []
            store.write([Arrival(None, **{part: facts})])
            place += size
    labels = list(rows(world, "labels", Label))
    for label in labels[::-1]:
        store.record_labels([label], None)
    return store


def imported(url: str, world: Path, door: Door) -> Store:
    """A store that read the files."""
    store = open_store(url, upgrading=True)
    report = import_directory(world, door=door, store=store, now=END, skip_bad_rows=None, progress=Quiet())
    assert report.bad == 0
    return store


def detected(store: Store) -> Store:
    """The same: two runs find a campaign among the accounts and keys, and analysts confirm it between them."""
    _, key, kind, _ = store.link_rows(END)
    keys, first, count = np.unique(key, return_index=True, return_counts=True)
    shared = np.flatnonzero((count > 1) & (count < 30))[::3]
    everyone = store.accounts()
    for at, some in ((START + 5 * DAY, everyone[::9]), (START + 9 * DAY, everyone[::8])):
        held = CampaignKeys(
            keys[shared],
            kind[first[shared]],
            0.5 + shared % 7,
            count[shared] < 4,
            (np.abs(kind[first[shared]]) % 5).astype(np.int8),
        )
        sure = np.linspace(0.5, 1.0, len(some), dtype=np.float32)
        found = FoundCampaign(
            "c-1", some, sure, [""] * len(some), 0.995, CampaignState.DETECTED, CampaignEvidence(), held
        )
        number = store.begin_detection(at, "host", at)
        store.record_detection([found], run=number, as_of=at)
        store.finish_detection(number, at, "{}")
        if at < START + 7 * DAY:
            store.review(ReviewAsked("c-1", ReviewAction.CONFIRM, "ann", "one payer"), at=at + DAY, two_above=500)
    return store


def bulk_answers(store: Store, at: int) -> dict[int, np.ndarray]:
    """Every account's features at a moment, as a job computes them."""
    out: dict[int, np.ndarray] = {}
    for history in store.histories(rows=5_000):
        made = answers(store, history, history.account, at)
        out.update(zip(history.account.tolist(), made, strict=True))
    return out


def answers(store: Store, history: Any, accounts: np.ndarray, at: int) -> np.ndarray:
    kinds, signals = sorted(store.names("kind").values()), sorted(store.names("signal").values())
    made = columns(
        history, accounts, np.full(len(accounts), at, np.int64), kinds=(*KINDS, *kinds), signal_names=signals
    )
    return matrix(made, (*features_for(signals, kinds), *RULED))


def differing(store: Store, one: np.ndarray, other: np.ndarray) -> list[str]:
    kinds, signals = sorted(store.names("kind").values()), sorted(store.names("signal").values())
    return [
        f"{feature.name}: {a} and {b}"
        for feature, a, b in zip((*features_for(signals, kinds), *RULED), one, other, strict=True)
        if not (a == b or (np.isnan(a) and np.isnan(b)))
    ]


def test_live_and_imported_facts_give_every_account_the_same_features_alone_and_together(
    ready_database_url: str, tmp_path: Path, world: Path, door: Door
) -> None:
    live = detected(replayed(ready_database_url, world, door))
    other = detected(imported(f"sqlite:///{tmp_path}/imported.db", world, door))
    everyone = np.unique(hash64_many([signup.account_id for signup in rows(world, "accounts", Signup)]))
    for at in PROBES:
        from_calls, from_files = bulk_answers(live, at), bulk_answers(other, at)
        assert sorted(from_calls) == sorted(from_files) == everyone.tolist()
        if at > START + 5 * DAY:
            assert {0, 3} <= {row[-1] for row in from_calls.values()}  # some are tied to the campaign, some are not
        for account in everyone.tolist():
            assert differing(live, from_calls[account], from_files[account]) == []
        for account in everyone[:: max(1, len(everyone) // 60)]:
            alone = answers(live, live.history(np.array([account]), at), np.array([account]), at)[0]
            assert differing(live, alone, from_calls[int(account)]) == []
        some = everyone[::7]
        few = answers(other, other.history(some, at), some, at)
        for account, row in zip(some.tolist(), few, strict=True):
            assert differing(other, row, from_files[account]) == []
    live.close()
    other.close()
