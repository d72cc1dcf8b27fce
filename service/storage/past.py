"""What is stored of a time that has passed, in one short text: as long as it is the same, no fact of then came late.

Rows of a past moment can be used again only where nothing that was learned before it has been added, erased or written
anew since. Facts carry when they were learned, so this can be asked of the tables themselves, whoever wrote to them and
from which process: counts and sums over all rows that a fold as of then could meet. Sums are of hashes modulo a prime,
so that neither database overflows; a span that was open then counts as open, whatever ended it later.
"""

from __future__ import annotations

from sqlalchemy import Connection

from service.domain.campaigns import CampaignState
from service.domain.time import WEEK
from service.storage.sql import run

_PRIME = 1_000_003


def _sum(expression: str) -> str:
    return f"coalesce(sum(({expression}) % {_PRIME}), 0)"


def _until(column: str) -> str:
    """When a span ended, as far as was known then."""
    return f"CASE WHEN {column} < :until THEN {column} ELSE 0 END"


def _micro(column: str) -> str:
    """A real number, or none, as an integer."""
    return f"CAST(round(coalesce({column}, -1) * 1000000) AS BIGINT)"


_STATE = "CASE state " + " ".join(f"WHEN '{state}' THEN {code}" for code, state in enumerate(CampaignState, 1)) + " END"

# (table, rows that bear on moments before ``until``, what of them)
_PARTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("accounts", "learned_at < :until AND erased_at IS NULL", ("content", "learned_at")),
    ("links", "learned_at < :until", ("key", "account", "learned_at")),
    ("payments", "learned_at < :until", ("event", "learned_at")),
    ("signals", "learned_at < :until", ("event", "learned_at")),
    ("usage_tiles", "week < :week", ("part", "account", "length(tiles)")),
    ("verdict_spans", "start_at < :until", ("account", "start_at", "verdict", _until("end_at"))),
    (
        "campaign_members",
        "joined_at < :until",
        ("account", "campaign", "joined_at", _until("left_at"), _micro("membership")),
    ),
    ("campaign_keys", "start_at < :until", ("key", "campaign", "start_at", _until("end_at"), _micro("weight"))),
    (
        "campaign_states",
        "at < :until",
        ("campaign", "at", "members", f"{_STATE} * (campaign % {_PRIME})", _micro("score")),
    ),
)


def settled_until(as_of: int) -> int:
    """The latest moment up to ``as_of`` that ``past`` can speak of: usage is stored by the week."""
    return as_of - as_of % WEEK


def past(connection: Connection, until: int) -> str:
    """See ``Store.past``; ``until`` as ``settled_until`` answers it."""
    out = []
    for table, where, of in _PARTS:
        sums = ", ".join(["count(*)", *(_sum(each) for each in of)])
        sql = f"SELECT {sums} FROM {table} WHERE {where}"  # noqa: S608 - names of our own
        parameters = {"week": until // WEEK} if ":week" in where else {"until": until}
        out.append(":".join(str(int(value)) for value in run(connection, sql, **parameters)[0]))
    return " ".join(out)
