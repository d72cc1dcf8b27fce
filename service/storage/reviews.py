"""Analysts' verdicts on campaigns: recorded, applied when enough analysts agree, and taken back.

One transaction each, one after the other: of two analysts at once the second sees what the first has done.
"""
# ruff: noqa: S608 - statements are put together from names of our own; what comes from outside is a parameter

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

import numpy as np
import orjson
from sqlalchemy import Connection

from service.domain.campaigns import (
    LIVE_STATES,
    CampaignRecord,
    CampaignState,
    ReviewAction,
    ReviewAsked,
    ReviewReceipt,
    ReviewRecord,
    ReviewState,
)
from service.domain.codes import hash64
from service.domain.enums import Verdict
from service.domain.errors import (
    AlreadyExists,
    CampaignChanged,
    CampaignMerged,
    FieldViolation,
    InvalidInput,
)
from service.domain.raw import Label
from service.domain.time import FUTURE_TOLERANCE
from service.storage import labels
from service.storage.campaigns import campaign as record_of
from service.storage.campaigns import note, present
from service.storage.locks import lock_labels
from service.storage.merging import absorb
from service.storage.placement import (
    NEVER,
    Member,
    bar,
    erased_among,
    join,
    leave,
    members_of,
    place_labelled,
    unbar,
)
from service.storage.sql import Int64s, Row, Values, changed, insert, run
from service.storage.states import Said, family, restate, restated, said_now
from service.storage.tables import campaign_reviews, campaigns, review_requests

NAMED = 20  # wrong accounts of one request that are named

_COLUMNS = "review_id, campaign_id, action, state, analyst, second_analyst, reason, reviewed_at, members, request_id"
_TWO_ANALYSTS = (ReviewAction.CONFIRM, ReviewAction.REFUTE, ReviewAction.MERGE)


@dataclass(frozen=True, slots=True)
class _Case:
    """A verdict that may be given, before it is."""

    asked: ReviewAsked
    campaign: CampaignRecord
    number: int  # hash64 of its id
    accounts: Int64s  # the members it is about, ascending
    ids: dict[int, str]  # of them; those whose id nobody has said are absent
    target: CampaignRecord | None  # for MERGE
    at: int

    @property
    def whole(self) -> bool:
        return not self.asked.account_ids


def review(connection: Connection, asked: ReviewAsked, at: int, two_above: int) -> ReviewReceipt:
    """See ``Store.review``."""
    lock_labels(connection)
    if asked.request_id is not None:
        answered = _answered(connection, asked.request_id, asked.content)
        if answered is not None:
            return answered
    case = _case(connection, asked, at)
    about = _about(connection, case)
    needs_two = asked.action in _TWO_ANALYSTS and len(case.accounts) > two_above
    waiting = _waiting(connection, case, about) if needs_two else []
    other = next((each for each in waiting if not _same_analyst(each.analyst, asked.analyst)), None)
    if other is not None:
        agreed = replace(other, state=ReviewState.APPLIED, second_analyst=asked.analyst)
        changed(
            connection,
            "UPDATE campaign_reviews SET state = 'applied', second_analyst = :second, applied_at = :at "
            "WHERE review_id = :id",
            second=asked.analyst,
            at=case.at,
            id=other.review_id,
        )
        receipt = _apply(connection, case, agreed)
    elif waiting:
        receipt = ReviewReceipt(waiting[0], case.campaign, 0)
    else:
        made = _recorded(connection, case, about, applied=not needs_two)
        receipt = ReviewReceipt(made, case.campaign, 0) if needs_two else _apply(connection, case, made)
    _remember(connection, asked, receipt)
    return receipt


def reviews_of(connection: Connection, campaign_id: str) -> list[ReviewRecord]:
    """See ``Store.campaign_reviews``."""
    record_of(connection, campaign_id)
    sql = f"SELECT {_COLUMNS} FROM campaign_reviews WHERE campaign_id = :id ORDER BY reviewed_at DESC, review_id DESC"
    return [_record(row) for row in run(connection, sql, id=campaign_id)]


