"""How improbable it is that an account showed a key by chance, from the data's own rates.

The null says: an unrelated account draws its keys at the rates at which accounts of its country show them, as often as
it draws keys of that kind at all. So half of a country on one mail provider is worth nothing, a batch user's
thousandth prompt little, and two accounts on one rare prompt much; no list of exceptions is kept. (Unsupervised
weights from the data's own rates: Unveiling Fake Accounts at the Time of Registration, KDD 2021.)
"""

from __future__ import annotations

import numpy as np

from service.domain.facts import Float64s, Int64s
from service.linking.sightings import Sightings, counted, summed

STEADY = 300.0  # showings in a country, below which its rate leans on everybody's


def surprise(seen: Sightings, country: Int64s) -> Float64s:
    """Nats for each row of ``seen``: -log of the chance that the row's account has the row's key.

    ``country`` of shape (n,) is any small integer; accounts of unknown country are a country of their own.
    """
    where, place = np.unique(country, return_inverse=True)
    shown = np.stack([summed(place, row, len(where)) for row in seen.shown])
    everywhere = seen.degree / np.maximum(shown.sum(axis=1), 1)[seen.kind]
    home = place[seen.account]
    count = counted(seen.key * len(where) + home)
    local = (count + everywhere[seen.key] * STEADY) / (shown[seen.kind[seen.key], home] + STEADY)
    rate = np.maximum(local, everywhere[seen.key])
    draws = seen.shown[seen.kind[seen.key], seen.account]
    out: Float64s = -np.log(np.maximum(-np.expm1(-rate * draws), 1e-12))
    return out
