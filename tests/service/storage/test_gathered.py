from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import Connection

from service.storage import gathered
from service.storage.database import writing
from service.storage.gathered import Rows, integers_of, packed_of, texts_of
from service.storage.sql import insert
from service.storage.store import Store
from service.storage.tables import accounts

IDS = ["plain", 'with "quotes", a comma', "Ünïcode \u2028\n", "a\\b"]
PROFILES = [b"", b"\x00\xff\xc3", b"\x00", b"ends in zero\x00\x00"]  # no text in any encoding


@pytest.fixture
def filled(store: Store) -> Store:
    extremes = np.array([-(2**63), -1, 2**53 + 1, 2**63 - 1])
    with writing(store.engine) as connection:
        insert(
            connection,
            accounts,
            {
                "account": extremes,
                "account_id": IDS,
                "created_at": [4, 3, 2, 1],
                "learned_at": [4, 3, 2, 1],
                "content": [0, 0, 0, 0],
                "layout": [7, 8, 7, 7],
                "profile": PROFILES,
            },
        )
    return store


def all_accounts() -> Rows:
    return Rows("accounts", "learned_at <= :until", {"until": 9}, order="account")


def of(store: Store, read: object, *arguments: object) -> object:
    with store.engine.connect() as connection:
        return read(connection, *arguments)  # type: ignore[operator]


def packed(connection: Connection) -> tuple[list[int], list[int], list[bytes]]:
    (account,), values = packed_of(connection, all_accounts(), ("account",), "profile")
    end = np.cumsum(values.size).tolist()
    parts = [values.joined[low:high] for low, high in zip([0, *end], end, strict=False)]
    return account.tolist(), values.layout.tolist(), parts


def test_integers_of_any_size_come_whole(filled: Store) -> None:
    account, created = of(filled, integers_of, all_accounts(), ("account", "created_at"))  # type: ignore[misc]
    assert account.tolist() == [-(2**63), -1, 2**53 + 1, 2**63 - 1]
    assert created.tolist() == [4, 3, 2, 1]


def test_where_there_are_no_rows_columns_are_empty(filled: Store) -> None:
    none = Rows("accounts", "learned_at > :until", {"until": 9})
    assert [len(column) for column in of(filled, integers_of, none, ("account", "layout"))] == [0, 0]  # type: ignore[attr-defined]
    columns, values = of(filled, packed_of, none, ("account",), "profile")  # type: ignore[misc]
    assert (len(columns[0]), len(values), values.joined) == (0, 0, b"")
    assert of(filled, texts_of, none, "account", "account_id")[1] == []  # type: ignore[index]


def test_bytes_that_are_no_text_come_as_they_are(filled: Store) -> None:
    assert of(filled, packed) == ([-(2**63), -1, 2**53 + 1, 2**63 - 1], [7, 8, 7, 7], PROFILES)


def test_a_sqlite_that_would_not_join_them_so_is_asked_for_digits_instead(
    filled: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathered, "_TRIED_WELL", b"what no SQLite answers")
    assert of(filled, packed) == ([-(2**63), -1, 2**53 + 1, 2**63 - 1], [7, 8, 7, 7], PROFILES)


def test_texts_may_hold_any_character(filled: Store) -> None:
    account, ids = of(filled, texts_of, all_accounts(), "account", "account_id")  # type: ignore[misc]
    assert (account.tolist(), ids) == ([-(2**63), -1, 2**53 + 1, 2**63 - 1], IDS)


def test_a_column_with_a_null_is_refused_rather_than_moved_up(filled: Store) -> None:
    with pytest.raises(ValueError, match=r"rows|NULL"):
        of(filled, integers_of, all_accounts(), ("account", "erased_at"))