def _record(row: Row) -> ReviewRecord:
    return ReviewRecord(row[0], row[1], ReviewAction(row[2]), ReviewState(row[3]), *row[4:])


# --- what is asked for, and whether it may be -----------------------------------------------------------------------


def _case(connection: Connection, asked: ReviewAsked, at: int) -> _Case:
    campaign = record_of(connection, asked.campaign_id)
    if campaign.merged_into is not None:
        raise CampaignMerged(campaign.campaign_id, campaign.merged_into)
    if asked.revision is not None and asked.revision != campaign.revision:
        raise CampaignChanged(campaign.campaign_id)
    target = _target(connection, asked, campaign) if asked.action is ReviewAction.MERGE else None
    number = hash64(campaign.campaign_id)
    everyone, ids = present(connection, number)
    known = {account: name for account, name in zip(everyone.tolist(), ids, strict=True) if name}
    accounts = np.unique(everyone) if not asked.account_ids else _asked_for(connection, asked, everyone)
    if asked.action is ReviewAction.CONFIRM and not len(accounts):
        raise InvalidInput(FieldViolation("campaign_id", "has no members that could be confirmed"))
    if asked.action is ReviewAction.SPLIT:
        if not asked.account_ids:
            raise InvalidInput(FieldViolation("account_ids", "name the members that are a campaign of their own"))
        if len(accounts) == len(everyone):
            raise InvalidInput(FieldViolation("account_ids", "are all members; a split leaves some behind"))
    when = _moment(connection, campaign, target, accounts, at)
    return _Case(asked, campaign, number, accounts, known, target, when)


def _target(connection: Connection, asked: ReviewAsked, campaign: CampaignRecord) -> CampaignRecord:
    field = "merge_into_campaign_id"
    if asked.merge_into is None:
        raise InvalidInput(FieldViolation(field, "name the campaign to merge into"))
    if asked.merge_into == campaign.campaign_id:
        raise InvalidInput(FieldViolation(field, "is the campaign itself"))
    target = record_of(connection, asked.merge_into)
    if target.merged_into is not None:
        raise CampaignMerged(target.campaign_id, target.merged_into)
    refuted = [each.campaign_id for each in (campaign, target) if each.state is CampaignState.REFUTED]
    if len(refuted) == 1:
        raise InvalidInput(FieldViolation(field, f"{refuted[0]!r} is refuted and the other is not; reopen it first"))
    return target


def _asked_for(connection: Connection, asked: ReviewAsked, everyone: Int64s) -> Int64s:
    wanted = np.array([hash64(name) for name in asked.account_ids], np.int64)
    strange = ~np.isin(wanted, everyone)
    if strange.any():
        erased = erased_among(connection, wanted[strange])
        places = np.flatnonzero(strange).tolist()[:NAMED]
        raise InvalidInput(
            *(
                FieldViolation(
                    f"account_ids[{i}]",
                    "was erased; leave it out"
                    if int(wanted[i]) in erased
                    else f"is not a member of campaign {asked.campaign_id!r}",
                )
                for i in places
            )
        )
    return np.unique(wanted)


def _moment(
    connection: Connection, campaign: CampaignRecord, target: CampaignRecord | None, accounts: Int64s, at: int
) -> int:
    """``at``, or just after the last thing that is known of the campaign or said of the accounts.

    Clocks run backwards, and differ between servers. A verdict that comes later must count later.
    """
    sql = "SELECT max(coalesce(applied_at, reviewed_at)) FROM campaign_reviews WHERE campaign_id IN @@ids"
    of = [campaign.campaign_id] + ([] if target is None else [target.campaign_id])
    last = run(connection, sql, ids=of)[0][0]
    at = max(at, campaign.updated_at, -NEVER if target is None else target.updated_at)
    at = at if last is None else max(at, last + 1)
    sql = "SELECT max(decided_at) FROM labels WHERE account IN @accounts AND decided_at >= :at AND decided_at <= :ahead"
    decided = run(connection, sql, accounts=accounts, at=at, ahead=at + FUTURE_TOLERANCE)[0][0]
    return at if decided is None else max(at, decided + 1)


