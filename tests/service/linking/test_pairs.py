from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.facts import Float64s, Int64s
from service.linking.families import FAMILIES, by_family
from service.linking.pairs import (
    FAMILY_PAIR_CAP,
    KEYS_PER_ACCOUNT,
    PARTNERS,
    SLACK,
    WORTH_A_LOOK,
    candidates,
    ties,
)
from service.linking.sightings import Sightings
from tests.service.linking.worlds import CARD, IP, KINDS, PROMO, PROMPT, World, make_world, planted

PAIRED_FAMILIES = len(FAMILIES)
shown_sets = st.sets(
    st.tuples(st.integers(0, 7), st.sampled_from([IP, CARD, PROMPT, PROMO]), st.integers(0, 3)), min_size=1, max_size=50
)


def keys_of(size: int, keys: int = 1, n: int | None = None) -> World:
    """A world in which the first ``size`` accounts show the same prompts."""
    rows = [planted(np.arange(size), PROMPT, number) for number in range(keys)]
    return make_world(np.concatenate(rows), np.zeros(n or size, np.int64))


def telling(seen: Sightings, nats: float = 9.0) -> Float64s:
    return np.full(len(seen.key), nats)


def as_pairs(left: Int64s, right: Int64s) -> list[tuple[int, int]]:
    return list(zip(left.tolist(), right.tolist(), strict=True))


@pytest.mark.parametrize("size", [2, 3, 10, 2 * PARTNERS, 2 * PARTNERS + 1])
def test_all_accounts_of_a_key_that_few_showed_meet(size: int) -> None:
    seen = keys_of(size).seen
    assert as_pairs(*candidates(seen, telling(seen), 1)) == list(combinations(range(size), 2))


@pytest.mark.parametrize("size", [2 * PARTNERS + 2, 500, 20_000])
def test_however_many_showed_a_key_each_of_them_meets_some_and_work_is_bounded(size: int) -> None:
    seen = keys_of(size).seen
    left, right = candidates(seen, telling(seen), 1)
    met = np.bincount(np.concatenate([left, right]), minlength=size)
    assert (met == 2 * PARTNERS).all()
    assert len(left) == PARTNERS * size


def test_a_hubs_pairs_are_in_proportion_to_its_accounts() -> None:
    for size in (20_000, 200_000):
        seen = keys_of(size).seen
        left, right = candidates(seen, telling(seen), 1)
        assert size <= len(left) <= PARTNERS * size
        assert len(ties(seen, telling(seen), left, right).left) <= len(left)


def test_other_keys_of_the_same_accounts_bring_other_partners() -> None:
    seen = keys_of(200, keys=4).seen
    left, _ = candidates(seen, telling(seen), 1)
    assert len(left) > 3.5 * PARTNERS * 200


