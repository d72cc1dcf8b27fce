"""Whom chance lets through, and how that is said."""

from __future__ import annotations

import numpy as np
import pytest

from service.domain.codes import hash64_many
from service.domain.enums import Decision
from service.policy.exploration import OFF, Exploration, eligible, let_through

SALT = bytes(range(32))
ACCOUNTS = hash64_many([f"a{i}" for i in range(20_000)])


def lucky(rate: float, salt: bytes = SALT) -> set[int]:
    exploration = Exploration(rate, salt)
    return {account for account in ACCOUNTS.tolist() if exploration.lets_through(account)}


def test_the_share_let_through_is_the_rate() -> None:
    # five standard deviations of a binomial either way
    assert abs(len(lucky(0.005)) - 100) < 50
    assert abs(len(lucky(0.2)) - 4_000) < 283
    assert not lucky(0.0)


def test_an_account_let_through_stays_so_and_a_higher_rate_only_adds_others() -> None:
    assert lucky(0.01) == lucky(0.01)
    assert lucky(0.01) < lucky(0.05)


def test_another_installations_salt_lets_others_through() -> None:
    here, there = lucky(0.1), lucky(0.1, SALT[::-1])
    assert len(here & there) < 0.2 * len(here)  # about a tenth, by chance


def test_only_challenge_and_review_are_lifted_and_the_chance_of_what_was_given_is_kept() -> None:
    exploration = Exploration(0.1, SALT)
    n = len(ACCOUNTS)
    for decision in Decision:
        decided = [decision] * n
        may = eligible(exploration, decided)
        given = let_through(exploration, decided, ACCOUNTS, may)
        lifted = [i for i in range(n) if given.explored_from[i] is not None]
        if decision not in (Decision.CHALLENGE, Decision.REVIEW):
            assert not may.any()
            assert given.decision == tuple(decided)
            assert set(given.propensity) == {None}
            continue
        assert {int(ACCOUNTS[i]) for i in lifted} == lucky(0.1)
        assert {(given.decision[i], given.explored_from[i], given.propensity[i]) for i in lifted} == {
            (Decision.ALLOW, decision, 0.1)
        }
        left = set(range(n)) - set(lifted)
        assert {(given.decision[i], given.propensity[i]) for i in left} == {(decision, 0.9)}


def test_who_may_not_be_let_through_is_not_and_nothing_is_said_of_chance() -> None:
    exploration = Exploration(0.5, SALT)
    given = let_through(exploration, [Decision.REVIEW] * len(ACCOUNTS), ACCOUNTS, np.zeros(len(ACCOUNTS), bool))
    assert set(given.decision) == {Decision.REVIEW}
    assert set(given.propensity) == {None}


def test_switched_off_nobody_is_eligible() -> None:
    assert not eligible(OFF, [Decision.CHALLENGE, Decision.REVIEW]).any()


def test_a_salt_that_could_be_guessed_or_a_rate_that_is_no_share_is_refused_and_no_salt_is_shown() -> None:
    for rate, salt in ((0.1, b""), (0.1, b"short"), (-0.1, SALT), (1.0, SALT)):
        with pytest.raises(ValueError, match=r"let through|salt"):
            Exploration(rate, salt)
    assert "salt" not in repr(Exploration(0.1, SALT))
