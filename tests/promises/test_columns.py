"""Columns against a plain, slow reading of the same facts, and the promises that every feature keeps."""

from __future__ import annotations

from dataclasses import replace
from unittest import mock

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.campaigns import LIVE_STATES, CampaignState
from service.domain.codes import code32, hash64
from service.domain.time import HOUR
from service.engine.embedded import columns
from service.features import catalogue
from service.features.catalogue import RULED, features_for, fingerprint, matrix
from service.features.linkage import KINDS as BUILT_IN_KINDS
from service.tiles.fold import WINDOWS
from tests.promises.worlds import (
    ACCOUNTS,
    CAMPAIGNS,
    KINDS,
    NEVER,
    SIGNALS,
    World,
    first_seen,
    history_of,
    moments,
    probes_of,
    worlds,
)

FEATURES = (*features_for(SIGNALS, ["custom.referral_code"]), *RULED)
ALL_KINDS = (*BUILT_IN_KINDS, "custom.referral_code")
some_moments = st.lists(moments, min_size=1, max_size=3)


def answers(world: World, at: list[int]) -> np.ndarray:
    account, as_of = probes_of(at)
    return matrix(columns(history_of(world), account, as_of, kinds=ALL_KINDS, signal_names=SIGNALS), FEATURES)


def verdict_at(world: World, account: str, at: int) -> bool | None:
    standing = [row for row in world.labels if row[0] == account and row[3] <= at < row[4]]
    return max(standing, key=lambda row: (row[2], row[3], row[1]))[1] if standing else None


@settings(max_examples=150, deadline=None)
@given(worlds, some_moments)
def test_shared_keys_are_counted_as_a_person_would_count_them(world: World, at: list[int]) -> None:
    account, as_of = probes_of(at)
    made = columns(history_of(world), account, as_of, kinds=KINDS)
    names = {hash64(name): name for name in ACCOUNTS}
    seen = first_seen(world.links)
    for i, (who, moment) in enumerate(zip(account, as_of, strict=True)):
        for kind in KINDS:
            mine = {key for (a, k, key), t in seen.items() if a == names[who] and k == kind and t <= moment}
            others = {
                key: {
                    a: t
                    for (a, k, other), t in seen.items()
                    if (k, other) == (kind, key) and a != names[who] and t <= moment
                }
                for key in mine
            }
            assert made.shared(kind, "keys")[i] == len(mine)
            for window, width in WINDOWS.items():
                expected = max((sum(t > moment - width for t in of.values()) for of in others.values()), default=0)
                assert made.shared(kind, f"others_{window}")[i] == expected, (kind, window)
            for measure, wanted in (("fraud", True), ("legitimate", False)):
                expected = max(
                    (sum(verdict_at(world, a, moment) is wanted for a in of) for of in others.values()), default=0
                )
                assert made.shared(kind, measure)[i] == expected, (kind, measure)


def live_at(world: World, campaign: str, at: int) -> tuple[CampaignState, float, int] | None:
    """State, score and members of a campaign that was live then."""
    before = [row for row in world.states if row[0] == campaign and row[1] <= at]
    if not before:
        return None
    _, _, state, score, members = max(before, key=lambda row: row[1])
    return (state, score, members) if state in LIVE_STATES else None


def belongs_to(world: World, account: str, at: int) -> list[tuple[bool, float, int, str, tuple[object, ...]]]:
    """The live campaigns that an account is in, the one that counts first."""
    found = []
    for who, campaign, joined, left, sure in world.members:
        live = live_at(world, campaign, at)
        if who == account and joined <= at < left and live is not None:
            state, score, members = live
            known = 0.0 if np.isnan(score) else score
            values = (score, sure, members, state is CampaignState.CONFIRMED)
            found.append((state is not CampaignState.CONFIRMED, -known, hash64(campaign), campaign, values))
    return sorted(found, key=lambda row: row[:3])


