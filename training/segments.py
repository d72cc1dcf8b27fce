"""Whom a policy touches among honest accounts, segment by segment: country, plan, kind of mail, kind of group.

A budget that holds on the whole can be spent on one country's students. So every segment is counted, with an interval,
and a policy may be asked to keep the share of each within a multiple of the budget.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

from service.domain.facts import Float32s, Float64s, Int64s
from service.domain.profile import PROFILE_INDEX
from training.kinship import Kin

CONFIDENCE = 0.95  # of intervals, two-sided
LARGE = 20  # accounts of a group, from which it is counted apart

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Segment:
    """Legitimate accounts of one segment, and how many of them were ever touched."""

    segment: str  # country, plan, mail or group
    value: str
    accounts: float  # weighed by the chance of being legitimate
    touched: float
    share: float
    low: float
    high: float

    def to_json(self) -> dict[str, object]:
        """For reports."""
        return {name: getattr(self, name) for name in self.__slots__}


def by_segment(
    segments: Mapping[str, Sequence[str]],
    touched: Bools,
    weight: Float64s,
    group: Int64s | None = None,
    *,
    confidence: float = CONFIDENCE,
) -> list[Segment]:
    """Every value of every segment, those with most accounts first.

    ``segments`` gives for each its value of every account; ``touched`` and ``weight`` (the chance of being legitimate,
    or how many legitimate ones an account stands for) have shape (n,). Intervals are Clopper and Pearson's, exact where
    weights are 1 and ``group`` (n,), accounts that are touched together, is not given; else of as many accounts as
    independent ones would tell as much.
    """
    out = []
    fellows = np.arange(len(weight)) if group is None else group
    for name, of in segments.items():
        values, place = np.unique(np.asarray(of, dtype=str), return_inverse=True)
        for i, value in enumerate(values.tolist()):
            mine = place == i
            accounts, hit = float(weight[mine].sum()), float(weight[mine & touched].sum())
            effect = _effect(touched[mine], weight[mine], fellows[mine])
            low, high = interval(hit / effect, accounts / effect, confidence)
            share = hit / accounts if accounts > 0 else 0.0
            out.append(Segment(name, value, accounts, hit, share, low, high))
    return sorted(out, key=lambda one: (list(segments).index(one.segment), -one.accounts, one.value))


def interval(touched: float, accounts: float, confidence: float) -> tuple[float, float]:
    """Clopper and Pearson's interval of a share; (0, 1) where there are no accounts."""
    outside, left = (1.0 - confidence) / 2.0, max(accounts - touched, 0.0)
    low = float(beta.ppf(outside, touched, left + 1.0)) if touched > 0 else 0.0
    high = float(beta.ppf(1.0 - outside, touched + 1.0, left)) if left > 0 else 1.0
    return low, high


def _effect(touched: Bools, weight: Float64s, group: Int64s) -> float:
    """Accounts that tell as much as one independent one (the design effect of the share touched); 1 at least."""
    total, hit = float(weight.sum()), float(weight[touched].sum())
    if hit <= 0 or total <= 0:
        return 1.0
    _, place = np.unique(group, return_inverse=True)
    sizes, hits = np.bincount(place, weight), np.bincount(place, weight * touched)
    return max(1.0, float(((hits - hit / total * sizes) ** 2).sum()) / hit)


def segments_of(profile: Float32s, kin: Kin) -> dict[str, tuple[str, ...]]:
    """What is known of each account: ``profile`` (n, PROFILE) facts at signup, and whom it stands together with.

    A plan is known by the small hash of its name only, as everywhere in the product.
    """
    plan = profile[:, PROFILE_INDEX["plan"]]
    return {
        "country": tuple(name or "unknown" for name in countries_of(profile).tolist()),
        "plan": tuple("unknown" if np.isnan(number) else f"hash {int(number)}" for number in plan.tolist()),
        "mail": _mail(profile),
        "group": tuple(_group(tie, size) for tie, size in zip(kin.tie, kin.size.tolist(), strict=True)),
    }


def countries_of(profile: Float32s) -> NDArray[np.str_]:
    """ISO 3166-1 alpha-2 of each account, the inverse of ``country_number``; empty: not said. Shape (n,)."""
    number = np.nan_to_num(profile[:, PROFILE_INDEX["country"]]).astype(np.int64) - 1
    names = [chr(65 + of // 26) + chr(65 + of % 26) if of >= 0 else "" for of in number.tolist()]
    return np.array(names, dtype="U2")


def _mail(profile: Float32s) -> tuple[str, ...]:
    names = ("education", "disposable", "relay", "free")
    flags = [profile[:, PROFILE_INDEX[f"mail_{name}"]] == 1 for name in names]
    known = ~np.isnan(profile[:, PROFILE_INDEX["mail_free"]])
    return tuple(np.select([*flags, known], [*names, "own domain"], "none").tolist())


def _group(tie: str, size: int) -> str:
    if not tie:
        return "on its own"
    return f"{tie}, {LARGE} or more accounts" if size >= LARGE else f"{tie}, fewer than {LARGE}"
