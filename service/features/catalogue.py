"""Every feature there is, the matrix they make, and the fingerprint of what they answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.codes import hash64, mix64
from service.domain.profile import PROFILE, PROFILE_INDEX
from service.domain.time import DAY, HOUR
from service.features import campaign, custom, identity, linkage, payment, usage
from service.features.columns import Column, Columns, Int64s
from service.features.feature import Block, Feature

FEATURES: tuple[Feature, ...] = (
    *identity.FEATURES,
    *payment.FEATURES,
    *usage.FEATURES,
    *linkage.FEATURES,
    *campaign.FEATURES,
)

# What rules read and no model learns from: it knows the verdict on the account itself, which a model is to tell.
RULED: tuple[Feature, ...] = campaign.RULED

CUSTOM_KIND = "custom."


def features_for(signal_names: Iterable[str] = (), link_kinds: Iterable[str] = ()) -> tuple[Feature, ...]:
    """The catalogue, then features of the customer's own signals and link kinds (``custom.<key_type>``)."""
    own_links = [made for kind in sorted(set(link_kinds)) for made in linkage.custom_link_features(kind)]
    return (*FEATURES, *(custom.signal_feature(name) for name in sorted(set(signal_names))), *own_links)


def by_name(names: Sequence[str]) -> tuple[Feature, ...]:
    """The features called ``names``, in that order; KeyError names those that this version does not have."""
    signals = [name.removeprefix(custom.PREFIX) for name in names if name.startswith(custom.PREFIX)]
    there = {feature.name: feature for feature in features_for(signals, link_kinds_of(names))}
    missing = [name for name in names if name not in there]
    if missing:
        raise KeyError(f"this version has no feature named {', '.join(missing)}")
    return tuple(there[name] for name in names)


def for_rules(names: Iterable[str], model: Sequence[str]) -> tuple[Feature, ...]:
    """The features called ``names`` that a model with the features called ``model`` does not compute anyway.

    Names that this version does not have are left out: a rule on such a feature holds nowhere.
    """
    there = {feature.name: feature for feature in (*FEATURES, *RULED)}
    return tuple(there[name] for name in dict.fromkeys(names) if name in there and name not in model)


def signal_names_of(names: Sequence[str]) -> tuple[str, ...]:
    """The customer's signals that features called ``names`` need."""
    return tuple(name.removeprefix(custom.PREFIX) for name in names if name.startswith(custom.PREFIX))


def link_kinds_of(names: Sequence[str]) -> tuple[str, ...]:
    """The customer's link kinds that features called ``names`` need, as ``custom.<key_type>``."""
    measures = [
        made.name.removeprefix("link.") for made in linkage.custom_link_features(CUSTOM_KIND)
    ]  # "_others_1h", ...
    kinds = {
        CUSTOM_KIND + name[len("link.") : -len(measure)]
        for name in names
        if name.startswith("link.")
        for measure in measures
        if name.endswith(measure)
    }
    return tuple(sorted(kinds))


def matrix(columns: Columns, features: Sequence[Feature]) -> NDArray[np.float32]:
    """The model's input, shape (n, len(features)), C order; NaN: unknown."""
    out = np.empty((len(columns), len(features)), np.float32)
    if len(columns) > FEW:  # a column at a time fits a processor's cache
        for i, feature in enumerate(features):
            out[:, i] = feature(columns)
        return out
    if not len(columns):
        return out
    sheet = _sheet(tuple(features))
    for block, arguments, places in sheet.blocks:
        out[:, places] = block.compute(columns, arguments)
    nothing = _nothing_of(columns)
    for (family, settled), alone in sheet.alone.items():
        if settled and family in nothing:
            out[:, alone.places] = alone.of_nothing(columns)
        else:
            for i, feature in zip(alone.places, alone.features, strict=True):
                out[:, i] = feature(columns)
    return out


FEW = 2_048  # accounts, for which the number of operations counts and not their size

# What features of these families and sources are made from, and nothing else: where there is nothing of it, each is the
# same for all accounts. A promise test holds that.
_SOURCES = {"usage": "usage", "payment": "payments", "campaign": None}


def settled(feature: Feature) -> bool:
    """Whether the feature is the same for all accounts of which there is nothing in its family."""
    return feature.family in _SOURCES and _SOURCES[feature.family] in {None, feature.source}


def _nothing_of(columns: Columns) -> set[str]:
    """Families of which there is nothing for any account."""
    there = (columns.usage.empty, columns.payments.empty, not columns.campaigns.campaign.any())
    return {family for family, nothing in zip(_SOURCES, there, strict=True) if nothing}


@dataclass(slots=True)
class _Alone:
    """Features that have a formula of their own."""

    features: list[Feature]
    places: list[int]
    nothing: Column | None = None  # their values where there is nothing in their family, once they were computed

    def of_nothing(self, columns: Columns) -> Column:
        """Shape (features,)."""
        if self.nothing is None:
            self.nothing = np.array([feature(columns)[0] for feature in self.features], np.float32)
        return self.nothing


@dataclass(frozen=True, slots=True)
class _Sheet:
    """How a small batch's matrix is put together."""

    blocks: list[tuple[Block, list[Any], list[int]]]
    alone: dict[tuple[str, bool], _Alone]  # by family, and whether they are ``settled``


