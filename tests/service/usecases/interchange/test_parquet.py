from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.usecases.interchange import parquet
from service.usecases.interchange.problems import FileProblem
from service.usecases.interchange.schemas import ACCOUNTS, SIGNALS, USAGE, Table

Reader = Callable[..., Any]
NOON = 1_776_859_200_000_000
UTC_MICROS = pa.timestamp("us", "UTC")
MUST: dict[str, pa.Array] = {
    "event_id": pa.array(["e"]),
    "account_id": pa.array(["a"]),
    "happened_at": pa.array([NOON], pa.int64()).cast(UTC_MICROS),
    "created_at": pa.array([NOON], pa.int64()).cast(UTC_MICROS),
    "name": pa.array(["n"]),
    "value": pa.array([1.0]),
}


@pytest.fixture
def read(tmp_path: Path, read_file: Reader) -> Reader:
    def read(table: Table, **columns: pa.Array) -> Any:
        n = len(next(iter(columns.values()))) if columns else 1
        given = {c.name: pa.concat_arrays([MUST[c.name]] * n) for c in table.columns if c.required} | columns
        path = tmp_path / f"{table.name}.parquet"
        pq.write_table(pa.table(given), path)
        return read_file(path, table)

    return read


@pytest.mark.parametrize(
    "array",
    [
        pa.array(["de", None, "fr"]),
        pa.array(["de", None, "fr"], pa.large_string()),
        pa.array(["de", None, "fr"], pa.string_view()),
        pa.array(["de", None, "fr"]).dictionary_encode(),
        pa.array([b"de", None, b"fr"], pa.binary()),
        pa.array([b"de", None, b"fr"], pa.large_binary()),
        pa.array(["de", "", "fr"]),
    ],
    ids=lambda array: str(array.type),
)
def test_a_text_is_the_same_text_in_every_arrow_type(read: Reader, array: pa.Array) -> None:
    rows = read(ACCOUNTS, country=array).rows
    assert [row["country"] for row in rows.values()] == ["de", None, "fr"]


