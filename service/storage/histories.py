"""Bulk reads: histories of all accounts, or many, chunk by chunk, valid for probes at any moment."""
# ruff: noqa: S608 - statements are put together from names of our own; what comes from outside is a parameter

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from service.domain.facts import Int32s
from service.storage.allpayments import AllPayments
from service.storage.belonging import AllCampaigns
from service.storage.gathered import Rows, integers_of, packed_of, ranges
from service.storage.keycounts import count_keys
from service.storage.layouts import Packed
from service.storage.listing import RANGE
from service.storage.listing import accounts as known_accounts
from service.storage.memory import Memory
from service.storage.reading import payment_history, signal_rows, signed_up
from service.storage.sql import Int64s, blocks, columns_of, run
from service.storage.usagerows import merged
from service.storage.wide import integers
from service.tiles.history import History, KeyCounts, KeyRows, OwnLinks, SignalRows, VerdictSpans
from service.tiles.rows import Tiles

LINKS_IN_MEMORY = 10_000_000  # 52 bytes each; larger link tables are asked key by key
LINKS_IN_A_STEP = 100_000  # that the database puts together
HUB = 5_000  # accounts; rows of keys with more are kept between chunks, as most chunks want them
HUB_ROWS = 20_000_000  # 24 bytes each
MOST = 5  # where one account in so many is wanted, the whole link table is read or counted at once
_FIRST_CHUNK = 2_000  # accounts


class Links(Protocol):
    """The link table, to be asked by chunk of accounts and by key."""

    def own(self, chunk: _Chunk) -> OwnLinks:
        """Keys of the chunk's accounts."""
        ...

    def on(self, keys: Int64s, spans: VerdictSpans) -> tuple[KeyRows | KeyCounts, KeyRows]:
        """Everybody on these keys, or how many at the one moment that is asked about, and those who have a span."""
        ...


class _Chunk:
    """Some accounts, ascending, and the condition that finds their rows."""

    def __init__(self, accounts: Int64s, *, every: bool) -> None:
        self.accounts = accounts
        if every:  # a range scan; rows of accounts without a signup come along and are dropped
            self.where = "account BETWEEN :low AND :high"
            self.parameters: dict[str, Any] = {"low": int(accounts[0]), "high": int(accounts[-1])}
        else:
            self.where, self.parameters = "account IN @accounts", {"accounts": accounts}

    def has(self, account: Int64s) -> NDArray[np.bool_]:
        place = np.minimum(np.searchsorted(self.accounts, account), len(self.accounts) - 1)
        return np.equal(self.accounts[place], account)


def histories(
    connection: Connection,
    memory: Memory,
    rows: int,
    accounts: Int64s | None,
    links: Links | None = None,
    as_of: int | None = None,
    *,
    signals: bool = True,
) -> Iterator[History]:
    """See ``Store.histories``; ``accounts`` ascending, None: all that have signed up."""
    every = accounts is None
    wanted = known_accounts(connection, None, 2**62) if accounts is None else accounts
    if not len(wanted):
        return
    spans = VerdictSpans(
        *columns_of(run(connection, "SELECT account, verdict, start_at, end_at FROM verdict_spans"), 4)
    )
    if links is None:
        links = _links(connection, len(wanted)) if as_of is None else _Counted(connection, len(wanted), as_of)
    campaigns = AllCampaigns(connection)
    payments = _all_payments(connection, memory, wanted)
    at, size = 0, _FIRST_CHUNK
    while at < len(wanted):
        chunk = _Chunk(wanted[at : at + size], every=every)
        history = _read(connection, memory, chunk, links, spans, campaigns, payments, signals=signals)
        yield history
        at += len(chunk.accounts)
        # Account keys are hashes, so any range of them is a fair sample of what an account has.
        per_account = (len(history.usage) + len(history.own.key) + 1) / len(chunk.accounts)
        size = int(min(max(rows / per_account, 500), 50 * size))


