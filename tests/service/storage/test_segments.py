"""Raw usage: moved out of the database whole, found again by id, pruned by age."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import pyarrow.parquet as pq
import pytest

from service.domain.codes import hash64
from service.domain.errors import DatabaseProblem
from service.domain.raw import Usage
from service.domain.time import DAY, HOUR
from service.signals.door import Door
from service.signals.keyring import Keyring
from service.signals.reference.tables import AddressTables
from service.storage.arrivals import CONFLICT, DUPLICATE, NEW
from service.storage.segments import SCHEMA, Segment
from service.storage.store import Store
from tests.service.storage.factories import START, arrival, ints, usage

LATER = START + 60 * DAY


def listed(store: Store) -> list[Segment]:
    with store.engine.connect() as connection:
        return store.segments.listed(connection)


def test_live_exchanges_move_into_a_segment_whose_days_are_apart(store: Store, tmp_path: Path) -> None:
    for day in (2, 0, 1):
        store.write([arrival(LATER, usage=usage("a", [f"u{day}-{i}" for i in range(50)], START + day * DAY))])
    assert store.flush_usage_log() == 150
    (segment,) = listed(store)
    table = store.segments.read(segment)
    assert table.schema == SCHEMA
    assert (table["happened"].to_numpy() // DAY).tolist() == [START // DAY + day for day in range(3) for _ in range(50)]
    with pq.ParquetFile(tmp_path / "segments" / segment.path) as file:
        assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [50, 50, 50]
    assert set(table["learned"].to_numpy().tolist()) == {LATER}
    data = (tmp_path / "segments" / segment.path).read_bytes()
    assert hashlib.sha256(data).hexdigest() == segment.sha256
    assert (segment.exchanges, segment.first_at, segment.last_learned) == (150, START, LATER)
    assert store.flush_usage_log() == 0
    with store.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM usage_events").scalar_one() == 0


def test_an_id_is_found_in_segments_of_its_day_and_the_days_beside(store: Store) -> None:
    for day in range(5):
        store.write([arrival(None, usage=usage("a", [f"u{day}"], START + day * DAY + HOUR))])
        store.flush_usage_log()
    assert len(listed(store)) == 5
    for moved in (-1, 0, 1):
        again = store.write([arrival(None, usage=usage("a", ["u2"], START + (2 + moved) * DAY + HOUR))])
        assert again[0].usage.tolist() == [DUPLICATE]
    assert store.write([arrival(None, usage=usage("a", ["u2"], START + 2 * DAY, content=5))])[0].usage.tolist() == [
        CONFLICT
    ]
    assert store.write([arrival(None, usage=usage("a", ["u9"], START + 2 * DAY))])[0].usage.tolist() == [NEW]


def test_two_servers_that_flush_at_once_move_every_exchange_once(store: Store, tmp_path: Path) -> None:
    for i in range(20):
        store.write([arrival(None, usage=usage("a", [f"u{i}"], START + i * HOUR))])
    threads = [Thread(target=store.flush_usage_log) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.flush_usage_log()
    events = np.concatenate([store.segments.read(each)["event"].to_numpy() for each in listed(store)])
    assert sorted(events.tolist()) == sorted(hash64(f"u{i}") for i in range(20))
    assert len(list((tmp_path / "segments").rglob("*.parquet"))) == len(listed(store))


def test_old_segments_are_pruned_and_their_tiles_stay(store: Store, tmp_path: Path) -> None:
    with store.bulk() as file:
        file.usage(usage("a", ["old"], START))
    with store.bulk() as file:
        file.usage(usage("a", ["new"], START + 9 * DAY))
    assert store.prune_usage(START + 5 * DAY) == 1
    assert [segment.first_at for segment in listed(store)] == [START + 9 * DAY]
    assert len(list((tmp_path / "segments").rglob("*.parquet"))) == 1
    assert len(store.history(ints(hash64("a")), LATER).usage) == 2


def test_files_left_by_a_crash_are_removed_once_they_are_old(store: Store, tmp_path: Path) -> None:
    with store.bulk() as file:
        file.usage(usage("a", ["kept"], START))
    orphan = store.segments.stage([store.segments.read(listed(store)[0])])
    path = tmp_path / "segments" / orphan.path
    written = int(path.stat().st_mtime * 1_000_000)
    assert store.clean_segments(written - DAY) == 0
    assert store.clean_segments(written + DAY) == 1
    assert not path.exists()
    assert store.segments.read(listed(store)[0]).num_rows == 1


@pytest.mark.parametrize("damage", ["gone", "truncated", "not parquet"])
def test_a_damaged_segment_is_named_with_its_mend(store: Store, tmp_path: Path, damage: str) -> None:
    with store.bulk() as file:
        file.usage(usage("a", ["u1"], START))
    path = tmp_path / "segments" / listed(store)[0].path
    whole = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(whole[: len(whole) // 2] if damage == "truncated" else b"no such format")
    with pytest.raises(DatabaseProblem, match=rf"raw usage {listed(store)[0].path} .* restore it from a backup"):
        store.write([arrival(None, usage=usage("a", ["u1"], START))])


@pytest.mark.parametrize("moved", [False, True])
def test_an_exchange_that_an_earlier_release_kept_is_known_when_it_comes_again(store: Store, *, moved: bool) -> None:
    door = Door(Keyring.generated(START - DAY), AddressTables())
    said = [Usage(f"u{i}", "a", START + i, ip="81.2.69.160", input_tokens=i) for i in range(4)]
    facts, _ = door.usage(said, LATER)
    assert facts.worded is not None
    store.write([arrival(LATER, usage=replace(facts, content=facts.worded.hashes(), worded=None))])
    if moved:
        assert store.flush_usage_log() == 4
    again, _ = door.usage([*said, replace(said[1], input_tokens=7), Usage("new", "a", START)], LATER)
    expected = [DUPLICATE, DUPLICATE, DUPLICATE, DUPLICATE, CONFLICT, NEW]
    with store.bulk() as file:
        assert file.usage(again).tolist() == expected
    more, _ = door.usage([*said, replace(said[1], input_tokens=7), Usage("newer", "a", START)], LATER)
    assert store.write([arrival(LATER, usage=more)])[0].usage.tolist() == expected
