"""The id that a call has in logs and that its caller gets back: the caller's own, or one of ours."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable

REQUEST_ID = "x-request-id"

_FIT_FOR_LOGS = re.compile(r"[!-~]{1,200}")


def request_id(metadata: Iterable[tuple[str, str | bytes]] | None) -> str:
    """The caller's, if it is fit for a log line, or one of ours; ``metadata`` is what the call came with."""
    for key, value in metadata or ():
        if key == REQUEST_ID and isinstance(value, str) and _FIT_FOR_LOGS.fullmatch(value):
            return value
    return secrets.token_hex(8)