@lru_cache(maxsize=64)
def _sheet(features: tuple[Feature, ...]) -> _Sheet:
    blocks: dict[Block, tuple[Block, list[Any], list[int]]] = {}
    alone: dict[tuple[str, bool], _Alone] = {}
    for i, feature in enumerate(features):
        if feature.block is not None:
            _, arguments, places = blocks.setdefault(feature.block, (feature.block, [], []))
            arguments.append(feature.argument)
            places.append(i)
        else:
            of = alone.setdefault((feature.family, settled(feature)), _Alone([], []))
            of.features.append(feature)
            of.places.append(i)
    return _Sheet(list(blocks.values()), alone)


def fingerprint(features: Sequence[Feature]) -> str:
    """A short hash of what ``features`` answer on a fixed probe set: it changes when a meaning changes.

    Answers are hashed to four significant digits, so that another processor's last bit is not another meaning.
    """
    columns = probe_columns(signal_names_of([feature.name for feature in features]), n=48)
    digest = sha256()
    for feature in features:
        digest.update(feature.name.encode())
        digest.update(",".join(f"{value:.4g}" for value in feature(columns).tolist()).encode())
    return digest.hexdigest()[:16]


class _ProbeWindows:
    """Made-up but fixed integers per (column, window): small counts, with zeros among them."""

    empty = False

    def __init__(self, n: int, as_of: Int64s) -> None:
        self._n, self._as_of = n, as_of

    def column(self, name: str, window: str) -> Int64s:
        seed = mix64(np.arange(self._n, dtype=np.int64) + hash64(f"{name}/{window}") % 2**31)
        if name.startswith(("first", "last")):
            return self._as_of - (seed % np.uint64(20 * DAY // HOUR)).astype(np.int64) * HOUR
        if name.endswith(("_0", "_1", "_2", "_3")):
            return (seed & (seed >> np.uint64(7))).view(np.int64)
        large = 2000 if name.startswith(("input", "output", "amount")) else 12
        return (seed % np.uint64(large)).astype(np.int64)


class _ProbeSharing:
    """The same per (kind, measure)."""

    def __init__(self, n: int) -> None:
        self._n = n

    def column(self, kind: int, measure: str) -> Int64s:
        seed = mix64(np.arange(self._n, dtype=np.int64) + (kind + hash64(measure)) % 2**31)
        return (seed % np.uint64(9)).astype(np.int64)

    def several(self, wanted: Sequence[tuple[int, str]]) -> Int64s:
        return np.stack([self.column(*each) for each in wanted], axis=1)


class _ProbeCampaigns:
    """The same per measure; every third row belongs to a campaign, every third is tied to one."""

    _VALUES: Mapping[str, tuple[float, ...]] = {
        "belongs": (1,),
        "score": (0.9, 0.99, np.nan, 0.97),
        "membership": (0.6, 1.0, np.nan, 0.8),
        "members": (2, 350, 1, 40),
        "confirmed": (0, 1, 0, 1, 0),
        "tie": (0.7, 5.5, 13.0, 20.25),
        "tie_private": (0, 1, 2, 4, 1),
        "tie_families": (0, 1, 2, 3, 5),
        "tie_grade": (0, 1, 2),
        "tie_confirmed": (0, 0, 1, 0, 1),
        "verdict": (0, 0, 1, 0, 0, 2, 0),
    }

    def __init__(self, n: int) -> None:
        self._n = n
        self.campaign = np.zeros(n, np.int64)
        self.tied_probe = self.tied_kind = np.empty(0, np.int64)

    def column(self, name: str) -> NDArray[np.float64]:
        row = np.arange(self._n)
        values = np.array(self._VALUES[name])
        concerned = row % 3 > 0 if name == "verdict" else row % 3 == (2 if name.startswith("tie") else 1)
        return np.where(concerned, values[(row // 3) % len(values)], 0.0)


def probe_columns(signal_names: Sequence[str] = (), n: int = 48) -> Columns:
    """The fixed probe set: ``n`` rows that reach every branch of a feature (unknown, zero, some, many)."""
    row = np.arange(n, dtype=np.int64)
    as_of = 1_780_000_000_000_000 + row * 7 * HOUR
    known = row % 11 != 10
    created = np.where(known, as_of - (mix64(row) % np.uint64(40 * 24)).astype(np.int64) * HOUR, 0)
    facts = np.empty((n, len(PROFILE)), np.float32)
    for name, i in PROFILE_INDEX.items():
        seed = mix64(row + hash64(name) % 2**31)
        facts[:, i] = np.where(seed % np.uint64(5) == 4, np.nan, (seed % np.uint64(13)).astype(np.float32) / 2)
    facts[~known] = np.nan
    signals = {
        name: np.where(row % 3 == 2, np.nan, (mix64(row + hash64(name) % 2**31) % np.uint64(100)).astype(np.float32))
        for name in signal_names
    }
    signals32 = {name: values.astype(np.float32) for name, values in signals.items()}
    windows = _ProbeWindows(n, as_of)
    return Columns(row, as_of, created, known, facts, windows, windows, _ProbeSharing(n), _ProbeCampaigns(n), signals32)
