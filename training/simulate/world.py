"""Puts a world together and writes it down."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from training.simulate.addresses import AddressBook, allot
from training.simulate.habits import CLIENTS, MODELS, Habits, draw_habits
from training.simulate.identity import FIRST_PAID, PLANS, sign_up
from training.simulate.labels import judge
from training.simulate.links import link, signal
from training.simulate.members import Crowd, gather
from training.simulate.payments import pay
from training.simulate.population import CAMPAIGN, populate
from training.simulate.rng import DAY, Bools, Ints, generator, mix, opaque_ids, salt
from training.simulate.signup import Arrivals, arrive
from training.simulate.tables import SCHEMAS, table, write
from training.simulate.usage import STATUS, Exchanges, exchanges

Progress = Callable[[str, int, int], None]
STOLEN = 0.005  # of people on their own: somebody else's card, no campaign
FILE_ROWS = 1_000_000  # of usage per file, at least


@dataclass(frozen=True, slots=True)
class World:
    """Everything about the accounts of a world but their events; one element per account, in file order."""

    crowd: Crowd
    arrivals: Arrivals
    habits: Habits
    book: AddressBook
    stolen: Bools
    ids: pa.Array
    start: int
    days: int

    @property
    def end(self) -> int:
        """The first microsecond after the period."""
        return self.start + self.days * DAY

    def kinds(self) -> list[str]:
        """What each account is: ``campaign``, ``stolen_card``, or an honest kind."""
        lone = np.full(self.crowd.population.size, "individual", dtype=object)
        lone[self.book.carrier] = "carrier_nat"
        lone[self.habits.popular] = "framework"
        lone[self.habits.heavy] = "heavy"
        lone[self.habits.batch] = "batch"
        lone[self.stolen] = "stolen_card"
        names = np.array([group.kind for group in self.crowd.population.groups] + [""], dtype=object)
        own: list[str] = np.where(self.crowd.population.group >= 0, names[self.crowd.population.group], lone).tolist()
        return own


def build(seed: int, *, accounts: int, days: int, campaigns: int, start: int, exchanges_per_day: float) -> World:
    """Draw who is in the world and how they behave. Raises WorldTooSmall."""
    crowd = gather(seed, populate(seed, accounts, campaigns))
    arrivals = arrive(crowd, start, days)
    end = start + days * DAY
    habits = draw_habits(crowd, arrivals, start=start, end=end, mean=exchanges_per_day)
    book = allot(crowd, arrivals, habits.addresses)
    alone = crowd.population.group < 0
    stolen = alone & (generator(seed, "stolen").random(accounts) < STOLEN)
    ids = opaque_ids(mix(np.arange(accounts), salt(seed, "account")), "a")
    return World(crowd, arrivals, habits, book, stolen, ids, start, days)


def write_world(world: World, out: Path, progress: Progress) -> int:
    """Write every table below ``out``; the number of exchanges."""
    seed, created, end = world.crowd.seed, world.arrivals.created, world.end
    progress("accounts", 0, 6)
    signups = sign_up(world.crowd, world.arrivals, [world.book.text[slot] for slot in world.book.first[:-1].tolist()])
    write(out / "accounts.parquet", table("accounts", {"account_id": world.ids, **signups.columns()}))
    progress("payments", 1, 6)
    paid_plan = np.array([PLANS.index(plan) >= FIRST_PAID for plan in signups.plan])
    payments = pay(world.crowd, world.arrivals, paid_plan, world.stolen, end)
    _write_events(world, out, "payments", payments)
    progress("links", 2, 6)
    _write_events(world, out, "links", link(world.crowd, created, end))
    progress("signals", 3, 6)
    phones = np.array([phone is not None for phone in signups.phone])
    _write_events(world, out, "signals", signal(world.crowd, created, phones, end))
    progress("labels", 4, 6)
    verdicts = judge(world.crowd, created, world.habits.first_use, world.stolen, end)
    write(out / "labels.parquet", table("labels", {"account_id": _owner(world, verdicts), **verdicts}))
    progress("truth", 5, 6)
    campaign = opaque_ids(mix(np.arange(len(world.crowd.groups) + 1), salt(seed, "campaign")), "k").to_pylist()
    kinds = world.kinds()
    group = world.crowd.population.group.tolist()
    member = [campaign[g] if k == CAMPAIGN else None for g, k in zip(group, kinds, strict=True)]
    write(out / "truth.parquet", table("truth", {"account_id": world.ids, "campaign_id": member, "kind": kinds}))
    return _write_usage(world, out, progress)


def _owner(world: World, columns: dict[str, object]) -> pa.Array:
    return world.ids.take(pa.array(columns["row"]))


def _write_events(world: World, out: Path, name: str, columns: dict[str, object]) -> None:
    """Write one table of events in order of time."""
    moment = np.asarray(columns["happened_at"])
    event_ids = opaque_ids(mix(np.arange(len(moment)), salt(world.crowd.seed, f"{name}-event")), "e")
    rows = table(name, {"event_id": event_ids, "account_id": _owner(world, columns), **columns})
    write(out / f"{name}.parquet", rows.take(pa.array(np.argsort(moment, kind="stable"))))


def _write_usage(world: World, out: Path, progress: Progress) -> int:
    """Write usage in files of at least FILE_ROWS exchanges, each file a stretch of days."""
    text, clients, models, status = (pa.array(values) for values in (world.book.text, CLIENTS, MODELS, STATUS))
    key = salt(world.crowd.seed, "usage-event")
    written, files = 0, 0
    waiting: list[pa.Table] = []

    def columns(piece: Exchanges, numbers: Ints) -> pa.Table:
        return table(
            "usage",
            {
                "event_id": opaque_ids(mix(numbers, key), "e"),
                "account_id": world.ids.take(pa.array(piece.row)),
                "happened_at": piece.happened_at,
                "ip": text.take(pa.array(world.book.first[piece.row] + piece.slot)),
                "client": clients.take(pa.array(piece.client)),
                "model": models.take(pa.array(piece.model)),
                "input_tokens": piece.input_tokens,
                "output_tokens": piece.output_tokens,
                "status": status.take(pa.array(piece.status)),
                "prompt_prefix_hash": piece.template,
                "prompt_simhash": piece.prompt,
            },
        )

    def flush() -> None:
        nonlocal files
        write(out / "usage" / f"part-{files:05d}.parquet", pa.concat_tables(waiting))
        files += 1
        waiting.clear()

    counts = np.diff(world.book.first)
    for piece in exchanges(world.crowd, world.habits, counts, start=world.start, days=world.days):
        waiting.append(columns(piece, np.arange(written, written + len(piece.row))))
        written += len(piece.row)
        if sum(len(one) for one in waiting) >= FILE_ROWS:
            flush()
        if len(piece.row):
            done = int((int(piece.happened_at[-1]) - world.start) // DAY) + 1
            progress("usage", min(done, world.days), world.days)
    if waiting or not files:
        waiting = waiting or [table("usage", {name: [] for name in SCHEMAS["usage"].names})]
        flush()
    return written
