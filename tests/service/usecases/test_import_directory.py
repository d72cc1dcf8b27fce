from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.domain.codes import hash64_many
from service.domain.errors import UsageError
from service.domain.time import DAY, HOUR, MINUTE, micros, rfc3339
from service.signals.door import Door
from service.signals.keyring import Keyring
from service.signals.reference.tables import AddressTables
from service.storage.store import Store
from service.usecases.import_directory import Counts, ImportReport, import_directory, import_labels
from service.usecases.interchange.ports import Bulk

NOON = micros(datetime(2026, 4, 22, 12, tzinfo=UTC))
NOW = NOON + 30 * DAY


class Quiet:
    """Nobody watches."""

    def begins(self, name: str, size: int) -> None: ...

    def advanced(self, read: int, rows: int) -> None: ...

    def ends(self, name: str, counts: Counts, *, published: bool) -> None: ...


@pytest.fixture(scope="module")
def door() -> Door:
    return Door(Keyring.generated(NOON - DAY, lambda n: b"7" * n), AddressTables())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "facts"
    made.mkdir()
    return made


Import = Callable[..., ImportReport]


@pytest.fixture
def import_all(door: Door, store: Store, folder: Path) -> Import:
    def run(skip: Path | None = None, now: int = NOW) -> ImportReport:
        return import_directory(folder, door=door, store=store, now=now, skip_bad_rows=skip, progress=Quiet())

    return run


def write_csv(path: Path, header: str, *rows: str) -> None:
    path.write_text("\n".join([header, *rows, ""]))


def at(hours: float) -> str:
    return rfc3339(NOON + int(hours * HOUR))


def write_world(folder: Path) -> None:
    """Two accounts that share an address and pay with cards of one bank, in three formats."""
    write_csv(
        folder / "accounts.csv",
        "account_id,created_at,email,ip,x_note",
        f"ann,{at(0)},ann@example.org,203.0.113.9,first",
        f"bob,{at(1)},bob@example.org,203.0.113.9,",
    )
    write_csv(
        folder / "payments.csv",
        "event_id,account_id,happened_at,kind,method,card_bin,amount_minor,currency",
        f"p1,ann,{at(2)},method_added,card,424242,,",
        f"p2,bob,{at(3)},charge_succeeded,card,424242,500,EUR",
    )
    (folder / "usage").mkdir()
    times = pa.array([NOON + (4 + i) * HOUR for i in range(6)], pa.int64()).cast(pa.timestamp("us", "UTC"))
    for part in range(2):
        rows = {
            "event_id": [f"u{part}{i}" for i in range(6)],
            "account_id": ["ann", "bob"] * 3,
            "happened_at": times,
            "input_tokens": pa.array(range(6), pa.int64()),
            "prompt_simhash": pa.array([2**64 - 1 - i for i in range(6)], pa.uint64()),
        }
        pq.write_table(pa.table(rows), folder / "usage" / f"part-{part}.parquet")
    links = [
        {"account_id": a, "happened_at": at(5), "key_type": "referral_code", "key_value": "R1"} for a in ("ann", "bob")
    ]
    (folder / "links.jsonl").write_text("".join(json.dumps(link) + "\n" for link in links))
    write_csv(folder / "signals.csv", "account_id,happened_at,name,value", f"ann,{at(6)},trust,0.5")
    write_csv(
        folder / "labels.csv",
        "account_id,verdict,decided_at,analyst,campaign_id",
        f"ann,fraud,{at(30)},eve,c-1",
        f"zoe,legitimate,{at(30)},eve,",
    )
    (folder / "truth.parquet").write_bytes(b"nobody may read this")
    (folder / "notes.txt").write_text("nor care about this")


WORLD = {
    "accounts": Counts(2, 2, 0, 0),
    "payments": Counts(2, 2, 0, 0),
    "usage": Counts(12, 12, 0, 0),
    "links": Counts(2, 2, 0, 0),
    "signals": Counts(1, 1, 0, 0),
    "labels": Counts(2, 2, 0, 0),
}