def _read(
    connection: Connection,
    memory: Memory,
    chunk: _Chunk,
    links: Links,
    spans: VerdictSpans,
    campaigns: AllCampaigns,
    held: AllPayments | None,
    *,
    signals: bool,
) -> History:
    where, values = chunk.where, chunk.parameters
    known = Rows("accounts", f"{where} AND erased_at IS NULL", values)
    (who, created, signed), profiles = packed_of(connection, known, ("account", "created_at", "learned_at"), "profile")
    paid = held.of(chunk.accounts) if held is not None else _payments(connection, memory, chunk)
    user, weeks = _weeks(connection, Rows("usage_tiles", where, values, "account, last_hour"))
    told_by = f"SELECT account, name, happened_at, learned_at, value FROM signals WHERE {where}"
    said = signal_rows(run(connection, told_by, **values) if signals else [])
    of = memory.layouts_for(connection, profiles.used() | weeks.used())
    own = links.own(chunk)
    keys = _distinct(own.key)
    sharing, marked = links.on(keys, spans)
    told = np.isin(spans.account, marked.account) | chunk.has(spans.account)
    return History(
        **signed_up(chunk.accounts, who, created, signed, profiles, of),
        usage=_of(merged(user, weeks, of), chunk),
        payments=_of(paid, chunk),
        signals=SignalRows(*_rows(said, chunk)),
        own=own,
        sharing=sharing,
        marked=marked,
        spans=VerdictSpans(spans.account[told], spans.verdict[told], spans.start[told], spans.end[told]),
        campaigns=campaigns.of(chunk.accounts, keys),
    )


def _all_payments(connection: Connection, memory: Memory, wanted: Int64s) -> AllPayments | None:
    """None: they are read chunk by chunk, of which PostgreSQL fetches the pages in the order in which they lie."""
    if connection.dialect.name == "postgresql" or len(wanted) * MOST < _known(connection):
        return None
    return AllPayments(connection, memory, wanted)


def _known(connection: Connection) -> int:
    return int(run(connection, "SELECT count(*) FROM accounts")[0][0])


def _payments(connection: Connection, memory: Memory, chunk: _Chunk) -> Tiles:
    rows = Rows("payments", chunk.where, chunk.parameters)
    (account, learned), facts = packed_of(connection, rows, ("account", "learned_at"), "facts")
    return payment_history(account, learned, facts, memory.layouts_for(connection, facts.used()))


def _weeks(connection: Connection, rows: Rows) -> tuple[Int64s, Packed]:
    """Packed tiles in order of time, and their accounts.

    A bulk import leaves a week in several parts; what is in order need not be sorted by tile.
    """
    (account, hour), packed = packed_of(connection, rows, ("account", "last_hour"), "tiles")
    by = np.lexsort((hour, account))
    return account[by], packed.take(by)


def _distinct(values: Int64s) -> Int64s:
    """Ascending, each once; numpy's own ``unique`` hashes them, which takes four times as long."""
    out = np.sort(values)
    return out[np.append(True, out[1:] != out[:-1])] if len(out) else out


def _of(tiles: Tiles, chunk: _Chunk) -> Tiles:
    mine = chunk.has(tiles.account)
    return tiles if mine.all() else Tiles(tiles.account[mine], tiles.time[mine], tiles.values[mine])


def _rows(rows: SignalRows, chunk: _Chunk) -> list[Any]:
    mine = chunk.has(rows.account)
    return [getattr(rows, name)[mine] for name in SignalRows.__dataclass_fields__]


def hold_links(connection: Connection) -> Links:
    """See ``Store.hold_links``."""
    return _Held(connection, run(connection, "SELECT count(*) FROM links")[0][0])


def _links(connection: Connection, wanted: int) -> Links:
    count = run(connection, "SELECT count(*) FROM links")[0][0]
    most = wanted * MOST >= _known(connection)
    return _Held(connection, count) if count <= LINKS_IN_MEMORY and most else _Asked(connection)


