"""Pages of a list by the last row's place in it, so that rows which come meanwhile shift nothing."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from service.domain.codes import code32
from service.domain.errors import InvalidPageToken
from service.domain.requests import Page

Item = TypeVar("Item")


def page_of(items: Sequence[Item], size: int, scope: str, place: Callable[[Item], tuple[Any, ...]]) -> Page[Item]:
    """The first ``size`` of ``items``, which hold one more where there is a next page.

    ``scope`` names the list and its filters: a token works for the list that made it alone.
    """
    if len(items) <= size:
        return Page(tuple(items))
    token = json.dumps([code32(scope), *place(items[size - 1])], separators=(",", ":"))
    return Page(tuple(items[:size]), base64.urlsafe_b64encode(token.encode()).decode())


def position(token: str, scope: str, types: tuple[type, ...]) -> tuple[Any, ...] | None:
    """The place after which the page begins; None: at the start. Raises InvalidPageToken."""
    if not token:
        return None
    try:
        made = json.loads(base64.b64decode(token.encode(), altchars=b"-_", validate=True))
    except (binascii.Error, UnicodeError, json.JSONDecodeError):
        raise InvalidPageToken from None
    if not isinstance(made, list) or len(made) != 1 + len(types) or made[0] != code32(scope):
        raise InvalidPageToken
    if not all(type(value) is kind for value, kind in zip(made[1:], types, strict=True)):
        raise InvalidPageToken
    if any(isinstance(value, int) and not -(2**63) <= value < 2**63 for value in made):
        raise InvalidPageToken
    return tuple(made[1:])
