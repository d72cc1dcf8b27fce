"""What a replay decided, kept step by step, so that one that was stopped goes on where it was.

A step is two parts: signups up to its moment, and what its moment brought. Each part is one file, written whole or not
at all; everything else that the ledger knows follows from them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from service.domain.blocks import NONE, PLACES, AssessmentBlock, Int8s
from service.domain.enums import Decision
from service.domain.facts import Int64s
from service.domain.records import Assessment

SIGNUP, RESCORE, CAMPAIGN = "signup", "rescore", "campaign"

DECISIONS = pa.schema(
    [
        ("account_id", pa.string()),
        ("decided_at", pa.timestamp("us", tz="UTC")),
        ("trigger", pa.string()),
        ("score", pa.float64()),
        ("decision", pa.string()),
        ("model_version", pa.string()),
        ("campaign_id", pa.string()),
    ]
)
CAMPAIGNS = pa.schema(
    [
        ("campaign_id", pa.string()),
        ("account_id", pa.string()),
        ("detected_at", pa.timestamp("us", tz="UTC")),
    ]
)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of decisions.parquet, and the account's number."""

    account: int
    account_id: str
    decided_at: int
    trigger: str
    score: float
    decision: str
    model_version: str
    campaign_id: str | None
    by_campaign: bool  # a rule of campaigns raised the decision


@dataclass(frozen=True, slots=True)
class Told:
    """What an account was told last."""

    decision: Decision
    campaign_id: str | None


@dataclass(slots=True)
class Part:
    """One part of a step as it is gathered."""

    at: int
    rows: list[Row] = field(default_factory=list)
    members: list[tuple[str, int, str]] = field(
        default_factory=list
    )  # campaign, account, its id: newly above threshold
    about: dict[str, Any] = field(default_factory=dict)  # figures and events of the step


class Ledger:
    """Every part so far, and what follows: the latest word on each account, and who was ever in which campaign."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.rows: list[Row] = []
        self.members: list[tuple[str, int, str, int]] = []  # campaign, account, its id, since
        self.steps: list[dict[str, Any]] = []
        self._told: dict[int, Told] = {}
        self._in: set[tuple[str, int]] = set()
        for path in sorted(folder.glob("*.json")):
            self._take(_read(path))

    def has(self, step: int, what: str) -> bool:
        """Whether this part (``signups`` or ``whole``) of the step is kept."""
        return self._path(step, what).exists()

    def keep(self, step: int, what: str, part: Part) -> None:
        """Keeps a part, durable on return."""
        path = self._path(step, what)
        draft = path.with_suffix(".part")
        with draft.open("wb") as file:
            file.write(orjson.dumps({"at": part.at, "rows": [astuple(row) for row in part.rows],
                                     "members": part.members, "about": part.about}))  # fmt: skip
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        self._take(part)

    def told(self, account: int) -> Told | None:
        """The latest word on an account; None: none yet."""
        return self._told.get(account)

    def fresh(self, campaign_id: str, account: int) -> bool:
        """Whether this membership was not seen before."""
        return (campaign_id, account) not in self._in

    def ever_touched(self) -> Int64s:
        """Accounts, ascending, that were ever told anything but allow."""
        return np.unique(np.array([row.account for row in self.rows if row.decision != Decision.ALLOW], np.int64))

    def _take(self, part: Part) -> None:
        self.rows += part.rows
        for row in part.rows:
            self._told[row.account] = Told(Decision(row.decision), row.campaign_id)
        self.members += [(*member, part.at) for member in part.members]
        self._in.update((campaign, account) for campaign, account, _ in part.members)
        if part.about:
            self.steps.append(part.about)

    def _path(self, step: int, what: str) -> Path:
        return self.folder / f"{step:05d}-{({'signups': 'a', 'whole': 'b'})[what]}.json"

    def write(self, out: Path) -> None:
        """OUT's decisions.parquet and campaigns.parquet, each whole or not at all."""
        columns = zip(*(astuple(row)[1:8] for row in self.rows), strict=True)
        _write(out / "decisions.parquet", list(columns), DECISIONS)
        members = [(campaign, account_id, at) for campaign, _, account_id, at in self.members]
        _write(out / "campaigns.parquet", list(zip(*members, strict=True)), CAMPAIGNS)


class Outcomes:
    """The port through which the use case of rescoring reads what was told last and hands over what it made.

    Only what is other than before makes a row: the first word on an account does unless it is ``allow``.
    """

    def __init__(self, ledger: Ledger, part: Part) -> None:
        self._ledger, self._part = ledger, part

    def last_decisions(self, accounts: Int64s) -> Int8s:
        """What these accounts were told last, as places in ``DECISIONS``; NONE: nothing."""
        told = [self._ledger.told(account) for account in accounts.tolist()]
        return np.array([NONE if one is None else PLACES[one.decision] for one in told], np.int8)

    def append_block(self, made: AssessmentBlock) -> int:
        """The same of a whole batch, of which hardly any row says anything new."""
        allow = PLACES[Decision.ALLOW]
        told = [self._ledger.told(account) is not None for account in made.account.tolist()]
        some = np.flatnonzero((made.decision != allow) | np.array(told, np.bool_)).tolist()
        return self.append_assessments([made.assessment(row) for row in some])

    def append_assessments(self, made: Sequence[Assessment]) -> int:
        """Keeps those that changed anything; how many."""
        before = len(self._part.rows)
        for one in made:
            told = self._ledger.told(one.account)
            was = (Decision.ALLOW, None) if told is None else (told.decision, told.campaign_id)
            if told is None and one.decision is Decision.ALLOW:
                continue
            if (one.decision, one.campaign_id) != was:
                self._part.rows.append(row_of(one, _trigger(one, was[1])))
        return len(self._part.rows) - before


def row_of(one: Assessment, trigger: str) -> Row:
    """The row of an assessment."""
    return Row(
        account=one.account,
        account_id=one.account_id,
        decided_at=one.assessed_at,
        trigger=trigger,
        score=one.score,
        decision=one.decision.value,
        model_version=one.model_version,
        campaign_id=one.campaign_id,
        by_campaign=any(rule.startswith("campaign_") for rule in one.rules),
    )


def _trigger(one: Assessment, campaign_before: str | None) -> str:
    """``campaign`` where the account's campaign changed or rules of campaigns decided, else ``rescore``."""
    by_campaign = one.campaign_id is not None and any(rule.startswith("campaign_") for rule in one.rules)
    return CAMPAIGN if one.campaign_id != campaign_before or by_campaign else RESCORE


def _read(path: Path) -> Part:
    held = orjson.loads(path.read_bytes())
    members = [(campaign, account, name) for campaign, account, name in held["members"]]
    return Part(held["at"], [Row(*row) for row in held["rows"]], members, held["about"])


def _write(path: Path, columns: list[Sequence[Any]], schema: pa.Schema) -> None:
    arrays = []
    for i, kind in enumerate(schema):
        values = list(columns[i]) if columns else []
        storage = pa.int64() if pa.types.is_timestamp(kind.type) else kind.type
        arrays.append(pa.array(values, storage).cast(kind.type))
    draft = path.with_name(f".{path.name}.part")
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), draft)
    draft.replace(path)