@pytest.mark.parametrize(
    "array",
    [
        pa.array([NOON, None], pa.int64()).cast(UTC_MICROS),
        pa.array([NOON, None], pa.int64()).cast(pa.timestamp("us")),
        pa.array([NOON, None], pa.int64()).cast(pa.timestamp("us", "America/New_York")),
        pa.array([NOON * 1000, None], pa.int64()).cast(pa.timestamp("ns", "UTC")),
        pa.array([NOON // 1000, None], pa.int64()).cast(pa.timestamp("ms")),
        pa.array([NOON // 1_000_000, None], pa.int64()).cast(pa.timestamp("s")),
        pa.array(["2026-04-22T12:00:00Z", None]),
        pa.array(["2026-04-22T14:00:00+02:00", ""]).dictionary_encode(),
    ],
    ids=lambda array: str(array.type),
)
def test_a_moment_is_the_same_moment_in_every_arrow_type(read: Reader, array: pa.Array) -> None:
    found = read(ACCOUNTS, created_at=array)
    assert [row["created_at"] for row in found.rows.values()] == [NOON, None]
    assert found.problems == {(2, "created_at"): "is missing"}


def test_nanoseconds_are_taken_where_nothing_is_lost(read: Reader) -> None:
    nanos = pa.array([NOON * 1000, NOON * 1000 + 1, -1000, -1], pa.int64()).cast(pa.timestamp("ns"))
    found = read(ACCOUNTS, created_at=nanos)
    assert {row for row, _ in found.problems} == {2, 4}
    assert found.problems[2, "created_at"] == "is finer than microseconds; round it"
    assert found.originals[2]["created_at"] == "2026-04-22 12:00:00.000000001"
    assert found.rows[3]["created_at"] == -1


@pytest.mark.parametrize("unit", ["ms", "us"])
def test_a_moment_beyond_the_calendar_is_refused_and_does_not_wrap(read: Reader, unit: str) -> None:
    far = pa.array([2**63 - 1, -(2**63) + 1], pa.int64()).cast(pa.timestamp(unit))
    found = read(ACCOUNTS, created_at=far)
    assert found.problems == {
        (1, "created_at"): "is outside the years 1 to 9999",
        (2, "created_at"): "is outside the years 1 to 9999",
    }


@pytest.mark.parametrize(
    "array",
    [
        pa.array([7, None, 0], pa.int8()),
        pa.array([7, None, 0], pa.uint64()),
        pa.array([7, None, 0], pa.int64()),
        pa.array([7, None, 0], pa.float32()),
        pa.array([Decimal(7), None, Decimal(0)], pa.decimal128(20, 0)),
        pa.array([Decimal("7.00"), None, Decimal(0)], pa.decimal128(20, 2)),
        pa.array([7, None, 0], pa.int32()).dictionary_encode(),
    ],
    ids=lambda array: str(array.type),
)
def test_a_whole_number_is_the_same_in_every_arrow_type(read: Reader, array: pa.Array) -> None:
    rows = read(USAGE, input_tokens=array).rows
    assert [row["input_tokens"] for row in rows.values()] == [7, None, 0]


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (pa.array([1.5]), "is not a whole number that a double holds exactly"),
        (pa.array([2.0**60]), "is not a whole number that a double holds exactly"),
        (pa.array([float("inf")]), "is not a whole number that a double holds exactly"),
        (pa.array([float("nan")]), "is NaN; leave it empty (null) where it is not known"),
        (pa.array([2**63], pa.uint64()), "does not fit into 64 bits"),
        (pa.array([Decimal("1.5")]), "is not a whole number of 64 bits"),
    ],
    ids=str,
)
def test_a_number_that_is_not_whole_is_refused_by_row(read: Reader, array: pa.Array, reason: str) -> None:
    assert read(USAGE, input_tokens=array).problems == {(1, "input_tokens"): reason}


def test_a_signed_hash_is_the_same_64_bits(read: Reader) -> None:
    """Spark has no unsigned numbers: its hashes arrive as two's complement."""
    found = read(
        USAGE,
        prompt_simhash=pa.array([-1, 5], pa.int64()),
        prompt_prefix_hash=pa.array([2**64 - 1, 5], pa.uint64()),
    )
    assert [row["prompt_simhash"] for row in found.rows.values()] == [2**64 - 1, 5]
    assert [row["prompt_prefix_hash"] for row in found.rows.values()] == [2**64 - 1, 5]
    narrow = read(USAGE, prompt_simhash=pa.array([-1, 5], pa.int32()))
    assert narrow.problems == {(1, "prompt_simhash"): "is negative"}


def test_nan_and_infinity_are_no_values(read: Reader) -> None:
    found = read(SIGNALS, value=pa.array([float("nan"), float("inf"), 2.0, None]))
    assert [found.problems.get((row, "value")) for row in (1, 2, 3, 4)] == [
        "is NaN; leave it empty (null) where it is not known",
        "is infinite; must be a finite number",
        None,
        "is missing",
    ]


def test_a_number_that_a_double_would_round_is_refused(read: Reader) -> None:
    found = read(SIGNALS, value=pa.array([2**53 + 1, -(2**53) - 1, 12], pa.int64()))
    assert found.problems.keys() == {(1, "value"), (2, "value")}
    assert found.rows[3]["value"] == 12.0


def _text_of_bytes(*values: bytes) -> pa.Array:
    return pa.array(values, pa.binary()).view(pa.string())


def test_invalid_utf_8_spoils_its_own_row_only(read: Reader) -> None:
    found = read(ACCOUNTS, full_name=_text_of_bytes(b"Ad\xe9", "Adé".encode()))
    assert found.problems == {(1, "full_name"): "is not valid UTF-8"}
    assert found.originals[1]["full_name"] == b"Ad\xe9"
    assert found.rows[2]["full_name"] == "Adé"


def test_a_text_of_ten_megabytes_is_refused_by_row(read: Reader) -> None:
    for kind in (pa.string(), pa.large_string(), pa.string_view()):
        found = read(ACCOUNTS, full_name=pa.array(["x" * 10_000_000, "y"], kind))
        assert found.problems == {(1, "full_name"): "is longer than 65536 bytes"}
        assert found.rows[2]["full_name"] == "y"


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"created_at": pa.array([NOON])}, r"column 'created_at' is int64, not time; write it as timestamp\[us, UTC\]"),
        ({"account_id": pa.array([1])}, "column 'account_id' is int64, not text; write it as string"),
        (
            {"email_verified": pa.array(["yes"])},
            "column 'email_verified' is string, not true or false; write it as bool",
        ),
        ({"form_seconds": pa.array(["1.5"])}, "column 'form_seconds' is string, not number; write it as float64"),
        ({"ip": pa.array([["10.0.0.1"]])}, "column 'ip' is list.*, not text"),
        ({"emial": pa.array(["a"])}, "accounts has no column 'emial'"),
    ],
)
def test_a_column_of_the_wrong_type_is_refused_by_name(
    read: Reader, columns: dict[str, pa.Array], message: str
) -> None:
    with pytest.raises(FileProblem, match=f"accounts.parquet: {message}"):
        read(ACCOUNTS, **columns)


