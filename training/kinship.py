"""Which accounts stand or fall together, as far as the product can know: those that share a key that few have.

Honest accounts come in groups (a university, an agency on one card, a hall of a hackathon), and a model that is wrong
about one of them is wrong about its fellows. Groups are components of accounts and private keys, tied kind by kind from
the strongest to the weakest; what a kind would tie into a crowd of more than ``LARGEST`` it does not tie. Addresses tie
only accounts that nothing else does, each to the address that it was seen at first: along all addresses that people
pass through, 1,707 of 2,821 held-out accounts of one world were a single component.

People who share nothing but prompts (a worldwide course) are not seen as a group. To call too many accounts one group
makes thresholds more careful, to call too few makes them less.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from service.domain.codes import code32
from service.domain.facts import Float32s, Int32s, Int64s
from service.domain.profile import PROFILE_INDEX

LARGEST = 2_000  # accounts of one group
TYING = ("mailbox", "phone", "device", "card", "mail_domain", "ip")  # the strongest first; own kinds come before "ip"
ANYBODYS = ("mail_free", "mail_relay", "mail_disposable", "mail_suffix_shared")  # mail domains that tie nobody


class Linked(Protocol):
    """What this reads of the store."""

    def link_rows(
        self, as_of: int, since: int = -(2**62), kinds: tuple[int, ...] = ()
    ) -> tuple[Int64s, Int64s, Int32s, Int64s]:
        """Links learned by ``as_of`` as (account, key, kind, learned), of some kinds."""
        ...

    def names(self, kind: str) -> dict[int, str]:
        """Names of the customer's link kinds (``kind``)."""
        ...


@dataclass(frozen=True, slots=True)
class Kin:
    """Of ``n`` accounts, shape (n,) each."""

    group: Int64s  # a number that the accounts of one group have in common
    size: Int64s  # accounts in it
    tie: tuple[str, ...]  # kind of key that ties most of its accounts; "" where an account is on its own


def kinship(source: Linked, account: Int64s, profile: Float32s, as_of: int) -> Kin:
    """Groups of ``account`` (n,), ascending, as they were known at ``as_of``; ``profile`` is (n, PROFILE) facts."""
    own = sorted(source.names("kind").values())
    kinds = (*TYING[:-1], *own, TYING[-1])
    who, key, kind, learned = source.link_rows(as_of, kinds=tuple(code32(name) for name in kinds))
    place = np.minimum(np.searchsorted(account, who), max(len(account) - 1, 0))
    there = account[place] == who if len(account) else np.zeros(len(who), bool)
    place, key, kind, learned = place[there], key[there], kind[there], learned[there]
    anybodys = np.nan_to_num(profile[:, [PROFILE_INDEX[name] for name in ANYBODYS]]).max(axis=1, initial=0) > 0
    tied = ~((kind == code32("mail_domain")) & anybodys[place])
    tied &= (kind != code32("ip")) | _first_seen(place, key, kind == code32("ip"), learned)
    place, key, kind = place[tied], key[tied], kind[tied]
    group = np.arange(len(account))
    for name in kinds[:-1]:
        of = kind == code32(name)
        group = _tied(group, place[of], key[of])
    of = kind == code32(kinds[-1])
    group = _housed(group, place[of], key[of])
    return _told(group, place, key, kind, kinds)


def _tied(group: Int64s, place: Int64s, key: Int64s) -> Int64s:
    """``group`` with groups joined that share a key, unless that makes more than ``LARGEST`` of them."""
    if not len(key):
        return group
    n = len(group)
    _, of = np.unique(key, return_inverse=True)
    rows, columns = group[place], n + of
    count = n + int(of.max()) + 1
    graph = coo_array((np.ones(len(rows), np.int8), (rows, columns)), shape=(count, count))
    _, label = connected_components(graph, directed=False)
    joined = label[group]
    size = np.bincount(joined, minlength=int(label.max()) + 1)
    least = np.full(len(size), n)
    np.minimum.at(least, joined, group)
    out: Int64s = np.where(size[joined] <= LARGEST, least[joined], group)
    return out


def _first_seen(place: Int64s, key: Int64s, among: NDArray[np.bool_], learned: Int64s) -> NDArray[np.bool_]:
    """Which rows are the first of their account ``among`` some; of the same moment the smaller key."""
    rows = np.flatnonzero(among)
    order = rows[np.lexsort((key[rows], learned[rows], place[rows]))]
    out = np.zeros(len(place), bool)
    out[order[np.unique(place[order], return_index=True)[1]]] = True
    return out


def _housed(group: Int64s, place: Int64s, key: Int64s) -> Int64s:
    """``group`` with accounts that are on their own joined where their key is the same; each has one at most."""
    _, home, shown = np.unique(key, return_inverse=True, return_counts=True)
    alone = np.bincount(group, minlength=len(group))[group] == 1
    rows = np.flatnonzero(alone[place] & (shown[home] <= LARGEST))
    _, first, which = np.unique(home[rows], return_index=True, return_inverse=True)
    out = group.copy()
    out[place[rows]] = place[rows][first][which]
    return out


def _told(group: Int64s, place: Int64s, key: Int64s, kind: Int32s, kinds: tuple[str, ...]) -> Kin:
    _, number, size = np.unique(group, return_inverse=True, return_counts=True)
    sizes = size[number]
    rank = np.searchsorted(np.sort(_codes(kinds)), kind)
    order = np.argsort(_codes(kinds))
    # a key counts for a group once for each of its accounts that shows it, if two of them do
    pair = np.stack([number[place], order[rank], key], axis=1) if len(place) else np.empty((0, 3), np.int64)
    keys, times = np.unique(pair, axis=0, return_counts=True)
    shared = times >= 2
    votes = np.zeros((len(size), len(kinds)))
    np.add.at(votes, (keys[shared, 0], keys[shared, 1]), times[shared])
    best = votes.argmax(axis=1)
    names = np.array([*kinds, ""])
    tie = names[np.where(size > 1, best, len(kinds))]
    return Kin(number.astype(np.int64), sizes.astype(np.int64), tuple(tie[number].tolist()))


def _codes(kinds: tuple[str, ...]) -> NDArray[np.int32]:
    return np.array([code32(name) for name in kinds], np.int32)
