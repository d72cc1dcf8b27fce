"""Assessments of a job as columns: thousands of accounts, one moment, one model. And the ids of a job's assessments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import urandom

import numpy as np
from numpy.typing import NDArray

from service.domain.enums import Decision, Purpose
from service.domain.facts import Float32s, Float64s, Int64s
from service.domain.records import Assessment, LinkSummary

DECISIONS: tuple[Decision, ...] = tuple(Decision)  # a decision in a column is its place here
PLACES: dict[Decision, int] = {decision: place for place, decision in enumerate(DECISIONS)}
NONE = -1  # in a column of decisions: there is none

NAME_BITS = 58  # what is left of a UUID beside its version, its variant and the account's number
_NAME = (1 << NAME_BITS) - 1

Int8s = NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class LinkColumns:
    """Link summaries of a block, by row and then in the order of ``kinds``; shape (m,) each."""

    kinds: tuple[str, ...]
    row: Int64s
    kind: Int8s  # place in ``kinds``
    linked: NDArray[np.int16]
    confirmed: NDArray[np.int16]
    tied: NDArray[np.bool_]  # a key of that kind speaks for the row's campaign


@dataclass(frozen=True, slots=True, eq=False)
class AssessmentBlock:
    """What a job said of some accounts; row i is that of ``account[i]``."""

    account: Int64s  # (n,) ascending, distinct
    account_id: Sequence[str] | None  # None: nobody asked for them, and a block is kept by numbers
    name: Int64s  # (n,) below 2**58; with the account it is the assessment's id
    assessed_at: int
    purpose: Purpose
    model_version: str
    policy_version: str
    feature_fingerprint: str
    score: Float64s  # (n,)
    decision: Int8s  # (n,)
    limit: Sequence[str | None]
    rules: Sequence[tuple[str, ...]]
    campaign: Sequence[str | None]
    explored_from: Int8s  # (n,); NONE: no decision was lifted
    propensity: Float64s  # (n,); NaN: chance had no say
    features: Float32s  # (n, features of the model)
    links: LinkColumns

    def __len__(self) -> int:
        return len(self.account)

    def assessment_id(self, row: int) -> str:
        """The id of a row's assessment."""
        return job_assessment_id(int(self.account[row]), int(self.name[row]))

    def assessment(self, row: int) -> Assessment:
        """One row as a record; raises ValueError where the accounts' ids were not asked for."""
        if self.account_id is None:
            raise ValueError("a record names its account, and this block has numbers alone")
        explored, propensity = int(self.explored_from[row]), float(self.propensity[row])
        return Assessment(
            assessment_id=self.assessment_id(row),
            account_id=self.account_id[row],
            account=int(self.account[row]),
            assessed_at=self.assessed_at,
            purpose=self.purpose,
            score=float(self.score[row]),
            decision=DECISIONS[self.decision[row]],
            recommended_limit=self.limit[row],
            model_version=self.model_version,
            policy_version=self.policy_version,
            feature_fingerprint=self.feature_fingerprint,
            features=self.features[row].astype("<f4").tobytes(),
            links=self._links(row),
            rules=self.rules[row],
            campaign_id=self.campaign[row],
            explored_from=None if explored == NONE else DECISIONS[explored],
            propensity=None if np.isnan(propensity) else propensity,
        )

    def assessments(self) -> list[Assessment]:
        """All rows as records, in order."""
        return [self.assessment(row) for row in range(len(self))]

    def _links(self, row: int) -> tuple[LinkSummary, ...]:
        of = self.links
        low, high = np.searchsorted(of.row, [row, row + 1]).tolist()
        return tuple(
            LinkSummary(
                of.kinds[of.kind[i]],
                int(of.linked[i]),
                int(of.confirmed[i]),
                self.campaign[row] if of.tied[i] else None,
            )
            for i in range(low, high)
        )


def job_assessment_id(account: int, name: int) -> str:
    """A UUID (version 8, RFC 9562) of the account's number and of ``name``, a hash of what the assessment says.

    So a job that is run again makes the same ids, and from an id one knows where to look for it.
    """
    bits = (account % (1 << 64)) << NAME_BITS | name & _NAME
    return _uuid(8, bits)


def call_assessment_id(at: int) -> str:
    """A UUID (version 7, RFC 9562) of the moment, to the millisecond, and of 74 random bits.

    Ids of one moment lie beside one another in the database's index. Where they were random throughout, each touched
    a page of its own there, of some 14 that an answer writes.
    """
    return _uuid(7, (at // 1000 % (1 << 48)) << 74 | int.from_bytes(urandom(10)) >> 6)


def _uuid(version: int, bits: int) -> str:
    """122 bits with a version and a variant between them, as text."""
    whole = (bits >> 74) << 80 | version << 76 | (bits >> 62 & 0xFFF) << 64 | 2 << 62 | bits & ((1 << 62) - 1)
    text = f"{whole:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def told_by_id(assessment_id: str) -> tuple[int, int] | None:
    """The account and the name in an id that ``job_assessment_id`` made; None: it is of another kind."""
    try:
        whole = int(assessment_id.replace("-", ""), 16)
    except ValueError:
        return None
    if len(assessment_id) != 36 or whole >> 76 & 0xF != 8 or whole >> 62 & 3 != 2:
        return None
    bits = (whole >> 80) << 74 | (whole >> 64 & 0xFFF) << 62 | whole & ((1 << 62) - 1)
    account = bits >> NAME_BITS
    return (account - (1 << 64) if account >> 63 else account), bits & _NAME