def ties_of(world: World, account: str, at: int) -> list[tuple[int, float, int, str, tuple[object, ...]]]:
    """The live campaigns for which the account's keys speak, the one that counts first."""
    seen = first_seen(world.links)
    found = []
    for campaign in CAMPAIGNS:
        live = live_at(world, campaign, at)
        held = [
            row
            for row in world.keys
            if row[2] == campaign and row[3] <= at < row[4] and seen.get((account, row[0], row[1]), NEVER) <= at
        ]
        if live is None or not held:
            continue
        heaviest = {family: max(0.0, *(r[5] for r in held if r[7] == family)) for family in {r[7] for r in held}}
        private = {row[7] for row in held if row[6]}
        says = {family for family, nats in heaviest.items() if nats >= 1}
        nats = sum(heaviest[family] for family in sorted(heaviest))
        clear = any(one != other for one in private for other in says)
        grade = 2 if nats >= 12 and len(says) >= 2 else int(clear)
        confirmed = live[0] is CampaignState.CONFIRMED
        values = (nats, sum(row[6] for row in held), len(says), grade, confirmed)
        found.append((-(grade and (3 if confirmed else grade)), -nats, hash64(campaign), campaign, values))
    return sorted(found, key=lambda row: row[:3])


@settings(max_examples=200, deadline=None)
@given(worlds, some_moments)
def test_campaigns_count_as_an_analyst_would_have_read_them_at_the_moment(world: World, at: list[int]) -> None:
    account, as_of = probes_of(at)
    made = columns(history_of(world), account, as_of, kinds=KINDS)
    names = {hash64(name): name for name in ACCOUNTS}
    for i, (who, moment) in enumerate(zip(account, as_of, strict=True)):
        mine, ties = belongs_to(world, names[who], moment), ties_of(world, names[who], moment)
        belongs = ("score", "membership", "members", "confirmed")
        tied = ("tie", "tie_private", "tie_families", "tie_grade", "tie_confirmed")
        expected = dict.fromkeys((*belongs, *tied), 0.0) | {"belongs": float(bool(mine))}
        if mine:
            expected |= dict(zip(belongs, mine[0][4], strict=True))
        elif ties:
            expected |= dict(zip(tied, ties[0][4], strict=True))
        campaign = mine[0][3] if mine else ties[0][3] if ties else None
        assert made.campaigns.campaign[i] == (0 if campaign is None else hash64(campaign))
        for name, value in expected.items():
            np.testing.assert_array_equal(made.campaign(name)[i], float(value), err_msg=name)
        seen = first_seen(world.links)
        kinds = {
            code32(row[0])
            for row in world.keys
            if row[2] == campaign
            and row[3] <= moment < row[4]
            and seen.get((names[who], row[0], row[1]), NEVER) <= moment
        }
        assert set(made.campaigns.tied_kind[made.campaigns.tied_probe == i].tolist()) == kinds
        verdict = verdict_at(world, names[who], moment)
        judged = 0 if campaign is None or verdict is None else 1 if verdict else 2
        assert made.campaign("verdict")[i] == judged


