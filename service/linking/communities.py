"""From ties to groups: connected components, and Leiden inside the large ones.

Components alone percolate: one public prompt and one home address joined a thousand employees with a campaign. Leiden
(Traag, Waltman, van Eck: From Louvain to Leiden, 2019) cuts where ties are thin.
"""

from __future__ import annotations

import graspologic_native as leiden
import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from service.domain.facts import Float64s, Int64s

LARGE = 8  # accounts, from which a component is looked into
RESOLUTION = 2.0  # finer than one: parts of a campaign are joined again by membership, strangers are not told apart


def communities(n: int, left: Int64s, right: Int64s, weight: Float64s, seed: int) -> Int64s:
    """The group of each of ``n`` accounts, -1 for those without a tie; groups are numbered from 0. Deterministic."""
    group = np.full(n, -1, np.int64)
    tied = np.unique(np.concatenate([left, right]))
    if not len(tied):
        return group
    one, other = np.searchsorted(tied, left), np.searchsorted(tied, right)
    ends = (np.concatenate([one, other]), np.concatenate([other, one]))
    graph = coo_array((np.concatenate([weight, weight]), ends), shape=(len(tied), len(tied))).tocsr()
    _, component = connected_components(graph, directed=False)
    large = np.flatnonzero(np.bincount(component)[component] >= LARGE)
    out = component.astype(np.int64)
    if len(large):
        out[large] = len(tied) + _cut(graph, large, RESOLUTION, seed)
        # A campaign that is most of what is tied would be better off as single accounts at a resolution of two.
        alone = np.bincount(out[large])[out[large]] < LARGE // 2
        lost = np.bincount(component[large], weights=alone) > np.bincount(component[large]) / 2
        again = large[lost[component[large]]]
        if len(again):
            out[again] = 2 * len(tied) + _cut(graph, again, 1.0, seed)
    group[tied] = np.unique(out, return_inverse=True)[1]
    return group


def _cut(graph: csr_array, nodes: Int64s, resolution: float, seed: int) -> Int64s:
    """Leiden's community of each of ``nodes``, from 0."""
    inner = graph[nodes][:, nodes].tocsr()
    _, found = leiden.leiden_csr(
        inner.indptr.astype(np.int64),
        inner.indices.astype(np.int32),
        inner.data.astype(np.float64),
        len(nodes),
        resolution=resolution,
        use_modularity=True,
        seed=seed,
    )
    out = np.empty(len(nodes), np.int64)
    out[np.fromiter(found.keys(), np.int64, len(found))] = np.fromiter(found.values(), np.int64, len(found))
    return out


def compact(group: Int64s, smallest: int) -> Int64s:
    """``group`` with those of fewer than ``smallest`` accounts dissolved (-1), and the others numbered from 0."""
    size = np.bincount(group[group >= 0], minlength=1)
    kept = np.flatnonzero(size >= smallest)
    number = np.full(len(size) + 1, -1, np.int64)  # the last one is for -1
    number[kept] = np.arange(len(kept))
    return number[group]
