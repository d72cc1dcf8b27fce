"""Every built-in kind of link key. Customers' own kinds are ``custom.<key_type>`` and are known once they are seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from inspect import cleandoc

from service.domain.codes import code32
from service.keys import address, mail, payment, person, prompt


@dataclass(frozen=True, slots=True)
class LinkKind:
    """One kind of link key."""

    name: str
    code: int  # code32(name): how facts and tables name the kind
    meaning: str  # first line of the function's docstring
    honest: str  # how honest accounts come to share such a key

    @classmethod
    def of(cls, key: Callable[..., object]) -> LinkKind:
        """The kind that the function ``key`` makes; its docstring says what it means and what sharing it means."""
        text = cleandoc(key.__doc__ or "")
        honest = text.partition("Honest sharing: ")[2].replace("\n", " ")
        return cls(key.__name__, code32(key.__name__), text.partition("\n")[0], honest)


KINDS: tuple[LinkKind, ...] = tuple(
    LinkKind.of(key)
    for key in (
        *mail.KEYS,
        *person.PHONE_KEYS,
        *person.DEVICE_KEYS,
        *address.KEYS,
        *person.NAME_KEYS,
        *payment.CARD_KEYS,
        *payment.BIN_KEYS,
        *prompt.KEYS,
    )
)

KIND_BY_CODE: dict[int, LinkKind] = {kind.code: kind for kind in KINDS}
