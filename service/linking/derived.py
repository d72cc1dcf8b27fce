"""Derived link keys: what stays alike when every card, address and mailbox is used once.

Each is an existing key, which already is a keyed HMAC, mixed with a span of time; so it holds no personal data and the
job makes it anew at every run, without a row in the store. One function per kind; the kind's name is the function's
name, its docstring says what the key means and what honest sharing of it looks like. ``habits`` has those of usage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from service.domain.codes import code32
from service.domain.facts import Int32s, Int64s
from service.domain.time import DAY, HOUR, WEEK
from service.keys.kinds import LinkKind
from service.linking import habits
from service.linking.habits import Keys, mixed
from service.linking.sightings import Bools, Rows, runs

NO_SIGNUP = -1  # ``created`` and ``learned`` of an account that is known by its links or usage alone
NO_ASN = 0  # no address was said, no table knows it, or the account was stored before the door left the number
YOUNG = 14 * DAY  # since a mail domain was first seen
_BEGUN = 0.001  # share of signups by which the data begin, so that one wrong clock does not make them old


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """Link keys as stored, in any order; all of shape (rows,)."""

    account: Int64s  # place of the account
    key: Int64s
    kind: Int32s  # code32 of the kind's name
    learned: Int64s  # when the account first showed it

    def of(self, kind: str) -> Shown:
        """The rows of one kind."""
        return self.take(self.kind == code32(kind))

    def take(self, rows: Bools) -> Shown:
        """Some of the rows."""
        return Shown(self.account[rows], self.key[rows], self.kind[rows], self.learned[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Signups:
    """When each account signed up, and when that was learned; shape (n,), NO_SIGNUP where it is not known."""

    created: Int64s
    learned: Int64s
    asn: Int64s  # number of the autonomous system that the signup came from; NO_ASN where that is not known


def derived_rows(shown: Shown, signups: Signups) -> dict[str, Keys]:
    """Accounts and their keys for each kind of ``KEYS``, from what is known at one moment."""
    return {key.__name__: key(shown, signups) for key in KEYS}


def mail_shape_week(shown: Shown, signups: Signups) -> Keys:
    """The shape of the mailbox's name at its domain, and the ISO week of the signup.

    A batch of generated names is registered within days; the same shape at the same large provider in the same week
    says what the shape alone cannot. Honest sharing: common shapes at large providers, a company or a class that signs
    up in one week.
    """
    rows = _of_signups(shown.of("mail_shape"), signups)
    return rows.account, mixed("mail_shape_week", rows.key, _iso_week(signups.created[rows.account]))


def card_bin_week(shown: Shown, signups: Signups) -> Keys:  # noqa: ARG001  one signature for all kinds
    """The issuer of the card, and the ISO week in which the account first showed one of it.

    Virtual and stolen cards are bought in lots, and used up soon. Honest sharing: everyone with that bank who starts
    to pay in that week.
    """
    rows = shown.of("card_bin")
    return rows.account, mixed("card_bin_week", rows.key, _iso_week(rows.learned))


def mail_domain_new(shown: Shown, signups: Signups) -> Keys:
    """The mail domain, where nobody signed up with it until 14 days before this signup.

    Only where the data reach back further than that; after a rotation of the secrets every domain is new for a while.
    Catch-all domains are bought for a campaign and burnt within days; providers, universities and companies were there
    before. Honest sharing: a new company's first accounts, a customer that rolls out.
    """
    rows = _of_signups(shown.of("mail_domain"), signups)
    order = np.argsort(rows.key, kind="stable")
    account, key = rows.account[order], rows.key[order]
    created = signups.created[account]
    if not len(created):
        return account, key
    start, length = runs(key)
    first = np.repeat(np.minimum.reduceat(created, start), length)
    known = signups.created[signups.created >= 0]
    place = int(len(known) * _BEGUN)
    begin = np.partition(known, place)[place]
    young = (created - first < YOUNG) & (created - begin > YOUNG)
    return account[young], mixed("mail_domain_new", key[young])


def net_hour(shown: Shown, signups: Signups) -> Keys:
    """The network (/24 or /48) that the signup came from, and the hour of the signup.

    Scripts that go through rented addresses sign up in bursts. Honest sharing: a class, a hall or an office that signs
    up together, a carrier's gateway.
    """
    rows = _of_signups(shown.of("ip_net"), signups)
    rows = rows.take(rows.learned <= signups.learned[rows.account])  # later ones are of usage
    return rows.account, mixed("net_hour", rows.key, signups.created[rows.account] // HOUR)


def asn_hour(shown: Shown, signups: Signups) -> Keys:  # noqa: ARG001  one signature for all kinds
    """The autonomous system that the signup came from, and the hour of the signup.

    A script that takes every address from another /24 of one hosting provider, in a burst. The number is a fact of the
    profile and no stored link: a row more for every signup made importing accounts 9 % dearer. Accounts stored before
    the door left it have no such key. Honest sharing: customers of one large provider in a busy hour.
    """
    account = np.flatnonzero((signups.created >= 0) & (signups.asn != NO_ASN))
    return account, mixed("asn_hour", signups.asn[account], signups.created[account] // HOUR)


KEYS: tuple[Callable[[Shown, Signups], Keys], ...] = (
    mail_shape_week,
    card_bin_week,
    mail_domain_new,
    net_hour,
    asn_hour,
)

DERIVED: tuple[LinkKind, ...] = (*map(LinkKind.of, KEYS), *map(LinkKind.of, habits.KEYS))


def as_rows(found: Mapping[str, Keys], kinds: tuple[str, ...]) -> Rows:
    """Keys by kind as rows; every kind must be among ``kinds``."""
    none = np.empty(0, np.int64)
    parts = [
        Rows(account, key, np.full(len(key), kinds.index(kind), np.int64)) for kind, (account, key) in found.items()
    ]
    return Rows.joined([Rows(none, none, none), *parts])


def _of_signups(shown: Shown, signups: Signups) -> Shown:
    """The rows of accounts that have signed up."""
    return shown.take(signups.created[shown.account] >= 0)


def _iso_week(at: Int64s) -> Int64s:
    """Weeks, from Monday to Sunday in UTC, since that of the first day of 1970, a Thursday."""
    return (at + 3 * DAY) // WEEK