def test_a_directory_of_all_tables_is_taken_in_and_a_second_time_changes_nothing(
    import_all: Import, folder: Path, store: Store
) -> None:
    write_world(folder)
    report = import_all()
    assert report.files == WORLD
    assert not report.refused
    assert report.campaigns == {"c-1"}
    accounts = hash64_many(["ann", "bob"])
    before = store.history(accounts, NOW)
    again = import_all()
    assert again.files == {name: Counts(c.rows, 0, c.rows, 0) for name, c in WORLD.items()}
    assert again.campaigns == set()
    after = store.history(accounts, NOW)
    assert before.usage.values.tolist() == after.usage.values.tolist()
    assert before.payments.values.tolist() == after.payments.values.tolist()
    assert sorted(before.own.key.tolist()) == sorted(after.own.key.tolist())


def test_what_an_import_teaches_counts_from_its_own_time(import_all: Import, folder: Path, store: Store) -> None:
    write_world(folder)
    import_all()
    accounts = hash64_many(["ann", "bob"])
    noon = store.history(accounts, NOON)
    assert sorted(noon.known.tolist()) == [False, True]
    assert len(noon.usage) == 0
    later = store.history(accounts, NOON + 10 * HOUR)
    assert later.known.all()
    assert len(later.signals.value) == 1
    assert (later.spans.start > NOON + 10 * HOUR).all()
    assert store.history(accounts, NOON + 31 * HOUR).spans.start.tolist() == [NOON + 30 * HOUR]


def test_facts_of_an_account_are_kept_until_its_signup_comes(import_all: Import, folder: Path, store: Store) -> None:
    write_csv(folder / "signals.csv", "account_id,happened_at,name,value", f"ann,{at(6)},trust,0.5")
    import_all()
    assert not store.history(hash64_many(["ann"]), NOW).known.any()
    (folder / "signals.csv").unlink()
    write_csv(folder / "accounts.csv", "account_id,created_at", f"ann,{at(0)}")
    import_all()
    history = store.history(hash64_many(["ann"]), NOW)
    assert history.known.all()
    assert history.signals.value.tolist() == [0.5]


def test_a_file_with_a_bad_row_is_refused_whole_and_the_others_are_published(
    import_all: Import, folder: Path, store: Store
) -> None:
    write_world(folder)
    write_csv(
        folder / "accounts.csv",
        "account_id,created_at,form_seconds",
        f"ann,{at(0)},1.5",
        f"bob,{at(1)},nan",
        f",{at(1)},2",
        "cid,yesterday,2",
    )
    report = import_all()
    assert report.refused == ["accounts.csv"]
    assert report.files["accounts"] == Counts(rows=4, imported=0, duplicates=0, bad=3)
    assert [str(bad) for bad in report.bad_rows] == [
        "accounts.csv row 2, form_seconds: is NaN; leave it empty (null) where it is not known",
        "accounts.csv row 3, account_id: is missing",
        "accounts.csv row 4, created_at: is not a time such as 2026-04-22T10:00:00.123456Z (RFC 3339)",
    ]
    assert not store.history(hash64_many(["ann"]), NOW).known.any()
    assert report.files["usage"] == WORLD["usage"]


def test_bad_rows_are_put_aside_with_the_reason_and_the_others_published(
    import_all: Import, folder: Path, tmp_path: Path
) -> None:
    write_csv(
        folder / "usage.csv",
        "event_id,account_id,happened_at,input_tokens,ip,x_note",
        f"u1,ann,{at(1)},12,203.0.113.9,",
        f"u2,ann,{at(1)},-1,not an address,",
        f"u3,ann,{at(1)},12",
        f"u4,ann,{rfc3339(NOW + 6 * MINUTE)},12,,keep me",
        f"u5,ann,{rfc3339(NOW + 4 * MINUTE)},12,,",
    )
    aside = tmp_path / "bad.jsonl"
    report = import_all(skip=aside)
    assert report.files == {"usage": Counts(rows=5, imported=2, duplicates=0, bad=3)}
    assert not report.refused
    lines = [json.loads(line) for line in aside.read_text().splitlines()]
    by_row = {line["row"]: line for line in lines}
    assert {line["file"] for line in lines} == {"usage.csv"}
    assert {by_row[2]["column"], by_row[2]["also"][0]["column"]} == {"input_tokens", "ip"}
    assert by_row[2]["record"]["ip"] == "not an address"
    assert by_row[3]["reason"] == "has 4 fields on line 4, the header has 6"
    assert by_row[4]["column"] == "happened_at"
    assert by_row[4]["reason"] == "lies more than 5 minutes in the future"
    assert by_row[4]["record"]["x_note"] == "keep me"
    assert aside.stat().st_mode & 0o077 == 0
    assert import_all(skip=aside).files == {"usage": Counts(rows=5, imported=0, duplicates=2, bad=3)}


