"""Candidate pairs, and how strongly each is tied.

Work per key is bounded by sampling partners, never by dropping keys above a size: every account of a key meets PARTNERS
others of it on either side, and all of a campaign's other keys bring other partners. A key so common that it says
nothing has no candidates; that is a matter of its surprise alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from service.domain.codes import mix64
from service.domain.facts import Float64s, Int64s
from service.linking.families import FAMILIES, by_family, stacked
from service.linking.sightings import Sightings, summed
from service.linking.workers import shared_out

PARTNERS = 8
WORTH_A_LOOK = 4.5  # nats, a key's mean surprise below which it brings no candidates
SLACK = 1.0  # nats off each shared key: many that say little are not one that says much
KEYS_PER_ACCOUNT = 256  # of a kind, the most surprising, that pairs are compared by
FAMILY_PAIR_CAP = 14.0  # nats
_AT_ONCE = 20_000  # pairs, 2 kB each meanwhile
_ROUNDING = 1e-6  # nats that sums in another order may differ by, and more


@dataclass(frozen=True, slots=True, eq=False)
class Ties:
    """Pairs of accounts, ``left`` < ``right``, and the nats that tie them, by family; shapes (p,), (p, FAMILIES)."""

    left: Int64s
    right: Int64s
    families: Float64s

    @property
    def strength(self) -> Float64s:
        """(p,) nats in all."""
        total: Float64s = self.families.sum(axis=1)
        return total


NO_TIES = Ties(np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, len(FAMILIES))))


def candidates(seen: Sightings, surprise: Float64s, seed: int) -> tuple[Int64s, Int64s]:
    """Pairs (left, right) that share a key worth a look, each once, in order. The same seed gives the same pairs."""
    mean = summed(seen.key, surprise, len(seen.degree)) / np.maximum(seen.degree, 1)
    worth = (mean >= WORTH_A_LOOK)[seen.key]
    account, key = seen.account[worth], seen.key[worth]
    order = np.lexsort((mix64(account * 1_000_003 + key + seed * 7_919), key))
    account, key = account[order], key[order]
    degree = seen.degree[key]
    first = np.searchsorted(key, key)
    place = np.arange(len(key)) - first
    found = [np.empty(0, np.int64)]
    for step in range(1, PARTNERS + 1):
        meets = (2 * step < degree) | ((2 * step == degree) & (place < step))
        one = account[meets]
        other = account[first[meets] + (place[meets] + step) % degree[meets]]
        found.append(np.minimum(one, other) * seen.n + np.maximum(one, other))
    code = np.sort(np.concatenate(found))
    code = code[np.concatenate([np.ones(min(1, len(code)), bool), code[1:] != code[:-1]])]
    return code // seen.n, code % seen.n


def ties(seen: Sightings, surprise: Float64s, left: Int64s, right: Int64s, least: float = 0.0) -> Ties:
    """How strongly each pair is tied: of each shared key the mean of both accounts' surprise, less SLACK.

    Pairs that cannot come to ``least`` nats are left out: four fifths of the candidates.
    """
    says = np.maximum(surprise - SLACK, 0.0)
    kind = seen.kind[seen.key]
    kept = _most_surprising(seen, surprise, kind) & (says > 0)
    # One product sums for both: (a + i)(b + i) has a + b as its imaginary part, and is nothing where one has no key.
    weight = csr_array((says[kept] + 1j, (seen.account[kept], seen.key[kept])), shape=(seen.n, len(seen.degree)))

    def of(some: Int64s) -> tuple[Int64s, Float64s]:
        """The pairs among ``some`` that may come to enough, and (pairs, FAMILIES) what each family says."""
        both = weight[left[some]].multiply(weight[right[some]])
        pair = np.repeat(np.arange(len(some)), np.diff(both.indptr))
        nats = 0.5 * both.data.imag
        # Families and caps only take away from the sum over all keys.
        enough = summed(pair, nats, len(some)) >= least - _ROUNDING
        mine, size = enough[pair], int(np.count_nonzero(enough))
        place = seen.kind[both.indices[mine]] * size + (np.cumsum(enough) - 1)[pair[mine]]
        per_kind = summed(place, nats[mine], len(seen.kinds) * size)
        return some[enough], by_family(per_kind.reshape(len(seen.kinds), -1).T, seen.kinds, FAMILY_PAIR_CAP)

    every = np.arange(len(left))
    parts = [every[low : low + _AT_ONCE] for low in range(0, len(left), _AT_ONCE)] or [every]
    found = list(shared_out(of, parts) if len(parts) > 1 else map(of, parts))
    near = np.concatenate([pairs for pairs, _ in found])
    return Ties(left[near], right[near], stacked([nats for _, nats in found]))


def _most_surprising(seen: Sightings, surprise: Float64s, kind: Int64s) -> NDArray[np.bool_]:
    """Rows among the KEYS_PER_ACCOUNT most surprising ones of their account and kind."""
    group = seen.account * len(seen.kinds) + kind
    many: NDArray[np.bool_] = np.bincount(group)[group] > KEYS_PER_ACCOUNT
    out: NDArray[np.bool_] = ~many
    rows = np.flatnonzero(many)
    order = rows[np.lexsort((seen.key[rows], -surprise[rows], group[rows]))]
    grouped = group[order]
    rank = np.arange(len(order)) - np.searchsorted(grouped, grouped)
    out[order[rank < KEYS_PER_ACCOUNT]] = True
    return out