def test_the_same_seed_brings_the_same_pairs_and_another_one_others() -> None:
    seen = keys_of(200).seen
    one, again, other = (as_pairs(*candidates(seen, telling(seen), seed)) for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_a_key_that_says_little_brings_no_candidates() -> None:
    seen = keys_of(30).seen
    assert as_pairs(*candidates(seen, telling(seen, WORTH_A_LOOK - 0.01), 1)) == []
    assert len(candidates(seen, telling(seen, WORTH_A_LOOK), 1)[0])


@given(shown_sets, st.integers(0, 2**32))
def test_pairs_are_in_order_each_once_and_share_a_key_whatever_the_order_of_rows(
    shown: set[tuple[int, int, int]], seed: int
) -> None:
    seen = world_of(shown).seen
    pairs = as_pairs(*candidates(seen, telling(seen), seed))
    assert pairs == sorted(set(pairs))
    keys = [set(seen.key[seen.account == account].tolist()) for account in range(seen.n)]
    assert all(one < other and keys[one] & keys[other] for one, other in pairs)
    mixed = np.lexsort((-seen.account, seen.key))
    turned = Sightings(
        seen.n, seen.kinds, seen.account[mixed], seen.key[mixed], seen.hashes, seen.kind, seen.degree, seen.shown
    )
    assert as_pairs(*candidates(turned, telling(turned), seed)) == pairs


@given(shown_sets, st.integers(0, 2**32))
def test_a_tie_is_the_mean_of_both_surprises_over_shared_keys_by_family(
    shown: set[tuple[int, int, int]], seed: int
) -> None:
    seen = world_of(shown).seen
    says = np.random.default_rng(seed).uniform(0, 8, len(seen.key))
    left, right = np.triu_indices(seen.n, 1)
    found = ties(seen, says, left, right)
    of = [
        dict(zip(seen.key[seen.account == a].tolist(), says[seen.account == a].tolist(), strict=True)) for a in range(8)
    ]
    per_kind = np.zeros((len(left), len(KINDS)))
    for i, (one, other) in enumerate(as_pairs(left, right)):
        for key in of[one].keys() & of[other].keys():
            both = sum(max(of[account][key] - SLACK, 0.0) for account in (one, other))
            if min(of[one][key], of[other][key]) > SLACK:
                per_kind[i, seen.kind[key]] += both / 2
    np.testing.assert_allclose(found.families, by_family(per_kind, seen.kinds, FAMILY_PAIR_CAP), atol=1e-9)
    np.testing.assert_allclose(ties(seen, says, right, left).families, found.families, atol=1e-9)
    assert (found.strength <= PAIRED_FAMILIES * FAMILY_PAIR_CAP).all()


@given(shown_sets, st.integers(0, 2**32), st.floats(0.5, 30))
def test_leaving_out_pairs_that_cannot_come_to_enough_changes_nothing_of_the_others(
    shown: set[tuple[int, int, int]], seed: int, least: float
) -> None:
    seen = world_of(shown).seen
    says = np.random.default_rng(seed).uniform(0, 8, len(seen.key))
    left, right = np.triu_indices(seen.n, 1)
    every, some = ties(seen, says, left, right), ties(seen, says, left, right, least)
    at = np.searchsorted(left * seen.n + right, some.left * seen.n + some.right)
    np.testing.assert_array_equal(some.families, every.families[at])
    assert np.isin(np.flatnonzero(every.strength >= least), at).all()


def test_many_keys_that_say_little_tie_nobody() -> None:
    seen = keys_of(4, keys=300).seen
    assert ties(seen, telling(seen, SLACK), np.array([0]), np.array([1])).strength.tolist() == [0.0]


def test_no_single_kind_of_key_ties_without_bound() -> None:
    seen = keys_of(4, keys=300).seen
    assert ties(seen, telling(seen), np.array([0]), np.array([1])).strength.tolist() == [FAMILY_PAIR_CAP]


def test_of_very_many_keys_the_most_surprising_are_compared() -> None:
    """The first account shows hundreds of prompts beside the one that it has in common with the second."""
    many = KEYS_PER_ACCOUNT + 50
    rows = [planted(np.array([0, 2]), PROMPT, number) for number in range(many)]
    world = make_world(np.concatenate([*rows, planted(np.array([0, 1]), PROMPT, many)]), np.zeros(3, np.int64))
    common = world.seen.hashes[world.seen.key] == world.key(PROMPT, many)
    for own, strength in ((7.0, 6.0), (2.0, 0.0)):
        says = np.where(common, own, 3.0)
        assert ties(world.seen, says, np.array([0]), np.array([1])).strength.tolist() == [strength]


def test_no_keys_bring_no_pairs_and_no_ties() -> None:
    seen = make_world(planted(np.array([0]), CARD, 1), np.zeros(3, np.int64)).seen
    left, right = candidates(seen, np.empty(0), 1)
    assert (len(left), len(right)) == (0, 0)
    assert ties(seen, np.empty(0), left, right).families.shape == (0, len(FAMILIES))


def world_of(shown: set[tuple[int, int, int]]) -> World:
    return make_world(np.array(sorted(shown), np.int64), np.zeros(8, np.int64))