class _Held:
    """The whole link table in memory, once by account and once by key."""

    def __init__(self, connection: Connection, count: int) -> None:
        self.account, self.key, self.learned = (np.empty(count, np.int64) for _ in range(3))
        self.kind: Int32s = np.empty(count, np.int32)
        at = 0
        for low, high in ranges(count // LINKS_IN_A_STEP + 1):
            account, kind, key, learned = _links_of(connection, RANGE, {"low": low, "high": high})
            here = slice(at, at + len(account))
            self.account[here], self.kind[here], self.key[here], self.learned[here] = account, kind, key, learned
            at += len(account)
        # each key's rows in the order in which the fold asks for them: a hub's would be sorted by every chunk else
        by = np.lexsort((self.learned, self.key))
        self.by_key = KeyRows(self.key[by], self.account[by], self.learned[by])
        self._marked: tuple[VerdictSpans, KeyRows] | None = None  # of the spans that were asked about last

    def own(self, chunk: _Chunk) -> OwnLinks:
        rows = _ranges(self.account, chunk.accounts)
        return OwnLinks(self.account[rows], self.kind[rows], self.key[rows], self.learned[rows])

    def on(self, keys: Int64s, spans: VerdictSpans) -> tuple[KeyRows, KeyRows]:
        marked = self._marked
        if marked is None or marked[0] is not spans:
            self._marked = marked = spans, _under(self.by_key, spans)
        return _on(self.by_key, keys), _on(marked[1], keys)


def _on(by_key: KeyRows, keys: Int64s) -> KeyRows:
    rows = _ranges(by_key.key, keys)
    return KeyRows(by_key.key[rows], by_key.account[rows], by_key.learned[rows])


def _under(rows: KeyRows, spans: VerdictSpans) -> KeyRows:
    """Rows whose account has a span."""
    under = np.isin(rows.account, spans.account)
    return KeyRows(rows.key[under], rows.account[under], rows.learned[under])


def _ranges(ascending: Int64s, values: Int64s) -> Int64s:
    """Places of all elements of ``ascending`` that are among ``values``."""
    low, high = np.searchsorted(ascending, values, "left"), np.searchsorted(ascending, values, "right")
    count = high - low
    places: Int64s = np.arange(count.sum()) + np.repeat(low - (np.cumsum(count) - count), count)
    return places


def _links_of(connection: Connection, where: str, parameters: dict[str, Any]) -> list[Int64s]:
    """Accounts' keys, by account; PostgreSQL has an index with them in the order that the fold wants."""
    rows = Rows("links", where, parameters, "account, kind, learned_at DESC, key")
    return integers_of(connection, rows, ("account", "kind", "key", "learned_at"))


def _own(connection: Connection, chunk: _Chunk) -> OwnLinks:
    account, kind, key, learned = _links_of(connection, chunk.where, chunk.parameters)
    mine = chunk.has(account)
    if not mine.all():
        account, kind, key, learned = account[mine], kind[mine], key[mine], learned[mine]
    return OwnLinks(account, kind.astype(np.int32), key, learned)


class _Counted:
    """The link table at one moment: keys are counted where they are, and only rows of one's own are read, and marks."""

    def __init__(self, connection: Connection, wanted: int, as_of: int) -> None:
        self._connection = connection
        self._counts = count_keys(connection, as_of, every=wanted * MOST >= _known(connection))
        self._marked = KeyRows(*np.ascontiguousarray(integers(connection, _MARKED, 3).T))

    def own(self, chunk: _Chunk) -> OwnLinks:
        return _own(self._connection, chunk)

    def on(self, keys: Int64s, spans: VerdictSpans) -> tuple[KeyCounts, KeyRows]:  # noqa: ARG002  those of all accounts
        return self._counts.of(keys), _on(self._marked, keys)


_MARKED = (
    "SELECT key, account, learned_at FROM links WHERE account IN (SELECT account FROM verdict_spans) "
    "ORDER BY key, learned_at"
)


class _Asked:
    """The link table where it is, with the rows of hub keys kept."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._hubs: dict[int, tuple[Int64s, Int64s]] = {}
        self._held = 0

    def own(self, chunk: _Chunk) -> OwnLinks:
        return _own(self._connection, chunk)

    def on(self, keys: Int64s, spans: VerdictSpans) -> tuple[KeyRows, KeyRows]:
        hubs = [key for key in keys.tolist() if key in self._hubs]
        parts = [(np.full(len(self._hubs[key][0]), key), *self._hubs[key]) for key in hubs]
        asked = np.setdiff1d(keys, np.array(hubs, np.int64), assume_unique=True)
        sql = "SELECT key, account, learned_at FROM links WHERE key IN @keys"
        for i in range(0, len(asked), 20_000):
            for block in blocks(self._connection, sql, keys=asked[i : i + 20_000]):
                key, account, learned = columns_of(block, 3)
                parts.append((key, account, learned))
        none = np.empty(0, np.int64)
        rows = KeyRows(*(np.concatenate([none, *(part[column] for part in parts)]) for column in range(3)))
        self._keep(rows, asked)
        return rows, _under(rows, spans)

    def _keep(self, rows: KeyRows, asked: Int64s) -> None:
        key, count = np.unique(rows.key, return_counts=True)
        for hub in np.setdiff1d(key[count >= HUB], np.fromiter(self._hubs, np.int64), assume_unique=True).tolist():
            mine = rows.key == hub
            if self._held + int(mine.sum()) <= HUB_ROWS and hub in asked:
                self._hubs[hub] = (rows.account[mine], rows.learned[mine])
                self._held += int(mine.sum())
