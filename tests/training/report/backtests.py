"""A backtest's report as the replay writes it, of any size, for tests and for looking at."""

from __future__ import annotations

from typing import Any

import numpy as np

from service.domain.time import HOUR, rfc3339
from tests.factories import NOON


def make_backtest(*, steps: int = 40, campaigns: int = 4, models: int = 3, seed: int = 1) -> dict[str, Any]:
    """Numbers that fit each other: cumulative ones rise, parts are not more than their whole."""
    rng = np.random.default_rng(seed)
    moments = [NOON + 6 * HOUR * (i + 1) for i in range(steps)]
    touched = np.cumsum(rng.integers(0, 9, steps)).tolist()
    known = [_labelled(f"case-{i:04x}", int(rng.integers(12, 400)), moments, rng) for i in range(campaigns)]
    return {
        "kind": "backtest",
        "from": rfc3339(NOON),
        "to": rfc3339(moments[-1] if moments else NOON),
        "step_hours": 6,
        "retrain_every_days": 7,
        "friction_budget": 0.001,
        "seed": seed,
        "seconds": 1234.5,
        "started_from": {"model_version": "starter-1", "origin": "starter", "why": "no labels before the start"},
        "counts": {
            "accounts": 50_000,
            "signups": 31_000,
            "exchanges": 9_012_345,
            "labels_at_start": 0,
            "labels_at_end": 812,
        },
        "steps": [
            {
                "at": rfc3339(at),
                "signups": int(rng.integers(50, 400)),
                "rescored": int(rng.integers(1000, 9000)),
                "touched": touched[i],
                "campaigns": min(campaigns, i // 9),
                "members": 31 * min(campaigns, i // 9),
                "exchanges": int(40_000 + 20_000 * np.sin(i * np.pi / 2) + rng.integers(0, 5_000)),
                "seconds": round(float(rng.uniform(3, 9)), 2),
            }
            for i, at in enumerate(moments)
        ],
        "models": [_model(i, moments[min(steps - 1, 7 + 12 * i)]) for i in range(models if steps else 0)],
        "decisions": {
            "signup": {"allow": 30_600, "challenge": 310, "throttle": 70, "review": 20, "block": 0},
            "rescore": {"allow": 40, "challenge": 120, "throttle": 60, "review": 30, "block": 2},
            "campaign": {"challenge": 400, "throttle": 300, "review": 12},
        },
        "campaigns": [
            {
                "campaign_id": f"c-{one['campaign_id']}",
                "state": "detected" if i % 3 else "confirmed",
                "detected_at": rfc3339(moments[min(steps - 1, 6 + i % 20)]),
                "members": one["members"],
                "first_signup_at": rfc3339(NOON + i * HOUR),
                "exchanges": one["exchanges"],
                "exchanges_before": one["exchanges_before"],
                "strongest": ["template: 61 of 64 members", "card issuer (BIN): 40 of 64 members"],
                "timeline": [
                    {"at": point["at"], "members": point["members"], "exchanges": point["exchanges"]}
                    for point in one["timeline"]
                ],
            }
            for i, one in enumerate(known)
        ],
        "labelled_campaigns": known,
        "honest": {
            "basis": "accounts that an analyst called legitimate, and unlabelled ones of no campaign",
            "accounts": 48_000,
            "touched": 41,
            "share": 41 / 48_000,
            "low": 0.00061,
            "high": 0.00116,
            "segments": [
                *(_segment("country", value, rng) for value in ("US", "DE", "FR", "GB", "BR", "IN", "JP", "PL")),
                *(_segment("plan", value, rng) for value in ("free", "team", "enterprise")),
                *(_segment("mail kind", value, rng) for value in ("free mail", "own domain", "university")),
                {
                    "segment": "honest_group",
                    "value": "hackathon <hall>",
                    "accounts": 600,
                    "touched": 12,
                    "share": 0.02,
                    "low": 0.0115,
                    "high": 0.0346,
                },
                {
                    "segment": "honest_group",
                    "value": "university",
                    "accounts": 812,
                    "touched": 0,
                    "share": 0.0,
                    "low": 0.0,
                    "high": 0.0047,
                },
            ],
        },
        "unlabelled": {"accounts": 40_100, "touched": 88, "share": 88 / 40_100},
        "warnings": ["no labels before --from: it starts from the starter model, and unlabelled counts as unknown"],
        "known_limits": ["Nobody reacts to what the replay decides: facts are those of the real past."],
    }


def _labelled(name: str, members: int, moments: list[int], rng: np.random.Generator) -> dict[str, Any]:
    if not moments:
        return {
            "campaign_id": name,
            "members": members,
            "caught": 0,
            "recall": 0.0,
            "exchanges": 0,
            "exchanges_before": 0,
            "median_days_to_catch": None,
            "timeline": [],
        }
    start, n = int(rng.integers(0, max(1, len(moments) // 2))), len(moments)
    there = np.clip((np.arange(n) - start) / max(1, n // 5), 0, 1)
    caught = np.clip((np.arange(n) - start - 3) / max(1, n // 5), 0, 1) * rng.uniform(0.6, 1)
    used = np.cumsum(there * members * 6)
    through = np.cumsum((there - np.minimum(caught, there)) * members * 6)
    line = [
        {
            "at": rfc3339(moments[i]),
            "members": int(there[i] * members),
            "caught": int(caught[i] * members),
            "exchanges": int(used[i]),
            "exchanges_let_through": int(through[i]),
        }
        for i in range(n)
    ]
    return {
        "campaign_id": name,
        "members": members,
        "caught": line[-1]["caught"],
        "recall": line[-1]["caught"] / members,
        "exchanges": line[-1]["exchanges"],
        "exchanges_before": line[-1]["exchanges_let_through"],
        "median_days_to_catch": round(float(rng.uniform(0.2, 6)), 2),
        "timeline": line,
    }


def _model(i: int, at: int) -> dict[str, Any]:
    why = (
        "promoted: not worse than the starter model beyond noise on held-out accounts: recall 0.31 against 0.02"
        if i % 2 == 0
        else "refused: worse than trained model m-1 beyond noise on held-out accounts: recall at the friction budget "
        "0.21 against 0.34 (difference -0.19 to -0.04)"
    )
    return {
        "at": rfc3339(at),
        "model_version": f"m-{i}",
        "origin": "trained",
        "promoted": i % 2 == 0,
        "why": why,
        "positives": 120 + 90 * i,
        "campaigns": 4 + i,
        "metrics": {
            "roc_auc": 0.71 + 0.02 * i,
            "average_precision": 0.3,
            "recall_at_budget": 0.2,
            "calibration_error": 0.012,
        },
    }


def _segment(name: str, value: str, rng: np.random.Generator) -> dict[str, Any]:
    accounts = int(rng.integers(200, 12_000))
    touched = int(rng.poisson(accounts * 0.0008))
    share = touched / accounts
    half = 1.96 * (share * (1 - share) / accounts + (1.96 / (2 * accounts)) ** 2) ** 0.5
    middle = (share + 1.92 / accounts) / (1 + 3.84 / accounts)
    return {
        "segment": name,
        "value": value,
        "accounts": accounts,
        "touched": touched,
        "share": share,
        "low": max(0.0, middle - half),
        "high": middle + half,
    }