@settings(max_examples=100, deadline=None)
@given(worlds, some_moments)
def test_usage_windows_end_at_the_last_closed_hour_and_payments_at_the_moment(world: World, at: list[int]) -> None:
    account, as_of = probes_of(at)
    made = columns(history_of(world), account, as_of, kinds=KINDS)
    names = {hash64(name): name for name in ACCOUNTS}
    for i, (who, moment) in enumerate(zip(account, as_of, strict=True)):
        mine = [row for row in world.usage if row["account"] == names[who]]
        paid = [row for row in world.payments if row["account"] == names[who]]
        closed = moment - moment % HOUR
        for window, width in WINDOWS.items():
            inside = [row for row in mine if closed - width <= row["at"] < closed]
            assert made.usage.column("requests", window)[i] == len(inside)
            assert made.usage.column("input_tokens", window)[i] == sum(max(row["input_tokens"], 0) for row in inside)
            hours = {row["at"] // HOUR for row in inside}
            assert made.usage.column("active_hours", window)[i] == len(hours)
            if inside:
                assert made.usage.column("output_max", window)[i] == max(max(row["output_tokens"], 0) for row in inside)
                assert made.usage.column("last_at", window)[i] == max(row["at"] for row in inside)
            recent = [row for row in paid if moment - width < row["at"] <= moment]
            assert made.payments.column("events", window)[i] == len(recent)
            assert made.payments.column("charge_declined", window)[i] == sum(row["charge_declined"] for row in recent)
            bits = 0
            for row in recent:
                bits |= row["cards_0"]
            assert made.payments.column("cards_0", window)[i] == bits


@settings(max_examples=100, deadline=None)
@given(worlds, some_moments)
def test_many_equals_one_for_every_feature(world: World, at: list[int]) -> None:
    account, as_of = probes_of(at)
    together = answers(world, at)
    history = history_of(world)
    for i in range(len(account)):
        alone = matrix(
            columns(history, account[i : i + 1], as_of[i : i + 1], kinds=ALL_KINDS, signal_names=SIGNALS), FEATURES
        )
        differ = [
            feature.name
            for feature, one, many in zip(FEATURES, alone[0], together[i], strict=True)
            if one.tobytes() != many.tobytes() and not (np.isnan(one) and np.isnan(many))
        ]
        assert differ == []


@settings(max_examples=100, deadline=None)
@given(worlds, some_moments, st.sets(st.sampled_from(["usage", "payments", "campaigns"])))
def test_a_small_batch_and_a_large_one_get_what_each_feature_answers_alone(
    world: World, at: list[int], without: set[str]
) -> None:
    fields = without | ({"members", "keys"} if "campaigns" in without else set())
    bare = replace(world, **dict.fromkeys(fields - {"campaigns"}, ()))
    account, as_of = probes_of(at)
    made = columns(history_of(bare), account, as_of, kinds=ALL_KINDS, signal_names=SIGNALS)
    alone = np.stack([feature(made) for feature in FEATURES], axis=1)
    for few in (0, len(account)):
        with mock.patch.object(catalogue, "FEW", few):
            answered = matrix(made, FEATURES)
        differ = (answered != alone) & ~(np.isnan(answered) & np.isnan(alone))
        assert [FEATURES[i].name for i in np.flatnonzero(differ.any(axis=0))] == []


@settings(max_examples=60, deadline=None)
@given(worlds, some_moments, st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_no_feature(world: World, at: list[int], random: object) -> None:
    def shuffled(rows: tuple[object, ...]) -> tuple[object, ...]:
        out = list(rows)
        random.shuffle(out)  # type: ignore[attr-defined]
        return tuple(out)

    other = World(*(shuffled(getattr(world, name)) for name in World.__dataclass_fields__))
    np.testing.assert_array_equal(answers(world, at), answers(other, at))


@settings(max_examples=60, deadline=None)
@given(worlds, worlds, moments)
def test_a_fact_learned_later_changes_no_feature(world: World, later: World, at: int) -> None:
    def after(world: World) -> World:
        """The facts of ``world`` that are learned after ``at``."""
        return World(
            signups=tuple(row for row in world.signups if row[1] > at),
            links=tuple(row for row in world.links if row[3] > at),
            payments=tuple({**row, "event": f"l{row['event']}"} for row in world.payments if row["at"] > at),
            usage=tuple({**row, "event": f"l{row['event']}"} for row in world.usage if row["at"] > at),
            signals=tuple(row for row in world.signals if row[2] > at),
            labels=tuple(row for row in world.labels if row[3] > at),
            members=tuple(row for row in world.members if row[2] > at),
            keys=tuple(row for row in world.keys if row[3] > at),
            states=tuple(row for row in world.states if row[1] > at),
        )

    def ended(world: World) -> World:
        """The same, but what was still so at ``at`` of campaigns ends just after."""
        return replace(
            world,
            members=tuple((*row[:3], min(row[3], at + 1) if row[3] > at else row[3], row[4]) for row in world.members),
            keys=tuple((*row[:4], min(row[4], at + 1) if row[4] > at else row[4], *row[5:]) for row in world.keys),
        )

    extra = after(later)
    both = World(
        signups=tuple({**dict(extra.signups), **dict(world.signups)}.items()),
        **{
            name: getattr(ended(world), name) + getattr(extra, name)
            for name in ("links", "payments", "usage", "signals", "labels", "members", "keys", "states")
        },
    )
    np.testing.assert_array_equal(answers(world, [at]), answers(both, [at]))


def test_every_feature_answers_one_float_a_row_and_says_what_it_means() -> None:
    names = [feature.name for feature in FEATURES]
    assert len(names) == len(set(names))
    for feature in FEATURES:
        assert feature.meaning.endswith("."), feature.name
        assert feature.unit, feature.name
        assert feature.source, feature.name


def test_the_fingerprint_changes_with_a_meaning_and_not_with_the_day() -> None:
    assert fingerprint(FEATURES) == fingerprint(FEATURES)
    assert fingerprint(FEATURES) != fingerprint(FEATURES[1:])
    swapped = (FEATURES[1], FEATURES[0], *FEATURES[2:])
    assert fingerprint(FEATURES) != fingerprint(swapped)
