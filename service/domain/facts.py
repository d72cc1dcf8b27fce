"""What the door lets in: facts as parallel numpy columns, with personal data already turned into keys and numbers.

A single signup is a batch of one; an import hands over batches of a hundred thousand. Both walk the same functions.
All arrays of one batch have the same length ``n``; ``account`` is ``hash64(account_id)``. Moments are UTC
microseconds. A key or hash of 0 means "not said" (``present`` masks are not needed: the door maps a true 0 to 1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import overload

import numpy as np
from numpy.typing import NDArray

Int8s = NDArray[np.int8]
Int64s = NDArray[np.int64]
Int32s = NDArray[np.int32]
Float32s = NDArray[np.float32]
Float64s = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """Account ``account[i]`` showed link key ``key[i]`` of kind ``kind[i]`` at ``happened[i]``; shape (n,) each."""

    account: Int64s
    kind: Int32s  # code32 of the kind's name
    key: Int64s  # keyed HMAC of kind and value; two kinds never share a key
    happened: Int64s

    @classmethod
    def empty(cls) -> LinkFacts:
        """No links."""
        none = np.empty(0, np.int64)
        return cls(none, none.astype(np.int32), none, none)

    @classmethod
    def concat(cls, parts: Sequence[LinkFacts]) -> LinkFacts:
        """All rows of ``parts``, in order."""
        some = [part for part in parts if len(part)]
        if len(some) < 2:  # a request mostly has its signup's alone
            return some[0] if some else cls.empty()
        return cls(*(np.concatenate([getattr(part, f.name) for part in some]) for f in fields(cls)))

    def __len__(self) -> int:
        return len(self.key)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> LinkFacts:
        """Some of the rows."""
        return LinkFacts(self.account[rows], self.kind[rows], self.key[rows], self.happened[rows])

    def of(self, accounts: Int64s) -> LinkFacts:
        """The rows of ``accounts``."""
        return self.take(np.isin(self.account, accounts))


@dataclass(frozen=True, slots=True)
class SignupFacts:
    """Signups of ``n`` accounts."""

    account_id: Sequence[str]
    account: Int64s
    created_at: Int64s
    profile: Float32s  # (n, len(PROFILE)); NaN: unknown
    content: Int64s  # keyed hash of the row as said; tells "the same again" from a conflict
    links: LinkFacts

    def __len__(self) -> int:
        return len(self.account)

    def take(self, rows: NDArray[np.intp]) -> SignupFacts:
        """Some of the rows, with the links of their accounts."""
        account = self.account[rows]
        return SignupFacts(
            [self.account_id[i] for i in rows],
            account,
            self.created_at[rows],
            self.profile[rows],
            self.content[rows],
            self.links.of(account),
        )


@dataclass(frozen=True, slots=True)
class PaymentFacts:
    """``n`` payment events."""

    event_id: Sequence[str]
    event: Int64s  # hash64 of event_id
    account: Int64s
    happened: Int64s
    values: Int64s  # (n, len(PAYMENT_COLUMNS)), see tiles/payments.py
    content: Int64s
    links: LinkFacts

    def __len__(self) -> int:
        return len(self.account)

    def take(self, rows: NDArray[np.intp]) -> PaymentFacts:
        """Some of the rows, with the links of their accounts."""
        account = self.account[rows]
        return PaymentFacts(
            [self.event_id[i] for i in rows],
            self.event[rows],
            account,
            self.happened[rows],
            self.values[rows],
            self.content[rows],
            self.links.of(account),
        )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Repeated(Sequence[str]):
    """``n`` texts of which many are the same: each distinct one once. It may hold some that no row has."""

    values: Sequence[str]
    codes: Int64s  # (n,) index into ``values``

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, row: int) -> str: ...

    @overload
    def __getitem__(self, row: slice) -> Repeated: ...

    def __getitem__(self, row: int | slice) -> str | Repeated:
        return self.take(row) if isinstance(row, slice) else self.values[self.codes[row]]

    def __iter__(self) -> Iterator[str]:
        return map(self.values.__getitem__, self.codes.tolist())

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Repeated:
        """Some of the rows."""
        return Repeated(self.values, self.codes[rows])


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Worded:
    """``n`` rows as said, and the content hash that releases before this one kept of such rows."""

    words: Int64s  # (words of a row, n)
    hashed: Callable[[Int64s], Int64s]  # of words (words of a row, m) to shape (m,)

    @classmethod
    def concat(cls, parts: Sequence[Worded | None]) -> Worded | None:
        """All rows, in order; None where some have no words."""
        some = [part for part in parts if part is not None]
        if len(some) < len(parts):
            return None
        return cls(np.concatenate([part.words for part in some], axis=1), some[0].hashed)

    def take(self, rows: NDArray[np.intp]) -> Worded:
        """Some of the rows."""
        return Worded(self.words[:, rows], self.hashed)

    def hashes(self) -> Int64s:
        """Of each row; shape (n,)."""
        return self.hashed(self.words)


@dataclass(frozen=True, slots=True)
class UsageFacts:
    """``n`` exchanges. Token counts of -1: not said."""

    event: Int64s  # hash64 of event_id, of which nothing else is kept
    account_id: Sequence[str]
    account: Int64s
    happened: Int64s
    ip: Int64s  # link key of the address under the current HMAC key; 0: not said
    ip_net: Int64s  # link key of its /24 or /48
    hosted: Int64s  # 1: address of a data centre, VPN or Tor exit; 0: not, or not said
    client: Int64s  # hash64 of the SDK's name; 0: not said
    model: Int64s
    input_tokens: Int64s
    output_tokens: Int64s
    status: Int64s  # 0 ok, 1 error, 2 rate limited, -1 not said
    template: Int64s  # prompt_prefix_hash as signed two's complement; 0: not said
    simhash: Int64s  # prompt_simhash as signed two's complement; 0: not said
    content: Int64s
    links: LinkFacts  # addresses, networks and templates, each (account, key) once at its first moment in the batch
    worded: Worded | None = field(default=None, compare=False)  # to know rows that an older release has kept

    def __len__(self) -> int:
        return len(self.account)


@dataclass(frozen=True, slots=True)
class SignalFacts:
    """``n`` of the customer's own numbers."""

    event: Int64s  # hash64 of event_id, or of the row's identity where it has none
    account: Int64s
    happened: Int64s
    name: Int32s  # code32 of the signal's name
    value: Float64s  # finite
    content: Int64s
    names: tuple[str, ...]  # every name that occurs, once

    def __len__(self) -> int:
        return len(self.account)

    def take(self, rows: NDArray[np.intp]) -> SignalFacts:
        """Some of the rows; ``names`` stay those of the whole batch."""
        return SignalFacts(
            self.event[rows],
            self.account[rows],
            self.happened[rows],
            self.name[rows],
            self.value[rows],
            self.content[rows],
            self.names,
        )


@dataclass(frozen=True, slots=True)
class OwnLinkFacts:
    """``n`` of the customer's own linking keys, as events; row i of ``links`` is event i's."""

    event: Int64s
    content: Int64s
    links: LinkFacts
    kinds: tuple[str, ...]  # every kind name that occurs, once, as ``custom.<key_type>``
    older: LinkFacts = field(default_factory=LinkFacts.empty)  # the same links under secrets that were rotated away

    def __len__(self) -> int:
        return len(self.event)

    def take(self, rows: NDArray[np.intp]) -> OwnLinkFacts:
        """Some of the rows; ``kinds`` stay those of the whole batch."""
        links = self.links.take(rows)
        return OwnLinkFacts(self.event[rows], self.content[rows], links, self.kinds, self.older.of(links.account))
