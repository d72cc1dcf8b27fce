"""The pair model, learned from confirmed and refuted campaigns, and kept only where it beats the label-free sum.

Pairs are the candidates that a detection at the same moment would compare, so it learns on what it will be asked. Two
accounts under a fraud verdict in one confirmed campaign are of one campaign; members of two campaigns, and a member
and an account that analysts cleared (members of refuted campaigns are cleared), are not, nor are two cleared ones:
refuting teaches, too. All other pairs are unlabelled: most are strangers and some a campaign that nobody has found, so
they count as strangers of little weight. Verdicts, members and states count as they were known at the moment learned
at. A campaign is never on both sides: what is learned is measured on campaigns that it has not seen.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Protocol

import lightgbm
import numpy as np
from numpy.typing import NDArray

from service.domain.campaigns import CampaignState
from service.domain.codes import mix64
from service.domain.detection import STATE_CODES, CampaignRows
from service.domain.facts import Float32s, Float64s, Int64s
from service.domain.time import rfc3339
from service.linking.accounts import Accounts
from service.linking.find import TIED, tied_from
from service.linking.pair_model import COLUMNS, SIGNS, SPARED, columns, fingerprint
from service.linking.pairs import candidates, ties
from service.linking.sightings import Sightings
from service.linking.surprise import surprise
from service.model.artefact import Artefact, Manifest, make_artefact
from service.tiles.history import FRAUD, LEGITIMATE
from service.usecases.detect import SEED as CANDIDATES
from service.usecases.observe import Facts, Observed, Observer
from training.evaluate import figures

FEWEST = 5  # confirmed campaigns
FOLDS = 5
RESAMPLES = 60
MOST_UNLABELLED = 150_000  # pairs; of more a part is drawn, which weighs as much as all
UNLABELLED = 0.1  # weight of an unlabelled pair, where a labelled one has 1
TREES = 60
PARAMETERS: dict[str, Any] = {
    "objective": "binary",
    "learning_rate": 0.1,
    "num_leaves": 7,
    "min_data_in_leaf": 20,
    "min_sum_hessian_in_leaf": 1.0,
    "lambda_l2": 5.0,
    "max_bin": 63,
    "monotone_constraints": list(SIGNS),
    "deterministic": True,
    "force_row_wise": True,
    "num_threads": 1,
    "verbosity": -1,
}

_NONE = -1  # no campaign; a fold where there is none
_CLEARED = (CampaignState.REFUTED,)
_OPEN = (CampaignState.SUSPECTED, CampaignState.DETECTED)

Bools = NDArray[np.bool_]


class Source(Facts, Protocol):
    """What is read of the store."""

    def verdicts(self, as_of: int) -> tuple[Int64s, Int64s]:
        """Accounts under a verdict, and which."""
        ...

    def campaign_rows(self, accounts: Int64s | None, keys: Int64s | None, as_of: int | None) -> CampaignRows:
        """Campaigns, their members and states."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What was known of ``n`` accounts at a moment; campaigns are numbered from 0, -1: none."""

    confirmed: Int64s  # the confirmed campaign of accounts under a fraud verdict
    refuted: Int64s
    open: Int64s  # the campaign that stands, confirmed or not yet judged, whatever is known of the account itself
    cleared: Bools  # an analyst said legitimate, or refuted the campaign
    fraud: Bools  # under a fraud verdict

    @property
    def campaign(self) -> Int64s:
        """(n,) the confirmed or the refuted campaign, in one numbering: what a fold holds whole."""
        first = self.confirmed.max(initial=_NONE) + 1
        return np.where(
            self.confirmed >= 0, self.confirmed, np.where(self.refuted >= 0, first + self.refuted, _NONE)
        ).astype(np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Pairs to learn from; ``p`` of each. Ordered by (left, right)."""

    matrix: Float32s  # (p, COLUMNS)
    nats: Float64s  # the label-free sum
    same: Bools  # of one campaign
    weight: Float64s
    left: Int64s  # campaign of the left account, as ``Known.campaign``
    right: Int64s
    group: Int64s  # what is drawn together when figures are resampled
    campaigns: int  # confirmed ones with a pair of their own
    labelled: int  # pairs that labels say anything about
    tied_from: float = TIED  # nats, from which the sum ties two of these accounts


@dataclass(frozen=True, slots=True)
class Learned:
    """What came of it. Figures are of campaigns that nothing was learned from; None: there was too little to tell."""

    why: str
    artefact: Artefact | None = None  # None: not kept
    average_precision: float | None = None
    label_free: float | None = None  # average precision of the sum of nats on the same pairs
    standard_error: float | None = None  # of the difference, over campaigns
    campaigns: int = 0
    pairs: int = 0

    @property
    def kept(self) -> bool:
        """Whether it is worth using."""
        return self.artefact is not None

    def to_json(self) -> dict[str, Any]:
        """As ``gatehouse train --json`` shows it."""
        names = ("kept", "why", "average_precision", "label_free", "standard_error", "campaigns", "pairs")
        version = None if self.artefact is None else self.artefact.manifest.version
        return {**{name: getattr(self, name) for name in names}, "version": version}


def train_pair_model(
    store: Source,
    *,
    as_of: int,
    seed: int,
    created_at: int,
    code_version: str,
    observe: Callable[[int], Observed] | None = None,
) -> Learned:
    """Learns from what was known at ``as_of``; reads raw usage only where enough campaigns are confirmed.

    ``observe`` gives what was seen at a moment, None: all of it is read. A replay has just looked, and holding a
    second copy of nine million exchanges beside the first would cost it a gigabyte.
    """
    rows = store.campaign_rows(None, np.empty(0, np.int64), as_of)
    verdicts = store.verdicts(as_of)
    few = confirmed_with_pairs(rows, verdicts, as_of)
    if few < FEWEST:
        return Learned(_too_few(few), campaigns=few)
    looked = (Observer(store, usage=False) if observe is None else observe)(as_of)
    seen, accounts = looked.seen, looked.accounts
    made = examples(seen, accounts, known(accounts, rows, verdicts), seed=seed)
    return learn(made, as_of=as_of, seed=seed, created_at=created_at, code_version=code_version)


def confirmed_with_pairs(rows: CampaignRows, verdicts: tuple[Int64s, Int64s], as_of: int) -> int:
    """How many confirmed campaigns have two members or more under a fraud verdict."""
    there = _members(rows, _coded(CampaignState.CONFIRMED), as_of)
    there &= np.isin(rows.member_account, verdicts[0][verdicts[1] == FRAUD])
    _, size = np.unique(rows.member_campaign[there], return_counts=True)
    return int((size >= 2).sum())


def _too_few(campaigns: int) -> str:
    return (
        f"not kept: {campaigns} confirmed campaigns have two known members or more that share anything, and {FEWEST} "
        "are the least that it can be measured on"
    )


# --- what is known --------------------------------------------------------------------------------------------------


def known(accounts: Accounts, rows: CampaignRows, verdicts: tuple[Int64s, Int64s]) -> Known:
    """What ``rows`` and ``verdicts`` (both as of the accounts' moment) say of the accounts."""
    at = accounts.as_of
    fraud = np.isin(accounts.account, verdicts[0][verdicts[1] == FRAUD])
    legitimate = np.isin(accounts.account, verdicts[0][verdicts[1] == LEGITIMATE])
    confirmed = _campaign_of(accounts, rows, _members(rows, _coded(CampaignState.CONFIRMED), at))
    refuted = _campaign_of(accounts, rows, _members(rows, _coded(*_CLEARED), at))
    standing = _campaign_of(accounts, rows, _members(rows, _coded(CampaignState.CONFIRMED, *_OPEN), at))
    return Known(
        confirmed=np.where(fraud, confirmed, _NONE),
        refuted=np.where(fraud, _NONE, refuted),
        open=standing,
        cleared=legitimate | (~fraud & (refuted >= 0)),
        fraud=fraud,
    )


def _coded(*states: CampaignState) -> list[int]:
    return [STATE_CODES[state] for state in states]


def _members(rows: CampaignRows, states: list[int], as_of: int) -> Bools:
    """Rows of members who were in a campaign of such a state at ``as_of``."""
    there: Bools = (rows.member_start <= as_of) & (rows.member_end > as_of)
    there &= np.isin(rows.member_campaign, rows.state_campaign[np.isin(rows.state, states)])
    return there


def _campaign_of(accounts: Accounts, rows: CampaignRows, there: Bools) -> Int64s:
    """(n,) the campaign of each account among these rows, numbered from 0; of several the lowest."""
    out = np.full(len(accounts.account), _NONE, np.int64)
    if not there.any() or not len(out):
        return out
    member, campaign = rows.member_account[there], rows.member_campaign[there]
    number = np.unique(campaign, return_inverse=True)[1]
    place = np.minimum(np.searchsorted(accounts.account, member), len(out) - 1)
    here = accounts.account[place] == member
    order = np.argsort(-number[here], kind="stable")  # the last one written stays
    out[place[here][order]] = number[here][order]
    return out


# --- pairs to learn from --------------------------------------------------------------------------------------------


def examples(seen: Sightings, accounts: Accounts, about: Known, *, seed: int, most: int = MOST_UNLABELLED) -> Examples:
    """The pairs that a detection would compare, with what labels say of them; ``most`` unlabelled ones."""
    weighed = surprise(seen, accounts.country)
    left, right = candidates(seen, weighed, CANDIDATES)
    same, stranger, silent = _said(about, left, right)
    drawn = _drawn(left, right, silent, most, seed)
    kept = np.flatnonzero(same | stranger | drawn)
    share = max(float(drawn.sum()), 1.0) / max(float(silent.sum()), 1.0)
    tied = ties(seen, weighed, left[kept], right[kept])
    campaign = about.campaign
    one, other = campaign[left[kept]], campaign[right[kept]]
    same = same[kept]
    weight = np.where(silent[kept], UNLABELLED / share, 1.0)
    of, size = np.unique(one[same], return_inverse=True, return_counts=True)[1:]
    if len(size):
        # a campaign of 900 weighs as three of 100, as where accounts are learned from
        mine = 1.0 / np.sqrt(size[of])
        weight[same] = mine / mine.mean()
    alone = campaign.max(initial=_NONE) + 1
    return Examples(
        matrix=columns(tied, accounts),
        nats=tied.strength,
        same=same,
        weight=weight,
        left=one,
        right=other,
        group=np.where(one >= 0, one, np.where(other >= 0, other, alone + left[kept])),
        campaigns=len(size),
        labelled=int((~silent[kept]).sum()),
        tied_from=tied_from(seen.n),
    )


def _said(about: Known, left: Int64s, right: Int64s) -> tuple[Bools, Bools, Bools]:
    """Which pairs are of one campaign, which are not, and of which nobody said.

    None of these are pairs of fraud with fraud that no campaign explains, and of members of one campaign that stands of
    whom analysts have not judged both: they are likely to be one, and no example of strangers.
    """
    one, other = about.confirmed[left], about.confirmed[right]
    same = (one >= 0) & (one == other)
    member = (one >= 0) | (other >= 0)
    clear, clear_too = about.cleared[left], about.cleared[right]
    stranger = (one >= 0) & (other >= 0) & (one != other)
    stranger |= (clear | clear_too) & member
    stranger |= clear & clear_too
    lone = (about.fraud[left] & (one < 0)) | (about.fraud[right] & (other < 0))
    together = (about.open[left] >= 0) & (about.open[left] == about.open[right])
    silent = ~same & ~stranger & ~lone & ~together
    return same, stranger, silent


def _drawn(left: Int64s, right: Int64s, silent: Bools, most: int, seed: int) -> Bools:
    """At most ``most`` of the silent pairs, the same ones for the same seed."""
    count = int(silent.sum())
    if count <= most:
        return silent
    rank = mix64(left * 1_000_003 + right + seed)
    limit = np.partition(rank[silent], most - 1)[most - 1]
    out: Bools = silent & (rank <= limit)
    return out


# --- learning -------------------------------------------------------------------------------------------------------


def learn(made: Examples, *, as_of: int, seed: int, created_at: int, code_version: str) -> Learned:
    """The model, if it ranks pairs of campaigns that it has not seen better than the sum does."""
    if made.campaigns < FEWEST:
        return Learned(_too_few(made.campaigns), campaigns=made.campaigns, pairs=len(made.same))
    score = _out_of_fold(made, seed)
    tested = np.flatnonzero(~np.isnan(score))
    tied_at = _tied_at(made, score, tested)
    learned, free, error = _compared(
        made, np.maximum(score - tied_at + made.tied_from, made.nats - SPARED), tested, seed
    )
    beats = f"average precision {learned:.3f} where the label-free sum has {free:.3f} (standard error {error:.3f})"
    out = Learned(
        f"not kept: {beats}, on campaigns not learned from",
        average_precision=learned,
        label_free=free,
        standard_error=error,
        campaigns=made.campaigns,
        pairs=len(made.same),
    )
    if not learned - free > error:
        return out
    booster = _fitted(made, np.ones(len(made.same), bool), seed)
    manifest = Manifest(
        version=f"p-{rfc3339(created_at)[:19].replace('-', '').replace(':', '')}-{_digest(made)[:8]}",
        created_at=rfc3339(created_at),
        origin="trained",
        code_version=code_version,
        features=COLUMNS,
        feature_fingerprint=fingerprint(),
        data_fingerprint=_digest(made),
        training={
            "as_of": rfc3339(as_of),
            "seed": seed,
            "same": int(made.same.sum()),
            "labelled": made.labelled,
            "campaigns": made.campaigns,
            "pairs": len(made.same),
        },
        lightgbm={"version": lightgbm.__version__, "parameters": {**PARAMETERS, "seed": seed}, "trees": TREES},
        calibration={"tied_at": tied_at, "threshold": TIED},
        policy={},
        metrics={"average_precision": learned, "label_free": free, "standard_error": error},
        gain={name: float(gain) for name, gain in zip(COLUMNS, booster.feature_importance("gain"), strict=True)},
    )
    artefact = make_artefact(manifest, str(booster.model_to_string(importance_type="gain")))
    return replace(out, why=f"kept: {beats}, on campaigns not learned from", artefact=artefact)


def _folds(made: Examples, seed: int) -> tuple[Int64s, Int64s]:
    """The folds of both accounts of each pair: campaigns are dealt out evenly, and confirmed ones apart from refuted.

    An account of no campaign goes wherever the other one is.
    """
    confirmed = np.unique(made.left[made.same])
    refuted = np.setdiff1d(np.concatenate([made.left, made.right]), np.append(confirmed, _NONE))
    fold = np.full(int(max(made.left.max(initial=0), made.right.max(initial=0))) + 2, _NONE, np.int64)  # the last: none
    for campaigns in (confirmed, refuted):
        fold[campaigns[np.argsort(mix64(campaigns + seed))]] = np.arange(len(campaigns)) % FOLDS
    one, other = fold[made.left], fold[made.right]
    neither = (mix64(made.group ^ np.int64(seed)) % np.uint64(FOLDS)).astype(np.int64)
    left = np.where(one >= 0, one, np.where(other >= 0, other, neither))
    return left, np.where(other >= 0, other, left)


def _out_of_fold(made: Examples, seed: int) -> Float64s:
    """(p,) log-odds by models that have seen neither account's campaign; NaN for a pair of two folds' campaigns."""
    one, other = _folds(made, seed)
    out = np.full(len(made.same), np.nan)
    for fold in range(FOLDS):
        asked = (one == fold) & (other == fold)
        booster = _fitted(made, (one != fold) & (other != fold), seed)
        if asked.any():
            out[asked] = booster.predict(made.matrix[asked], raw_score=True, num_threads=1)
    return out


def _fitted(made: Examples, rows: Bools, seed: int) -> lightgbm.Booster:
    train = lightgbm.Dataset(
        made.matrix[rows],
        made.same[rows].astype(np.float32),
        weight=made.weight[rows],
        feature_name=list(COLUMNS),
        params={name: PARAMETERS[name] for name in ("max_bin", "num_threads", "verbosity")},
    )
    return lightgbm.train({**PARAMETERS, "seed": seed}, train, num_boost_round=TREES)


def _compared(made: Examples, strength: Float64s, tested: Int64s, seed: int) -> tuple[float, float, float]:
    """Average precision learned and label-free, and the standard error of the difference, drawn over campaigns."""
    same, weight = made.same[tested].astype(np.float64), made.weight[tested]
    scores = (strength[tested], made.nats[tested])
    learned, free = (_average_precision(one, same, weight) for one in scores)
    _, group = np.unique(made.group[tested], return_inverse=True)
    groups = int(group.max(initial=-1)) + 1
    rng = np.random.default_rng([seed, 2])
    behind = np.empty(RESAMPLES)
    for draw in range(RESAMPLES):
        mass = weight * np.bincount(rng.integers(0, groups, groups), minlength=groups)[group]
        one, other = (_average_precision(each, same, mass) for each in scores)
        behind[draw] = one - other
    return learned, free, float(behind.std())


def _average_precision(score: Float64s, same: Float64s, weight: Float64s) -> float:
    return figures(score, same, weight)["average_precision"] or 0.0


def _tied_at(made: Examples, score: Float64s, tested: Int64s) -> float:
    """The lowest log-odds that, beside what stays tied by its sum, tie no larger a share of strangers than the sum."""
    strangers = tested[~made.same[tested]]
    if not len(strangers):
        return 0.0
    nats, weight = made.nats[strangers], made.weight[strangers]
    stays = nats >= made.tied_from + SPARED
    room = float(weight[(nats >= made.tied_from) & ~stays].sum())
    others = strangers[~stays]
    order = others[np.argsort(-score[others], kind="stable")]
    ends = np.append(np.diff(score[order]) != 0, np.ones(min(1, len(order)), bool))  # equals are tied together
    mass, highest = np.cumsum(made.weight[order])[ends], score[order][ends]
    within = int(np.searchsorted(mass, room * (1 + 1e-9), "right"))
    if within:
        return float(highest[within - 1])
    return float(np.nextafter(highest[0] if len(highest) else score[strangers].max(), np.inf))


def _digest(made: Examples) -> str:
    digest = sha256()
    for part in (made.matrix, made.same, made.weight, made.left, made.right):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()[:16]
