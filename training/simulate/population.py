"""Who is in the world: people on their own, honest groups, campaigns; and which row each of them gets.

Rows are a random permutation, so that neither an account's position in a file nor its id says anything about its kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.simulate.rng import Floats, Ints, generator

CAMPAIGN = "campaign"
SMALLEST_CAMPAIGN = 5
LARGEST_CAMPAIGN_SHARE = 0.25  # of all accounts: beyond it nothing honest is left to hide among
# kind: share of all accounts, smallest and largest group in a world of 50,000
HONEST_GROUPS: dict[str, tuple[float, int, int]] = {
    "team": (0.060, 3, 30),
    "university": (0.055, 40, 500),
    "agency": (0.028, 5, 70),
    "hackathon": (0.030, 60, 350),
    "rollout": (0.040, 20, 300),
    "course": (0.035, 30, 350),
    "reseller": (0.014, 10, 90),
}
CAMPAIGN_SIZES = (60, 350)
CAMPAIGN_SHARE = (0.015, 0.045)  # the share of all accounts that campaigns are scaled into


class WorldTooSmall(ValueError):
    """The wanted campaigns do not fit among the wanted accounts."""


@dataclass(frozen=True, slots=True)
class Group:
    """Accounts that have something in common; ``members`` are rows, ``begins`` a share of the period (0 to 1)."""

    index: int
    kind: str
    members: Ints
    begins: float


@dataclass(frozen=True, slots=True)
class Population:
    """``group`` has for each row the index into ``groups``, -1 for people on their own."""

    size: int
    group: Ints
    groups: tuple[Group, ...]

    @property
    def campaigns(self) -> tuple[Group, ...]:
        """The groups that are campaigns."""
        return tuple(group for group in self.groups if group.kind == CAMPAIGN)


def populate(seed: int, accounts: int, campaigns: int) -> Population:
    """Lay out groups and rows. Raises WorldTooSmall when the campaigns cannot have 5 members each."""
    rng = generator(seed, "population")
    if campaigns * SMALLEST_CAMPAIGN > accounts * LARGEST_CAMPAIGN_SHARE:
        room = int(accounts * LARGEST_CAMPAIGN_SHARE) // SMALLEST_CAMPAIGN
        raise WorldTooSmall(f"{campaigns} campaigns do not fit among {accounts} accounts; at most {room} do")
    sizes = _campaign_sizes(rng, accounts, campaigns)
    kinds = [CAMPAIGN] * campaigns
    begins = list(((rng.permutation(campaigns) + rng.random(campaigns)) / max(campaigns, 1)) * 0.9)
    scale = float(np.clip((accounts / 50_000) ** 0.5, 0.1, 1.5))
    for kind, (share, low, high) in HONEST_GROUPS.items():
        left = accounts * share
        while left >= 3:
            drawn = np.exp(rng.uniform(np.log(low), np.log(high))) * scale
            size = int(min(max(round(drawn), 3), left))
            left -= size
            sizes.append(size)
            kinds.append(kind)
            begins.append(float(rng.random() * 0.95))
    rows = rng.permutation(accounts).astype(np.int64)
    group = np.full(accounts, -1, dtype=np.int64)
    groups, used = [], 0
    for index, (size, kind) in enumerate(zip(sizes, kinds, strict=True)):
        members = rows[used : used + size]
        used += size
        group[members] = index
        groups.append(Group(index, kind, members, begins[index]))
    return Population(accounts, group, tuple(groups))


def _campaign_sizes(rng: np.random.Generator, accounts: int, campaigns: int) -> list[int]:
    """Log-uniform sizes whose sum stays within CAMPAIGN_SHARE as far as the smallest size allows."""
    if campaigns == 0:
        return []
    low, high = CAMPAIGN_SIZES
    raw: Floats = np.exp(rng.uniform(np.log(low), np.log(high), campaigns)) * min(1.0, (accounts / 50_000) ** 0.25)
    wanted = float(raw.sum())
    total = min(max(wanted, min(2 * wanted, accounts * CAMPAIGN_SHARE[0])), accounts * CAMPAIGN_SHARE[1])
    return [max(SMALLEST_CAMPAIGN, round(float(size) * total / wanted)) for size in raw]
