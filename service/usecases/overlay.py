"""What a request says about its account, laid over what is stored, so that one answer counts both.

A request's facts are learned at the moment it is answered. A fact that is stored already is not counted again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from service.domain.facts import Int64s, LinkFacts, PaymentFacts, SignalFacts, SignupFacts
from service.tiles.history import History, KeyCounts, KeyRows, OwnLinks, SignalRows, concat_rows, union_payments
from service.tiles.payments import payment_tiles


@dataclass(frozen=True, slots=True)
class Brought:
    """Facts that came with requests, of any number of accounts."""

    signups: SignupFacts
    payments: PaymentFacts
    own_links: LinkFacts
    signals: SignalFacts

    def links(self) -> LinkFacts:
        """Every link key that they show."""
        return LinkFacts.concat([self.signups.links, self.payments.links, self.own_links])


def overlay(history: History, brought: Brought, now: int, *, payments: Int64s, signals: Int64s) -> History:
    """``history`` with what was brought, learned at ``now``.

    ``payments`` and ``signals`` are the rows of ``brought`` that are not stored yet; links are compared here, with what
    the history says of its accounts' own keys (it must have been read with those that were brought as extra keys).
    """
    return _links(_facts(_signups(history, brought.signups, now), brought, now, payments, signals), brought, now)


def _signups(history: History, signups: SignupFacts, now: int) -> History:
    row = np.searchsorted(history.account, signups.account)
    new = np.flatnonzero(~history.known[row])
    if len(new) == 0:
        return history
    known, created, learned = history.known.copy(), history.created_at.copy(), history.learned_at.copy()
    profile = history.profile.copy()
    at = row[new]
    known[at], created[at], learned[at] = True, signups.created_at[new], now
    profile[at] = signups.profile[new]
    return replace(history, known=known, created_at=created, learned_at=learned, profile=profile)


def _facts(history: History, brought: Brought, now: int, payments: Int64s, signals: Int64s) -> History:
    if len(payments):
        tiles = payment_tiles(brought.payments, np.full(len(brought.payments), now, np.int64), payments)
        history = replace(history, payments=union_payments([history.payments, tiles]))
    if len(signals):
        said = brought.signals
        rows = SignalRows(
            said.account[signals],
            said.name[signals],
            said.happened[signals],
            np.full(len(signals), now, np.int64),
            said.value[signals],
        )
        history = replace(history, signals=concat_rows([history.signals, rows]))
    return history


def _links(history: History, brought: Brought, now: int) -> History:
    links = brought.links()
    if len(links) == 0:
        return history
    stored = set(zip(history.own.account.tolist(), history.own.key.tolist(), strict=True))
    first: dict[tuple[int, int], int] = {}
    for row, pair in enumerate(zip(links.account.tolist(), links.key.tolist(), strict=True)):
        if pair not in stored:
            first.setdefault(pair, row)
    if not first:
        return history
    fresh = np.array(list(first.values()), np.int64)
    at = np.full(len(fresh), now, np.int64)
    account, key = links.account[fresh], links.key[fresh]
    rows, sharing = KeyRows(key, account, at), history.sharing
    return replace(
        history,
        own=concat_rows([history.own, OwnLinks(account, links.kind[fresh], key, at)]),
        sharing=sharing.shown(key) if isinstance(sharing, KeyCounts) else concat_rows([sharing, rows]),
        marked=concat_rows([history.marked, rows]),
    )
