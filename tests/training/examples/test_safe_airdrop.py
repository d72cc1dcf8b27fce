from __future__ import annotations

from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

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
    assert CREATED < pc.min(labels["decided_at"]).cast("int64").as_py()
