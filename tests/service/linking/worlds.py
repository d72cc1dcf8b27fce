"""Small worlds of accounts and keys for tests of linking."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from service.domain.facts import Float64s, Int64s
from service.linking.accounts import Accounts
from service.linking.evidence import Ground, Known, ground
from service.linking.families import FAMILIES, ORGANISED
from service.linking.pairs import Ties
from service.linking.sightings import Rows, Sightings, sightings
from service.linking.surprise import surprise
from service.linking.traits import Traits, traits
from tests.factories import NOON

KINDS = ("mail_domain", "ip", "card", "prompt", "custom.promo", "template")
MAIL_DOMAIN, IP, CARD, PROMPT, PROMO, TEMPLATE = range(6)


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """``n`` accounts, each of a country, plan and week, and who showed what."""

    seen: Sightings
    country: Int64s
    plan: Int64s
    week: Int64s

    @property
    def surprise(self) -> Float64s:
        return surprise(self.seen, self.country)

    @property
    def ground(self) -> Ground:
        return ground(self.seen, self.country, self.plan, self.week)

    def key(self, kind: int, number: int) -> int:
        """The hash of a key."""
        return kind * 10_000_000 + number


def make_world(shown: Int64s, country: Int64s, *, plan: Int64s | None = None, week: Int64s | None = None) -> World:
    """A world in which account ``shown[i, 0]`` showed key number ``shown[i, 2]`` of kind ``shown[i, 1]``."""
    n = len(country)
    rows = np.unique(shown, axis=0)
    return World(
        sightings(n, KINDS, Rows(rows[:, 0], rows[:, 1] * 10_000_000 + rows[:, 2], rows[:, 1])),
        country,
        np.zeros(n, np.int64) if plan is None else plan,
        np.zeros(n, np.int64) if week is None else week,
    )


def dealt(seed: int, n: int = 2_000) -> tuple[Int64s, Int64s, Int64s]:
    """Keys dealt to ``n`` unrelated accounts, as (rows, country, week).

    Large and small mail providers of each country, addresses of which some change weekly, cards of which few are
    shared, and prompts of which some are public; busy accounts send a hundred times as many as others.
    """
    rng = np.random.default_rng(seed)
    country, week = rng.choice(4, n, p=(0.6, 0.25, 0.1, 0.05)), rng.integers(0, 8, n)
    everyone = np.arange(n)
    parts = [(everyone, MAIL_DOMAIN, np.minimum(rng.zipf(1.6, n), 400) + 1_000 * rng.integers(0, 2, n) * country)]
    parts += [(everyone, IP, rng.integers(0, 3_000, n) + 10_000 * country) for _ in range(4)]
    wave = everyone[rng.random(n) < 0.3]
    parts.append((wave, IP, 100_000 + 10 * week[wave] + rng.integers(0, 6, len(wave))))
    parts.append((everyone, CARD, rng.integers(0, 20 * n, n)))
    sender = np.repeat(everyone, np.minimum(rng.lognormal(2.5, 1.2, n), 500).astype(np.int64) + 1)
    parts.append((sender, PROMPT, np.minimum(rng.zipf(1.3, len(sender)), 10 * n)))
    rows = [np.stack([who, np.full(len(who), kind), number], axis=1) for who, kind, number in parts]
    return np.concatenate(rows).astype(np.int64), country, week


def planted(members: Int64s, kind: int, number: int) -> Int64s:
    """Rows by which each of ``members`` shows one key."""
    return np.stack([members, np.full(len(members), kind), np.full(len(members), number)], axis=1).astype(np.int64)


def make_known(
    world: World,
    group: Int64s,
    *,
    membership: Float64s | None = None,
    honest: Int64s | None = None,
    ties: Ties | None = None,
    created: Int64s | None = None,
    explained: dict[str, float] | None = None,
) -> Known:
    """What a run knows; traits are worked out from the world unless ``explained`` says what organisations explain."""
    n = world.seen.n
    accounts = Accounts(
        account=np.arange(n, dtype=np.int64) * 3 + 7,
        created=np.full(n, NOON, np.int64) if created is None else created,
        country=world.country,
        active_days=np.ones(n, np.int64),
        begun=np.full(n, NOON, np.int64) if created is None else created,
        as_of=NOON + 1,
    )
    made = traits(world.seen, world.surprise, group, accounts)
    if explained is not None:
        made = explaining(made, explained)
    none = np.empty(0, np.int64)
    return Known(
        accounts=accounts,
        membership=np.ones(n) if membership is None else membership,
        honest=np.zeros(n, bool) if honest is None else np.isin(np.arange(n), honest),
        ties=Ties(none, none, np.empty((0, len(FAMILIES)))) if ties is None else ties,
        traits=made,
    )


def explaining(made: Traits, explained: dict[str, float]) -> Traits:
    """The same traits with other shares of members whose sharing an organisation explains, by family."""
    made.explained[:] = [explained.get(name, 0.0) for name in ORGANISED]
    return made
