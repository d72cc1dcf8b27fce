"""Imports whose files another process reads: nothing may come out differently, whatever happens to that process."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.commands import reading
from service.commands.reading import Reader, worth_it
from service.domain.time import DAY, micros, rfc3339
from service.settings import Settings
from service.signals.door import Door
from service.signals.keyring import Keyring
from service.signals.reference.tables import AddressTables
from service.storage.database import opened
from service.storage.store import Store, open_store
from service.usecases.import_directory import ImportReport, import_directory
from service.usecases.interchange import beside, loading
from service.usecases.interchange.beside import Beside, ReadingStopped, hand_over
from service.usecases.interchange.parquet import BATCH_ROWS
from service.usecases.interchange.sources import sources

NOON = micros(datetime(2026, 4, 22, 12, tzinfo=UTC))
NOW = NOON + 30 * DAY
KEYRING = Keyring.generated(NOON - DAY, lambda n: b"7" * n)


class Quiet:
    """Nobody watches."""

    def begins(self, name: str, size: int) -> None: ...

    def advanced(self, read: int, rows: int) -> None: ...

    def ends(self, name: str, counts: object, *, published: bool) -> None: ...


class Once(Quiet):
    """Does something when the first chunk of a file has been kept."""

    def __init__(self, name: str, deed: Callable[[], None]) -> None:
        self._name, self._deed = name, deed
        self._at = ""

    def begins(self, name: str, size: int) -> None:  # noqa: ARG002
        self._at = name

    def advanced(self, read: int, rows: int) -> None:  # noqa: ARG002
        if self._at == self._name:
            self._at = ""
            self._deed()


def exchanges(part: int, rows: int, *, conflict: bool = False) -> pa.Table:
    """Rows of one file. Every seventh has come in the first one, too; with ``conflict`` some of those otherwise."""
    number = np.arange(rows) + part * rows
    number[::7] -= part * rows
    said = np.arange(rows)
    tokens = said % 900
    tokens[::700] += conflict
    return pa.table(
        {
            "event_id": [f"u{i:07}" for i in number.tolist()],
            "account_id": [f"a{i % 97}" for i in said.tolist()],
            "happened_at": pa.array(NOON + said * 1_000_000, pa.int64()).cast(pa.timestamp("us", "UTC")),
            "ip": [f"203.0.113.{i % 200}" if i % 5 else None for i in said.tolist()],
            "client": [f"sdk/{i % 3}" for i in said.tolist()],
            "input_tokens": pa.array(tokens, pa.int64()),
            "prompt_prefix_hash": pa.array(said % 50, pa.uint64()),
            "prompt_simhash": pa.array(number.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)),
        }
    )


def write_world(folder: Path, rows: int = 200_000, parts: int = 2) -> None:
    """Every table; usage in files of some chunks each."""
    folder.mkdir()
    lines = [f"a{i},{rfc3339(NOON + i)},a{i}@example.org,203.0.113.{i % 200}" for i in range(97)]
    (folder / "accounts.csv").write_text("\n".join(["account_id,created_at,email,ip", *lines, ""]))
    (folder / "usage").mkdir()
    for part in range(parts):
        pq.write_table(exchanges(part, rows), folder / "usage" / f"part-{part}.parquet")
    (folder / "links.jsonl").write_text(
        f'{{"account_id": "a1", "happened_at": "{rfc3339(NOON)}", "key_type": "referral_code", "key_value": "R1"}}\n'
    )
    (folder / "labels.csv").write_text(
        f"account_id,verdict,decided_at,analyst,campaign_id\na1,fraud,{rfc3339(NOON + DAY)},eve,c-1\n"
    )


@contextmanager
def reader(directory: Path, *, originals: bool = False) -> Iterator[Reader]:
    with closing(Reader()) as started:
        started.begin(Settings(), KEYRING, directory, NOW, originals=originals)
        yield started


def imported(
    directory: Path, store: Store, *, apart: bool, skip: Path | None = None, progress: Quiet | None = None
) -> ImportReport:
    def run(door: Door | Beside) -> ImportReport:
        return import_directory(
            directory, door=door, store=store, now=NOW, skip_bad_rows=skip, progress=progress or Quiet()
        )

    if not apart:
        return run(Door(KEYRING, AddressTables()))
    with reader(directory, originals=skip is not None) as started:
        return run(started.beside())


def contents(url: str, folder: Path) -> dict[str, Any]:
    """All rows of all tables, and of all segments; but for the names of segments, which are made up each time."""
    found: dict[str, Any] = {}
    with opened(url) as engine, engine.connect() as connection:
        names = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'").scalars().all()
        for name in names:
            rows = connection.exec_driver_sql(f"SELECT * FROM {name}").all()
            if name == "segments":
                rows = [row[2:] for row in rows]
            found[name] = sorted(map(repr, rows))
    tables = [pq.read_table(path) for path in (folder / "gatehouse.segments" / "usage").glob("*.parquet")]
    found["raw"] = pa.concat_tables(tables).sort_by("event").to_pydict() if tables else None
    return found


@pytest.fixture
def two(tmp_path: Path) -> Iterator[dict[bool, tuple[Store, str, Path]]]:
    """Two empty databases, for the import in one process and in two."""
    made: dict[bool, tuple[Store, str, Path]] = {}
    for apart in (False, True):
        folder = tmp_path / f"apart-{apart}"
        folder.mkdir()
        url = f"sqlite:///{folder}/gatehouse.db"
        made[apart] = open_store(url, upgrading=True), url, folder
    yield made
    for store, _, _ in made.values():
        store.close()


def both(two: dict[bool, tuple[Store, str, Path]], facts: Path, *, skip: bool = False) -> dict[bool, ImportReport]:
    """Reports of both ways, whose databases are the same afterwards."""
    reports = {}
    for apart, (store, _, folder) in two.items():
        reports[apart] = imported(facts, store, apart=apart, skip=folder / "aside.jsonl" if skip else None)
    found = {apart: contents(url, folder) for apart, (_, url, folder) in two.items()}
    assert found[True] == found[False]
    return reports


def test_the_database_and_the_report_are_the_same_and_stay_so_the_second_time(
    two: dict[bool, tuple[Store, str, Path]], tmp_path: Path
) -> None:
    write_world(tmp_path / "facts")
    first = both(two, tmp_path / "facts")
    assert first[True] == first[False]
    counts = first[True].files["usage"]
    assert (counts.rows, counts.imported, counts.duplicates, counts.bad) == (400_000, 371_428, 28_572, 0)
    assert not first[True].refused
    assert first[True].campaigns == {"c-1"}
    again = both(two, tmp_path / "facts")
    assert again[True] == again[False]
    assert again[True].files["usage"].imported == 0


def test_refused_rows_have_the_same_numbers_reasons_and_records(
    two: dict[bool, tuple[Store, str, Path]], tmp_path: Path
) -> None:
    write_world(tmp_path / "facts")
    table = exchanges(2, 200_000, conflict=True)
    ids = table.column("event_id").to_pylist()
    ids[140_001], ids[190_002] = "", "x" * 300
    tokens = table.column("input_tokens").to_pylist()
    tokens[5] = tokens[199_999] = -1
    table = table.set_column(0, "event_id", pa.array(ids))
    table = table.set_column(table.schema.get_field_index("input_tokens"), "input_tokens", pa.array(tokens))
    pq.write_table(table, tmp_path / "facts" / "usage" / "part-2.parquet")
    with (tmp_path / "facts" / "accounts.csv").open("a") as file:
        file.write("too,many,fields,in,this,row\nann,never,,\n")
    reports = both(two, tmp_path / "facts", skip=True)
    assert reports[True] == reports[False]
    assert not reports[True].refused
    assert reports[True].files["usage"].bad == 286 + 4
    aside = {apart: (folder / "aside.jsonl").read_bytes() for apart, (_, _, folder) in two.items()}
    assert aside[True] == aside[False]
    for row in (1, 6, 140_002, 140_001, 190_003, 200_000):  # of which two came before with other content
        assert f'"file":"usage/part-2.parquet","row":{row},'.encode() in aside[True]
    assert b'"file":"accounts.csv","row":98,' in aside[True]


def test_a_file_that_is_broken_or_refused_leaves_the_others_as_they_are(
    two: dict[bool, tuple[Store, str, Path]], tmp_path: Path
) -> None:
    write_world(tmp_path / "facts", parts=1)
    usage = tmp_path / "facts" / "usage"
    (usage / "part-00.parquet").write_bytes(b"PAR1 and no more")  # before any row: the import asks for the next file
    whole = (usage / "part-0.parquet").read_bytes()
    (usage / "part-1.parquet").write_bytes(whole[: len(whole) // 3] + bytes(1_000) + whole[len(whole) // 3 + 1_000 :])
    (tmp_path / "facts" / "links.jsonl").write_text('{"account_id": "a1", "no_such_column": 1}\n')
    reports = both(two, tmp_path / "facts")
    assert reports[True] == reports[False]
    assert reports[True].refused == ["usage/part-00.parquet", "usage/part-1.parquet", "links.jsonl"]
    assert reports[True].files["usage"].imported == 200_000
    assert reports[True].files["labels"].imported == 1


def test_a_reader_that_is_killed_leaves_nothing_of_the_file_and_the_next_import_goes_on(
    two: dict[bool, tuple[Store, str, Path]], tmp_path: Path
) -> None:
    write_world(tmp_path / "facts", rows=1_500_000, parts=1)  # more chunks than it may be ahead
    store, url, folder = two[True]
    with reader(tmp_path / "facts") as started:
        kill = Once("usage/part-0.parquet", lambda: os.kill(started._process.pid, signal.SIGKILL))
        with pytest.raises(ReadingStopped, match=r"usage/part-0.parquet: .*\(SIGKILL\).*run the same command again"):
            import_directory(
                tmp_path / "facts",
                door=started.beside(),
                store=store,
                now=NOW,
                skip_bad_rows=None,
                progress=kill,
            )
    left = contents(url, folder)
    assert len(left["accounts"]) == 97
    assert not left["usage_tiles"]
    assert left["raw"] is None
    report = imported(tmp_path / "facts", store, apart=True)
    assert report.files["accounts"].duplicates == 97
    assert report.files["usage"].imported == 1_500_000


def test_an_import_that_is_interrupted_leaves_nothing_of_the_file_and_no_process(
    two: dict[bool, tuple[Store, str, Path]], tmp_path: Path
) -> None:
    write_world(tmp_path / "facts", rows=1_500_000, parts=1)
    store, url, folder = two[True]

    def interrupt() -> None:
        raise KeyboardInterrupt

    with reader(tmp_path / "facts") as started, pytest.raises(KeyboardInterrupt):
        import_directory(
            tmp_path / "facts",
            door=started.beside(),
            store=store,
            now=NOW,
            skip_bad_rows=None,
            progress=Once("usage/part-0.parquet", interrupt),
        )
    assert started._process.returncode == 0  # it has ended by itself, and is nobody's zombie
    left = contents(url, folder)
    assert not left["usage_tiles"]
    assert left["raw"] is None


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_however_the_command_ends_its_reader_does_and_nothing_of_the_file_is_kept(
    tmp_path: Path, number: signal.Signals
) -> None:
    write_world(tmp_path / "facts", rows=1_500_000, parts=1)
    large = "from service.commands import reading; reading.LARGE_BYTES = 0; from service.cli import main; main()"
    url = f"sqlite:///{tmp_path}/gatehouse.db"
    process = subprocess.Popen(
        [sys.executable, "-c", large, "import", str(tmp_path / "facts"), "--database", url],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("usage/part-0.parquet: "):
            break
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 1
    process.send_signal(number)
    _, said = process.communicate()
    assert process.returncode == (1 if number is signal.SIGINT else -signal.SIGKILL)
    assert ("interrupted: nothing of the file being read was imported" in said) == (number is signal.SIGINT)
    late = time.monotonic() + 20
    while _runs(children[0]) and time.monotonic() < late:
        time.sleep(0.05)
    assert not _runs(children[0])
    left = contents(url, tmp_path / "elsewhere")
    assert len(left["accounts"]) == 97
    assert not left["usage_tiles"]


def _runs(pid: str) -> bool:
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def test_nobody_can_read_the_secrets_off_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_world(tmp_path / "facts", rows=10, parts=1)
    monkeypatch.setenv("GATEHOUSE_HMAC_KEYS", f"content:{'c3' * 32},k1:{'3c' * 32}")
    monkeypatch.setenv("GATEHOUSE_DATABASE_URL", "postgresql://user:secret@host/name")
    with reader(tmp_path / "facts") as started:
        next(started.beside().chunks(sources(tmp_path / "facts")[0]))
        place = Path(f"/proc/{started._process.pid}")
        shown = (place / "cmdline").read_bytes() + (place / "environ").read_bytes()
    assert b"GATEHOUSE" not in shown
    assert b"c3c3" not in shown
    assert b"secret@" not in shown


def test_it_is_no_more_ahead_than_it_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_world(tmp_path / "facts", rows=1_500_000, parts=1)
    made = 0

    def counted(*arguments: Any) -> Iterator[Any]:
        nonlocal made
        for each in loading.admitted(*arguments):
            made += 1
            yield each

    monkeypatch.setattr(beside, "admitted", counted)
    monkeypatch.setattr(beside, "AHEAD", 3)
    files = sources(tmp_path / "facts")[1:2]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        door = Door(KEYRING, AddressTables())
        hands = threading.Thread(target=hand_over, args=(theirs, files, door, NOW), kwargs={"originals": False})
        hands.start()
        chunks = Beside(ours, lambda: "?").chunks(files[0])
        next(chunks)
        late = time.monotonic() + 20
        while made < 5 and time.monotonic() < late:
            time.sleep(0.05)
        time.sleep(0.3)
        assert made == 5  # one taken, three waiting, and one that is made already and has no room yet
        assert sum(len(each.places) for each in chunks) == 1_500_000 - BATCH_ROWS
        hands.join()


class _Breaks:
    """A door that has a mistake in it."""

    def __getattr__(self, name: str) -> Any:
        raise ZeroDivisionError(f"no {name} today")


def test_a_mistake_in_the_other_process_is_shown_with_its_place(tmp_path: Path) -> None:
    write_world(tmp_path / "facts", rows=10, parts=1)
    files = sources(tmp_path / "facts")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        door: Any = _Breaks()
        hands = threading.Thread(target=hand_over, args=(theirs, files, door, NOW), kwargs={"originals": False})
        hands.start()
        with pytest.raises(RuntimeError, match=r"(?s)in the process that reads:.*_admit.*no signups_table today"):
            list(Beside(ours, lambda: "?").chunks(files[0]))
        ours.close()
        hands.join()


def test_only_much_to_read_is_worth_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    write_world(tmp_path / "facts", rows=1_000, parts=1)
    assert not worth_it(tmp_path / "facts")
    monkeypatch.setattr(reading, "LARGE_BYTES", 20_000)
    assert worth_it(tmp_path / "facts")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    assert not worth_it(tmp_path / "facts")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    shutil.rmtree(tmp_path / "facts" / "usage")
    (tmp_path / "facts" / "notes.txt").write_bytes(bytes(50_000))
    assert not worth_it(tmp_path / "facts")
