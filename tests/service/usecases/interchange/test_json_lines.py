from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.usecases.interchange import json_lines
from service.usecases.interchange.problems import FileProblem
from service.usecases.interchange.schemas import USAGE

Reader = Callable[..., Any]
ROW = b'{"event_id": "e", "account_id": "a", "happened_at": "2026-04-22T12:00:00Z"%s}\n'


@pytest.fixture
def usage(tmp_path: Path, read_file: Reader) -> Reader:
    def read(content: bytes) -> Any:
        path = tmp_path / "usage.jsonl"
        path.write_bytes(content)
        return read_file(path, USAGE)

    return read


def test_a_hash_above_two_to_the_53_stays_exact(usage: Reader) -> None:
    read = usage(ROW % b', "prompt_simhash": 18446744073709551615, "prompt_prefix_hash": 9007199254740993')
    assert read.rows[1]["prompt_simhash"] == 18446744073709551615
    assert read.rows[1]["prompt_prefix_hash"] == 9007199254740993


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("prompt_simhash", b"18446744073709551616", "is not a whole number from 0 to 18446744073709551615"),
        ("prompt_simhash", b"-1", "is not a whole number from 0 to 18446744073709551615"),
        ("prompt_simhash", b'"12"', "is not a whole number from 0 to 18446744073709551615"),
        ("input_tokens", b"1.5", "is not a whole number"),
        ("input_tokens", b"true", "is not a whole number"),
        ("input_tokens", b"9223372036854775808", "does not fit into 64 bits"),
        ("ip", b"167772161", "is not a text in quotes"),
        ("client", b'["a"]', "is not a text in quotes"),
        ("client", b'"nul\\u0000"', "holds a NUL character"),
        ("happened_at", b"1776859200", "is not a text in quotes"),
        ("status", b'"fine"', "must be one of ok, error, rate_limited"),
        ("account_id", b"null", "is missing"),
        ("account_id", b'""', "is missing"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_by_column(usage: Reader, column: str, value: bytes, reason: str) -> None:
    read = usage(ROW % b"" + ROW % (b', "%s": %s' % (column.encode(), value)))
    assert read.problems == {(2, column): reason}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"event_id": "e', "is not JSON"),
        (b"[1, 2]", "is not a JSON object"),
        (b"NaN", "is not JSON"),
        (b'{"event_id": NaN}', "is not JSON"),
        (b'{"event_id": "\xff"}', "is not valid UTF-8"),
        (b'{"event_id": "\\ud800"}', "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
    ],
)
def test_a_line_that_is_no_object_is_one_bad_row(usage: Reader, line: bytes, reason: str) -> None:
    read = usage(ROW % b"" + line + b"\n" + ROW % b"")
    assert reason in read.unreadable[2].reason
    assert list(read.rows) == [1, 3]


def test_a_file_cut_off_in_its_last_line_ends_with_a_bad_row(usage: Reader) -> None:
    read = usage(ROW % b"" + (ROW % b"")[:30])
    assert list(read.rows) == [1]
    assert "is not JSON" in read.unreadable[2].reason


def test_an_unknown_column_is_refused_with_the_row_that_has_it_first(usage: Reader) -> None:
    with pytest.raises(FileProblem, match=r"usage has no column 'tokens' \(seen first in row 2\)"):
        usage(ROW % b"" + ROW % b', "tokens": 1')


def test_remarks_a_byte_order_mark_and_empty_lines_do_no_harm(usage: Reader) -> None:
    read = usage(b"\xef\xbb\xbf" + ROW % b', "x_note": [1]' + b"\n\r\n" + ROW % b', "input_tokens": 12.0')
    assert read.rows[2]["input_tokens"] == 12
    assert not read.problems
    assert not read.unreadable


def test_an_empty_file_is_a_table_without_rows(usage: Reader) -> None:
    assert usage(b"").chunks == 0


def test_row_numbers_go_on_from_one_chunk_to_the_next(usage: Reader) -> None:
    n = json_lines.BATCH_ROWS + 3
    read = usage((ROW % b"") * (n - 1) + b"broken\n")
    assert read.chunks == 2
    assert list(read.unreadable) == [n]
