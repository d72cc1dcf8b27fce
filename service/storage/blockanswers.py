"""The answers of a block of assessments as an Arrow stream, so that a reader unpacks the columns that it wants."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from service.domain.blocks import AssessmentBlock, Int8s, LinkColumns
from service.domain.facts import Float64s, Int64s
from service.domain.records import LinkSummary

_LINK = pa.struct([("kind", pa.int8()), ("linked", pa.int16()), ("confirmed", pa.int16()), ("tied", pa.bool_())])
_WORDS = pa.dictionary(pa.int32(), pa.string())
_SCHEMA = pa.schema(
    [
        ("account", pa.int64()),
        ("name", pa.int64()),
        ("score", pa.float64()),
        ("decision", pa.int8()),
        ("explored_from", pa.int8()),
        ("propensity", pa.float64()),
        ("recommended_limit", _WORDS),
        ("rules", _WORDS),  # JSON
        ("campaign_id", _WORDS),
        ("links", pa.list_(_LINK)),
        ("erased", pa.bool_()),
    ]
)
_KINDS = b"kinds"  # in the schema's metadata: JSON list of the link kinds that ``kind`` is a place in
_SQUEEZED = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", 1))

Words = Sequence[str | None]


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """A block's answers, shape (n,) each; row i is that of ``account[i]``, ascending."""

    account: Int64s
    name: Int64s
    score: Float64s
    decision: Int8s
    explored_from: Int8s
    propensity: Float64s
    campaign: Words
    erased: NDArray[np.bool_]

    def place(self, account: int) -> int | None:
        """The row of an account; None: it has none here."""
        row = int(np.searchsorted(self.account, account))
        return row if row < len(self.account) and int(self.account[row]) == account else None


@dataclass(frozen=True, slots=True)
class Told:
    """What else one row says."""

    limit: str | None
    rules: tuple[str, ...]
    links: tuple[LinkSummary, ...]


def pack(block: AssessmentBlock, erased: NDArray[np.bool_]) -> bytes:
    """The stream of a block."""
    return _written(
        [
            pa.array(block.account),
            pa.array(block.name),
            pa.array(block.score),
            pa.array(block.decision),
            pa.array(block.explored_from),
            pa.array(block.propensity),
            _words(block.limit),
            _words([json.dumps(rules) if rules else "[]" for rules in block.rules]),
            _words(block.campaign),
            _link_lists(block.links, len(block)),
            pa.array(erased),
        ],
        block.links.kinds,
    )


def answers(packed: bytes) -> Answers:
    """All that is asked of many rows at once."""
    table = _table(
        packed, ["account", "name", "score", "decision", "explored_from", "propensity", "campaign_id", "erased"]
    )
    return Answers(
        account=_array(table, "account"),
        name=_array(table, "name"),
        score=_array(table, "score"),
        decision=_array(table, "decision"),
        explored_from=_array(table, "explored_from"),
        propensity=_array(table, "propensity"),
        campaign=_spoken(table["campaign_id"]),
        erased=_array(table, "erased"),
    )


def told(packed: bytes, row: int) -> Told:
    """The rest of one row."""
    table = _table(packed, ["recommended_limit", "rules", "campaign_id", "links"])
    kinds = json.loads(table.schema.metadata[_KINDS])
    campaign = table["campaign_id"][row].as_py()
    links = tuple(
        LinkSummary(kinds[one["kind"]], one["linked"], one["confirmed"], campaign if one["tied"] else None)
        for one in table["links"][row].as_py()
    )
    return Told(table["recommended_limit"][row].as_py(), tuple(json.loads(table["rules"][row].as_py())), links)


def without(packed: bytes, row: int) -> bytes:
    """The same with a row marked as erased."""
    table = _table(packed, _SCHEMA.names)
    gone = _array(table, "erased").copy()
    gone[row] = True
    columns = [table[name].combine_chunks() for name in _SCHEMA.names[:-1]]
    return _written([*columns, pa.array(gone)], json.loads(table.schema.metadata[_KINDS]))


def _written(columns: Sequence[pa.Array], kinds: Sequence[str]) -> bytes:
    schema = _SCHEMA.with_metadata({_KINDS: json.dumps(list(kinds)).encode()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema, options=_SQUEEZED) as stream:
        stream.write_batch(pa.record_batch(columns, schema=schema))
    out: bytes = sink.getvalue().to_pybytes()
    return out


def _table(packed: bytes, names: list[str]) -> pa.Table:
    fields = [_SCHEMA.get_field_index(name) for name in names]
    return pa.ipc.open_stream(packed, options=pa.ipc.IpcReadOptions(included_fields=fields)).read_all()


def _array(table: pa.Table, name: str) -> NDArray[Any]:
    out: NDArray[Any] = table[name].to_numpy()
    return out


def _words(said: Words) -> pa.Array:
    """Few distinct words, many times; most often the same one throughout."""
    words = dict.fromkeys(said)
    words.pop(None, None)
    places = {word: place for place, word in enumerate(words)}
    if not places:
        return pa.DictionaryArray.from_arrays(pa.nulls(len(said), pa.int32()), pa.array([], pa.string()))
    indices = pa.array(list(map(places.get, said)), pa.int32())  # null where there is no word
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(places), pa.string()))


def _spoken(column: pa.ChunkedArray) -> Words:
    if column.null_count == len(column):
        return [None] * len(column)
    told = column.combine_chunks()
    words = [*told.dictionary.to_pylist(), None]
    return [words[place] for place in told.indices.fill_null(len(words) - 1).to_numpy().tolist()]


def _link_lists(links: LinkColumns, rows: int) -> pa.Array:
    offsets = np.searchsorted(links.row, np.arange(rows + 1)).astype(np.int32)
    parts = [pa.array(links.kind), pa.array(links.linked), pa.array(links.confirmed), pa.array(links.tied)]
    return pa.ListArray.from_arrays(pa.array(offsets), pa.StructArray.from_arrays(parts, fields=list(_LINK)))
