"""What a backtest's decisions come to against the truth: the figures of the campaign target.

Everything is read from files: decisions.parquet of the replay, and truth.parquet and usage of the world. An account is
caught, or touched, from its first decision that is not ``allow``. A campaign is seen from the first row of it that a
campaign decided; what its accounts spent before that, and what newcomers spent until they were joined to it, are the
two parts of what is spent.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

NEVER = 2**62
SMALL = 20  # honest groups from this size on are looked at one by one

Int64s = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Truth:
    """Who is what, by account id ascending; -1: in no campaign, in no group."""

    account: NDArray[np.str_]
    campaign: Int64s
    campaigns: list[str]
    group: Int64s
    groups: list[str]
    kind: NDArray[np.str_]

    @classmethod
    def read(cls, world: Path) -> Truth:
        """From truth.parquet; worlds of the product's own simulator have no group_id."""
        table = pq.read_table(world / "truth.parquet").to_pydict()
        order = np.argsort(np.array(table["account_id"]))
        campaign, campaigns = _numbered([table["campaign_id"][i] for i in order])
        named = table.get("group_id", [None] * len(order))
        group, groups = _numbered([named[i] for i in order])
        kind = np.array(table["kind"])[order]
        return cls(np.array(table["account_id"])[order], campaign, campaigns, group, groups, kind)

    def places(self, ids: NDArray[np.str_]) -> Int64s:
        """Where each id stands."""
        return np.searchsorted(self.account, ids).astype(np.int64)


def _numbered(names: list[str | None]) -> tuple[Int64s, list[str]]:
    known = sorted({name for name in names if name is not None})
    place = {name: i for i, name in enumerate(known)}
    return np.array([-1 if name is None else place[name] for name in names], np.int64), known


def first_touched(out: Path, truth: Truth) -> tuple[Int64s, Int64s]:
    """Per account of ``truth`` the first moment of anything but allow, and of it by a campaign; NEVER: none."""
    rows = pq.read_table(out / "decisions.parquet")
    place = truth.places(np.array(rows["account_id"].to_pylist(), dtype=truth.account.dtype))
    at = rows["decided_at"].to_numpy().astype("datetime64[us]").astype(np.int64)
    touched = np.array(rows["decision"].to_pylist()) != "allow"
    named = np.array([one is not None for one in rows["campaign_id"].to_pylist()], bool)
    first, seen = np.full(len(truth.account), NEVER), np.full(len(truth.account), NEVER)
    np.minimum.at(first, place[touched], at[touched])
    np.minimum.at(seen, place[touched & named], at[touched & named])
    return first, seen


def figures(world: Path, out: Path, *, start: int = -NEVER, end: int = NEVER) -> dict[str, Any]:
    """The figures of one replay; exchanges outside [start, end) do not count."""
    truth = Truth.read(world)
    first, seen = first_touched(out, truth)
    fraud, caught = truth.campaign >= 0, first < NEVER
    size = len(truth.campaigns)
    opened = np.array([_opened(seen[truth.campaign == i]) for i in range(size)] or [NEVER], np.int64)
    spent = np.zeros((max(size, 1), 3))
    for path in _usage(world):
        table = pq.read_table(path, columns=["account_id", "happened_at"])
        place = truth.places(np.array(table["account_id"].to_pylist(), dtype=truth.account.dtype))
        at = table["happened_at"].to_numpy().astype("datetime64[us]").astype(np.int64)
        mine = truth.campaign[place]
        rows = (mine >= 0) & (at >= start) & (at < end)
        place, at, mine = place[rows], at[rows], mine[rows]
        free = at < first[place]
        np.add.at(spent[:, 0], mine, 1)
        np.add.at(spent[:, 1], mine[free & (at < opened[mine])], 1)
        np.add.at(spent[:, 2], mine[free & (at >= opened[mine])], 1)
    total = spent.sum(axis=0)
    members = [int((truth.campaign == i).sum()) for i in range(size)]
    recall = [float(caught[truth.campaign == i].mean()) for i in range(size)]
    groups = {
        name: float(caught[truth.group == i].mean())
        for i, name in enumerate(truth.groups)
        if (truth.group == i).sum() >= SMALL and not fraud[truth.group == i].any()
    }
    worst = max(groups.items(), key=lambda item: item[1], default=("none", 0.0))
    kinds = {kind: int((caught & ~fraud)[truth.kind == kind].sum()) for kind in np.unique(truth.kind[~fraud]).tolist()}
    return {
        "accounts": len(truth.account),
        "campaign_accounts": int(fraud.sum()),
        "caught": float(caught[fraud].mean()) if fraud.any() else None,
        "worst_campaign": min(recall, default=None),
        "caught_by_campaign": dict(zip(truth.campaigns, zip(members, recall, strict=True), strict=True)),
        "spent": float(total[1:].sum() / max(total[0], 1)),
        "spent_before_seen": float(total[1] / max(total[0], 1)),
        "spent_by_newcomers": float(total[2] / max(total[0], 1)),
        "honest_touched": float(caught[~fraud].mean()),
        "honest_touched_by_kind": {kind: count for kind, count in kinds.items() if count},
        "worst_honest_group": worst,
    }


def _opened(seen: Int64s) -> int:
    """When a campaign was seen: its first member that a campaign's row touched."""
    return int(seen.min()) if len(seen) else NEVER


def _usage(world: Path) -> list[Path]:
    return sorted((world / "usage").glob("*.parquet")) or [world / "usage.parquet"]
