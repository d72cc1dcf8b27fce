"""Building a world and writing it as an interchange directory."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.worlds.addresses import ground, written
from benchmarks.worlds.campaigns import begin_days, campaign_sizes, run_campaign
from benchmarks.worlds.exchanges import STATUS, Exchanges, days_of
from benchmarks.worlds.forms import links, payments, signups
from benchmarks.worlds.groups import BATCH, HOUSEHOLDS, PACKS, HonestGroup, honest_groups, usual_groups
from benchmarks.worlds.honest import settle
from benchmarks.worlds.pace import chance_of_use, day_factor
from benchmarks.worlds.people import CLIENTS, MODELS, draw_people, share_roofs
from benchmarks.worlds.roster import Crew, Span, World
from benchmarks.worlds.tactics import FAMILIES, Family, Tactic, draw_tactics
from training.simulate.places import places
from training.simulate.rng import HOUR, Floats, Ints, generator, mix, opaque_ids, pick, salt
from training.simulate.tables import TEXT, table, write

START = 1_776_816_000_000_000  # 2026-04-22, in microseconds
ACCOUNTS = 52_850  # 51,600 honest ones and 1,250 in campaigns
EXCHANGES_PER_ACCOUNT = 9_000_000 / ACCOUNTS
_TRUTH = pa.schema([("account_id", TEXT), ("campaign_id", TEXT), ("kind", TEXT), ("group_id", TEXT)])
_OURS = frozenset({"accounts.parquet", "payments.parquet", "links.parquet", "truth.parquet", "usage"})


@dataclass(frozen=True, slots=True)
class Summary:
    """What was written: counts, accounts by kind, and each campaign's tactic."""

    accounts: int
    exchanges: int
    kinds: dict[str, int]
    campaigns: dict[str, Tactic]


def make_world(
    out: Path,
    *,
    seed: int,
    tactics: str,
    accounts: int = ACCOUNTS,
    days: int = 45,
    exchanges: int | None = None,
    campaigns: int = 5,
    named_groups: bool = False,
) -> Summary:
    """Write a world of ``accounts`` accounts in all to the folder ``out``; the same arguments give the same bytes.

    ``tactics`` names a family of ``tactics.FAMILIES``. ``exchanges`` is what is expected in all (None: 170 for each
    account). ``named_groups`` puts the groups of ``honest_groups`` in place of the usual ones. An earlier world in
    ``out`` is replaced.

    Raises ValueError when the groups and campaigns do not fit, and FileExistsError when ``out`` holds anything else.
    """
    if out.exists() and not {entry.name for entry in out.iterdir()} <= _OURS:
        raise FileExistsError(f"{out} holds something other than a world; give a new folder")
    world, drawn = build(seed, FAMILIES[tactics], accounts, Span(START, days), exchanges, campaigns, named=named_groups)
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = out.parent / f".{out.name}.being-written"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    count = _write(world, aside)
    shutil.rmtree(out, ignore_errors=True)
    aside.rename(out)
    by_name = {
        crew.name: tactic for crew, tactic in zip(world.crews[-campaigns:] if campaigns else [], drawn, strict=True)
    }
    return Summary(accounts, count, dict(sorted(Counter(world.kind).items())), by_name)


def build(
    seed: int, family: Family, accounts: int, span: Span, exchanges: int | None, campaigns: int, *, named: bool
) -> tuple[World, list[Tactic]]:
    """A world that is ready to be written, and the tactics of its campaigns (its last crews)."""
    rng = generator(seed, "worlds-layout", *family.name.encode())
    sizes = campaign_sizes(rng, campaigns, accounts)
    honest = accounts - sum(sizes)
    groups = honest_groups(seed) if named else usual_groups(seed, honest)
    alone = honest - sum(group.size for group in groups)
    if alone < accounts * 0.2:
        raise ValueError(
            f"{sum(group.size for group in groups)} accounts in honest groups and {sum(sizes)} in campaigns leave too "
            f"few people on their own; ask for {round((accounts - alone) / 0.8) + 1} accounts or more"
        )
    common = ground(seed, accounts)
    bounds = np.cumsum([alone, *(group.size for group in groups), *sizes])
    pieces = [np.arange(first, last) for first, last in pairwise(bounds.tolist())]
    country = _countries(rng, accounts, alone, groups, pieces, len(sizes))
    world = World(seed, span, draw_people(seed, country, common, span), np.zeros(0, np.int64))
    world.kind, world.group, world.campaign = ["individual"] * accounts, [None] * accounts, [None] * accounts
    _people_apart(world, np.arange(alone))
    for number, (group, rows) in enumerate(zip(groups, pieces[: len(groups)], strict=True)):
        settle(world, group, rows, number)
        _name(world, rows, group.kind, group.group_id)
    drawn = draw_tactics(rng, family, campaigns)
    _scale_volume(world, None)
    begins = begin_days(rng, campaigns, span.days)
    for number, rows in enumerate(pieces[len(groups) :]):
        _name(world, rows, "campaign", None)
        run_campaign(world, common, rows, drawn[number], begins[number], number)
        for row in rows.tolist():
            world.campaign[row] = f"campaign-{number}"
    _scale_volume(world, exchanges or round(accounts * EXCHANGES_PER_ACCOUNT))
    return world, drawn


