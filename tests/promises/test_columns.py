"""Columns against a plain, slow reading of the same facts, and the promises that every feature keeps."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.codes import hash64
from service.domain.time import HOUR
from service.engine.embedded import columns
from service.features.catalogue import features_for, fingerprint, matrix
from service.features.linkage import KINDS as BUILT_IN_KINDS
from service.tiles.fold import WINDOWS
from tests.promises.worlds import ACCOUNTS, KINDS, SIGNALS, World, first_seen, history_of, moments, probes_of, worlds

FEATURES = features_for(SIGNALS, ["custom.referral_code"])
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
        )

    extra = after(later)
    both = World(
        signups=tuple({**dict(extra.signups), **dict(world.signups)}.items()),
        **{
            name: getattr(world, name) + getattr(extra, name)
            for name in ("links", "payments", "usage", "signals", "labels")
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