def test_reasons_never_repeat_what_may_be_personal(import_all: Import, folder: Path) -> None:
    write_csv(
        folder / "accounts.csv",
        "account_id,created_at,email,ip,form_seconds,email_verified",
        f"ann@private.example,ann@private.example,{'ann@private.example' * 5000},ann@private.example,"
        "ann@private.example,ann@private.example",
    )
    report = import_all()
    assert report.bad == 1
    assert len(report.bad_rows) >= 4
    assert not any("private" in str(bad) for bad in report.bad_rows)


@pytest.mark.parametrize(
    ("name", "header", "first", "other"),
    [
        ("accounts", "account_id,email,created_at", "ann,a@example.org", "ann,"),
        ("usage", "event_id,account_id,input_tokens,happened_at", "u1,ann,1", "u1,ann,2"),
        ("payments", "event_id,account_id,kind,method,happened_at", "p1,ann,refund,card", "p1,ann,refund,bank"),
        ("labels", "account_id,verdict,analyst,decided_at", "ann,fraud,eve", "ann,legitimate,eve"),
    ],
)
def test_the_same_id_with_other_content_is_refused_and_the_first_kept(
    import_all: Import, folder: Path, name: str, header: str, first: str, other: str
) -> None:
    first, other = f"{first},{at(0)}", f"{other},{at(0)}"
    write_csv(folder / f"{name}.csv", header, first, first, other)
    within = import_all()
    assert within.refused == [f"{name}.csv"]
    assert within.files[name] == Counts(rows=3, imported=0, duplicates=1, bad=1)
    assert within.bad_rows[0].row == 3
    assert "the first is kept" in within.bad_rows[0].reason
    write_csv(folder / f"{name}.csv", header, first)
    assert import_all().files[name] == Counts(1, 1, 0, 0)
    write_csv(folder / f"{name}.csv", header, other)
    assert import_all().refused == [f"{name}.csv"]
    write_csv(folder / f"{name}.csv", header, first)
    assert import_all().files[name] == Counts(1, 0, 1, 0)


def test_a_retraction_of_a_known_label_is_news_and_no_conflict(import_all: Import, folder: Path, store: Store) -> None:
    header = "account_id,verdict,decided_at,analyst,retracted_at"
    write_csv(folder / "accounts.csv", "account_id,created_at", f"ann,{at(0)}")
    write_csv(folder / "links.csv", "account_id,happened_at,key_type,key_value", f"ann,{at(0)},referral_code,R1")
    write_csv(folder / "labels.csv", header, f"ann,fraud,{at(1)},eve,")
    import_all()
    write_csv(folder / "labels.csv", header, f"ann,fraud,{at(1)},eve,{at(5)}")
    assert import_all().files["labels"] == Counts(1, 1, 0, 0)
    assert import_all().files["labels"] == Counts(1, 0, 1, 0)
    ann = hash64_many(["ann"])
    standing = store.history(ann, NOON + 3 * HOUR).spans
    assert [(s <= NOON + 3 * HOUR < e) for s, e in zip(standing.start, standing.end, strict=True)] == [True]
    retracted = store.history(ann, NOON + 6 * HOUR).spans
    assert not any(s <= NOON + 6 * HOUR < e for s, e in zip(retracted.start, retracted.end, strict=True))


def test_a_label_retracted_before_it_was_decided_is_a_bad_row(import_all: Import, folder: Path) -> None:
    write_csv(
        folder / "labels.csv",
        "account_id,verdict,decided_at,analyst,retracted_at",
        f"ann,fraud,{at(5)},eve,{at(1)}",
        f"bob,guilty,{at(5)},eve,",
    )
    report = import_all()
    assert [(bad.row, bad.column) for bad in report.bad_rows] == [(1, "retracted_at"), (2, "verdict")]


def test_a_half_written_file_does_not_keep_the_others_out(import_all: Import, folder: Path) -> None:
    write_world(folder)
    part = folder / "usage" / "part-1.parquet"
    part.write_bytes(part.read_bytes()[:-20])
    write_csv(folder / "signals.csv", "account_id,happened_at,name,worth", f"ann,{at(6)},trust,0.5")
    report = import_all()
    assert report.refused == ["usage/part-1.parquet", "signals.csv"]
    assert report.problems[0].startswith("usage/part-1.parquet: is not a whole Parquet file")
    assert report.problems[1].startswith("signals.csv: signals has no column 'worth'")
    assert report.files["usage"] == Counts(6, 6, 0, 0)
    assert report.files["signals"] == Counts(0, 0, 0, 0)
    assert report.files["labels"] == WORLD["labels"]


