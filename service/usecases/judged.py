"""The judge as this installation's verdicts have calibrated it."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from service.domain.campaigns import CampaignState
from service.domain.codes import hash64_many
from service.domain.detection import STATE_CODES, Bools, CampaignRows, Standing
from service.domain.facts import Float64s, Int64s
from service.linking.judge import SURE, Judge, calibrated

FEWEST = 8  # campaigns that analysts confirmed or refuted; fewer say more about themselves than about the next one
_JUDGED = (CampaignState.CONFIRMED, CampaignState.REFUTED)


class Verdicts(Protocol):
    """What is read."""

    def campaign_rows(
        self, accounts: Int64s | None = None, keys: Int64s | None = None, as_of: int | None = None
    ) -> CampaignRows: ...


def judge_now(store: Verdicts, judge: Judge, standing: Standing) -> Judge:
    """``judge``, calibrated where analysts have judged FEWEST of the campaigns that stand and that a run had found."""
    names = [
        name
        for name, state, origin in zip(standing.campaign_id, standing.state, standing.origin, strict=True)
        if state in _JUDGED and origin != "label"
    ]
    if len(names) < FEWEST:
        return judge
    rows = store.campaign_rows(keys=np.empty(0, np.int64))
    log_odds, confirmed = when_judged(rows, hash64_many(names), standing.as_of)
    return calibrated(judge, log_odds, confirmed) if len(log_odds) >= FEWEST else judge


def when_judged(rows: CampaignRows, campaigns: Int64s, as_of: int) -> tuple[Float64s, Bools]:
    """The log-odds that judged campaigns had when analysts said what stands at ``as_of``, and whether they confirmed.

    Not those of now: what a run makes of a campaign follows from its verdict (its members are stopped, the judge is
    calibrated), and runs would never settle. Campaigns that no run had scored by then are left out.
    """
    there = (rows.state_at <= as_of) & np.isin(rows.state_campaign, campaigns)
    campaign, at = rows.state_campaign[there], rows.state_at[there]
    order = np.lexsort((at, campaign))
    campaign = campaign[order]
    state, score = rows.state[there][order], rows.state_score[there][order]
    begins = np.ones(len(campaign), bool)  # of a span in which a campaign is in one state
    begins[1:] = (campaign[1:] != campaign[:-1]) | (state[1:] != state[:-1])
    spans = np.flatnonzero(begins)
    last = spans[np.append(campaign[spans][1:] != campaign[spans][:-1], np.ones(min(1, len(spans)), bool))]
    judged = np.isin(state[last], [STATE_CODES[each] for each in _JUDGED]) & ~np.isnan(score[last])
    last = last[judged]
    edge = 1.0 / (1.0 + np.exp(SURE))
    chance = np.clip(score[last], edge, 1.0 - edge)
    return np.log(chance / (1.0 - chance)), state[last] == STATE_CODES[CampaignState.CONFIRMED]
