from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.usecases.interchange import csv_text
from service.usecases.interchange.problems import FileProblem
from service.usecases.interchange.schemas import ACCOUNTS, SIGNALS, USAGE

Reader = Callable[..., Any]
HEADER = b"account_id,created_at,full_name\n"


@pytest.fixture
def accounts(tmp_path: Path, read_file: Reader) -> Reader:
    def read(content: bytes) -> Any:
        path = tmp_path / "accounts.csv"
        path.write_bytes(content)
        return read_file(path, ACCOUNTS)

    return read


def test_quotes_commas_and_line_breaks_inside_a_value_are_kept(accounts: Reader) -> None:
    read = accounts(
        HEADER + b'a,2026-04-22T12:00:00Z,"Ada ""Countess"", of\r\nLovelace"\r\nb,2026-04-22T12:00:00Z,\r\n'
    )
    assert read.rows[1]["full_name"] == 'Ada "Countess", of\r\nLovelace'
    assert read.rows[2]["full_name"] is None
    assert not read.problems


def test_a_byte_order_mark_is_not_part_of_the_first_column(accounts: Reader) -> None:
    assert accounts(b"\xef\xbb\xbf" + HEADER + b"a,2026-04-22T12:00:00Z,\n").rows[1]["account_id"] == "a"


def test_a_file_of_a_spreadsheet_in_utf_16_is_refused_with_the_mend(accounts: Reader) -> None:
    with pytest.raises(FileProblem, match=r"accounts.csv: is UTF-16; save it as UTF-8"):
        accounts((HEADER + b"a,2026-04-22T12:00:00Z,\n").decode().encode("utf-16"))


def test_invalid_utf_8_spoils_its_own_row_only_and_is_shown_as_it_stands(accounts: Reader) -> None:
    read = accounts(HEADER + b"a,2026-04-22T12:00:00Z,Ad\xe9\nb,2026-04-22T12:00:00Z,Ad\xc3\xa9\n")
    assert read.problems == {(1, "full_name"): "is not valid UTF-8"}
    assert read.originals[1]["full_name"] == r"Ad\xe9"
    assert read.rows[2]["full_name"] == "Adé"


def test_a_row_with_too_few_or_too_many_fields_is_one_bad_row_and_the_next_keeps_its_number(accounts: Reader) -> None:
    read = accounts(HEADER + b"a,2026-04-22T12:00:00Z\nb,2026-04-22T12:00:00Z,,,\n\nc,2026-04-22T12:00:00Z,C\n")
    assert read.unreadable[1].reason == "has 2 fields on line 2, the header has 3"
    assert read.unreadable[2].content == ["b", "2026-04-22T12:00:00Z", "", "", ""]
    assert {number: row["account_id"] for number, row in read.rows.items()} == {3: "c"}


def test_a_quote_out_of_place_spoils_its_own_row_only(accounts: Reader) -> None:
    read = accounts(HEADER + b'a,2026-04-22T12:00:00Z,"A"da\nb,2026-04-22T12:00:00Z,B\n')
    assert "line 2" in read.unreadable[1].reason
    assert read.rows[2]["full_name"] == "B"


def test_a_file_cut_off_inside_a_quoted_value_ends_with_a_bad_row(accounts: Reader) -> None:
    read = accounts(HEADER + b'a,2026-04-22T12:00:00Z,A\nb,2026-04-22T12:00:00Z,"half wri')
    assert list(read.rows) == [1]
    assert "line 3" in read.unreadable[2].reason
    assert "unexpected end of data" in read.unreadable[2].reason


def test_a_text_of_ten_megabytes_is_refused_by_column_and_one_of_twenty_by_row(accounts: Reader) -> None:
    row = b"a,2026-04-22T12:00:00Z,"
    read = accounts(HEADER + row + b"x" * 10_000_000 + b"\n" + row + b"y" * 20_000_000 + b"\n" + row + b"z\n")
    assert read.problems == {(1, "full_name"): "is longer than 65536 bytes"}
    assert "field larger than field limit" in read.unreadable[2].reason
    assert read.rows[3]["full_name"] == "z"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty, without even a header line"),
        (b"account_id,created_at,emial\n", r"accounts has no column 'emial'; rename or remove it, or begin its name"),
        (b"account_id,created_at,email,email\n", "more than one column 'email'"),
        (b"account_id,email\n", "has no column 'created_at'"),
        (b"account_id;created_at;email\n", "separate the columns by commas"),
        (b"ann,2026-04-22T12:00:00Z,ann@example.org\n", "accounts.csv: has no header line: .* of accounts; add one$"),
        (b'account_id,"created', "header line that is not CSV"),
    ],
)
def test_a_header_that_does_not_fit_is_refused_by_name(accounts: Reader, content: bytes, message: str) -> None:
    with pytest.raises(FileProblem, match=message):
        accounts(content)


def test_a_column_of_the_customers_own_remarks_is_ignored(accounts: Reader) -> None:
    read = accounts(b"x_note,account_id,created_at\nhello,a,2026-04-22T12:00:00Z\n")
    assert read.rows[1]["account_id"] == "a"
    assert "x_note" not in read.rows[1]


def test_a_header_alone_is_a_table_without_rows(accounts: Reader) -> None:
    assert accounts(HEADER).chunks == 0


def test_numbers_that_are_none_are_refused_by_row_and_column(tmp_path: Path, read_file: Reader) -> None:
    path = tmp_path / "signals.csv"
    path.write_text(
        "account_id,happened_at,name,value\n"
        + "".join(f"a,2026-04-22T12:00:00Z,n,{value}\n" for value in ("nan", "-inf", "1e400", "", "ten", "1e3", "-0.5"))
    )
    read = read_file(path, SIGNALS)
    assert [read.problems.get((row, "value")) for row in range(1, 8)] == [
        "is NaN; leave it empty (null) where it is not known",
        "is infinite; must be a finite number",
        "is infinite; must be a finite number",
        "is missing",
        "is not a number",
        None,
        None,
    ]
    assert [read.rows[6]["value"], read.rows[7]["value"]] == [1000.0, -0.5]


def test_row_numbers_go_on_from_one_chunk_to_the_next(tmp_path: Path, read_file: Reader) -> None:
    n = 2 * csv_text.BATCH_ROWS + 7
    path = tmp_path / "usage.csv"
    path.write_text(
        "event_id,account_id,happened_at,input_tokens\n"
        + "".join(f"e{i},a,2026-04-22T12:00:00Z,{'x' if i == n else i}\n" for i in range(1, n + 1))
    )
    read = read_file(path, USAGE)
    assert read.chunks == 3
    assert read.problems == {(n, "input_tokens"): "is not a whole number"}
    assert read.rows[n - 1]["input_tokens"] == n - 1