def test_a_file_that_breaks_off_later_leaves_nothing_and_puts_nothing_aside(
    import_all: Import, folder: Path, tmp_path: Path
) -> None:
    (folder / "signals.jsonl").write_text(
        json.dumps({"account_id": "ann", "happened_at": at(1), "name": "n", "value": "one"})
        + "\n"
        + (json.dumps({"account_id": "ann", "happened_at": at(1), "name": "n", "value": 1}) + "\n") * 20_000
        + json.dumps({"account_id": "ann", "happened_at": at(1), "name": "n", "worth": 1})
        + "\n"
    )
    aside = tmp_path / "bad.jsonl"
    report = import_all(skip=aside)
    assert report.refused == ["signals.jsonl"]
    assert report.files["signals"].imported == 0
    assert aside.read_bytes() == b""


class Interrupted:
    """A store whose user presses Ctrl-C in the middle of the second file."""

    def __init__(self, store: Store) -> None:
        self._store, self._files = store, 0

    def bulk(self) -> AbstractContextManager[Bulk]:
        self._files += 1
        if self._files == 2:
            raise KeyboardInterrupt
        return self._store.bulk()


def test_an_interrupted_import_goes_on_where_it_stopped(
    import_all: Import, door: Door, store: Store, folder: Path, tmp_path: Path
) -> None:
    write_world(folder)
    aside = tmp_path / "bad.jsonl"
    aside.write_text("of an earlier run\n")
    with pytest.raises(KeyboardInterrupt):
        import_directory(folder, door=door, store=Interrupted(store), now=NOW, skip_bad_rows=aside, progress=Quiet())
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("ahead")]
    assert aside.read_text() == "of an earlier run\n"
    assert not aside.with_name("bad.jsonl.partial").exists()
    report = import_all(skip=aside)
    assert report.files["accounts"] == Counts(2, 0, 2, 0)
    assert report.files["payments"] == Counts(2, 2, 0, 0)


def test_only_the_first_thousand_bad_rows_are_kept_and_all_are_counted(import_all: Import, folder: Path) -> None:
    write_csv(folder / "signals.csv", "account_id,happened_at,name,value", *[f"ann,{at(1)},n,x"] * 1500)
    report = import_all()
    assert report.bad == 1500
    assert len(report.bad_rows) == 1000
    assert asdict(report.files["signals"]) == {"rows": 1500, "imported": 0, "duplicates": 0, "bad": 1500}


def test_a_directory_without_tables_is_the_callers_mistake(import_all: Import, folder: Path) -> None:
    (folder / "truth.parquet").write_bytes(b"")
    with pytest.raises(UsageError, match="holds none of the tables accounts, payments"):
        import_all()
    folder.joinpath("truth.parquet").unlink()
    folder.rmdir()
    with pytest.raises(UsageError, match="is not a directory"):
        import_all()


def test_bad_rows_cannot_be_put_aside_into_a_file_that_is_imported(import_all: Import, folder: Path) -> None:
    write_world(folder)
    with pytest.raises(UsageError, match="is one of the files to import"):
        import_all(skip=folder / "labels.csv")
    with pytest.raises(UsageError, match="cannot be written"):
        import_all(skip=folder / "absent" / "bad.jsonl")


def test_labels_are_imported_from_a_file_of_any_name(door: Door, store: Store, tmp_path: Path) -> None:
    path = tmp_path / "monday.csv"
    write_csv(path, "account_id,verdict,decided_at,analyst,campaign_id", f"ann,fraud,{at(1)},eve,c-9")
    report = import_labels(path, door=door, store=store, now=NOW, skip_bad_rows=None, progress=Quiet())
    assert report.files == {"labels": Counts(1, 1, 0, 0)}
    assert report.campaigns == {"c-9"}
    path = path.rename(tmp_path / "monday.xlsx")
    with pytest.raises(UsageError, match="must end in one of"):
        import_labels(path, door=door, store=store, now=NOW, skip_bad_rows=None, progress=Quiet())