def _countries(
    rng: np.random.Generator,
    accounts: int,
    alone: int,
    groups: tuple[HonestGroup, ...],
    pieces: list[Ints],
    campaigns: int,
) -> Ints:
    """Where everybody lives; a campaign pretends to live in two to seven countries."""
    country = pick(rng, places().shares, accounts)
    assert len(pieces) == len(groups) + campaigns
    assert alone >= 0
    for group, rows in zip(groups, pieces[: len(groups)], strict=True):
        if group.countries:
            country[rows] = np.array(group.countries)[rng.integers(0, len(group.countries), len(rows))]
    for rows in pieces[len(groups) :]:
        pretended = np.unique(pick(rng, places().shares, int(rng.integers(2, 8))))
        country[rows] = pretended[rng.integers(0, len(pretended), len(rows))]
    return country


def _people_apart(world: World, rows: Ints) -> None:
    """Mark batch users and households among people on their own, and let some of them read the same collections."""
    rng, roster = generator(world.seed, "worlds-apart"), world.roster
    which = rng.random(len(rows))
    batch = rows[which < BATCH]
    size = len(batch)
    roster.rate[batch] = np.exp(rng.normal(np.log(110), 0.9, size))
    roster.active[batch] = rng.uniform(0.2, 0.9, size)
    roster.first_use[batch] = np.minimum(roster.created[batch] + HOUR, roster.first_use[batch])
    roster.kappa[batch], roster.session[batch], roster.gap[batch] = 0.1, 120.0, 6.0
    roster.repeats[batch], roster.repertoire[batch] = rng.beta(2, 3, size), 200
    roster.input_spread[batch] = rng.uniform(0.1, 0.5, size)
    _name(world, batch, "batch", None)
    readers = rows[(which > BATCH) & (which < BATCH + PACKS)]
    begin = 0
    while begin < len(readers):
        members = readers[begin : begin + int(np.exp(rng.uniform(np.log(6), np.log(60))))]
        begin += len(members)
        pack = Crew(f"pack-{begin}", members, items=int(rng.integers(30, 240)), reworded=0.3, prefixed=False)
        world.join(pack, listed=float(rng.beta(1.5, 7.0)), template=0.0)
    for number, members in share_roofs(world.seed, roster, rows[which > 1 - HOUSEHOLDS]):
        _name(world, members, "household", f"household-{number}")


def _name(world: World, rows: Ints, kind: str, group: str | None) -> None:
    for row in rows.tolist():
        world.kind[row], world.group[row] = kind, group


def _scale_volume(world: World, total: int | None) -> None:
    """Scale honest volumes so that ``total`` exchanges are expected (None: leave them)."""
    if total is None:
        return
    roster, span, rows = world.roster, world.span, np.arange(world.roster.size)
    each: Floats = np.zeros(roster.size)
    for day in range(span.days):
        each += roster.rate * chance_of_use(roster, span, day, rows) * day_factor(roster, span, day, rows)
    free = float(each[~roster.fixed].sum())
    factor = (total - float(each[roster.fixed].sum())) / max(free, 1.0)
    if factor <= 0.02:
        raise ValueError(f"{total} exchanges are too few: campaigns and heavy groups alone make more")
    roster.rate[~roster.fixed] *= factor


def _write(world: World, out: Path) -> int:
    roster, seed = world.roster, world.seed
    ids = opaque_ids(mix(np.arange(roster.size), salt(seed, "worlds-account")), "a")
    order = pa.array(np.lexsort((mix(np.arange(roster.size), salt(seed, "worlds-account")), roster.created)))
    write(out / "accounts.parquet", table("accounts", {"account_id": ids, **signups(world)}).take(order))
    paid = payments(world)
    rows = np.asarray(paid["row"])
    event_ids = opaque_ids(mix(np.arange(len(rows)), salt(seed, "worlds-payment")), "p")
    write(
        out / "payments.parquet",
        table("payments", {"event_id": event_ids, "account_id": ids.take(pa.array(rows)), **paid}),
    )
    linked = links(world)
    write(
        out / "links.parquet", table("links", {"account_id": ids.take(pa.array(np.asarray(linked["row"]))), **linked})
    )
    truth = pa.Table.from_arrays(
        [ids, pa.array(world.campaign, TEXT), pa.array(world.kind, TEXT), pa.array(world.group, TEXT)], schema=_TRUTH
    )
    write(out / "truth.parquet", truth.take(order))
    key, count = salt(seed, "worlds-exchange"), 0
    for day, piece in enumerate(days_of(world)):
        numbers = np.arange(count, count + len(piece.row))
        write(out / "usage" / f"day-{day:03d}.parquet", _usage(piece, ids, opaque_ids(mix(numbers, key), "u")))
        count += len(piece.row)
    return count


def _usage(piece: Exchanges, ids: pa.Array, event_ids: pa.Array) -> pa.Table:
    def words(codes: Ints, texts: tuple[str, ...]) -> pa.Array:
        return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(texts)).cast(TEXT)

    return table(
        "usage",
        {
            "event_id": event_ids,
            "account_id": ids.take(pa.array(piece.row)),
            "happened_at": piece.happened_at,
            "ip": written(piece.address).cast(TEXT),
            "client": words(piece.client, CLIENTS),
            "model": words(piece.model, MODELS),
            "input_tokens": piece.input_tokens,
            "output_tokens": piece.output_tokens,
            "status": words(piece.status, STATUS),
            "prompt_prefix_hash": piece.template,
            "prompt_simhash": piece.simhash,
        },
    )
