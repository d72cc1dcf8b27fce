"""Customers' own link keys and numbers through the door."""

from __future__ import annotations

import numpy as np

from service.domain.codes import code32, hash64, hash64_many
from service.domain.facts import Int64s, LinkFacts, OwnLinkFacts, SignalFacts
from service.keys.own import custom, custom_kind
from service.signals.batch import Batch, Texts
from service.signals.checks import ID_LENGTH, Checks, Rejection
from service.signals.pseudonymise import ContentHasher, Pseudonymiser

NAME_LENGTH = 100
_LONGEST_VALUE = 1000


class OwnDoor:
    """Reads customers' own facts; see ``Door``."""

    def __init__(self, pseudonymiser: Pseudonymiser, content: ContentHasher) -> None:
        self._pseudonymiser = pseudonymiser
        self._content = content

    def links(self, batch: Batch, now: int) -> tuple[OwnLinkFacts, list[Rejection]]:
        """Facts of the sound rows, in their order, and what is wrong with the others."""
        check = Checks(batch, now)
        said = (
            check.texts("event_id", ID_LENGTH, printable=True),
            check.ids("account_id"),
            check.moments("happened_at"),
            check.texts("key_type", NAME_LENGTH, required=True, printable=True),
            check.texts("key_value", _LONGEST_VALUE, required=True, printable=True),
        )
        sound, rejections = check.close()
        event_id, account_id = said[0].keep(sound), said[1].keep(sound)
        happened, key_type, key_value = said[2].keep(sound), said[3].keep(sound), said[4].keep(sound)
        content = self._content.columns("links", [account_id, happened, key_type, key_value])
        account = hash64_many(account_id.values)[account_id.codes]
        kinds = [custom_kind(name) for name in key_type.values]
        keys = self._keys(kinds, key_type.codes, key_value, now)
        kind = np.array([code32(name) for name in kinds], np.int32)[key_type.codes]
        under = [LinkFacts(account, kind, row, happened.values) for row in keys]
        facts = OwnLinkFacts(
            _events(event_id, content), content, under[0], tuple(sorted(kinds)), LinkFacts.concat(under[1:])
        )
        return facts, rejections

    def _keys(self, kinds: list[str], kind_codes: Int64s, values: Texts, now: int) -> Int64s:
        """Link keys of n rows, each hashed once per distinct (kind, value); shape (active secrets, n)."""
        width = max(len(values.values), 1)
        pairs, place = np.unique(kind_codes * width + values.codes, return_inverse=True)
        of_kind, of_value = np.divmod(pairs, width)
        canonical = [custom(text) or "" for text in values.values]
        hashed = [np.empty((len(self._pseudonymiser.link_key_arrays("", [], now)), 0), np.int64)]
        for code, kind in enumerate(kinds):
            shown = [canonical[i] for i in of_value[of_kind == code].tolist()]
            hashed.append(self._pseudonymiser.link_key_arrays(kind, shown, now))
        keys: Int64s = np.concatenate(hashed, axis=1)[:, place]
        return keys

    def signals(self, batch: Batch, now: int) -> tuple[SignalFacts, list[Rejection]]:
        """Facts of the sound rows, in their order, and what is wrong with the others."""
        check = Checks(batch, now)
        said = (
            check.texts("event_id", ID_LENGTH, printable=True),
            check.ids("account_id"),
            check.moments("happened_at"),
            check.texts("name", NAME_LENGTH, required=True, printable=True),
            check.reals("value", required=True),
        )
        sound, rejections = check.close()
        event_id, account_id = said[0].keep(sound), said[1].keep(sound)
        happened, name, value = said[2].keep(sound), said[3].keep(sound), said[4].keep(sound)
        content = self._content.columns("signals", [account_id, happened, name, value])
        # Rows of a file have no id of their own: account, moment and name are who they are.
        identity = self._content.columns("signals.id", [account_id, happened, name])
        facts = SignalFacts(
            event=_events(event_id, identity),
            account=hash64_many(account_id.values)[account_id.codes],
            happened=happened.values,
            name=np.array([code32(text) for text in name.values], np.int32)[name.codes],
            value=value.values,
            content=content,
            names=tuple(sorted(name.values)),
        )
        return facts, rejections


def _events(event_id: Texts, otherwise: Int64s) -> Int64s:
    """The event's number: of its id, or of what the row is where it has none."""
    numbers = np.array([hash64(text) for text in event_id.values], np.int64)
    return np.where(event_id.said, event_id.spread(numbers, 0), otherwise)
