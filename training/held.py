"""Held-out accounts on which two models are compared, and what one threshold would have done to them.

Both models are held to the same friction on the same accounts: each at its own lowest threshold that touches at most
the budget of the accounts taken as honest. An account is touched where any of its probes scores above it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from service.domain.facts import Float32s, Float64s, Int64s
from service.domain.time import DAY
from service.features.feature import Feature
from training.dataset import FRAUD, Dataset
from training.kinship import Linked, kinship
from training.segments import segments_of

LEAST_MEMBERS = 5  # labelled members of a campaign for its recall to be a figure
SPENT_BY = "requests_7d"  # up to seven days after signup it counts everything since
MAIL_KINDS = ("mail_disposable", "mail_education", "mail_own_domain", "mail_free")  # the first that holds

UNKNOWN = "unknown"  # what a segment says of an account that it cannot tell

Bools = NDArray[np.bool_]
Names = NDArray[np.str_]


class Surroundings(Linked, Protocol):
    """What is read of the store beside the dataset."""

    def signup_rows(self, as_of: int) -> tuple[Int64s, Int64s, Int64s, Float32s]:
        """All signups learned by ``as_of`` as (account, created_at, learned_at, profile), by account."""
        ...


@dataclass(frozen=True)
class Held:
    """Probes of held-out accounts, in order of (account, age), shape (n,); and the accounts, shape (m,)."""

    number: Int64s  # (m,) the account's own
    account: Int64s  # (n,) place of the probe's account below
    age: Int64s  # (n,) microseconds after signup
    fraud: Float64s  # (n,) chance of being fraud; 1 or 0 where labelled
    weight: Float64s  # (n,) of the accounts that its account stands for, the probe's part
    spent: Float64s | None  # (n,) exchanges made before the probe, of the first seven days; None: not known
    verdict: NDArray[np.int8]  # (m,)
    innocent: Float64s  # (m,) how many honest accounts it stands for; 0 where labelled fraud
    group: Int64s  # (m,) campaign; of honest accounts the group that they stand in, or a number of their own
    campaign: tuple[str | None, ...]
    segments: Mapping[str, Names]  # country, plan, mail, kind of group: (m,) each; an empty text: not known

    def __len__(self) -> int:
        """Accounts."""
        return len(self.verdict)

    @cached_property
    def frauds(self) -> Bools:
        """Accounts labelled fraud, shape (m,)."""
        return np.asarray(self.verdict == FRAUD)

    @cached_property
    def units(self) -> Int64s:
        """Which campaign, or single account, each account is of, numbered from 0; what is drawn when resampling."""
        return np.unique(self.group, return_inverse=True)[1].astype(np.int64)

    @cached_property
    def campaigns(self) -> Int64s:
        """Which campaign of at least ``LEAST_MEMBERS`` labelled members each account is of; -1: of none."""
        names, place = np.unique([name or "" for name in self.campaign], return_inverse=True)
        members = np.bincount(place, self.frauds, len(names))
        large = (members >= LEAST_MEMBERS) & (names != "")
        number = np.where(large, np.cumsum(large) - 1, -1)
        return np.where(self.frauds, number[place], -1).astype(np.int64)

    def highest(self, score: Float64s) -> Float64s:
        """Each account's highest score, shape (m,)."""
        out = np.full(len(self), -np.inf)
        np.maximum.at(out, self.account, score)
        return out

    def of_rows(self, of_account: Float64s) -> Float64s:
        """What is said of accounts, of their probes, shape (n,)."""
        return of_account[self.account]


def hold_out(dataset: Dataset, rows: Int64s, *, fraud: Float64s, weight: Float64s, innocent: Float64s) -> Held:
    """The accounts of ``rows`` of ``dataset``.

    ``fraud`` and ``weight`` are of all its rows, ``innocent`` of all its accounts. Segments are those that features
    tell, so no country is among them; see ``surrounded``.
    """
    of, account = np.unique(dataset.row[rows], return_inverse=True)
    accounts = dataset.accounts
    names = [feature.name for feature in dataset.features]
    spent = _spent(dataset, rows) if SPENT_BY in names else None
    first = rows[np.searchsorted(account, np.arange(len(of)))]  # the signup's own probe is always there
    return Held(
        number=accounts.account[of],
        account=account.astype(np.int64),
        age=dataset.age[rows],
        fraud=fraud[rows],
        weight=weight[rows],
        spent=spent,
        verdict=accounts.verdict[of],
        innocent=np.where(accounts.verdict[of] == FRAUD, 0.0, innocent[of]),
        group=accounts.group[of],
        campaign=tuple(accounts.campaign[i] for i in of.tolist()),
        segments={
            **_plans(dataset, names, first),
            **_mail_kinds(dataset, names, first),
        },
    )


def surrounded(held: Held, source: Surroundings, as_of: int) -> Held:
    """The same with all segments, and honest accounts resampled in groups, as the store knew both at ``as_of``.

    Honest accounts come in groups that a model is right or wrong about together: drawn one by one, the false alarms on
    one agency would look like so many. The same where no signup of them is known to the store.
    """
    number, _, _, known = source.signup_rows(as_of)
    place = np.minimum(np.searchsorted(number, held.number), max(len(number) - 1, 0))
    there = number[place] == held.number if len(number) else np.zeros(len(held), bool)
    if not there.any():
        return held
    profile = np.full((len(held), known.shape[1]), np.nan, np.float32)
    profile[there] = known[place[there]]
    kin = kinship(source, held.number, profile, as_of)
    segments = {name: np.array(of, dtype=str) for name, of in segments_of(profile, kin).items()}
    return replace(
        held,
        group=np.where(held.frauds, held.group, -1 - kin.group),
        segments={name: np.where(of == UNKNOWN, "", of) for name, of in segments.items()},
    )


def _spent(dataset: Dataset, rows: Int64s) -> Float64s:
    """Exchanges before each probe; of probes later than seven days, those by the account's probe at seven days."""
    count = np.where(dataset.age[rows] <= 7 * DAY, np.nan_to_num(dataset.column(SPENT_BY)[rows]), 0.0)
    _, account = np.unique(dataset.row[rows], return_inverse=True)
    first = np.searchsorted(account, account)
    out = count.copy()
    for back in range(1, int(np.bincount(account).max(initial=1))):  # at most as many steps as an account has probes
        there = np.arange(len(rows)) - back >= first
        out[there] = np.maximum(out[there], count[np.flatnonzero(there) - back])
    return out


def _plans(dataset: Dataset, names: list[str], first: Int64s) -> dict[str, Names]:
    if "plan" not in names:
        return {}
    code = dataset.matrix[first, names.index("plan")]
    return {"plan": np.where(np.isnan(code), "", np.char.mod("%d", np.nan_to_num(code).astype(np.int64)))}


def _mail_kinds(dataset: Dataset, names: list[str], first: Int64s) -> dict[str, Names]:
    out = np.full(len(first), "", "U32")
    for name in reversed([name for name in MAIL_KINDS if name in names]):
        out[dataset.matrix[first, names.index(name)] == 1] = name.removeprefix("mail_")
    return {"mail": out} if (out != "").any() else {}


def columns_of(dataset: Dataset, rows: Int64s, features: tuple[Feature, ...]) -> NDArray[np.float32]:
    """The matrix of a model with ``features``, shape (rows, features); NaN where the dataset lacks a feature."""
    place = {feature.name: i for i, feature in enumerate(dataset.features)}
    out = np.full((len(rows), len(features)), np.nan, np.float32)
    for i, feature in enumerate(features):
        if feature.name in place:
            out[:, i] = dataset.matrix[rows, place[feature.name]]
    return out
