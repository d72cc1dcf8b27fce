"""What a replay came to: who was caught and when, what was spent before, and whom it touched.

Campaigns are counted twice: as detection found them, and as analysts named them in their labels, which also tells what
was missed. Everything here looks back from the end; nothing of it decided anything. An account is touched from its
first row that is not ``allow``, and caught if that was before an analyst's verdict on it was known; exchanges count
from the replay's start to its end.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from service.app import App
from service.domain.enums import Decision
from service.domain.errors import GatehouseError
from service.domain.facts import Int64s
from service.domain.time import DAY, rfc3339
from training.backtest.ledger import CAMPAIGN, RESCORE, SIGNUP, Ledger
from training.backtest.plan import Plan
from training.backtest.stage import LabelStream
from training.dataset import Known, verdicts
from training.kinship import kinship
from training.segments import CONFIDENCE, by_segment, interval, segments_of

NEVER = 2**62
ENOUGH_CLEARED = 200  # accounts that analysts called legitimate, for segments to be counted among those alone
POINTS = 60  # of a timeline
STRONGEST = 4
TIMELINES = 40  # campaigns of each kind that get one, the largest first

_NAMED = (
    "Labels are what analysts said by the end of the replay: campaigns that nobody named count in no figure of caught "
    "accounts, and accounts that nobody judged are unlabelled, not innocent."
)
_AFTER = (
    "A replay cannot know what people would have done after another answer: accounts that it would have blocked go on "
    "as they did, so that harm can be counted."
)
_BASIS = (
    "accounts that analysts called legitimate, as it stood at the end; segments, where those are fewer than "
    f"{ENOUGH_CLEARED}: all that nobody called fraud and that are in no campaign found"
)
_HOURS = "Usage counts for a score once its hour has closed."


def measure(plan: Plan, app: App, ledger: Ledger, labels: LabelStream) -> dict[str, Any]:
    """The body of report.json; its fields are those that ``training/report/backtest_page.py`` shows."""
    known = verdicts(app.store.labels_at(plan.end), plan.end)
    use = _Use.read(app, plan)
    caught = _caught(ledger)
    models = [one for step in ledger.steps for one in step.get("models", ())]
    first = models[0]
    honest = [account for account, one in known.items() if not one.fraud]
    signed_up = {int(account) for account in app.store.signups_between(-NEVER, plan.end)[0]}
    honest = sorted(signed_up.intersection(honest))
    silent = signed_up.difference(known)
    touched = sum(account in caught for account in honest)
    low, high = interval(touched, len(honest), CONFIDENCE) if honest else (None, None)
    said = labels.between(-NEVER, plan.start)
    warnings = [] if said else ["no label was known at the start: unlabelled accounts counted as unknown"]
    if first["origin"] == "starter":
        warnings.append(first["why"])
    refused = sum(step.get("labels_refused", 0) for step in ledger.steps)
    if refused:
        warnings.append(f"{refused:,} labels were refused: the same label had been said differently before")
    return {
        "kind": "backtest",
        **plan.told(),
        "started_from": {name: first[name] for name in ("model_version", "origin", "why")},
        "counts": {
            "accounts": len(signed_up),
            "signups": sum(step.get("signups", 0) for step in ledger.steps),
            "exchanges": len(use.account),
            "labels_at_start": len(said),
            "labels_at_end": len(labels.between(-NEVER, plan.end)),
        },
        "steps": _steps(plan, ledger, use),
        "models": models,
        "decisions": _decisions(ledger),
        "campaigns": _found(plan, app, ledger, use),
        "labelled_campaigns": _labelled(plan, known, signed_up, caught, use),
        "honest": {
            "basis": _BASIS,
            "accounts": len(honest),
            "touched": touched,
            "share": touched / len(honest) if honest else None,
            "low": low,
            "high": high,
            "segments": _segments(app, plan, known, caught),
        },
        "unlabelled": {
            "accounts": len(silent),
            "touched": sum(account in caught for account in silent),
            "share": sum(account in caught for account in silent) / len(silent) if silent else None,
        },
        "warnings": warnings,
        "known_limits": [_NAMED, _AFTER, _HOURS],
    }


def _segments(app: App, plan: Plan, known: dict[int, Known], caught: dict[int, int]) -> list[dict[str, object]]:
    """Touched accounts by segment: of those that analysts cleared, or, where those are few, taken as honest."""
    account, _, _, profile = app.store.signup_rows(plan.end)
    word = [known.get(one) for one in account.tolist()]
    cleared = np.array([one is not None and not one.fraud for one in word], bool)
    counted = (
        cleared if cleared.sum() >= ENOUGH_CLEARED else np.array([one is None or not one.fraud for one in word], bool)
    )
    if not counted.any():
        return []
    kin = kinship(app.store, account, profile, plan.end)
    named = {name: tuple(np.array(of)[counted].tolist()) for name, of in segments_of(profile, kin).items()}
    touched = np.isin(account, np.fromiter(caught, np.int64, len(caught)))[counted]
    found = by_segment(named, touched, np.ones(int(counted.sum())), kin.group[counted])
    return [one.to_json() for one in found]


@dataclass(frozen=True, slots=True)
class _Use:
    """Exchanges between start and end, by account and moment."""

    account: Int64s
    happened: Int64s

    @classmethod
    def read(cls, app: App, plan: Plan) -> _Use:
        parts = [
            (table["account"].to_numpy(), table["happened"].to_numpy())
            for table in app.store.usage_rows(plan.end, plan.start, ("account", "happened"))
        ]
        none = np.empty(0, np.int64)
        account = np.concatenate([none, *(part[0] for part in parts)])
        happened = np.concatenate([none, *(part[1] for part in parts)])
        order = np.lexsort((happened, account))
        return cls(account[order], happened[order])

    def of(self, accounts: Iterable[int]) -> tuple[Int64s, Int64s]:
        """(place among ``accounts``, moment) of their exchanges."""
        asked = np.fromiter(accounts, np.int64)
        low, high = np.searchsorted(self.account, asked, "left"), np.searchsorted(self.account, asked, "right")
        who = np.repeat(np.arange(len(asked)), high - low)
        rows = np.concatenate([np.empty(0, np.int64), *(np.arange(a, b) for a, b in zip(low, high, strict=True))])
        return who, self.happened[rows.astype(np.int64)]


def _caught(ledger: Ledger) -> dict[int, int]:
    """When each account that was ever touched was so first."""
    out: dict[int, int] = {}
    for row in ledger.rows:
        if row.decision != Decision.ALLOW.value:
            out[row.account] = min(out.get(row.account, NEVER), row.decided_at)
    return out


def _steps(plan: Plan, ledger: Ledger, use: _Use) -> list[dict[str, Any]]:
    moments = np.array(plan.moments(), np.int64)
    exchanges = np.diff(np.searchsorted(np.sort(use.happened), moments, "right"), prepend=0)
    first = np.sort(np.array(list(_caught(ledger).values()), np.int64))
    touched = np.searchsorted(first, moments, "right")
    names = ("at", "signups", "rescored", "campaigns", "members", "seconds", "thresholds")
    return [
        {name: step.get(name) for name in names}
        | {"touched": int(touched[i]), "exchanges": int(exchanges[i]) if i else 0}
        for i, step in enumerate(ledger.steps)
    ]


def _decisions(ledger: Ledger) -> dict[str, dict[str, int]]:
    counted = Counter((row.trigger, row.decision) for row in ledger.rows)
    return {
        trigger: {of.value: counted[trigger, of.value] for of in Decision} for trigger in (SIGNUP, RESCORE, CAMPAIGN)
    }


def _edges(plan: Plan) -> Int64s:
    """Moments of a timeline: steps, or as many of them as are shown."""
    moments = np.array(plan.moments(), np.int64)
    every = max(1, -(-len(moments) // POINTS))
    return np.unique(np.append(moments[::every], moments[-1]))


def _until(edges: Int64s, moments: Int64s) -> list[int]:
    """How many of ``moments`` lie at or before each edge."""
    return [int(count) for count in np.searchsorted(np.sort(moments), edges, "right")]


def _found(plan: Plan, app: App, ledger: Ledger, use: _Use) -> list[dict[str, Any]]:
    """Campaigns as detection found them, the largest first."""
    members: dict[str, dict[int, int]] = {}
    for campaign, account, _, at in ledger.members:
        members.setdefault(campaign, {}).setdefault(account, at)
    edges = _edges(plan)
    created = dict(zip(*(column.tolist() for column in app.store.signups_between(-NEVER, NEVER)), strict=True))
    out = []
    for number, (campaign, joined) in enumerate(sorted(members.items(), key=lambda item: (-len(item[1]), item[0]))):
        who, happened = use.of(joined)
        since = np.fromiter(joined.values(), np.int64)
        state, families = _about(app, campaign)
        one: dict[str, Any] = {
            "campaign_id": campaign,
            "state": state,
            "detected_at": rfc3339(int(since.min())),
            "members": len(joined),
            "first_signup_at": rfc3339(min(created.get(account, NEVER) for account in joined)),
            "exchanges": len(happened),
            "exchanges_before": int((happened < since[who]).sum()),
            "strongest": families,
            "timeline": [],
        }
        if number < TIMELINES:
            grown, spent = _until(edges, since), _until(edges, happened)
            one["timeline"] = [
                {"at": rfc3339(int(at)), "members": grown[i], "exchanges": spent[i]} for i, at in enumerate(edges)
            ]
        out.append(one)
    return out


def _about(app: App, campaign: str) -> tuple[str, list[str]]:
    """A campaign's state at the end, and the families of keys that hold it most."""
    try:
        state = app.store.campaign(campaign).state.value
        told = app.store.campaign_evidence(campaign).families
    except GatehouseError:
        return "gone", []
    return state, [name for name, _ in sorted(told, key=lambda item: -item[1])[:STRONGEST]]


