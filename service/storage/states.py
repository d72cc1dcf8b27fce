"""What was true of a campaign when: its state, score and number of members, worked out from what they follow from."""
# ruff: noqa: S608 - statements are put together from names of our own; what comes from outside is a parameter

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from service.storage.sql import Values, changed, insert, run
from service.storage.tables import campaign_states

NEVER = 2**62


@dataclass(frozen=True, slots=True)
class Said:
    """What is said of a campaign from some moment on."""

    score: float | None = None  # by detection
    found: str | None = None  # by detection: ``suspected`` or ``detected``
    verdict: str | None = None  # by a review: ``confirmed``, ``refuted`` or ``merged``


@dataclass(frozen=True, slots=True)
class _Row:
    at: int
    state: str
    members: int
    said: Said

    def same(self, other: _Row) -> bool:
        return (self.state, self.members, self.said) == (other.state, other.members, other.said)


def said_now(connection: Connection, campaign: int) -> Said:
    """What stands last."""
    sql = "SELECT score, found, verdict FROM campaign_states WHERE campaign = :campaign ORDER BY at DESC LIMIT 1"
    rows = run(connection, sql, campaign=campaign)
    return Said(*rows[0]) if rows else Said()


def family(connection: Connection, campaign_id: str) -> dict[str, int]:
    """The campaign and all that were merged into it, each with the moment from which on it was part of it."""
    out = {campaign_id: -NEVER}
    asked = [campaign_id]
    while asked:
        sql = "SELECT campaign_id, merged_into, merged_at FROM campaigns WHERE merged_into IN @@ids"
        found = [row for row in run(connection, sql, ids=asked) if row[0] not in out]
        out |= {name: max(out[into], at) for name, into, at in found}
        asked = [name for name, _, _ in found]
    return out


def restate(
    connection: Connection, campaign: int, since: int, *, said: Said | None = None, members_changed: bool = True
) -> bool:
    """Works out the campaign's rows from ``since`` on, and what its record says; True: something is other than before.

    ``said`` holds from ``since`` on, which then is no earlier than anything known of the campaign. A new revision
    tells analysts, also where only other accounts are members (``members_changed``).
    """
    head = run(
        connection,
        "SELECT campaign_id, created_at, updated_at, state, score, members FROM campaigns WHERE campaign = :campaign",
        campaign=campaign,
    )[0]
    before, later = _known(connection, campaign, since)
    if before is None:
        since = min(since, head[1])
    wanted = _worked_out(connection, (campaign, head[0]), since, before, later, said)
    if wanted != later:
        changed(connection, "DELETE FROM campaign_states WHERE campaign = :c AND at >= :since", c=campaign, since=since)
        _insert(connection, campaign, wanted)
    last = [row for row in (before, *wanted) if row is not None][-1]
    differs = (last.state, last.said.score, last.members) != tuple(head[3:])
    if differs or members_changed or said is not None:
        _update(connection, campaign, last, max(head[2], last.at, since))
        return True
    return wanted != later


def _known(connection: Connection, campaign: int, since: int) -> tuple[_Row | None, list[_Row]]:
    columns = "at, state, members, score, found, verdict"
    earlier = run(
        connection,
        f"SELECT {columns} FROM campaign_states WHERE campaign = :c AND at < :since ORDER BY at DESC LIMIT 1",
        c=campaign,
        since=since,
    )
    later = run(
        connection,
        f"SELECT {columns} FROM campaign_states WHERE campaign = :c AND at >= :since ORDER BY at",
        c=campaign,
        since=since,
    )
    rows = [_Row(row[0], row[1], row[2], Said(*row[3:])) for row in (*earlier, *later)]
    return (rows[0] if earlier else None), rows[len(earlier) :]


def _worked_out(
    connection: Connection, of: tuple[int, str], since: int, before: _Row | None, later: list[_Row], said: Said | None
) -> list[_Row]:
    campaign, campaign_id = of
    told = {row.at: row.said for row in later}
    if said is not None:
        told = {at: each for at, each in told.items() if at < since} | {since: said}
    count, steps = _steps(connection, campaign, since)
    labelled = _labelled(connection, campaign_id)
    moments = {since} | told.keys() | steps.keys() | {at for span in labelled for at in span if since <= at < NEVER}
    out: list[_Row] = []
    last, holds = before, Said() if before is None else before.said
    for at in sorted(moments):
        holds = told.get(at, holds)
        count += steps.get(at, 0)
        named = any(start <= at < end for start, end in labelled)
        row = _Row(at, holds.verdict or ("confirmed" if named else holds.found or "suspected"), count, holds)
        if last is None or not row.same(last):
            out.append(row)
            last = row
    return out


def _steps(connection: Connection, campaign: int, since: int) -> tuple[int, dict[int, int]]:
    """Members just before ``since``, and by how many they change at which moments from then on."""
    sql = "SELECT joined_at, left_at FROM campaign_members WHERE campaign = :campaign AND left_at >= :since"
    count, steps = 0, dict[int, int]()
    for joined, left in run(connection, sql, campaign=campaign, since=since):
        if joined == left:
            continue
        if joined < since:
            count += 1
        else:
            steps[joined] = steps.get(joined, 0) + 1
        if left < NEVER:
            steps[left] = steps.get(left, 0) - 1
    return count, steps


def _labelled(connection: Connection, campaign_id: str) -> list[tuple[int, int]]:
    """Spans, disjoint, in which fraud labels confirm a campaign that labels made; those of one merged into it, too."""
    since = family(connection, campaign_id)
    sql = (
        f"SELECT l.campaign_id, l.learned_at, coalesce(l.retraction_learned_at, {NEVER}) FROM labels l "
        "JOIN campaigns c ON c.campaign_id = l.campaign_id AND c.origin = 'label' "
        "WHERE l.campaign_id IN @@ids AND l.verdict = 'fraud'"
    )
    out: list[tuple[int, int]] = []
    found = run(connection, sql, ids=sorted(since))
    for start, end in sorted((max(learned, since[name]), retracted) for name, learned, retracted in found):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        elif start < end:
            out.append((start, end))
    return out


def _insert(connection: Connection, campaign: int, rows: list[_Row]) -> None:
    columns: dict[str, Values] = {
        "campaign": [campaign] * len(rows),
        "at": [row.at for row in rows],
        "state": [row.state for row in rows],
        "score": [row.said.score for row in rows],
        "members": [row.members for row in rows],
        "found": [row.said.found for row in rows],
        "verdict": [row.said.verdict for row in rows],
    }
    insert(connection, campaign_states, columns)


def _update(connection: Connection, campaign: int, last: _Row, updated_at: int) -> None:
    first, latest = run(
        connection,
        "SELECT min(a.created_at), max(a.created_at) FROM campaign_members m JOIN accounts a ON a.account = m.account "
        f"AND a.erased_at IS NULL WHERE m.campaign = :campaign AND m.left_at = {NEVER}",
        campaign=campaign,
    )[0]
    changed(
        connection,
        "UPDATE campaigns SET state = :state, score = :score, members = :members, updated_at = :updated, "
        "first_signup_at = :first, last_signup_at = :latest, revision = revision + 1 WHERE campaign = :campaign",
        state=last.state,
        score=last.said.score,
        members=last.members,
        updated=updated_at,
        first=first,
        latest=latest,
        campaign=campaign,
    )


def restated(said: Said, **other: str | float | None) -> Said:
    """The same with something else said."""
    return replace(said, **other)  # type: ignore[arg-type]
