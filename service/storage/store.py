"""The one class through which other rooms read and write."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
from sqlalchemy import Engine

from service.domain.blocks import AssessmentBlock, Int8s
from service.domain.campaigns import (
    CampaignEvidence,
    CampaignMember,
    CampaignRecord,
    CampaignState,
    ReviewAsked,
    ReviewReceipt,
    ReviewRecord,
)
from service.domain.codes import hash64
from service.domain.detection import CampaignRows, DetectionOutcome, FoundCampaign, Standing
from service.domain.facts import Float32s, Int32s
from service.domain.raw import Label
from service.domain.records import (
    Assessment,
    ErasureRecord,
    LabelRecord,
    ModelRecord,
    ShadowAssessment,
    ShadowRecord,
)
from service.domain.requests import Page
from service.domain.time import HOUR
from service.storage import (
    assessments,
    blocks,
    campaigns,
    detection,
    erasure,
    labels,
    linkingrows,
    listing,
    rawusage,
    reading,
    registry,
    reviews,
    scored,
    shadows,
    writing,
)
from service.storage.arrivals import Arrival, Arrivals, Outcome, Outcomes
from service.storage.assessments import Chances
from service.storage.bulk import Bulk, bulk
from service.storage.campaigns import Event
from service.storage.database import glance, open_database
from service.storage.database import reading as snapshot
from service.storage.database import writing as transaction
from service.storage.histories import Links, histories, hold_links
from service.storage.journal import Journal
from service.storage.labels import CampaignRow, LabelOutcome
from service.storage.latest import LatestDecision, last_decisions, latest_decisions
from service.storage.memory import Memory
from service.storage.past import past, settled_until
from service.storage.schema import ensure, upgrade
from service.storage.segments import Segments
from service.storage.shadows import ShadowPairs
from service.storage.sql import Int64s
from service.tiles.history import History


def open_store(url: str, *, segments: str | None = None, upgrading: bool = False, serving: bool = False) -> Store:
    """The store behind ``url``; ``segments`` is the fsspec URL of raw usage, by default beside the database.

    ``upgrading`` creates or upgrades the schema first; ``serving`` as in ``open_database``. Raises
    DatabaseProblem where the database cannot be used.
    """
    with ExitStack() as on_failure:
        engine = open_database(url, serving=serving)
        on_failure.callback(engine.dispose)
        if upgrading:
            upgrade(engine)
        else:
            ensure(engine)
        on_failure.pop_all()
    beside = Journal(engine) if serving and engine.dialect.name == "sqlite" else None
    return Store(engine, segments or default_segments(engine), beside)


def default_segments(engine: Engine) -> str:
    """``NAME.segments`` beside a SQLite file; ``var/segments`` for a server."""
    if engine.dialect.name == "sqlite":
        file = Path(str(engine.url.database).removeprefix("file:").split("?")[0])
        return str(file.resolve().with_name(f"{file.stem}.segments"))
    return str(Path("var/segments").resolve())


class Store:
    """Everything durable. Safe to use from many threads; every call is a transaction of its own."""

    def __init__(self, engine: Engine, segments: str, beside: Journal | None = None) -> None:
        """``beside``: SQLite's, where commits must not wait for it to be copied; closed with the store."""
        self.engine = engine
        self.segments = Segments(segments)
        self._memory = Memory()
        self._journal = beside

    def close(self) -> None:
        """Closes all connections."""
        if self._journal is not None:
            self._journal.close()
        self.engine.dispose()

    # --- facts and tiles ---------------------------------------------------------------------------------------------

    def history(self, accounts: Int64s, as_of: int, extra_keys: Int64s | None = None) -> History:
        """All that was known of a few accounts at ``as_of``, for probes at that very moment.

        ``accounts`` of shape (n,), repeats allowed. ``extra_keys`` are link keys that they are about to show: sharing
        and verdicts of those come along, and their rows among the accounts' own, however old. Keys come as counts,
        capped as the fold is (``tiles/history.py``).
        """
        with glance(self.engine) as connection:
            return reading.history(connection, self._memory, accounts, as_of, extra_keys)

    def known_events(self, payments: Int64s, signals: Int64s, links: Int64s) -> tuple[Int64s, Int64s, Int64s]:
        """Which of these events are recorded already; each ascending."""
        with glance(self.engine) as connection:
            return reading.known_events(connection, payments, signals, links)

    def write(self, arrivals: Sequence[Arrival]) -> list[Outcome]:
        """Writes all arrivals in one transaction, durable on return; one Outcome each, in order."""
        return list(self.write_together([Arrivals.of(arrivals)]))

    def write_together(self, groups: Sequence[Arrivals]) -> Outcomes:
        """Writes all groups in one transaction, durable on return; the outcomes of all, one group after the other."""
        outcomes, rows = writing.write(self.engine, self.segments, self._memory, Arrivals.joined(groups))
        if self._journal is not None:
            self._journal.wrote(rows)
        return outcomes

    def bulk(self) -> AbstractContextManager[Bulk]:
        """One import file's transaction; commits when the block ends, and an exception leaves nothing of it.

        On SQLite other writers wait until then.
        """
        return bulk(self.engine, self.segments, self._memory)

    def histories(
        self,
        *,
        rows: int = 500_000,
        accounts: Int64s | None = None,
        changed_since: int | None = None,
        links: Links | None = None,
        as_of: int | None = None,
        signals: bool = True,
    ) -> Iterator[History]:
        """Histories of all accounts that have signed up, each once, ascending.

        In chunks of about ``rows`` tile and link rows; only ``accounts`` where given, and of them only those of which
        something was learned at or after ``changed_since``. Valid for probes at any moment, since key rows are not
        capped; given ``as_of``, for probes at that very moment, with keys counted instead. All chunks see the same
        moment of the database; ``links`` are those of ``hold_links``, if nothing was linked or erased since (None:
        they are read). ``signals``: the customer's own numbers, too, which not every model asks for.
        """
        with snapshot(self.engine) as connection:
            if changed_since is not None:
                touched = listing.accounts_changed_since(connection, changed_since)
                accounts = touched if accounts is None else np.intersect1d(touched, accounts)
            wanted = None if accounts is None else np.unique(accounts)
            yield from histories(connection, self._memory, rows, wanted, links, as_of, signals=signals)

    def hold_links(self) -> Links:
        """All link rows in memory, 52 bytes each, for many calls of ``histories`` on facts that stay as they are."""
        with snapshot(self.engine) as connection:
            return hold_links(connection)

    def past(self, as_of: int) -> tuple[int, str]:
        """A moment up to ``as_of``, and a short text of all that is stored of the time before it.

        The same text at another time, asked for that moment: columns as of earlier moments are what they were. It
        differs once a fact of then has come late, an account was erased or a span was written anew; it may also
        differ where nothing that counts did. Reads every table once (0.1 s at 12,000 accounts).
        """
        until = settled_until(as_of)
        with snapshot(self.engine) as connection:
            return until, past(connection, until)

    def ping(self) -> None:
        """Raises DatabaseProblem where the database does not answer."""
        with snapshot(self.engine) as connection:
            listing.ping(connection)

    # --- accounts and names ------------------------------------------------------------------------------------------

    def signups_between(self, start: int, end: int) -> tuple[Int64s, Int64s]:
        """(account, created_at) of accounts with start <= created_at < end, in that order of creation."""
        with snapshot(self.engine) as connection:
            return listing.signups_between(connection, start, end)

    def accounts(self, after: int | None = None, limit: int = 100_000) -> Int64s:
        """Signed-up accounts, ascending; the next page is ``after`` the last of this one."""
        with snapshot(self.engine) as connection:
            return listing.accounts(connection, after, limit)

    def count_accounts(self, *, changed_since: int | None = None) -> int:
        """How many accounts have signed up; only those of which something was learned at or after ``changed_since``."""
        with snapshot(self.engine) as connection:
            if changed_since is not None:
                return len(listing.accounts_changed_since(connection, changed_since))
            return listing.count_accounts(connection)

    def accounts_changed_between(self, since: int, until: int) -> Int64s:
        """Signed-up accounts of which anything was learned in [since, until], later facts may be there; ascending.

        What counts is that of ``histories``' ``changed_since``; exchanges count from an hour before ``since`` on, as
        their hour had not closed then.
        """
        used = [
            np.unique(table["account"].to_numpy())
            for table in self.usage_rows(until, since - since % HOUR - HOUR, ["account"])
        ]
        with snapshot(self.engine) as connection:
            found = np.unique(np.concatenate([np.empty(0, np.int64), *used]))
            return listing.accounts_changed_between(connection, since, until, found)

    def account_ids(self, accounts: Int64s) -> list[str]:
        """The ids, in order; empty text: no signup of it is known."""
        with snapshot(self.engine) as connection:
            return listing.account_ids(connection, accounts)

    def created_at(self, accounts: Int64s) -> Int64s:
        """When each signed up, shape (n,); 0: no signup is known."""
        with snapshot(self.engine) as connection:
            return listing.created_at(connection, accounts)

    def newest_fact(self) -> int | None:
        """When the newest fact or label was learned; None: there is none."""
        with snapshot(self.engine) as connection:
            return listing.newest_fact(connection)

    def names(self, kind: str) -> dict[int, str]:
        """Names by code, of customers' own link kinds (``kind``, as ``custom.x``) or of signals (``signal``)."""
        with snapshot(self.engine) as connection:
            return listing.names(connection, kind)

    # --- labels ------------------------------------------------------------------------------------------------------

    def record_labels(
        self, labels_: Sequence[Label], learned_at: int | None = None, *, atomic: bool = True
    ) -> LabelOutcome:
        """Keeps labels, in one transaction; ``atomic``: all, or, where one conflicts, none.

        ``learned_at`` None: a label was learned when decided, a retraction when retracted. ``retracted_at`` on a known
        label is a retraction (NEW); any other difference is a CONFLICT. A campaign that nobody named before is created.
        """
        with transaction(self.engine) as connection:
            return labels.record(connection, labels_, learned_at, atomic=atomic)

    def retract_label(
        self, account_id: str, analyst: str, decided_at: int, retracted_at: int, learned_at: int, reason: str = ""
    ) -> LabelRecord:
        """Takes a label back; a second time answers the first retraction. Raises UnknownLabel."""
        with transaction(self.engine) as connection:
            return labels.retract(connection, (account_id, analyst, decided_at), retracted_at, learned_at, reason)

    def list_labels(
        self,
        *,
        account_id: str | None = None,
        analyst: str | None = None,
        campaign_id: str | None = None,
        page_size: int = 100,
        page_token: str = "",
    ) -> Page[LabelRecord]:
        """Labels, the latest decided first, retracted ones too; filters must all hold. Raises InvalidPageToken."""
        filters = {"account_id": account_id, "analyst": analyst, "campaign_id": campaign_id}
        with snapshot(self.engine) as connection:
            return labels.listed(connection, filters, page_size, page_token)

    def labels_at(self, as_of: int) -> list[LabelRecord]:
        """All labels learned by ``as_of``, by account; retractions learned later are not on them."""
        with snapshot(self.engine) as connection:
            return labels.known_at(connection, as_of)

    def campaigns(self) -> list[CampaignRow]:
        """All campaigns, by id."""
        with snapshot(self.engine) as connection:
            return labels.campaign_rows(connection)

    # --- campaigns, for analysts -------------------------------------------------------------------------------------

    def list_campaigns(
        self, *, states: frozenset[CampaignState], min_members: int = 0, page_size: int = 100, page_token: str = ""
    ) -> Page[CampaignRecord]:
        """Campaigns of these states (none given: of all but MERGED), the latest to change first.

        Raises InvalidPageToken.
        """
        with snapshot(self.engine) as connection:
            return campaigns.listed(connection, states, min_members, page_size, page_token)

    def campaign(self, campaign_id: str) -> CampaignRecord:
        """One campaign. Raises UnknownCampaign."""
        with snapshot(self.engine) as connection:
            return campaigns.campaign(connection, campaign_id)

    def campaign_evidence(self, campaign_id: str) -> CampaignEvidence:
        """What it rests on; an empty one where no run wrote any. Raises UnknownCampaign."""
        with snapshot(self.engine) as connection:
            return campaigns.evidence(connection, campaign_id)

    def list_members(self, campaign_id: str, *, page_size: int = 100, page_token: str = "") -> Page[CampaignMember]:
        """Present members, the earliest joined first. Raises UnknownCampaign, InvalidPageToken."""
        with snapshot(self.engine) as connection:
            return campaigns.members(connection, campaign_id, page_size, page_token)

    def member_accounts(self, campaign_id: str) -> tuple[Int64s, list[str]]:
        """All present members as (accounts, ids), the earliest joined first. Raises UnknownCampaign."""
        with snapshot(self.engine) as connection:
            return campaigns.member_accounts(connection, campaign_id)

    def campaign_reviews(self, campaign_id: str) -> list[ReviewRecord]:
        """What analysts said of it, the latest first. Raises UnknownCampaign."""
        with snapshot(self.engine) as connection:
            return reviews.reviews_of(connection, campaign_id)

    def campaign_events(self, campaign_id: str) -> list[Event]:
        """What became of it, as (at, what, detail), in the order in which it was recorded. Raises UnknownCampaign."""
        with snapshot(self.engine) as connection:
            return campaigns.events(connection, campaign_id)

    def review(self, asked: ReviewAsked, *, at: int, two_above: int) -> ReviewReceipt:
        """Records a verdict and applies it, all or nothing; a request asked again is answered the same.

        One that is about more than ``two_above`` members waits until another analyst asks for the same. Where ``at`` is
        earlier than what is known of the campaign, the verdict counts from just after that. Raises UnknownCampaign,
        CampaignMerged, CampaignChanged, AlreadyExists, InvalidInput.
        """
        with transaction(self.engine) as connection:
            return reviews.review(connection, asked, at, two_above)

    # --- campaigns, for detection and scoring ------------------------------------------------------------------------

    def campaign_rows(
        self, accounts: Int64s | None = None, keys: Int64s | None = None, as_of: int | None = None
    ) -> CampaignRows:
        """Campaigns that these accounts belonged to, those that these keys speak for, and the states of both.

        None: all of them. ``as_of``: only what had begun by then, and of each campaign only the state it was in then.
        """
        with snapshot(self.engine) as connection:
            return linkingrows.campaign_rows(connection, accounts, keys, as_of)

    def link_rows(
        self, as_of: int, since: int = -(2**62), kinds: tuple[int, ...] = ()
    ) -> tuple[Int64s, Int64s, Int32s, Int64s]:
        """Links learned after ``since`` and by ``as_of`` as (account, key, kind, learned), any order; 28 bytes each.

        ``kinds``: codes of those wanted; none given: all.
        """
        with snapshot(self.engine) as connection:
            return linkingrows.link_rows(connection, as_of, since, kinds)

    def signup_rows(self, as_of: int) -> tuple[Int64s, Int64s, Int64s, Float32s]:
        """All signups learned by ``as_of`` as (account, created_at, learned_at, profile), by account."""
        with snapshot(self.engine) as connection:
            return linkingrows.signup_rows(connection, self._memory, as_of)

    def usage_rows(self, as_of: int, since: int | None = None, columns: Sequence[str] = ()) -> Iterator[pa.Table]:
        """Exchanges learned after ``since`` and by ``as_of``, in tables of up to about a million, any order.

        ``columns`` of a segment (``segments.SCHEMA``), none given: all. Raises DatabaseProblem where an erasure takes a
        file away meanwhile: begin again.
        """
        with snapshot(self.engine) as connection:
            yield from linkingrows.usage_rows(connection, self.segments, as_of, since, columns)

    def verdicts(self, as_of: int) -> tuple[Int64s, Int64s]:
        """Accounts under a verdict at ``as_of``, and which: FRAUD or LEGITIMATE of ``tiles.history``."""
        with snapshot(self.engine) as connection:
            return listing.verdicts(connection, as_of)

    def standing(self, as_of: int, at: int | None = None) -> Standing:
        """Campaigns, but for merged ones, with members and those kept out; for a run as of ``as_of``.

        ``at`` None: as they stand now, whatever moment the run looks at; else as they stood at that moment, before a
        look at it: what such a look has made of them does not count, so that the same look again finds the same.
        """
        with snapshot(self.engine) as connection:
            return detection.standing(connection, as_of, at)

    def looked_before(self, as_of: int) -> int | None:
        """The moment of the latest run, of those that ended, that looked at an earlier one; None: there is none."""
        with snapshot(self.engine) as connection:
            return detection.looked_before(connection, as_of)

    def begin_detection(self, as_of: int, holder: str, now: int) -> int:
        """Starts a run and returns its number. Raises DetectionRunning where another was heard of within a minute."""
        with transaction(self.engine) as connection:
            return detection.begin(connection, as_of, holder, now)

    def heartbeat(self, run: int, now: int) -> None:
        """Says that the run is alive. Raises DetectionRunning where another took its place."""
        with transaction(self.engine) as connection:
            detection.heartbeat(connection, run, now)

    def record_detection(self, found: Sequence[FoundCampaign], *, run: int, as_of: int) -> DetectionOutcome:
        """Brings campaigns to what a run found, all or nothing; the same findings again change nothing.

        Spans open and close at ``as_of``, or at the campaign's last change if that is later. Analysts' verdicts and
        placements stay, and whom they took out stays out. Campaigns not in ``found`` keep their members, except
        suspicions. Raises DetectionRunning where another run took this one's place.
        """
        with transaction(self.engine) as connection:
            return detection.record(connection, found, run, as_of)

    def finish_detection(self, run: int, now: int, report: str) -> None:
        """Ends the run; ``report`` is JSON. Raises DetectionRunning where another took its place."""
        with transaction(self.engine) as connection:
            detection.finish(connection, run, now, report)

    def abandon_detection(self, run: int) -> None:
        """Ends a run that was broken off, at its last heartbeat, so that another may begin at once.

        It never counts as one that ended; what it recorded stays. Nothing happens where it did end, or another took its
        place.
        """
        with transaction(self.engine) as connection:
            detection.abandon(connection, run)

    def last_detection(self) -> tuple[int, str] | None:
        """The latest run that ended, as (as_of, report); None: there is none."""
        with snapshot(self.engine) as connection:
            return detection.last(connection)

    def linking_cache(self, name: str) -> tuple[int, bytes] | None:
        """What a run left, as (as_of, content); None: nothing, or an erasure dropped it."""
        with snapshot(self.engine) as connection:
            return detection.cached(connection, name)

    def put_linking_cache(self, name: str, content: bytes, as_of: int) -> None:
        """Leaves something for the next run."""
        with transaction(self.engine) as connection:
            detection.cache(connection, name, content, as_of)

    # --- assessments -------------------------------------------------------------------------------------------------

    def assessment(self, assessment_id: str) -> Assessment:
        """One assessment as it was given. Raises UnknownAssessment."""
        with snapshot(self.engine) as connection:
            return assessments.assessment(connection, assessment_id)

    def assessments_of(self, account_id: str, page_size: int, page_token: str = "") -> Page[Assessment]:
        """An account's assessments, newest first. Raises InvalidPageToken."""
        with snapshot(self.engine) as connection:
            return assessments.assessments_of(connection, account_id, page_size, page_token)

    def latest_decisions(self, accounts: Int64s | None = None, before: int = 2**62) -> dict[int, LatestDecision]:
        """What each account was told last at or before ``before``; those never assessed are absent. None: all."""
        with snapshot(self.engine) as connection:
            return latest_decisions(connection, accounts, before)

    def last_decisions(self, accounts: Int64s, before: int = 2**62) -> Int8s:
        """What each was told last at or before ``before``, a place in ``DECISIONS``, shape (n,); NONE: nothing."""
        with snapshot(self.engine) as connection:
            return last_decisions(connection, accounts, before)

    def chances(self, as_of: int) -> Chances:
        """Accounts that chance had a say in by ``as_of``: whether it let them through, and how likely that was."""
        with snapshot(self.engine) as connection:
            return assessments.chances(connection, as_of)

    def scored_between(self, accounts: Int64s, since: int, until: int) -> tuple[Int64s, Int64s, list[str]]:
        """Assessments of these accounts from ``since`` to ``until`` as (account, assessed_at, assessment_id).

        By account and moment; without those made while the account stood under a verdict of fraud.
        """
        with snapshot(self.engine) as connection:
            return scored.scored_between(connection, accounts, since, until)

    def scored_rows(
        self, assessments: Sequence[str], version: str, since: int = -(2**62), until: int = 2**62
    ) -> list[tuple[str, float, bytes]]:
        """Of these assessments (assessment_id, score, features) of those by model ``version``, erased ones left out.

        They were all made from ``since`` to ``until``.
        """
        with snapshot(self.engine) as connection:
            return scored.scored_rows(connection, assessments, version, since, until)

    def append_assessments(self, made: Sequence[Assessment]) -> int:
        """Keeps a job's assessments, durable on return; returns how many were new. A known id is left as it is."""
        with transaction(self.engine) as connection:
            return assessments.append(connection, made)

    def append_block(self, made: AssessmentBlock, accounts: int) -> int:
        """The same for part of a job over so many accounts, most of those there are: thousands to a row."""
        with transaction(self.engine) as connection:
            return blocks.append(connection, made, accounts)

    # --- models ------------------------------------------------------------------------------------------------------

    def add_model(self, model: ModelRecord) -> ModelRecord:
        """Registers a model as challenger. Known with the same manifest: as it is. Raises AlreadyExists otherwise."""
        with transaction(self.engine) as connection:
            return registry.add(connection, model)

    def models(self) -> list[ModelRecord]:
        """All models, the newest first."""
        with snapshot(self.engine) as connection:
            return registry.models(connection)

    def model(self, version: str) -> ModelRecord:
        """One model. Raises UnknownModel."""
        with snapshot(self.engine) as connection:
            return registry.model(connection, version)

    def champion(self) -> ModelRecord | None:
        """The model that decides; None: there is none yet."""
        with snapshot(self.engine) as connection:
            return registry.champion(connection)

    def promote(self, version: str, at: int, why: str) -> ModelRecord:
        """Makes a model the champion and retires the one before. The champion itself stays. Raises UnknownModel."""
        with transaction(self.engine) as connection:
            return registry.promote(connection, version, at, why)

    def roll_back(self, at: int, why: str) -> ModelRecord:
        """Returns to the champion before; again, to the one before that. Raises NoEarlierModel where there is none."""
        with transaction(self.engine) as connection:
            return registry.roll_back(connection, at, why)

    def shadow(self) -> ShadowRecord | None:
        """The model that scores beside the champion, else the one that did last; None: none ever did."""
        with snapshot(self.engine) as connection:
            return registry.shadow(connection)

    def start_shadow(self, version: str, at: int, why: str) -> ModelRecord:
        """Lets a model score beside the champion, in place of any that does. Raises UnknownModel, UsageError."""
        with transaction(self.engine) as connection:
            return registry.start_shadow(connection, version, at, why)

    def stop_shadow(self, at: int, why: str) -> ModelRecord | None:
        """Ends it; what it said is kept. The model that did; None: none did."""
        with transaction(self.engine) as connection:
            return registry.stop_shadow(connection, at, why)

    def append_shadows(self, made: Sequence[ShadowAssessment]) -> int:
        """Keeps what a challenger said, of accounts not erased meanwhile; known rows are left as they are."""
        with transaction(self.engine) as connection:
            return shadows.append(connection, made)

    def shadow_pairs(self, version: str) -> ShadowPairs:
        """What a challenger said beside the champion that it was beside last."""
        with snapshot(self.engine) as connection:
            return shadows.pairs(connection, version)

    def shadow_judged(self, version: str, as_of: int) -> tuple[Int64s, Int64s, Int64s]:
        """Accounts that the challenger scored and that are under a verdict: (account, verdict, since when)."""
        with snapshot(self.engine) as connection:
            return shadows.judged(connection, version, as_of)

    # --- care --------------------------------------------------------------------------------------------------------

    def erase(self, account_id: str, reason: str, at: int) -> ErasureRecord:
        """Removes profile, keys, payments, signals, tiles and raw usage of an account, and its assessments' features.

        The id stays as a tombstone: whatever comes for it later is a CONFLICT. Once more erases nothing more. Raises
        UnknownAccount where nothing of it was ever known.
        """
        record = erasure.erase(self.engine, self.segments, account_id, reason, at)
        self._memory.sights.forget(hash64(account_id))
        return record

    def flush_usage_log(self) -> int:
        """Moves raw live exchanges from the database into a segment; returns how many."""
        return rawusage.flush(self.engine, self.segments)

    def prune_usage(self, before: int) -> int:
        """Deletes segments of exchanges that all happened before ``before``; returns how many. Tiles stay."""
        return rawusage.prune(self.engine, self.segments, before)

    def clean_segments(self, older_than: int) -> int:
        """Deletes files left by crashes and untouched since ``older_than``; returns how many."""
        return rawusage.clean(self.engine, self.segments, older_than)