# --- two analysts ---------------------------------------------------------------------------------------------------


def _same_analyst(one: str, other: str) -> bool:
    return one.strip().casefold() == other.strip().casefold()


def _about(connection: Connection, case: _Case) -> int:
    """Which accounts it is about and what was decided before: two analysts agree only if they have seen the same."""
    sql = (
        "SELECT review_id FROM campaign_reviews WHERE campaign_id = :id AND state = 'applied' "
        "ORDER BY applied_at DESC LIMIT 1"
    )
    last = run(connection, sql, id=case.campaign.campaign_id)
    digest = blake2b(case.accounts.tobytes(), digest_size=16).hexdigest()
    return hash64(f"{case.whole}|{case.asked.merge_into or ''}|{last[0][0] if last else ''}|{digest}")


def _waiting(connection: Connection, case: _Case, about: int) -> list[ReviewRecord]:
    sql = (
        f"SELECT {_COLUMNS} FROM campaign_reviews WHERE campaign_id = :id AND action = :action AND about = :about "
        "AND state = 'pending_second_analyst' ORDER BY reviewed_at, review_id"
    )
    rows = run(connection, sql, id=case.campaign.campaign_id, action=case.asked.action.value, about=about)
    return [_record(row) for row in rows]


def _recorded(connection: Connection, case: _Case, about: int, *, applied: bool) -> ReviewRecord:
    asked = case.asked
    sql = "SELECT count(*) FROM campaign_reviews WHERE campaign_id = :id"
    number = run(connection, sql, id=asked.campaign_id)[0][0]
    made = ReviewRecord(
        review_id="r-" + _short(f"{asked.campaign_id}|{number}"),
        campaign_id=asked.campaign_id,
        action=asked.action,
        state=ReviewState.APPLIED if applied else ReviewState.PENDING_SECOND_ANALYST,
        analyst=asked.analyst,
        second_analyst=None,
        reason=asked.reason,
        reviewed_at=case.at,
        members=len(case.accounts),
        request_id=asked.request_id,
    )
    row: dict[str, Values] = {
        "review_id": [made.review_id],
        "campaign_id": [made.campaign_id],
        "action": [made.action.value],
        "state": [made.state.value],
        "analyst": [made.analyst],
        "reason": [made.reason],
        "reviewed_at": [made.reviewed_at],
        "applied_at": [case.at if applied else None],
        "members": [made.members],
        "account_ids": [json.dumps(list(asked.account_ids))],
        "merge_into": [asked.merge_into],
        "request_id": [made.request_id],
        "revision_seen": [case.campaign.revision],
        "about": [about],
    }
    insert(connection, campaign_reviews, row)
    return made


