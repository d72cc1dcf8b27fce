"""Small made-up histories: a handful of accounts that share keys, pay, use, signal and are judged, at odd moments."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st

from service.domain.campaigns import LIVE_STATES, CampaignState
from service.domain.codes import code32, hash64
from service.domain.detection import STATE_CODES, CampaignRows
from service.domain.facts import Int64s
from service.domain.profile import PROFILE
from service.domain.time import DAY, HOUR, MINUTE
from service.tiles.history import CampaignFacts, History, KeyRows, OwnLinks, SignalRows, verdict_spans
from service.tiles.payments import payment_tiles
from service.tiles.usage import usage_tiles
from tests.factories import NOON, ints, make_payments, make_usage

ACCOUNTS = ("ann", "bob", "cid", "dot", "eve")
KINDS = ("card", "ip", "custom.referral_code")
CAMPAIGNS = ("ring", "crew")
SIGNALS = ("kyc_level", "seats")
NEVER = 2**62


@dataclass(frozen=True)
class World:
    """Facts in an order of arrival; each has a moment at which it was learned."""

    signups: tuple[tuple[str, int], ...]  # account, created
    links: tuple[tuple[str, str, int, int], ...]  # account, kind, key, learned
    payments: tuple[dict[str, object], ...]
    usage: tuple[dict[str, object], ...]
    signals: tuple[tuple[str, str, int, float], ...]  # account, name, learned, value
    labels: tuple[tuple[str, bool, int, int, int], ...]  # account, fraud, decided, learned, retracted
    members: tuple[tuple[str, str, int, int, float], ...] = ()  # account, campaign, joined, left, membership
    keys: tuple[tuple[str, int, str, int, int, float, bool, int], ...] = ()
    # kind, key, campaign, start, end, weight, private, family
    states: tuple[tuple[str, int, CampaignState, float, int], ...] = ()  # campaign, at, state, score, members


moments = st.one_of(
    st.integers(0, 40 * DAY // MINUTE).map(lambda minute: NOON + minute * MINUTE),
    st.integers(0, 3 * DAY).map(lambda micro: NOON + micro),
    st.sampled_from([NOON, NOON + HOUR, NOON + DAY, NOON + 7 * DAY, NOON + 30 * DAY]),
)
accounts = st.sampled_from(ACCOUNTS)


def _numbered(rows: list[dict[str, object]], prefix: str) -> tuple[dict[str, object], ...]:
    return tuple({**row, "event": f"{prefix}{i}"} for i, row in enumerate(rows))


facts = st.builds(
    World,
    signups=st.dictionaries(accounts, moments, min_size=1).map(lambda found: tuple(found.items())),
    links=st.lists(st.tuples(accounts, st.sampled_from(KINDS), st.integers(1, 4), moments), max_size=30).map(tuple),
    payments=st.lists(
        st.fixed_dictionaries(
            {
                "account": accounts,
                "at": moments,
                "charge_declined": st.integers(0, 1),
                "charge_succeeded": st.integers(0, 1),
                "by_card": st.integers(0, 1),
                "amount_log": st.integers(0, 20_000),
                "cards_0": st.integers(-(2**63), 2**63 - 1),
                "country_known": st.just(1),
                "country_min": st.integers(1, 676),
            }
        ),
        max_size=12,
    ).map(lambda rows: _numbered(rows, "p")),
    usage=st.lists(
        st.fixed_dictionaries(
            {
                "account": accounts,
                "at": moments,
                "ip": st.integers(0, 6),
                "ip_net": st.integers(0, 3),
                "hosted": st.integers(0, 1),
                "client": st.integers(0, 2),
                "model": st.integers(0, 2),
                "input_tokens": st.integers(-1, 100_000),
                "output_tokens": st.integers(-1, 8_000),
                "status": st.integers(-1, 2),
                "template": st.integers(0, 5),
                "simhash": st.integers(-(2**63), 2**63 - 1),
            }
        ),
        max_size=40,
    ).map(lambda rows: _numbered(rows, "u")),
    signals=st.lists(st.tuples(accounts, st.sampled_from(SIGNALS), moments, st.floats(-1e6, 1e6)), max_size=12).map(
        tuple
    ),
    labels=st.lists(
        st.tuples(
            accounts, st.booleans(), moments, st.integers(0, 3 * DAY), st.one_of(st.none(), st.integers(1, 9 * DAY))
        ),
        max_size=8,
    ).map(
        lambda rows: tuple(
            (account, fraud, at, at + delay, NEVER if gone is None else at + delay + gone)
            for account, fraud, at, delay, gone in rows
        )
    ),
)


def _spans(start: int, lasts: int | None) -> tuple[int, int]:
    return start, NEVER if lasts is None else start + lasts


campaigns = st.sampled_from(CAMPAIGNS)
lasts = st.one_of(st.none(), st.integers(1, 9 * DAY))
chances = st.one_of(st.just(float("nan")), st.floats(0, 1))
membership = st.dictionaries(st.tuples(accounts, campaigns), st.tuples(moments, lasts, chances), max_size=8).map(
    lambda found: tuple((*who, *_spans(start, long), sure) for who, (start, long, sure) in found.items())
)
campaign_keys = st.dictionaries(
    st.tuples(st.sampled_from(KINDS), st.integers(1, 4), campaigns),
    st.tuples(moments, lasts, st.floats(-1, 9), st.booleans(), st.integers(0, 3)),
    max_size=12,
).map(lambda found: tuple((*of, *_spans(start, long), *rest) for of, (start, long, *rest) in found.items()))
states = st.dictionaries(
    st.tuples(campaigns, moments),
    st.tuples(st.sampled_from([*CampaignState, *LIVE_STATES, *LIVE_STATES]), chances, st.integers(0, 400)),
    max_size=9,
).map(lambda found: tuple((*of, *said) for of, said in found.items()))
worlds = st.builds(
    lambda world, members, keys, said: replace(world, members=members, keys=keys, states=said),
    facts,
    membership,
    campaign_keys,
    states,
)


def first_seen(links: tuple[tuple[str, str, int, int], ...]) -> dict[tuple[str, str, int], int]:
    """First sight of each (account, kind, key)."""
    found: dict[tuple[str, str, int], int] = {}
    for account, kind, key, learned in links:
        place = (account, kind, key)
        found[place] = min(found.get(place, learned), learned)
    return found


def key_number(kind: str, key: int) -> int:
    """Two kinds never share a key."""
    return hash64(f"{kind}|{key}")


def history_of(world: World) -> History:
    """The whole world as one history, as a bulk read brings it."""
    everyone = np.sort(ints([hash64(account) for account in ACCOUNTS]))
    known, created = np.zeros(len(everyone), bool), np.zeros(len(everyone), np.int64)
    profile = np.full((len(everyone), len(PROFILE)), np.nan, np.float32)
    for account, at in world.signups:
        row = int(np.searchsorted(everyone, hash64(account)))
        known[row], created[row] = True, at
        profile[row] = np.arange(len(PROFILE)) % 7
    seen = list(first_seen(world.links).items())
    who = ints([hash64(account) for (account, _, _), _ in seen])
    keys = ints([key_number(kind, key) for (_, kind, key), _ in seen])
    learned = ints([at for _, at in seen])
    kinds = np.array([code32(kind) for (_, kind, _), _ in seen], np.int32)
    usage = make_usage(list(world.usage))
    payments = make_payments(list(world.payments))
    spans = verdict_spans(
        ints([hash64(row[0]) for row in world.labels]),
        np.array([row[1] for row in world.labels], bool),
        *(ints([row[i] for row in world.labels]) for i in (2, 3, 4)),
    )
    rows = KeyRows(keys, who, learned)
    return History(
        account=everyone,
        known=known,
        created_at=created,
        learned_at=created,
        profile=profile,
        usage=usage_tiles(usage, usage.happened),
        payments=payment_tiles(payments, payments.happened),
        signals=SignalRows(
            ints([hash64(row[0]) for row in world.signals]),
            np.array([code32(row[1]) for row in world.signals], np.int32),
            ints([row[2] for row in world.signals]),
            ints([row[2] for row in world.signals]),
            np.array([row[3] for row in world.signals], np.float64),
        ),
        own=OwnLinks(who, kinds, keys, learned),
        sharing=rows,
        marked=rows,
        spans=spans,
        campaigns=campaigns_of(world),
    )


def campaigns_of(world: World) -> CampaignFacts:
    """The world's campaigns, in its order of arrival."""
    members, keys, said = world.members, world.keys, world.states
    rows = CampaignRows(
        member_account=ints([hash64(row[0]) for row in members]),
        member_campaign=ints([hash64(row[1]) for row in members]),
        member_start=ints([row[2] for row in members]),
        member_end=ints([row[3] for row in members]),
        membership=np.array([row[4] for row in members], np.float64),
        key=ints([key_number(row[0], row[1]) for row in keys]),
        key_campaign=ints([hash64(row[2]) for row in keys]),
        key_start=ints([row[3] for row in keys]),
        key_end=ints([row[4] for row in keys]),
        key_kind=np.array([code32(row[0]) for row in keys], np.int32),
        key_weight=np.array([row[5] for row in keys], np.float64),
        key_private=np.array([row[6] for row in keys], np.bool_),
        key_family=np.array([row[7] for row in keys], np.int8),
        state_campaign=ints([hash64(row[0]) for row in said]),
        state_at=ints([row[1] for row in said]),
        state=np.array([STATE_CODES[row[2]] for row in said], np.int8),
        state_score=np.array([row[3] for row in said], np.float64),
        state_members=ints([row[4] for row in said]),
    )
    return CampaignFacts(rows, {hash64(name): name for name in CAMPAIGNS})


def probes_of(at: list[int]) -> tuple[Int64s, Int64s]:
    """Every account at every moment of ``at``."""
    pairs = [(hash64(account), moment) for account in ACCOUNTS for moment in at]
    return ints([account for account, _ in pairs]), ints([moment for _, moment in pairs])
