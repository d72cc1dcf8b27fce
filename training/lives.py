"""What rescoring would have told accounts over their lives: looks as often as the periodic job's, not six probes.

Probes of a dataset are for learning, and a handful is enough. The friction budget is about being touched ever, and the
highest of 180 looks is higher than the highest of six: on a simulated world of 5,000 accounts over 45 days, thresholds
that 5 % and 0.5 % of honest accounts passed at probes were passed by 5.8 % and 0.6 % at looks every six hours. Looks
are scored a chunk of accounts at a time and kept only where something went beyond all before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from service.domain.codes import mix64
from service.domain.facts import Float32s, Float64s, Int64s
from service.domain.time import HOUR
from service.engine.embedded import columns
from service.features.campaign import campaign_confirmed, campaign_membership, campaign_score
from service.features.catalogue import RULED, matrix
from service.features.feature import Feature
from service.features.linkage import KINDS
from service.tiles.history import History
from training.thresholds import Lived

EVERY = 6 * HOUR
BELONGING = (campaign_score, campaign_membership, campaign_confirmed)
MOST_LOOKS = 400_000  # in all; with more, of the accounts that scored low some stand for the others
ROWS_AT_ONCE = 200_000
LOOKS_AT_ONCE = 20_000  # columns take 10 kB each meanwhile


class Looked(Protocol):
    """What this reads of the store."""

    def histories(self, *, rows: int, accounts: Int64s | None = None) -> Iterator[History]:
        """All facts, a bounded number of rows at a time; every account once."""
        ...

    def names(self, kind: str) -> dict[int, str]:
        """Names of the customer's signals (``signal``) or link kinds (``kind``)."""
        ...


@dataclass(frozen=True, slots=True)
class Judged:
    """How a row is judged: its calibrated score, and the severest decision of rules as a place in LEVELS; (n,) each."""

    score: Float64s
    rule: Int64s


Judge = Callable[[Float32s, Float32s], Judged]  # (rows of the model's features, rows of RULED)


def draw(highest: Float64s, looks: Int64s, account: Int64s, most: int = MOST_LOOKS) -> Float64s:
    """For how many accounts each of ``n`` stands, 0 where it is not looked at; about ``most`` looks in all.

    Half of them go to the accounts with the highest scores at probes, which are the ones that thresholds depend on;
    of the others each is drawn alike, by its number.
    """
    if int(looks.sum()) <= most:
        return np.ones(len(looks))
    first = np.argsort(-highest, kind="stable")
    top = np.zeros(len(looks), bool)
    top[first[np.cumsum(looks[first]) <= most // 2]] = True
    lot = np.where(top, -1.0, mix64(account) / 2.0**64)
    by = np.argsort(lot, kind="stable")
    chosen = np.zeros(len(looks), bool)
    chosen[by[np.cumsum(looks[by]) <= most]] = True
    low = ~top
    return np.where(top, 1.0, np.where(chosen, low.sum() / max(1, int((chosen & low).sum())), 0.0))


def live(
    source: Looked,
    account: Int64s,
    created_at: Int64s,
    drawn: Float64s,
    features: Sequence[Feature],
    judge: Judge,
    *,
    as_of: int,
    probed: Lived,
) -> tuple[Lived, Float64s]:
    """Lives of ``n`` accounts, ascending, by looks every ``EVERY`` from signup to ``as_of`` and those of ``probed``.

    Accounts with ``drawn`` 0 keep what their probes say. Also the chance of each to belong to a campaign as known at
    ``as_of``, shape (n,); 0 for those.
    """
    signals, kinds = sorted(source.names("signal").values()), sorted(source.names("kind").values())
    belongs = np.zeros(len(account))
    parts = [(probed.account, probed.age, probed.score, probed.rule)]
    for history in source.histories(rows=ROWS_AT_ONCE, accounts=account[drawn > 0]):
        place = np.searchsorted(account, history.account)
        # a signup that came live was not known before it arrived, and nobody asked before
        start = np.maximum(created_at[place], history.learned_at)
        count = np.maximum((as_of - start) // EVERY + 1, 0)
        for some in _chunks(np.ones(len(place), np.int64)):
            now = np.full(len(place[some]), as_of)
            known_now = columns(history, account[place[some]], now, kinds=(*KINDS, *kinds), signal_names=signals)
            belongs[place[some]] = belonging(*matrix(known_now, BELONGING).astype(np.float64).T)
        for some in _chunks(count):
            who = np.repeat(place[some], count[some])
            began = np.repeat(start[some], count[some])
            step = np.arange(len(who)) - np.repeat(np.cumsum(count[some]) - count[some], count[some])
            at = began + step * EVERY
            known_then = columns(history, account[who], at, kinds=(*KINDS, *kinds), signal_names=signals)
            judged = judge(matrix(known_then, features), matrix(known_then, RULED))
            found = Lived.of(
                who, at - created_at[who], judged.score, judged.rule, length=probed.length, drawn=drawn
            )  # what is not beyond all before is forgotten at once
            parts.append((found.account, found.age, found.score, found.rule))
    joined = [np.concatenate(column) for column in zip(*parts, strict=True)]
    return Lived.of(joined[0], joined[1], joined[2], joined[3], length=probed.length, drawn=drawn), belongs


def belonging(score: Float64s, member: Float64s, confirmed: Float64s) -> Float64s:
    """The chance to belong to a campaign that is one, by columns of ``BELONGING``; an analyst's word is certain."""
    sure = np.where(confirmed == 1, 1.0, score)
    out: Float64s = np.nan_to_num(sure, nan=1.0) * np.nan_to_num(member, nan=1.0)
    return out


def _chunks(count: Int64s) -> Iterator[slice]:
    """Slices of accounts with up to about ``LOOKS_AT_ONCE`` looks each."""
    part = np.cumsum(count) // LOOKS_AT_ONCE
    edges = np.concatenate([[0], np.flatnonzero(np.diff(part)) + 1, [len(count)]])
    for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if high > low:
            yield slice(low, high)