def _labelled(
    plan: Plan, known: dict[int, Known], signed_up: set[int], caught: dict[int, int], use: _Use
) -> list[dict[str, Any]]:
    """Campaigns as analysts named them, the largest first."""
    named: dict[str, list[int]] = {}
    for account, word in known.items():
        if word.fraud and word.campaign and account in signed_up:
            named.setdefault(word.campaign, []).append(account)
    edges = _edges(plan)
    out = []
    for number, (campaign, members) in enumerate(sorted(named.items(), key=lambda item: (-len(item[1]), item[0]))):
        members.sort()
        who, happened = use.of(members)
        since = np.array([caught.get(account, NEVER) for account in members], np.int64)
        free = happened < since[who]
        begun = np.full(len(members), NEVER)
        np.minimum.at(begun, who, happened)
        # what an analyst's own word on the account brought about is no catch
        told = np.array([known[account].learned_at for account in members], np.int64)
        taken_by_us = since < told
        begun = np.maximum(begun, plan.start)
        used = taken_by_us & (begun < NEVER)
        late = (since[used] - begun[used]) / DAY
        one: dict[str, Any] = {
            "campaign_id": campaign,
            "members": len(members),
            "caught": int(taken_by_us.sum()),
            "recall": float(taken_by_us.mean()),
            "touched_after_their_verdict": int((~taken_by_us & (since < NEVER)).sum()),
            "exchanges": len(happened),
            "exchanges_before": int(free.sum()),
            "median_days_to_catch": float(np.maximum(np.median(late), 0.0)) if len(late) else None,
            "timeline": [],
        }
        if number < TIMELINES:
            taken, spent, through = (
                _until(edges, moments) for moments in (since[taken_by_us], happened, happened[free])
            )
            one["timeline"] = [
                {"at": rfc3339(int(at)), "members": len(members), "caught": taken[i], "exchanges": spent[i],
                 "exchanges_let_through": through[i]}
                for i, at in enumerate(edges)
            ]  # fmt: skip
        out.append(one)
    return out
