from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from service.domain.codes import code32
from service.domain.facts import Float32s, Int32s, Int64s
from service.domain.profile import PROFILE, PROFILE_INDEX
from training import kinship as module
from training.kinship import Kin, kinship

Row = tuple[int, str, int]  # account, kind, key


@dataclass(frozen=True)
class Links:
    """A store with these links, all learned at 1."""

    rows: tuple[Row, ...]
    own: tuple[str, ...] = ()

    def link_rows(
        self, as_of: int, since: int = -(2**62), kinds: tuple[int, ...] = ()
    ) -> tuple[Int64s, Int64s, Int32s, Int64s]:
        rows = [row for row in self.rows if code32(row[1]) in kinds and since < 1 <= as_of]
        account = np.array([row[0] for row in rows], np.int64)
        kind = np.array([code32(row[1]) for row in rows], np.int32)
        return account, np.array([row[2] for row in rows], np.int64), kind, np.ones(len(rows), np.int64)

    def names(self, kind: str) -> dict[int, str]:
        return {code32(name): name for name in self.own} if kind == "kind" else {}


def free_mail(n: int, free: float) -> Float32s:
    profile = np.full((n, len(PROFILE)), np.nan, np.float32)
    profile[:, PROFILE_INDEX["mail_free"]] = free
    return profile


def found(*rows: Row, accounts: int = 10, own: tuple[str, ...] = (), free: float = 0.0) -> Kin:
    return kinship(Links(rows, own), np.arange(accounts), free_mail(accounts, free), 2)


def groups(kin: Kin) -> list[set[int]]:
    together = [set(np.flatnonzero(kin.group == number).tolist()) for number in np.unique(kin.group)]
    return sorted((group for group in together if len(group) > 1), key=min)


def test_accounts_that_share_a_card_a_device_or_a_company_domain_stand_together() -> None:
    kin = found(
        (0, "card", 7), (1, "card", 7), (1, "device", 8), (2, "device", 8), (4, "mail_domain", 9), (5, "mail_domain", 9)
    )
    assert groups(kin) == [{0, 1, 2}, {4, 5}]
    assert kin.size.tolist()[:4] == [3, 3, 3, 1]
    assert kin.tie[4:7] == ("mail_domain", "mail_domain", "")


def test_a_free_mail_provider_ties_nobody() -> None:
    rows = [(i, "mail_domain", 9) for i in range(6)]
    assert groups(found(*rows, free=1.0)) == []
    assert groups(found(*rows, free=0.0)) == [set(range(6))]


def test_the_first_address_ties_those_whom_nothing_else_ties_and_no_chain_of_addresses_does() -> None:
    hall = [(i, "ip", 1) for i in range(5)]
    passing = [(4, "ip", 2), (5, "ip", 2), (5, "ip", 3), (6, "ip", 3), (7, "ip", 3)]
    assert groups(found(*hall, *passing)) == [{0, 1, 2, 3, 4}, {6, 7}]  # of one moment the smaller key is the first
    staff = [(i, "card", 9) for i in (0, 1)]
    assert groups(found(*hall, *staff)) == [{0, 1}, {2, 3, 4}]


def test_a_key_that_everybody_shows_ties_nobody() -> None:
    size = module.LARGEST + 1
    crowd = [(i, "device", 1) for i in range(size)]
    friends = [(0, "device", 2), (1, "device", 2)]
    assert groups(found(*crowd, *friends, accounts=size)) == []
    assert groups(found(*crowd[1:], accounts=size)) == [set(range(1, size))]
    assert groups(found(*crowd, (0, "phone", 3), (1, "phone", 3), accounts=size)) == [{0, 1}]


def test_keys_of_the_customers_own_tie_too() -> None:
    assert groups(found((0, "custom.promo", 5), (3, "custom.promo", 5), own=("custom.promo",))) == [{0, 3}]


def test_links_learned_later_and_accounts_not_asked_about_are_not_there() -> None:
    links = Links(((0, "card", 7), (1, "card", 7), (99, "card", 7)))
    assert groups(kinship(links, np.arange(3), free_mail(3, 0.0), 0)) == []
    assert groups(kinship(links, np.arange(3), free_mail(3, 0.0), 1)) == [{0, 1}]


def test_nobody_has_no_kin() -> None:
    assert len(found(accounts=0).group) == 0
