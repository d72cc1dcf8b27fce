"""Exchanges with the model through the door: hundreds of thousands a second, so by distinct value or by array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from service.domain.codes import code32, hash64_many
from service.domain.enums import UsageStatus
from service.domain.facts import Int64s, LinkFacts, UsageFacts
from service.keys import address as address_keys
from service.keys import prompt as prompt_keys
from service.signals.address import LONGEST as LONGEST_ADDRESS
from service.signals.address import address_problem, hosted, parse_address
from service.signals.batch import Batch, Numbers, Texts
from service.signals.checks import ID_LENGTH, Checks, Rejection
from service.signals.links import KeyFunction, first_links
from service.signals.pseudonymise import ContentHasher, Pseudonymiser
from service.signals.reference.tables import AddressTables

_STATUSES = {UsageStatus.OK: 0, UsageStatus.ERROR: 1, UsageStatus.RATE_LIMITED: 2}


@dataclass(frozen=True, slots=True, repr=False)
class _Columns:
    """The sound rows of a batch, by column."""

    event_id: Texts
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
        self._addresses = addresses

    def read(self, batch: Batch, now: int) -> tuple[UsageFacts, list[Rejection]]:
        """Facts of the sound rows, in their order, and what is wrong with the others."""
        check = Checks(batch, now)
        said = _Columns(
            check.unique_ids("event_id"),
            check.ids("account_id"),
            check.moments("happened_at"),
            check.parsed("ip", LONGEST_ADDRESS, address_problem),
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

    def _facts(self, rows: _Columns, now: int) -> UsageFacts:
        accounts_by_code = hash64_many(rows.account_id.values)
        account = accounts_by_code[rows.account_id.codes]
        event = hash64_many(rows.event_id.values)[rows.event_id.codes]
        happened = rows.happened_at.values
        addresses = [found for found in map(parse_address, rows.ip.values) if found is not None]
        templates, template_codes = np.unique(rows.prompt_prefix_hash.values, return_inverse=True)
        shown: tuple[tuple[tuple[KeyFunction, ...], list[Any], Int64s], ...] = (
            (address_keys.KEYS, list(addresses), rows.ip.codes),
            (prompt_keys.KEYS, templates.tolist(), np.where(rows.prompt_prefix_hash.said, template_codes, -1)),
        )
        keys: dict[str, Int64s] = {}
        made: list[LinkFacts] = []
        for functions, parsed, codes in shown:
            for function in functions:
                values, place, of_value, of_account, first = first_links(
                    function, parsed, codes, rows.account_id, happened
                )
                hashed = self._pseudonymiser.link_key_arrays(function.__name__, values, now)
                accounts = accounts_by_code[of_account]
                kind = np.full(len(first), code32(function.__name__), np.int32)
                made += [LinkFacts(accounts, kind, under[of_value], first) for under in hashed]
                keys[function.__name__] = np.append(hashed[0], 0)[place]
        known = np.append(hosted(addresses, self._addresses), 0)[rows.ip.codes]
        statuses = np.array([_STATUSES[UsageStatus(word)] for word in rows.status.values], np.int64)
        return UsageFacts(
            event_id=rows.event_id.rows(),
            event=event,
            account_id=rows.account_id.rows(),
            account=account,
            happened=happened,
            ip=keys["ip"],
            ip_net=keys["ip_net"],
            hosted=known,
            client=rows.client.spread(_not_zero(hash64_many(rows.client.values)), 0),
            model=rows.model.spread(_not_zero(hash64_many(rows.model.values)), 0),
            input_tokens=np.where(rows.input_tokens.said, rows.input_tokens.values, -1),
            output_tokens=np.where(rows.output_tokens.said, rows.output_tokens.values, -1),
            status=rows.status.spread(statuses, -1),
            template=_hash(rows.prompt_prefix_hash),
            simhash=_hash(rows.prompt_simhash),
            content=self._content.columns("usage", [getattr(rows, field) for field in rows.__slots__[1:]]),
            links=LinkFacts.concat(made),
        )


def _hash(column: Numbers) -> Int64s:
    """The hash as said, with 0 for none and 1 for a true 0."""
    return np.where(column.said, _not_zero(column.values), 0)


def _not_zero(hashes: Int64s) -> Int64s:
    return np.where(hashes == 0, 1, hashes)
