"""The periodic job that finds campaigns: reads what is known, links it, judges it, and records what changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from threading import Event, Thread
from typing import Protocol

import numpy as np
import orjson

from service.domain.campaigns import CampaignRecord, CampaignState
from service.domain.detection import DetectionOutcome, FoundCampaign, Standing
from service.domain.errors import GatehouseError
from service.domain.facts import Float64s, Int64s
from service.domain.profile import PROFILE_INDEX
from service.domain.requests import Page
from service.domain.time import HOUR, WEEK
from service.linking.evidence import Known, Work, evidence, ground
from service.linking.find import Found, find
from service.linking.given_back import give_back
from service.linking.identity import Matched, match, regrouped
from service.linking.judge import DETECTED, SUSPECTED, Judge
from service.linking.leads import at_the_door, leads
from service.linking.membership import JOIN, Fits, fits
from service.linking.pair_model import PairModel
from service.linking.pairs import NO_TIES, Ties
from service.linking.traits import traits
from service.tiles.history import FRAUD
from service.usecases.judged import Verdicts, judge_now
from service.usecases.observe import Facts, Observed, Observer, Usage

SEED = 20260422
STAYS = 0.5  # score, below which a detected campaign is a suspicion again
# One look is enough from here on; between the threshold and this the look before must have found it, too, where there
# was one lately. Chance throws a handful of honest accounts together and apart again: 12 of an agency and 21 others
# passed the threshold once, at the 28th look of a world (0.85, 0.14, 0.73 and 0.13 at four in a row), and were asked
# for four days. The five campaigns there began with 0.96 and more, and stayed.
AT_ONCE = 0.97
LATELY = 12 * HOUR
STRONGEST = 3  # families of keys named in a summary
STEPS = 4
BEAT_S = 15.0  # another run takes over after a minute of silence
_TIED_BY = 0.5  # nats, from which a kind of key is named among those that tie a member

Step = Callable[[str, int, int], None]


class Campaigns(Facts, Verdicts, Protocol):
    """What the job reads and writes."""

    def standing(self, as_of: int, at: int | None = None) -> Standing: ...

    def looked_before(self, as_of: int) -> int | None: ...

    def verdicts(self, as_of: int) -> tuple[Int64s, Int64s]: ...

    def begin_detection(self, as_of: int, holder: str, now: int) -> int: ...

    def heartbeat(self, run: int, now: int) -> None: ...

    def record_detection(self, found: Sequence[FoundCampaign], *, run: int, as_of: int) -> DetectionOutcome: ...

    def finish_detection(self, run: int, now: int, report: str) -> None: ...

    def abandon_detection(self, run: int) -> None: ...

    def list_campaigns(
        self, *, states: frozenset[CampaignState], min_members: int, page_size: int, page_token: str
    ) -> Page[CampaignRecord]: ...


@dataclass(frozen=True, slots=True)
class FoundSummary:
    """One campaign as it stands after a run."""

    campaign_id: str
    state: CampaignState
    members: int
    score: float | None  # None: it exists by an analyst's word alone
    strongest: tuple[str, ...]  # families of keys that hold it, the most telling first; empty: not found this time


@dataclass(frozen=True, slots=True)
class DetectReport:
    """What a run did."""

    as_of: int
    accounts: int
    exchanges: int
    links: int  # (account, key) rows of keys that link anybody
    groups: int  # looked at closely
    campaigns: tuple[FoundSummary, ...]  # all but merged and refuted ones, the largest first
    outcome: DetectionOutcome


class Detect:
    """The deed, wired to its rooms. One run at a time, here and everywhere.

    An instance remembers what it read for a later moment, unless it runs ``once``: that takes half the memory.
    """

    def __init__(
        self,
        store: Campaigns,
        judge: Judge,
        seed: int = SEED,
        pair_models: Callable[[int], PairModel | None] | None = None,
        *,
        once: bool = False,
    ) -> None:
        self.store, self.judge, self.seed = store, judge, seed
        self._pair_models = pair_models  # the one to use as of a moment; None: none is ever used
        self._observe = Observer(store, once=once)

    def __call__(
        self,
        *,
        as_of: int,
        holder: str,
        clock: Callable[[], int],
        progress: Step | None = None,
        watch: Callable[[Observed, Found], None] | None = None,
    ) -> DetectReport:
        """Finds campaigns as things were known at ``as_of``, and records them, all or nothing.

        ``holder`` says who runs, for others who come meanwhile; ``clock`` gives the present moment. The same moment
        again changes nothing. ``watch`` is shown all groups, those too that are not worth recording. Raises
        DetectionRunning while another run is alive.
        """
        say = progress if progress is not None else _silent
        run = self.store.begin_detection(as_of, holder, clock())
        try:
            with self._alive(run, clock):
                report = self._run(run, as_of, say, watch)
            self.store.finish_detection(run, clock(), orjson.dumps(_told(report)).decode())
        except BaseException:  # broken off by hand, too: the next one need not wait for a minute
            self.store.abandon_detection(run)
            raise
        say("done", STEPS, STEPS)
        return report

    def observed(self, as_of: int) -> Observed:
        """What a look at ``as_of`` sees: of the last look's moment nothing is read again, of an earlier one all is."""
        return self._observe(as_of)

    def _run(self, run: int, as_of: int, say: Step, watch: Callable[[Observed, Found], None] | None) -> DetectReport:
        say("reading", 0, STEPS)
        observed = self._observe(as_of)
        give_back()
        say("linking", 1, STEPS)
        # What is found, and how it is judged, follows from what was known then; which campaign it is, and what analysts
        # have decided, from what stands now: a look at the past makes nothing a second time and undoes no verdict.
        then, standing = self.store.standing(as_of, as_of), self.store.standing(as_of)
        live = _live(then, observed.accounts.account)
        judge = judge_now(self.store, self.judge, then)
        pair_model = None if self._pair_models is None else self._pair_models(as_of)
        found = find(observed.seen, observed.accounts, live, judge, self.seed, pair_model)
        if watch is not None:
            watch(observed, found)
        judged, verdict = self.store.verdicts(as_of)
        fraud, legitimate = judged[verdict == FRAUD], judged[verdict != FRAUD]
        matched = match(
            found.group, observed.accounts.account, standing, as_of, fraud=fraud, worth=found.score >= SUSPECTED
        )
        give_back()
        say("gathering evidence", 2, STEPS)
        campaigns = _campaigns(found, observed, matched, standing, legitimate, self._scored_before(as_of, then))
        say("recording", 3, STEPS)
        outcome = self.store.record_detection(campaigns, run=run, as_of=as_of)
        give_back()
        self._observe.keep()
        strongest = {each.campaign_id: each.evidence.families for each in campaigns}
        return DetectReport(
            as_of=as_of,
            accounts=len(observed.accounts.account),
            exchanges=observed.usage.exchanges,
            links=len(observed.seen.key),
            groups=len(found.score),
            campaigns=tuple(
                FoundSummary(
                    each.campaign_id,
                    each.state,
                    each.members,
                    each.score,
                    tuple(
                        name
                        for name, nats in sorted(strongest.get(each.campaign_id, ()), key=lambda item: -item[1])
                        if nats >= 1.0
                    )[:STRONGEST],
                )
                for each in self._standing_now()
            ),
            outcome=outcome,
        )

    def _scored_before(self, as_of: int, then: Standing) -> dict[str, float] | None:
        """Scores at the look before, by campaign; None: there was none lately."""
        before = self.store.looked_before(as_of)
        if before is None or as_of - before > LATELY:
            return None
        return dict(zip(then.campaign_id, then.score.tolist(), strict=True))

    def _standing_now(self) -> list[CampaignRecord]:
        """All campaigns but merged and refuted ones, as they stand, the largest first."""
        found: list[CampaignRecord] = []
        states = frozenset({CampaignState.SUSPECTED, CampaignState.DETECTED, CampaignState.CONFIRMED})
        page = self.store.list_campaigns(states=states, min_members=0, page_size=1000, page_token="")
        found += page.items
        while page.next_page_token:
            page = self.store.list_campaigns(
                states=states, min_members=0, page_size=1000, page_token=page.next_page_token
            )
            found += page.items
        return sorted(found, key=lambda each: (-each.members, each.campaign_id))

    @contextmanager
    def _alive(self, run: int, clock: Callable[[], int]) -> Iterator[None]:
        """Says every few seconds that the run is alive, so that another one waits however long a step takes."""
        done = Event()

        def beat() -> None:
            while not done.wait(BEAT_S):
                try:
                    self.store.heartbeat(run, clock())
                except GatehouseError:  # another took its place: recording will say so
                    return

        thread = Thread(target=beat, name="detection-heartbeat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _silent(_what: str, _done: int, _of: int) -> None:
    """Nobody listens."""


def _told(report: DetectReport) -> dict[str, object]:
    return {
        "as_of": report.as_of,
        "accounts": report.accounts,
        "exchanges": report.exchanges,
        "campaigns": len(report.campaigns),
        "detected": sum(each.state is CampaignState.DETECTED for each in report.campaigns),
    }


def _live(standing: Standing, account: Int64s) -> Int64s:
    """(n,) the place of each account's live campaign in ``standing``, -1 for none."""
    out = np.full(len(account), -1, np.int64)
    if not len(account) or not len(standing.member_account):
        return out
    live = np.array([state in (CampaignState.DETECTED, CampaignState.CONFIRMED) for state in standing.state], bool)[
        standing.member_campaign
    ]
    place = np.minimum(np.searchsorted(account, standing.member_account), len(account) - 1)
    known = live & (account[place] == standing.member_account)
    out[place[known]] = standing.member_campaign[known]
    return out


def _campaigns(
    found: Found,
    observed: Observed,
    matched: Sequence[Matched],
    standing: Standing,
    legitimate: Int64s,
    before: Mapping[str, float] | None,
) -> list[FoundCampaign]:
    """The campaigns worth recording, each with its members, evidence and keys."""
    accounts = observed.accounts
    scores = [_score(each, found, standing) for each in matched]
    kept = [i for i, score in enumerate(scores) if score >= SUSPECTED or _stands(matched[i], standing)]
    chosen = [matched[i] for i in kept]
    place = regrouped(list(chosen), accounts.account)
    if not chosen:
        return []
    belongs = fits(found.seen, found.surprise, place, accounts, least=np.inf, whole=place >= 0)
    used = _used(observed.usage, place, len(chosen))
    week = accounts.created // WEEK
    plan = np.nan_to_num(observed.profile[:, PROFILE_INDEX["plan"]], nan=-1.0).astype(np.int64)
    base = ground(found.seen, accounts.country, plan, week)
    membership, nats = _membership(belongs, place)
    known = Known(
        accounts=accounts,
        membership=membership,
        honest=np.isin(accounts.account, legitimate),
        ties=NO_TIES,  # of a campaign each has its own
        traits=traits(found.seen, found.surprise, place, accounts),
    )
    tied = _tied_within(found.ties, place, len(chosen))
    door = at_the_door(found.seen, found.surprise)
    shown = _by_campaign(place[door[0].account], len(chosen))
    out = []
    for number, (each, i) in enumerate(zip(chosen, kept, strict=True)):
        members = np.flatnonzero(place == number)
        score = scores[i]
        state = _state(score, each, standing, before)
        work = used[number]
        why = evidence(base, place, number, replace(known, ties=tied[number]), work.done())
        created = accounts.created[members]
        # Whom labels named before they signed up, or who signed up after the moment looked at, stays a member.
        absent = np.setdiff1d(each.accounts, accounts.account[members])
        campaign = FoundCampaign(
            campaign_id=each.campaign_id,
            accounts=np.concatenate([accounts.account[members], absent]),
            membership=np.concatenate([membership[members], np.full(len(absent), np.nan)]).astype(np.float32),
            key_types=[*_tied_by(found, nats[members]), *[""] * len(absent)],
            score=score,
            state=state,
            evidence=why,
            keys=leads(*door, place, number, shown[number]),
            exchanges=len(work.account),
            input_tokens=int(work.tokens_in.sum()),
            output_tokens=int(work.tokens_out.sum()),
            first_signup_at=int(created.min()) if len(created) else None,
            last_signup_at=int(created.max()) if len(created) else None,
            merged_from=each.merged_from,
            split_from=each.split_from,
        )
        out.append(campaign)
    return out


@dataclass(frozen=True, slots=True, eq=False)
class _Used:
    """What a campaign's members used; one element an exchange."""

    account: Int64s  # place of the account
    happened: Int64s
    tokens_in: Int64s  # 0: not said
    tokens_out: Int64s

    def done(self) -> Work:
        """The same, as evidence wants it."""
        return Work(self.account, self.happened, self.tokens_in + self.tokens_out)


def _used(usage: Usage, place: Int64s, campaigns: int) -> list[_Used]:
    """What was used by the members of each campaign; ``place`` is (n,), -1: of none. All exchanges are seen once."""
    mine = usage.of(place >= 0)
    return [
        _Used(
            mine.account[some],
            mine.happened[some],
            np.maximum(mine.tokens_in[some], 0).astype(np.int64),
            np.maximum(mine.tokens_out[some], 0).astype(np.int64),
        )
        for some in _by_campaign(place[mine.account], campaigns)
    ]


def _tied_within(ties: Ties, place: Int64s, campaigns: int) -> list[Ties]:
    """The ties between two members of each campaign; ``place`` is (n,), -1: of none."""
    of = place[ties.left]
    inside = _by_campaign(np.where(of == place[ties.right], of, -1), campaigns)
    return [Ties(ties.left[some], ties.right[some], ties.families[some]) for some in inside]


def _by_campaign(of: Int64s, campaigns: int) -> list[Int64s]:
    """For each campaign the rows that are ``of`` it, ascending; -1: of none."""
    rows = np.flatnonzero(of >= 0)
    rows = rows[np.argsort(of[rows], kind="stable")]
    first = np.searchsorted(of[rows], np.arange(campaigns + 1))
    return [rows[low:high] for low, high in pairwise(first.tolist())]


def _score(each: Matched, found: Found, standing: Standing) -> float:
    """As judged now; of a campaign that this run did not find, as it was judged before."""
    if each.group >= 0:
        return float(found.score[each.group])
    before = float(standing.score[each.standing]) if each.standing >= 0 else np.nan
    return 0.0 if np.isnan(before) else before


def _stands(each: Matched, standing: Standing) -> bool:
    return each.standing >= 0 and standing.state[each.standing] is not CampaignState.SUSPECTED


def _state(score: float, each: Matched, standing: Standing, before: Mapping[str, float] | None) -> CampaignState:
    """Passing the evidence threshold makes a campaign detected; it stays so until it falls well below.

    ``before``: scores at the look before, by campaign; None where there was none lately, and this one decides alone.
    """
    was = each.standing >= 0 and standing.state[each.standing] is CampaignState.DETECTED
    least = DETECTED if before is None or before.get(each.campaign_id, 0.0) >= DETECTED else AT_ONCE
    return CampaignState.DETECTED if score >= (STAYS if was else least) else CampaignState.SUSPECTED


def _membership(belongs: Fits, place: Int64s) -> tuple[Float64s, Float64s]:
    """How surely each account belongs to its campaign, 0 to 1, and the nats behind it by kind, shape (n, kinds)."""
    mine = place[belongs.account] == belongs.group
    who = belongs.account[mine]
    nats = np.zeros((len(place), belongs.kinds.shape[1]))
    total = np.zeros(len(place))
    nats[who], total[who] = belongs.kinds[mine], belongs.nats[mine]
    return 1.0 / (1.0 + np.exp(-(total - JOIN / 2) / 2.0)), nats


def _tied_by(found: Found, nats: Float64s) -> list[str]:
    """For each member the kinds of key that tie it, comma-joined, the strongest first."""
    order = np.argsort(-nats, axis=1, kind="stable")
    kinds = found.seen.kinds
    return [",".join(kinds[k] for k in row if nats[i, k] >= _TIED_BY) for i, row in enumerate(order.tolist())]
