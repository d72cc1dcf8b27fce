"""Logs: past-tense events with fields, one JSON object a line, on standard error. Never personal data."""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

import orjson
import structlog

# Never the values of local variables: at the door those are people's names and addresses.
_TRACEBACKS = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))


def _dumps(event: Any, **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()


def configure(level: str = "info", stream: TextIO | None = None, *, worker: int | None = None) -> None:
    """Sets structlog up for this process; libraries that use ``logging`` come out in the same form.

    ``worker``: which of several processes that write to the same place this is; None: there is one.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    out = stream or sys.stderr
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        _TRACEBACKS,
    ]
    if worker is not None:
        shared.append(lambda _logger, _name, event: {**event, "worker": worker})
    render = structlog.processors.JSONRenderer(serializer=_dumps)
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(number, logging.WARNING))
