"""Exchanges with the model through the door: hundreds of thousands a second, so by distinct value or by array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from service.domain.codes import code32, hash64_encoded, hash64_many
from service.domain.enums import UsageStatus
from service.domain.facts import Int64s, LinkFacts, Repeated, UsageFacts, Worded
from service.keys import address as address_keys
from service.keys import prompt as prompt_keys
from service.signals.address import LONGEST as LONGEST_ADDRESS
from service.signals.address import address_problem, hosted, parse_address
from service.signals.batch import Batch, Ids, Numbers, Texts
from service.signals.checks import ID_LENGTH, Checks, Rejection
from service.signals.links import KeyFunction
from service.signals.pseudonymise import ContentHasher, Pseudonymiser
from service.signals.reference.tables import AddressTables
from service.signals.remembered import Remembered

_STATUSES = {UsageStatus.OK: 0, UsageStatus.ERROR: 1, UsageStatus.RATE_LIMITED: 2}
_IP, _IP_NET = (code32(function.__name__) for function in address_keys.KEYS)
_TEMPLATE = code32(prompt_keys.template.__name__)


@dataclass(frozen=True, slots=True, repr=False)
class _Columns:
    """The sound rows of a batch, by column."""

    event_id: Ids
    account_id: Texts
    happened_at: Numbers
    ip: Texts
    client: Texts
    model: Texts
    input_tokens: Numbers
    output_tokens: Numbers
    status: Texts
    prompt_prefix_hash: Numbers
    prompt_simhash: Numbers


class UsageDoor:
    """Reads exchanges; see ``Door``."""

    def __init__(self, pseudonymiser: Pseudonymiser, content: ContentHasher, addresses: AddressTables) -> None:
        self._pseudonymiser = pseudonymiser
        self._content = content
        self._tables = addresses
        self._addresses: Remembered[str] = Remembered()
        self._templates: Remembered[int] = Remembered()

    def read(self, batch: Batch, now: int) -> tuple[UsageFacts, list[Rejection]]:
        """Facts of the sound rows, in their order, and what is wrong with the others."""
        check = Checks(batch, now)
        said = _Columns(
            check.distinct_ids("event_id"),
            check.ids("account_id"),
            check.moments("happened_at"),
            check.parsed("ip", LONGEST_ADDRESS, self._address_problem),
            check.texts("client", ID_LENGTH),
            check.texts("model", ID_LENGTH),
            check.counts("input_tokens"),
            check.counts("output_tokens"),
            check.words("status", list(UsageStatus)),
            check.integers("prompt_prefix_hash"),
            check.integers("prompt_simhash"),
        )
        sound, rejections = check.close()
        rows = _Columns(*(getattr(said, field).keep(sound) for field in said.__slots__)) if rejections else said
        return self._facts(rows, now), rejections

    def _address_problem(self, text: str) -> str | None:
        return None if text in self._addresses else address_problem(text)

    def _facts(self, rows: _Columns, now: int) -> UsageFacts:
        accounts = hash64_many(rows.account_id.values)
        happened = rows.happened_at.values
        secrets = self._pseudonymiser.secrets(now)
        lines = self._addresses.rows(
            rows.ip.values, secrets, 2 * len(secrets) + 1, lambda texts: self._address_numbers(texts, now)
        )
        prefixes, prefix_codes = np.unique(rows.prompt_prefix_hash.values, return_inverse=True)
        templates = self._templates.rows(
            prefixes.tolist(),
            secrets,
            len(secrets),
            lambda hashes: self._key_numbers(prompt_keys.template, hashes, now),
        )
        prefix_codes = np.where(rows.prompt_prefix_hash.said, prefix_codes, -1)
        shown = [
            *_first_shown(_IP, lines[:, 0:-1:2], rows.ip.codes, rows.account_id.codes, accounts, happened),
            *_first_shown(_IP_NET, lines[:, 1:-1:2], rows.ip.codes, rows.account_id.codes, accounts, happened),
            *_first_shown(_TEMPLATE, templates, prefix_codes, rows.account_id.codes, accounts, happened),
        ]
        words = self._content.words([getattr(rows, field) for field in rows.__slots__[1:]])
        statuses = np.array([_STATUSES[UsageStatus(word)] for word in rows.status.values], np.int64)
        return UsageFacts(
            event=hash64_encoded(rows.event_id.values),
            account_id=Repeated(rows.account_id.values, rows.account_id.codes),
            account=accounts[rows.account_id.codes],
            happened=happened,
            ip=rows.ip.spread(lines[:, 0], 0),
            ip_net=rows.ip.spread(lines[:, 1], 0),
            hosted=rows.ip.spread(lines[:, -1], 0),
            client=rows.client.spread(_not_zero(hash64_many(rows.client.values)), 0),
            model=rows.model.spread(_not_zero(hash64_many(rows.model.values)), 0),
            input_tokens=np.where(rows.input_tokens.said, rows.input_tokens.values, -1),
            output_tokens=np.where(rows.output_tokens.said, rows.output_tokens.values, -1),
            status=rows.status.spread(statuses, -1),
            template=_hash(rows.prompt_prefix_hash),
            simhash=_hash(rows.prompt_simhash),
            content=self._content.mixed("usage", words),
            links=LinkFacts.concat(shown),
            worded=Worded(words, partial(self._content.hashed, "usage")),
        )

    def _address_numbers(self, texts: list[str], now: int) -> Int64s:
        """For each address its line's and its network's key under each secret in turn, and whether servers live there.

        Shape (n, 2 * secrets + 1).
        """
        parsed = [found for found in map(parse_address, texts) if found is not None]
        keys = [self._key_numbers(function, parsed, now) for function in address_keys.KEYS]
        together = np.stack(keys, axis=2).reshape(len(parsed), -1)
        return np.column_stack([together, hosted(parsed, self._tables)])

    def _key_numbers(self, function: KeyFunction, values: Sequence[Any], now: int) -> Int64s:
        """The link key of each value under each secret; 0 where it has none. Shape (n, secrets)."""
        canonical = [function(value) for value in values]
        distinct = list(dict.fromkeys(each for each in canonical if each is not None))
        hashed = self._pseudonymiser.link_key_arrays(function.__name__, distinct, now)
        places = {each: place for place, each in enumerate(distinct)}
        keys: Int64s = np.append(hashed, np.zeros((len(hashed), 1), np.int64), axis=1)
        return keys[:, [-1 if each is None else places[each] for each in canonical]].T


def _first_shown(
    kind: int, keys: Int64s, codes: Int64s, account: Int64s, accounts: Int64s, happened: Int64s
) -> list[LinkFacts]:
    """Each (account, key) pair of a batch once, at its first moment, under each secret.

    ``keys[value, secret]``; row i shows value ``codes[i]`` (-1: none) for account ``accounts[account[i]]``.
    """
    if not len(keys):
        return []
    distinct, place = np.unique(keys[:, 0], return_index=True, return_inverse=True)[1:]
    place[keys[:, 0] == 0] = -1
    shown = np.append(place, -1)[codes]
    rows = slice(None) if (shown >= 0).all() else np.flatnonzero(shown >= 0)
    pair = account[rows] * len(distinct) + shown[rows]
    if not len(pair):
        return []
    order = np.argsort(pair)
    pair = pair[order]
    starts = np.flatnonzero(np.concatenate([[True], pair[1:] != pair[:-1]]))
    first = np.minimum.reduceat(happened[rows][order], starts)
    of_account, of_key = np.divmod(pair[starts], len(distinct))
    kinds = np.full(len(first), kind, np.int32)
    return [LinkFacts(accounts[of_account], kinds, under[distinct[of_key]], first) for under in keys.T]


def _hash(column: Numbers) -> Int64s:
    """The hash as said, with 0 for none and 1 for a true 0."""
    return np.where(column.said, _not_zero(column.values), 0)


def _not_zero(hashes: Int64s) -> Int64s:
    return np.where(hashes == 0, 1, hashes)
