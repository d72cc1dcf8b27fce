"""Families of link keys: kinds that say the same thing at several widths count once.

A shared address is a shared network, too, and a shared mailbox shape a shared domain: of a family's kinds the one that
says most counts, and a family says no more than FAMILY_CAP, so that no single fact decides. Customers' own kinds are
one family, but each says something else, so they add up, as two families could: who has no other keys finds campaigns,
too.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from service.domain.codes import code32
from service.domain.facts import Float64s, Int8s, Int64s

FAMILIES = ("mail", "phone", "device", "network", "name", "payment", "template", "prompt", "custom", "habit")
FAMILY_CAP = 10.0  # nats
WEAK = ("habit", "name")  # cues that strangers share often: they support others and tie nobody alone
WEAK_CAP = 4.0  # nats
OWN_KINDS = 2  # families that all kinds of a customer's own come up to together

_OF_KIND = {
    "mailbox": "mail",
    "mail_domain": "mail",
    "mail_shape": "mail",
    "mail_shape_week": "mail",
    "mail_domain_new": "mail",
    "phone": "phone",
    "device": "device",
    "ip": "network",
    "ip_net": "network",
    "net_hour": "network",
    "asn_hour": "network",
    "full_name": "name",
    "card": "payment",
    "card_bin": "payment",
    "card_bin_week": "payment",
    "template": "template",
    "prompt": "prompt",
    "token_profile": "habit",
    "active_hours": "habit",
    "co_activity": "habit",
}
# What an organisation has one of and gives to all: the rest of such a family then says nothing more about its members.
ORGANISING = frozenset({"mail_domain", "ip", "device", "card", "phone"})
ORGANISED = ("mail", "network", "payment", "device", "custom")
PROMPT = FAMILIES.index("prompt")
CUSTOM = FAMILIES.index("custom")


def family(kind: str) -> str:
    """The family of a kind; customers' own kinds are ``custom``."""
    return _OF_KIND.get(kind, "custom")


def organising(kind: str) -> bool:
    """Whether an organisation explains that its accounts share one key of this kind."""
    return kind in ORGANISING or kind.startswith("custom.")


def by_family(per_kind: Float64s, kinds: tuple[str, ...], cap: float = FAMILY_CAP) -> Float64s:
    """Nats by kind, shape (n, kinds), to nats by family, shape (n, FAMILIES): of each family the most telling kind.

    Of customers' own kinds the sum, each of them and OWN_KINDS of them in all up to ``cap``.
    """
    out = np.zeros((len(FAMILIES), len(per_kind))).T  # columns lie together: at millions of rows four times as fast
    own = out[:, CUSTOM]
    for place, kind in enumerate(kinds):
        column = out[:, FAMILIES.index(family(kind))]
        if family(kind) == "custom":
            own += np.minimum(per_kind[:, place], cap)
        else:
            np.maximum(column, per_kind[:, place], out=column)
    for name in WEAK:
        column = out[:, FAMILIES.index(name)]
        np.minimum(column, WEAK_CAP, out=column)
    most = np.full(len(FAMILIES), cap)
    most[CUSTOM] = OWN_KINDS * cap
    np.minimum(out, most, out=out)
    return out


def stacked(parts: Sequence[Float64s]) -> Float64s:
    """All rows of several tables of one width; columns lie together as theirs do, so that sums keep their last bit."""
    if len(parts) == 1:
        return parts[0]
    out = np.empty((parts[0].shape[1], sum(len(part) for part in parts))).T
    low = 0
    for part in parts:
        out[low : low + len(part)] = part
        low += len(part)
    return out


def families_of(kinds: tuple[str, ...]) -> Int64s:
    """For each kind the place of its family in FAMILIES."""
    return np.array([FAMILIES.index(family(kind)) for kind in kinds], np.int64)


def apart(kinds: tuple[str, ...]) -> Int8s:
    """For each kind a number that others of its family have, too; of customers' own kinds hardly any two have one."""
    return np.array(
        [
            len(FAMILIES) + code32(kind) % (127 - len(FAMILIES)) if family(kind) == "custom" else place
            for kind, place in zip(kinds, families_of(kinds).tolist(), strict=True)
        ],
        np.int8,
    )


def fingerprint() -> str:
    """A short hash of the families and of what is in each: what was learned about others says nothing about these."""
    said = (FAMILIES, FAMILY_CAP, WEAK, WEAK_CAP, OWN_KINDS, sorted(_OF_KIND.items()))
    return sha256(repr(said).encode()).hexdigest()[:16]