def test_a_hash_written_as_a_double_has_lost_bits_and_is_refused(read: Reader) -> None:
    with pytest.raises(FileProblem, match="column 'prompt_simhash' is double"):
        read(USAGE, prompt_simhash=pa.array([1.0]))


def test_columns_of_nulls_and_remarks_are_fine(read: Reader) -> None:
    found = read(ACCOUNTS, email=pa.nulls(2), form_seconds=pa.nulls(2), x_note=pa.array([[1], [2]]))
    assert not found.problems
    assert found.rows[2]["email"] is None


def test_two_columns_of_one_name_are_refused(tmp_path: Path, read_file: Reader) -> None:
    path = tmp_path / "accounts.parquet"
    arrays = [MUST["account_id"], MUST["created_at"], pa.array(["a"]), pa.array(["b"])]
    pq.write_table(pa.Table.from_arrays(arrays, names=["account_id", "created_at", "email", "email"]), path)
    with pytest.raises(FileProblem, match="more than one column 'email'"):
        read_file(path, ACCOUNTS)


@pytest.mark.parametrize("keep", [0, 3, 200, -1])
def test_a_half_written_file_is_named_with_the_mend(tmp_path: Path, read_file: Reader, keep: int) -> None:
    path = tmp_path / "accounts.parquet"
    pq.write_table(pa.table({"account_id": MUST["account_id"], "created_at": MUST["created_at"]}), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(FileProblem, match=r"accounts.parquet: is not a whole Parquet file .*write it again"):
        read_file(path, ACCOUNTS)


def test_a_file_damaged_in_the_middle_is_named_with_the_last_good_row(tmp_path: Path, read_file: Reader) -> None:
    path = tmp_path / "accounts.parquet"
    n = parquet.BATCH_ROWS
    table = pa.table(
        {
            "account_id": pa.array([f"a{i}" for i in range(2 * n)]),
            "created_at": pa.array([NOON] * (2 * n), pa.int64()).cast(UTC_MICROS),
        }
    )
    pq.write_table(table, path, row_group_size=n, compression="zstd", use_dictionary=False)
    second = pq.ParquetFile(path).metadata.row_group(1).column(0)
    content = bytearray(path.read_bytes())
    content[second.data_page_offset : second.data_page_offset + second.total_compressed_size] = (
        b"\xff" * second.total_compressed_size
    )
    path.write_bytes(content)
    with pytest.raises(FileProblem, match=f"after row {n}; it may be half-written"):
        read_file(path, ACCOUNTS)


def test_row_numbers_go_on_from_one_chunk_and_row_group_to_the_next(read: Reader) -> None:
    n = parquet.BATCH_ROWS + 5
    values = [1.0] * n
    values[-1] = float("nan")
    found = read(SIGNALS, value=pa.array(values))
    assert found.chunks == 2
    assert list(found.problems) == [(n, "value")]


def test_a_bad_word_of_a_dictionary_spoils_the_rows_that_have_it(read: Reader) -> None:
    words = pa.array(["free", "fr\0e", "", "x" * 70_000])
    plan = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None, 1, 3, None, 0]), words)
    found = read(ACCOUNTS, plan=plan)
    assert found.problems == {
        (2, "plan"): "holds a NUL character",
        (5, "plan"): "holds a NUL character",
        (6, "plan"): "is longer than 65536 bytes",
    }
    assert [row["plan"] for row in found.rows.values()] == ["free", None, None, None, None, None, None, "free"]
