from __future__ import annotations

from collections import Counter
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from service.domain.time import DAY
from service.signals.door import Door
from service.signals.keyring import Keyring
from service.signals.reference.tables import AddressTables
from service.storage.store import open_store
from service.usecases.import_directory import Counts, import_directory
from training.examples.safe_airdrop import CREATED, Converted, convert


def test_all_accounts_and_all_confirmed_campaigns_are_written(safe_airdrop_data: Path, tmp_path: Path) -> None:
    made = convert(safe_airdrop_data, tmp_path)
    assert made == Converted(accounts=55_719, labels=12_168, campaigns=68, signals=108_277)
    labels = pq.read_table(tmp_path / "labels.parquet")
    members = labels.group_by("campaign_id").aggregate([("account_id", "count_distinct")])
    assert pc.max(members["account_id_count_distinct"]).as_py() == 5_511
    assert pc.unique(labels["verdict"]).to_pylist() == ["fraud"]


def test_a_verdict_keeps_its_moment_and_every_account_is_older_than_the_first(
    safe_airdrop_data: Path, tmp_path: Path
) -> None:
    convert(safe_airdrop_data, tmp_path)
    labels = pq.read_table(tmp_path / "labels.parquet")
    rows = pq.read_table(safe_airdrop_data / "accounts.parquet")
    said = {row["account"]: row["confirmed_at"] for row in rows.to_pylist() if row["campaign"] is not None}
    assert dict(zip(labels["account_id"].to_pylist(), labels["decided_at"].to_pylist(), strict=True)) == said
    created = pq.read_table(tmp_path / "accounts.parquet")["created_at"]
    assert pc.unique(created).cast("int64").to_pylist() == [CREATED]
    assert pc.min(labels["decided_at"]).cast("int64").as_py() > CREATED


class Quiet:
    """Nobody watches."""

    def begins(self, name: str, size: int) -> None: ...

    def advanced(self, read: int, rows: int) -> None: ...

    def ends(self, name: str, counts: Counts, *, published: bool) -> None: ...


def test_the_largest_campaign_of_5511_members_is_imported_with_all_its_members(
    safe_airdrop_data: Path, sqlite_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "facts"
    convert(safe_airdrop_data, folder)
    store = open_store(sqlite_url, upgrading=True)
    door = Door(Keyring.generated(CREATED, lambda n: b"7" * n), AddressTables())
    now = CREATED + 90 * DAY
    report = import_directory(folder, door=door, store=store, now=now, skip_bad_rows=None, progress=Quiet())
    assert report.files == {
        "accounts": Counts(55_719, 55_719, 0, 0),
        "signals": Counts(108_277, 108_277, 0, 0),
        "labels": Counts(12_168, 12_168, 0, 0),
    }
    assert len(report.campaigns) == len(store.campaigns()) == 68
    members = Counter(label.campaign_id for label in store.labels_at(now))
    assert members.total() == 12_168
    assert members["airdrop-" + _largest(safe_airdrop_data)] == max(members.values()) == 5_511
    assert Counter(label.campaign_id for label in store.labels_at(CREATED)).total() == 0
    store.close()


def _largest(data: Path) -> str:
    rows = pq.read_table(data / "accounts.parquet", columns=["campaign"])["campaign"].drop_null()
    counted = Counter(rows.to_pylist())
    return str(counted.most_common(1)[0][0])
