"""Labels from typed columns: the one table whose rows hold no personal data and need no door."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from service.domain.enums import Verdict
from service.domain.raw import Label
from service.domain.time import FUTURE_TOLERANCE
from service.signals.batch import Columns
from service.signals.checks import ID_LENGTH, Checks, Rejection

LONGEST_EVIDENCE = 10_000  # characters


def labels_table(table: pa.RecordBatch, now: int) -> tuple[list[Label], Sequence[Rejection]]:
    """Labels of the rows that pass, in order, and what is wrong with the others."""
    batch = Columns(table)
    checks = Checks(batch, now)
    account, analyst = checks.ids("account_id"), checks.ids("analyst")
    verdict = checks.words("verdict", [word.value for word in Verdict], required=True)
    decided = checks.moments("decided_at")
    campaign = checks.texts("campaign_id", ID_LENGTH, printable=True)
    evidence = checks.texts("evidence", LONGEST_EVIDENCE)
    retracted = checks.integers("retracted_at")
    checks.refuse(retracted.said & (retracted.values < decided.values), "retracted_at", "lies before decided_at")
    ahead = retracted.said & (retracted.values > now + FUTURE_TOLERANCE)
    checks.refuse(ahead, "retracted_at", "lies more than 5 minutes in the future")
    kept, rejections = checks.close()
    labels = [
        Label(
            account_id=account.row(i) or "",
            verdict=Verdict(verdict.row(i) or ""),
            decided_at=int(decided.values[i]),
            analyst=analyst.row(i) or "",
            campaign_id=campaign.row(i),
            evidence=evidence.row(i),
            retracted_at=int(retracted.values[i]) if retracted.said[i] else None,
        )
        for i in np.asarray(kept).tolist()
    ]
    return labels, rejections
