"""The interchange tables: their columns, in one place, for every file format.

A missing optional column means the same as a column of nulls. Columns whose names begin with ``x_`` are the
customer's own remarks and are skipped; any other unknown column is refused by name, because a misspelt ``emial``
would otherwise train a model on accounts without mail.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa

from service.domain.enums import CardFunding, PaymentKind, PaymentMethod, UsageStatus, Verdict
from service.usecases.interchange.problems import FileProblem

IGNORED_PREFIX = "x_"


class Kind(StrEnum):
    """What a column holds."""

    TEXT = "text"
    MOMENT = "time"
    WHOLE = "whole number"
    HASH = "unsigned 64-bit number"
    NUMBER = "number"
    TRUTH = "true or false"

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type of the column once it is read; moments are UTC microseconds."""
        return _ARROW[self]


_ARROW: dict[Kind, pa.DataType] = {
    Kind.TEXT: pa.string(),
    Kind.MOMENT: pa.int64(),
    Kind.WHOLE: pa.int64(),
    Kind.HASH: pa.uint64(),
    Kind.NUMBER: pa.float64(),  # finite
    Kind.TRUTH: pa.bool_(),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of an interchange table."""

    name: str
    kind: Kind
    required: bool = False
    choices: tuple[str, ...] = ()  # the only values of a TEXT column; empty: any text


@dataclass(frozen=True, slots=True)
class Table:
    """One interchange table. ``identity`` names the columns that say which row is "the same again"."""

    name: str
    columns: tuple[Column, ...]
    identity: tuple[str, ...]

    @property
    def schema(self) -> pa.Schema:
        """Arrow schema of the table once it is read."""
        return pa.schema([pa.field(column.name, column.kind.arrow) for column in self.columns])

    def check_columns(self, names: Iterable[str], file: str) -> None:
        """Raises FileProblem where ``names``, the columns of ``file``, are unknown, double or miss a required one."""
        names = list(names)
        self.refuse_unknown(names, file)
        if double := sorted({name for name in names if names.count(name) > 1}):
            raise FileProblem(file, f"has more than one column {quoted(double)}", "keep one of them")
        if absent := [c.name for c in self.columns if c.required and c.name not in names]:
            raise FileProblem(file, f"has no column {quoted(absent)}", f"{self.name} cannot do without")

    def refuse_unknown(self, names: Iterable[str], file: str, row: int | None = None) -> None:
        """Raises FileProblem where one of ``names`` is neither a column of this table nor begins with ``x_``."""
        known = {column.name for column in self.columns}
        unknown = sorted(n for n in names if n not in known and not n.startswith(IGNORED_PREFIX))
        if unknown:
            raise FileProblem(
                file,
                f"{self.name} has no column {quoted(unknown)}" + ("" if row is None else f" (seen first in row {row})"),
                f"rename or remove it, or begin its name with {IGNORED_PREFIX!r} to have it ignored; "
                f"the columns are {', '.join(column.name for column in self.columns)}",
            )


def quoted(names: Iterable[str], limit: int = 5) -> str:
    """Names as a message shows them: at most ``limit``, each cut to 60 characters."""
    names = list(names)
    shown = ", ".join(repr(name if len(name) <= 60 else name[:57] + "...") for name in names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")


def _text(name: str, *, required: bool = False) -> Column:
    return Column(name, Kind.TEXT, required)


def _choice(name: str, words: type[StrEnum], *, required: bool = False) -> Column:
    return Column(name, Kind.TEXT, required, tuple(word.value for word in words))


ACCOUNTS = Table(
    "accounts",
    (
        _text("account_id", required=True),
        Column("created_at", Kind.MOMENT, required=True),
        _text("email"),
        _text("full_name"),
        _text("phone"),
        _text("country"),
        _text("ip"),
        _text("user_agent"),
        _text("device_id"),
        _text("accept_language"),
        _text("plan"),
        _text("signup_source"),
        Column("form_seconds", Kind.NUMBER),
        Column("email_verified", Kind.TRUTH),
        Column("phone_verified", Kind.TRUTH),
    ),
    ("account_id",),
)
PAYMENTS = Table(
    "payments",
    (
        _text("event_id", required=True),
        _text("account_id", required=True),
        Column("happened_at", Kind.MOMENT, required=True),
        _choice("kind", PaymentKind, required=True),
        _choice("method", PaymentMethod, required=True),
        _text("card_fingerprint"),
        _text("card_bin"),
        _text("card_country"),
        _choice("card_funding", CardFunding),
        Column("amount_minor", Kind.WHOLE),
        _text("currency"),
    ),
    ("event_id",),
)
USAGE = Table(
    "usage",
    (
        _text("event_id", required=True),
        _text("account_id", required=True),
        Column("happened_at", Kind.MOMENT, required=True),
        _text("ip"),
        _text("client"),
        _text("model"),
        Column("input_tokens", Kind.WHOLE),
        Column("output_tokens", Kind.WHOLE),
        _choice("status", UsageStatus),
        Column("prompt_prefix_hash", Kind.HASH),
        Column("prompt_simhash", Kind.HASH),
    ),
    ("event_id",),
)
LINKS = Table(
    "links",
    (
        _text("account_id", required=True),
        Column("happened_at", Kind.MOMENT, required=True),
        _text("key_type", required=True),
        _text("key_value", required=True),
    ),
    ("account_id", "happened_at", "key_type", "key_value"),
)
SIGNALS = Table(
    "signals",
    (
        _text("account_id", required=True),
        Column("happened_at", Kind.MOMENT, required=True),
        _text("name", required=True),
        Column("value", Kind.NUMBER, required=True),
    ),
    ("account_id", "happened_at", "name"),
)
LABELS = Table(
    "labels",
    (
        _text("account_id", required=True),
        _choice("verdict", Verdict, required=True),
        Column("decided_at", Kind.MOMENT, required=True),
        _text("analyst", required=True),
        _text("campaign_id"),
        _text("evidence"),
        Column("retracted_at", Kind.MOMENT),
    ),
    ("account_id", "analyst", "decided_at"),
)

# In the order of import: an account's facts meet its signup, and labels meet the links that they mark.
TABLES: tuple[Table, ...] = (ACCOUNTS, PAYMENTS, USAGE, LINKS, SIGNALS, LABELS)
