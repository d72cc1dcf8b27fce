"""Keys that are left when everything that can be rotated is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.codes import code32
from service.domain.facts import Int64s
from service.domain.time import DAY, HOUR, WEEK, micros, moment
from service.keys.kinds import KIND_BY_CODE, LinkKind
from service.linking.derived import (
    DERIVED,
    KEYS,
    NO_ASN,
    NO_SIGNUP,
    Shown,
    Signups,
    as_rows,
    asn_hour,
    card_bin_week,
    derived_rows,
    mail_domain_new,
    mail_shape_week,
    net_hour,
)
from service.linking.families import family

Link: TypeAlias = tuple[int, int, str, int]  # account, key, kind, day

MONDAY = micros(datetime(2026, 3, 2, tzinfo=UTC))
SOURCES = ("mail_shape", "card_bin", "mail_domain", "ip_net")
moments = st.integers(0, micros(datetime(2100, 1, 1, tzinfo=UTC)))
worlds = st.tuples(
    st.lists(st.integers(0, 40).map(lambda day: MONDAY + day * DAY // 2) | st.just(NO_SIGNUP), min_size=1, max_size=8),
    st.lists(
        st.tuples(st.integers(0, 7), st.integers(1, 3), st.sampled_from(SOURCES), st.integers(0, 40)), max_size=30
    ),
)


@given(moments, moments)
def test_two_signups_share_a_shape_and_week_exactly_when_the_calendar_says_so(one: int, other: int) -> None:
    _, keys = mail_shape_week(shown("mail_shape", [0, 1], [5, 5]), signed([one, other]))
    assert (keys[0] == keys[1]) == (moment(one).isocalendar()[:2] == moment(other).isocalendar()[:2])


def test_two_shapes_of_one_week_are_two_keys() -> None:
    accounts, keys = mail_shape_week(shown("mail_shape", [0, 1, 2], [5, 6, 5]), signed([MONDAY] * 3))
    assert accounts.tolist() == [0, 1, 2]
    assert keys[0] == keys[2] != keys[1]


def test_a_card_counts_in_the_week_in_which_it_was_shown_whenever_its_account_signed_up() -> None:
    cards = shown("card_bin", [0, 1, 2], [5, 5, 5], [MONDAY, MONDAY + DAY, MONDAY + WEEK])
    _, keys = card_bin_week(cards, signed([MONDAY - 9 * WEEK, NO_SIGNUP, MONDAY]))
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(
    ("domain_first_seen", "signup", "young"),
    [(30, 30, True), (30, 43.9, True), (30, 44, False), (0, 14.5, False), (5, 13, False), (5, 15, True)],
)
def test_a_mail_domain_is_new_for_fourteen_days_once_the_data_are_older(
    domain_first_seen: float, signup: float, young: bool
) -> None:
    created = [MONDAY, MONDAY + int(domain_first_seen * DAY), MONDAY + int(signup * DAY)]
    accounts, _ = mail_domain_new(shown("mail_domain", [1, 2], [5, 5]), signed(created))
    assert (2 in accounts) == young


def test_accounts_of_one_new_domain_share_a_key_and_those_of_another_do_not() -> None:
    created = [MONDAY, *[MONDAY + 20 * DAY] * 3]
    accounts, keys = mail_domain_new(shown("mail_domain", [0, 1, 2, 3], [4, 5, 5, 6]), signed(created))
    assert accounts.tolist() == [1, 2, 3]
    assert keys[0] == keys[1] != keys[2]


def test_one_account_with_a_wrong_clock_does_not_make_the_data_old() -> None:
    created = [0, *[MONDAY + minute * 60_000_000 for minute in range(2_000)]]
    accounts, _ = mail_domain_new(shown("mail_domain", [0, *range(1, 2_001)], [9, *[5] * 2_000]), signed(created))
    assert not len(accounts)


def test_only_the_network_of_the_signup_counts_and_only_in_its_hour() -> None:
    created = ints([MONDAY, MONDAY + HOUR - 1, MONDAY + HOUR])
    signups = Signups(created, ints([MONDAY + 2 * HOUR] * 3), ints([NO_ASN] * 3))
    at = [MONDAY + 2 * HOUR] * 3
    accounts, keys = net_hour(shown("ip_net", [0, 1, 2, 0], [5, 5, 5, 6], [*at, MONDAY + 3 * HOUR]), signups)
    assert accounts.tolist() == [0, 1, 2]
    assert keys[0] == keys[1] != keys[2]


def test_a_script_that_takes_each_address_from_another_network_of_one_provider_shares_the_providers_hour() -> None:
    nets = shown("ip_net", [0, 1, 2, 3], [5, 6, 7, 8])
    signups = signed([MONDAY, MONDAY + HOUR - 1, MONDAY + HOUR, MONDAY], asn=[24940, 24940, 24940, 3320])
    _, apart = net_hour(nets, signups)
    accounts, keys = asn_hour(nets, signups)
    assert len({*apart.tolist()}) == 4
    assert accounts.tolist() == [0, 1, 2, 3]
    assert keys[0] == keys[1]
    assert len({*keys.tolist()}) == 3


def test_who_has_no_known_provider_or_has_not_signed_up_has_no_providers_hour() -> None:
    accounts, _ = asn_hour(shown("ip_net", [], []), signed([MONDAY, MONDAY, NO_SIGNUP], asn=[NO_ASN, 3320, 3320]))
    assert accounts.tolist() == [1]


@pytest.mark.parametrize("source", [source for source in SOURCES if source != "card_bin"])
def test_an_account_that_has_not_signed_up_shows_no_key_of_a_signup(source: str) -> None:
    found = derived_rows(shown(source, [0], [5], [MONDAY]), signed([NO_SIGNUP]))
    assert not any(len(keys) for _, keys in found.values())


def test_no_links_are_no_keys() -> None:
    found = derived_rows(shown("mail_shape", [], []), signed([]))
    assert list(found) == [key.__name__ for key in KEYS]
    assert not len(as_rows(found, tuple(found)).key)
    assert not len(as_rows({}, ()).key)


def test_one_stored_key_gives_another_key_for_each_kind() -> None:
    parts = [shown(source, [0], [5], [MONDAY + 30 * DAY]) for source in SOURCES]
    links = Shown(*(np.concatenate([getattr(part, name) for part in parts]) for name in Shown.__slots__))
    found = derived_rows(links, signed([MONDAY + 30 * DAY, MONDAY], asn=[5, NO_ASN]))
    rows = as_rows(found, tuple(found))
    assert rows.kind.tolist() == [0, 1, 2, 3, 4]
    assert len({5, *rows.key.tolist()}) == 6


@given(worlds, st.randoms())
def test_the_order_of_links_does_not_matter(world: tuple[list[int], list[Link]], random: Random) -> None:
    created, links = world
    links = [link for link in links if link[0] < len(created)]
    mixed = links.copy()
    random.shuffle(mixed)
    assert pairs_of(created, links) == pairs_of(created, mixed)


@pytest.mark.parametrize("kind", DERIVED, ids=lambda kind: kind.name)
def test_every_derived_kind_says_what_it_means_and_how_honest_accounts_share_it(kind: LinkKind) -> None:
    assert kind.meaning.endswith(".")
    assert len(kind.honest) > 20
    assert family(kind.name) != "custom"  # where kinds that nobody gave a family are


def test_no_two_kinds_have_one_code() -> None:
    codes = [kind.code for kind in DERIVED]
    assert len({*codes, *KIND_BY_CODE}) == len(codes) + len(KIND_BY_CODE)


def shown(kind: str, accounts: Sequence[int], keys: Sequence[int], learned: Sequence[int] | None = None) -> Shown:
    """Links of one kind."""
    at = [MONDAY] * len(accounts) if learned is None else learned
    return Shown(ints(accounts), ints(keys), np.full(len(accounts), code32(kind), np.int32), ints(at))


def signed(created: Sequence[int], asn: Sequence[int] = ()) -> Signups:
    """Signups that were learned when they happened; ``asn`` empty: from nobody knows where."""
    return Signups(ints(created), ints(created), ints(asn or [NO_ASN] * len(created)))


def ints(values: Sequence[int]) -> Int64s:
    return np.array(values, np.int64)


def pairs_of(created: list[int], links: list[Link]) -> dict[str, list[tuple[int, int]]]:
    """Accounts and keys of each kind, in order."""
    kinds = np.array([code32(kind) for _, _, kind, _ in links], np.int32)
    learned = MONDAY + ints([day for *_, day in links]) * DAY
    every = Shown(ints([account for account, *_ in links]), ints([key for _, key, _, _ in links]), kinds, learned)
    found = derived_rows(every, signed(created))
    return {
        kind: sorted(zip(accounts.tolist(), keys.tolist(), strict=True)) for kind, (accounts, keys) in found.items()
    }
