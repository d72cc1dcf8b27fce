from __future__ import annotations

from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from training.examples.starscout import HELD_OUT, convert
from training.examples.starscout_compare import TOLERANCE, compare


def test_two_snapshots_become_two_directories_and_the_second_holds_no_verdict(
    starscout_data: Path, tmp_path: Path
) -> None:
    first, second = convert(starscout_data, tmp_path)
    assert (first.date, first.accounts, first.fraud) == ("2024-10-01", 20_080, 10_087)
    assert (second.date, second.accounts, second.fraud) == ("2025-01-01", 20_079, 10_087)
    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == [
        "accounts.parquet",
        "labels.parquet",
        "signals.parquet",
    ]
    assert sorted(path.name for path in (tmp_path / "second").iterdir()) == ["accounts.parquet", "signals.parquet"]
    assert pq.read_metadata(tmp_path / HELD_OUT).num_rows == second.accounts


def test_every_count_of_every_account_arrives_unchanged(starscout_data: Path, tmp_path: Path) -> None:
    first, second = convert(starscout_data, tmp_path)
    rows = pq.read_table(starscout_data / "actors.parquet")
    once = {(row["snapshot"], row["actor"]): row for row in rows.to_pylist()}  # names that stand twice agree in counts
    for snapshot, folder in ((first, "first"), (second, "second")):
        signals = pq.read_table(tmp_path / folder / "signals.parquet")
        assert len(signals) == snapshot.accounts * len(snapshot.counts)
        of_snapshot = [row for (date, _), row in once.items() if date == snapshot.date]
        for name in snapshot.counts:
            found = pc.sum(signals.filter(pc.equal(signals["name"], name))["value"]).as_py()
            assert found == sum(row[name] for row in of_snapshot)


def test_an_account_of_both_snapshots_is_two_accounts(starscout_data: Path, tmp_path: Path) -> None:
    convert(starscout_data, tmp_path)
    ids = [
        set(pq.read_table(tmp_path / folder / "accounts.parquet")["account_id"].to_pylist())
        for folder in ("first", "second")
    ]
    names = [{one.partition("@")[0] for one in some} for some in ids]
    assert not ids[0] & ids[1]
    assert len(names[0] & names[1]) == 199


@pytest.mark.slow
def test_the_product_is_no_worse_than_a_plain_model_on_real_accounts(starscout_data: Path, tmp_path: Path) -> None:
    found = compare(starscout_data, tmp_path)
    assert found.accounts == 20_079
    assert 0.8 < float(found.plain["roc_auc"] or 0.0) < 0.95
    assert found.behind <= TOLERANCE
