from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.commands.account_files import check_table_name, read_account_ids, write_file, write_table
from service.commands.campaigns import MEMBERS
from service.domain.errors import UsageError

ROWS = [
    {
        "account_id": "ann",
        "joined_at": "2026-04-22T12:00:00.000001Z",
        "membership": 0.5,
        "key_types": ["card", "device"],
        "verdict": "fraud",
    },
    {"account_id": "bob", "joined_at": "2026-04-22T12:00:00Z", "membership": None, "key_types": [], "verdict": None},
]


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_a_table_of_members_names_the_members_of_a_verdict(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"members{suffix}"

    write_table(path, MEMBERS, ROWS)

    assert read_account_ids(path) == ("ann", "bob")
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_parquet_table_has_moments_and_lists_and_keeps_what_is_not_known(tmp_path: Path) -> None:
    write_table(tmp_path / "m.parquet", MEMBERS, ROWS)

    table = pq.read_table(tmp_path / "m.parquet")
    assert table.schema.field("joined_at").type == pa.timestamp("us", tz="UTC")
    assert table["joined_at"][0].as_py().microsecond == 1
    assert table["key_types"].to_pylist() == [["card", "device"], []]
    assert table["membership"].to_pylist() == [0.5, None]


def test_a_text_file_has_an_account_in_each_line_and_names_each_once(tmp_path: Path) -> None:
    path = tmp_path / "ids.txt"
    path.write_bytes("\ufeffann\r\n\n  bob \nann\nzoë".encode())

    assert read_account_ids(path) == ("ann", "bob", "zoë")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.txt", b"\n \n", "names no account"),
        ("empty.csv", b"account_id\n", "names no account"),
        ("other.csv", b"account\nann\n", "has no column account_id"),
        ("short.csv", b"x,account_id\n1,ann\n2\n", "row 3 has no account_id"),
        ("broken.jsonl", b'{"account_id": "ann"}\n{\n', "line 2 is not JSON"),
        ("number.jsonl", b'{"account_id": 7}\n', "row 1 has no account_id"),
        ("list.jsonl", b"[1]\n", "row 1 has no account_id"),
        ("text.parquet", b"ann\n", "cannot be read"),
        ("latin.txt", b"\xff\xfe", "cannot be read"),
    ],
)
def test_a_file_that_names_nobody_is_refused_for_an_empty_list_would_mean_everybody(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(UsageError, match=said) as caught:
        read_account_ids(tmp_path / name)
    assert name in str(caught.value)


def test_a_file_that_cannot_be_written_is_said_so_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()

    with pytest.raises(UsageError, match="cannot be written"):
        write_file(tmp_path / "taken", b"x")
    assert [each.name for each in tmp_path.iterdir()] == ["taken"]
    with pytest.raises(UsageError, match="no folder"):
        check_table_name(tmp_path / "absent" / "m.csv")
    with pytest.raises(UsageError, match="must end in"):
        check_table_name(tmp_path / "m.xlsx")