def _short(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()


# --- a request asked again ------------------------------------------------------------------------------------------


def _answered(connection: Connection, request_id: str, content: int) -> ReviewReceipt | None:
    sql = "SELECT content, receipt FROM review_requests WHERE request_id = :id"
    rows = run(connection, sql, id=request_id)
    if not rows:
        return None
    if rows[0][0] != content:
        raise AlreadyExists("review", request_id)
    kept = orjson.loads(rows[0][1])
    made, campaign = kept["review"], kept["campaign"]
    made |= {"action": ReviewAction(made["action"]), "state": ReviewState(made["state"])}
    campaign |= {"state": CampaignState(campaign["state"])}
    return ReviewReceipt(ReviewRecord(**made), CampaignRecord(**campaign), kept["labels_recorded"])


def _remember(connection: Connection, asked: ReviewAsked, receipt: ReviewReceipt) -> None:
    if asked.request_id is None:
        return
    row: dict[str, Values] = {
        "request_id": [asked.request_id],
        "content": [asked.content],
        "review_id": [receipt.review.review_id],
        "receipt": [orjson.dumps(receipt).decode()],
    }
    insert(connection, review_requests, row)


# --- what each verdict does -----------------------------------------------------------------------------------------


def _apply(connection: Connection, case: _Case, made: ReviewRecord) -> ReviewReceipt:
    apply = {
        ReviewAction.CONFIRM: _confirm,
        ReviewAction.REFUTE: _refute,
        ReviewAction.MERGE: _merge,
        ReviewAction.SPLIT: _split,
        ReviewAction.REOPEN: _reopen,
    }[made.action]
    count, shown = apply(connection, case, made)
    return ReviewReceipt(made, record_of(connection, shown), count)


def _confirm(connection: Connection, case: _Case, made: ReviewRecord) -> tuple[int, str]:
    count = _label(connection, case, made, Verdict.FRAUD)
    _say(connection, case.number, case.at, verdict=CampaignState.CONFIRMED.value)
    note(connection, case.at, made.campaign_id, "confirmed", review_id=made.review_id, members=made.members)
    return count, made.campaign_id


def _refute(connection: Connection, case: _Case, made: ReviewRecord) -> tuple[int, str]:
    if case.whole:
        count = _label(connection, case, made, Verdict.LEGITIMATE)
        _say(connection, case.number, case.at, verdict=CampaignState.REFUTED.value)
        note(connection, case.at, made.campaign_id, "refuted", review_id=made.review_id, members=made.members)
        return count, made.campaign_id
    _take_out(connection, case)
    count = _label(connection, case, made, Verdict.LEGITIMATE)
    restate(connection, case.number, case.at)
    note(connection, case.at, made.campaign_id, "shrank", review_id=made.review_id, left=made.members)
    return count, made.campaign_id


def _label(connection: Connection, case: _Case, made: ReviewRecord, verdict: Verdict) -> int:
    """One label per account, the first analyst's."""
    evidence = labels.review_evidence(made.review_id)
    said = [
        Label(case.ids[account], verdict, case.at, made.analyst, campaign_id=made.campaign_id, evidence=evidence)
        for account in case.accounts.tolist()
        if account in case.ids
    ]
    outcome = labels.record(connection, said, case.at, atomic=True)
    if not outcome.written:  # ``_moment`` has made sure that no label of that analyst and moment is there
        raise AssertionError(f"labels of review {made.review_id} are there before it")
    return len(said)


def _take_out(connection: Connection, case: _Case) -> None:
    leave(connection, case.number, case.accounts, case.at)
    bar(connection, case.number, case.accounts, case.at)
    place_labelled(connection, case.accounts)


def _say(connection: Connection, campaign: int, at: int, **said: str | float | None) -> None:
    restate(connection, campaign, at, said=restated(said_now(connection, campaign), **said))


def _merge(connection: Connection, case: _Case, made: ReviewRecord) -> tuple[int, str]:
    target = case.target
    assert target is not None  # noqa: S101 - ``_case`` sees to it
    absorb(connection, case.campaign, target, case.at, review_id=made.review_id)
    return 0, target.campaign_id


def _split(connection: Connection, case: _Case, made: ReviewRecord) -> tuple[int, str]:
    source, live = case.campaign, case.campaign.state in LIVE_STATES
    moved = members_of(connection, case.number)
    digest = blake2b(case.accounts.tobytes(), digest_size=16).hexdigest()
    new_id = f"c-{_short(f'{source.campaign_id}|{case.at}|{digest}')[:12]}"
    row: dict[str, Values] = {
        "campaign_id": [new_id],
        "campaign": [hash64(new_id)],
        "state": [CampaignState.SUSPECTED.value],
        "origin": ["split"],
        "created_at": [case.at],
        "detected_at": [case.at if live else None],
        "updated_at": [case.at],
        "split_from": [source.campaign_id],
        **{name: [0] for name in ("members", "exchanges", "input_tokens", "output_tokens", "revision")},
    }
    insert(connection, campaigns, row)
    _take_out(connection, case)
    going: list[Member] = [
        replace(moved[account], joined_at=case.at, member_since=case.at, membership=None, placed_by="analyst")
        for account in case.accounts.tolist()
    ]
    join(connection, hash64(new_id), going)
    restate(connection, case.number, case.at)
    found = CampaignState.DETECTED.value if live else None
    restate(connection, hash64(new_id), case.at, said=Said(source.score if live else None, found))
    detail = {"review_id": made.review_id, "members": made.members}
    note(connection, case.at, source.campaign_id, "split", into=new_id, **detail)
    note(connection, case.at, new_id, "created", split_from=source.campaign_id, **detail)
    return 0, new_id


def _reopen(connection: Connection, case: _Case, made: ReviewRecord) -> tuple[int, str]:
    standing = _standing(connection, case.campaign.campaign_id)
    if not standing:
        raise InvalidInput(
            FieldViolation(
                "action",
                "there is no confirmation or refutation to take back; labels that came otherwise are retracted one by "
                "one",
            )
        )
    review_id, of, action, account_ids = standing[0]
    sql = "UPDATE campaign_reviews SET undone_by = :by WHERE review_id = :id"
    changed(connection, sql, by=made.review_id, id=review_id)
    if action == ReviewAction.REFUTE.value and account_ids:
        _let_in(connection, case, of, [hash64(name) for name in account_ids])
    count = labels.retract_review(connection, review_id, of, case.at, f"review {made.review_id}: {made.reason}")
    verdict = next(
        (
            (CampaignState.CONFIRMED if each[2] == ReviewAction.CONFIRM.value else CampaignState.REFUTED).value
            for each in standing[1:]
            if each[2] == ReviewAction.CONFIRM.value or not each[3]
        ),
        None,
    )
    _say(connection, case.number, case.at, verdict=verdict)
    note(connection, case.at, made.campaign_id, "reopened", review_id=made.review_id, undone=review_id, labels=count)
    return count, made.campaign_id


def _standing(connection: Connection, campaign_id: str) -> list[tuple[str, str, str, list[str]]]:
    """Applied verdicts that nobody took back, as (review, campaign, action, accounts), the latest first.

    Those of campaigns that were merged into it, too.
    """
    sql = (
        "SELECT review_id, campaign_id, action, account_ids FROM campaign_reviews WHERE campaign_id IN @@ids "
        "AND state = 'applied' AND action IN ('confirm', 'refute') AND undone_by IS NULL "
        "ORDER BY applied_at DESC, review_id"
    )
    rows = run(connection, sql, ids=sorted(family(connection, campaign_id)))
    return [(row[0], row[1], row[2], json.loads(row[3])) for row in rows]


def _let_in(connection: Connection, case: _Case, of: str, accounts: Sequence[int]) -> None:
    """Members that a refutation took out come back, as they were placed before."""
    who = np.array(accounts, np.int64)
    unbar(connection, case.number, who, case.at)
    erased = erased_among(connection, who)
    there = members_of(connection, case.number)
    sql = (
        "SELECT account, joined_at, member_since, membership, key_types, placed_by FROM campaign_members "
        "WHERE account IN @accounts AND campaign = :campaign ORDER BY joined_at"
    )
    last = {row[0]: Member(*row) for row in run(connection, sql, accounts=who, campaign=hash64(of))}
    join(
        connection,
        case.number,
        [
            replace(member, joined_at=case.at, member_since=case.at)
            for account, member in last.items()
            if account not in erased and account not in there and member.placed_by != "label"
        ],
    )
    place_labelled(connection, who)
