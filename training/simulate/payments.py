"""Payment methods and charges. Honest people also have prepaid cards, declines and chargebacks; fraudsters also pay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.simulate.members import Crowd
from training.simulate.places import places
from training.simulate.rng import DAY, HOUR, Bools, Floats, Ints, Words, generator, mix, pick, salt, unit, zipf
from training.simulate.signup import Arrivals

METHODS = ("card", "wallet", "bank", "invoice", "prepaid")
METHOD_WEIGHTS = np.array([70, 14, 6, 3, 7])
FUNDING = ("credit", "debit", "prepaid", "unknown")
FUNDING_WEIGHTS = np.array([46, 38, 11, 5])
BINS = 60  # issuers per country
AMOUNTS = np.array([500, 1000, 2000, 2500, 5000, 10000, 20000])
CARD, PREPAID = METHODS.index("card"), METHODS.index("prepaid")


@dataclass(frozen=True, slots=True)
class Means:
    """What each account pays with: indices of method, issuer, funding and country, and a word for the card."""

    method: Ints
    card: Words
    issuer: Ints
    funding: Ints
    country: Ints

    def columns(self, row: Ints, paid: Ints) -> dict[str, list[object]]:
        """Columns of events by accounts ``row``; ``paid`` is the amount, -1 for none."""
        on_card = ((self.method[row] == CARD) | (self.method[row] == PREPAID)).tolist()
        fund = np.where(self.method[row] == PREPAID, FUNDING.index("prepaid"), self.funding[row]).tolist()
        cards, issuers, amounts = self.card[row].tolist(), self.issuer[row].tolist(), paid.tolist()
        money = [places().countries[c].currency for c in self.country[row].tolist()]
        homes, bins = [one.code for one in places().countries], bin_numbers()
        return {
            "method": [METHODS[m] for m in self.method[row].tolist()],
            "card_fingerprint": [f"{c:016x}" if ok else None for c, ok in zip(cards, on_card, strict=True)],
            "card_bin": [bins[i] if ok else None for i, ok in zip(issuers, on_card, strict=True)],
            "card_country": [homes[i // BINS] if ok else None for i, ok in zip(issuers, on_card, strict=True)],
            "card_funding": [FUNDING[f] if ok else None for f, ok in zip(fund, on_card, strict=True)],
            "amount_minor": [a if a >= 0 else None for a in amounts],
            "currency": [m if a >= 0 else None for m, a in zip(money, amounts, strict=True)],
        }


def pay(crowd: Crowd, arrivals: Arrivals, paid_plan: Bools, stolen: Bools, end: int) -> dict[str, object]:
    """The payments table's columns (``row`` in place of account_id), unordered; nothing at or after ``end``.

    ``stolen`` marks people on their own who use somebody else's card.
    """
    rng, size = generator(crowd.seed, "payments"), crowd.population.size
    created, country = arrivals.created, arrivals.country
    common, groups = generator(crowd.seed, "common-payments"), len(crowd.groups)
    pooled = crowd.pooled("card", "cards_per_member")
    method = np.where(pooled >= 0, CARD, pick(rng, METHOD_WEIGHTS, size))
    pays = (rng.random(size) < np.where(paid_plan, 0.85, 0.25)) | stolen
    method = np.where(stolen, CARD, method)
    foreign = rng.random(size) < 0.08
    issuer_country = np.where(foreign, pick(rng, places().shares, size), country)
    issuer = issuer_country * BINS + zipf(rng, BINS, size, 0.9)
    common_issuer = pick(common, places().shares, groups) * BINS + zipf(common, BINS, groups, 0.9)
    issuer = crowd.follow("bin", issuer, common_issuer)
    key = salt(crowd.seed, "card")
    lent = (arrivals.household >= 0) & (rng.random(size) < 0.4)
    own = np.where(lent, arrivals.household + 2**40, np.arange(size) + 2**32)
    holder = np.where(pooled >= 0, pooled, own)
    shared = (pooled >= 0) | lent
    card = mix(holder, key)
    # Whoever pays with a shared card shows the issuer that printed it: drawn from the card, not from the account.
    weights = np.cumsum(places().shares) / places().shares.sum()
    printed = np.where(lent, country, np.searchsorted(weights, unit(mix(holder, key + 1)), side="right"))
    popular = (unit(mix(holder, key + 2)) ** 2.5 * BINS).astype(np.int64)
    issuer = np.where(shared, printed * BINS + popular, issuer)
    funding = pick(rng, FUNDING_WEIGHTS, size)
    # One issuer's cards are mostly of one funding: virtual cards of a fintech are debit or prepaid for everybody.
    house = np.searchsorted(np.cumsum(FUNDING_WEIGHTS) / FUNDING_WEIGHTS.sum(), unit(mix(issuer, 7)), side="right")
    funding = np.where((rng.random(size) < 0.7) | shared, house, funding)
    complaint = np.where(crowd.followers("stolen") | stolen, 0.55, 0.008)
    added = created + (np.exp(rng.normal(np.log(5.0), 2.0, size)) * HOUR).astype(np.int64)
    who = np.flatnonzero(pays)
    events: list[tuple[Ints, Ints, list[str], Ints]] = []
    events.append((who, added[who], ["method_added"] * len(who), np.full(len(who), -1)))
    amount = AMOUNTS[np.minimum(zipf(rng, len(AMOUNTS), size, 0.6), len(AMOUNTS) - 1)]
    charges = np.minimum(rng.geometric(0.45, size), 12)
    at = added + (rng.exponential(20.0, size) * 60_000_000).astype(np.int64)
    for nth in range(int(charges.max(initial=0))):
        now = who[charges[who] > nth]
        declined = rng.random(len(now)) < np.where(crowd.share("stolen")[now] > 0, 0.14, 0.07)
        events.append((now, at[now], np.where(declined, "charge_declined", "charge_succeeded").tolist(), amount[now]))
        good = now[~declined]
        back = good[rng.random(len(good)) < 0.015]
        events.append((back, at[back] + _days(rng, len(back), 2.0), ["refund"] * len(back), amount[back]))
        angry = good[rng.random(len(good)) < complaint[good]]
        events.append((angry, at[angry] + _days(rng, len(angry), 8.0), ["chargeback"] * len(angry), amount[angry]))
        at = at + _days(rng, size, 6.0)
    row = np.concatenate([event[0] for event in events])
    moment = np.concatenate([event[1] for event in events])
    kinds = [kind for event in events for kind in event[2]]
    paid = np.concatenate([event[3] for event in events])
    keep = np.flatnonzero(moment < end)
    means = Means(method, card, issuer, funding, country)
    return {
        "row": row[keep],
        "happened_at": moment[keep],
        "kind": [kinds[i] for i in keep.tolist()],
        **means.columns(row[keep], paid[keep]),
    }


def _days(rng: np.random.Generator, count: int, median: float) -> Ints:
    return (np.exp(rng.normal(np.log(median), 0.7, count)) * DAY).astype(np.int64)


def bin_numbers() -> list[str]:
    """Each issuer's six-digit number, the same in every world; first digits as the large schemes use them."""
    count = len(places().countries) * BINS
    u: Floats = unit(mix(np.arange(count), 11))
    scheme = unit(mix(np.arange(count), 13))
    heads = np.where(scheme < 0.55, 4, np.where(scheme < 0.95, 5, 3))
    found = []
    for head, share in zip(heads.tolist(), u.tolist(), strict=True):
        rest = int(share * 10**5)
        found.append(
            f"4{rest:05d}" if head == 4 else f"5{rest % 50000 + 10000:05d}" if head == 5 else f"37{rest % 10000:04d}"
        )
    return found
