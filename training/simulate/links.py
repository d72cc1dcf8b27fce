"""Customers' own linking keys and numbers: codes that groups share, codes and wallets of anybody, small signals."""

from __future__ import annotations

import numpy as np

from training.simulate.members import Crowd
from training.simulate.rng import DAY, HOUR, Bools, Ints, Words, generator, mix, salt, zipf

PUBLIC_CODES = 60  # coupons and referral codes that went round
Rows = dict[str, object]


def link(crowd: Crowd, created: Ints, end: int) -> Rows:
    """The links table's columns with ``row`` in place of account_id."""
    rng, size, key = generator(crowd.seed, "links"), crowd.population.size, salt(crowd.seed, "links")
    row: list[Ints] = []
    kind: list[str] = []
    value: list[Words] = []
    for name, share, pool in (
        ("referral_code", 0.09, PUBLIC_CODES),
        ("promo_code", 0.06, PUBLIC_CODES),
        ("wallet_counterparty", 0.03, max(20, size // 60)),
    ):
        who = np.flatnonzero(rng.random(size) < share)
        row.append(who)
        kind += [name] * len(who)
        value.append(mix(zipf(rng, pool, len(who), 0.9), key + len(name)))
    # A referrer's own code, used by a few friends.
    friends = np.flatnonzero(rng.random(size) < 0.06)
    row.append(friends)
    kind += ["referral_code"] * len(friends)
    value.append(mix(rng.integers(0, max(1, len(friends) // 3), len(friends)) + 2**33, key))
    follows = crowd.followers("code")
    for group, cohesion in crowd.groups:
        members = group.members[follows[group.members]]
        own = generator(crowd.seed, "group-codes", group.index)
        codes = max(1, round(len(members) / own.uniform(8, 200)))
        borrowed = cohesion.code_type != "sso_tenant" and own.random() < 0.25  # an old coupon from a public board
        number = own.integers(0, codes, len(members)) + (group.index + 1) * 2**34
        shared = zipf(own, PUBLIC_CODES, len(members), 0.9)
        row.append(members)
        kind += [cohesion.code_type] * len(members)
        value.append(mix(np.where(borrowed, shared, number), key + len(cohesion.code_type)))
    rows = np.concatenate(row)
    moment = created[rows] + (rng.exponential(0.05, len(rows)) * HOUR).astype(np.int64)
    values = [f"{word:012x}"[:12] for word in np.concatenate(value).tolist()]
    keep = np.flatnonzero(moment < end)
    return {
        "row": rows[keep],
        "happened_at": moment[keep],
        "key_type": [kind[i] for i in keep.tolist()],
        "key_value": [values[i] for i in keep.tolist()],
    }


def signal(crowd: Crowd, created: Ints, phone_given: Bools, end: int) -> Rows:
    """The signals table's columns with ``row`` in place of account_id."""
    rng, size = generator(crowd.seed, "signals"), crowd.population.size
    common = generator(crowd.seed, "common-signals").standard_normal(len(crowd.groups))
    pulled = crowd.pull("form", rng.standard_normal(size), common)
    everyone = np.arange(size)
    seconds, hours = 1_000_000, HOUR
    tables = (
        (
            "captcha_score",
            everyone[rng.random(size) < 0.9],
            np.round(1 / (1 + np.exp(-1.4 - 0.9 * pulled)), 3),
            5 * seconds,
        ),
        (
            "docs_pages_viewed",
            everyone[rng.random(size) < 0.6],
            rng.poisson(rng.gamma(0.8, 4.0, size)).astype(np.float64),
            6 * hours,
        ),
        ("phone_verified", np.flatnonzero(phone_given & (rng.random(size) < 0.12)), np.ones(size), 30 * hours),
        ("support_tickets", everyone[rng.random(size) < 0.05], rng.geometric(0.7, size).astype(np.float64), 4 * DAY),
    )
    row = np.concatenate([who for _, who, _, _ in tables])
    value = np.concatenate([values[who] for _, who, values, _ in tables])
    names = [name for name, who, _, _ in tables for _ in range(len(who))]
    wait = np.concatenate([np.full(len(who), float(mean)) for _, who, _, mean in tables])
    moment = created[row] + (rng.exponential(1.0, len(row)) * wait).astype(np.int64)
    keep = np.flatnonzero(moment < end)
    return {
        "row": row[keep],
        "happened_at": moment[keep],
        "name": [names[i] for i in keep.tolist()],
        "value": value[keep],
    }
