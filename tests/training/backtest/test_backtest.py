from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from service.domain.errors import UsageError
from training.backtest.replay import Replay
from training.simulate import simulate
from training.simulate.command import DEFAULT_START

_SPEC = importlib.util.spec_from_file_location("backtest_worlds", Path(__file__).with_name("worlds.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
worlds = importlib.util.module_from_spec(_SPEC)
sys.modules["backtest_worlds"] = worlds
_SPEC.loader.exec_module(worlds)

FROM, TO, CUT = worlds.at(20, 5), worlds.at(24), worlds.at(22, 20)
OPTIONS = ("--from", FROM.isoformat(), "--to", TO.isoformat(), "--step", "12h", "--retrain-every", "2d", "--json")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backtest") / "world"
    simulate(folder, accounts=1_500, days=34, campaigns=10, seed=21, start=DEFAULT_START, exchanges_per_day=3.0)
    return folder


@pytest.fixture(scope="module")
def replayed(world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("replayed") / "out"
    return out, worlds.answer(worlds.backtest(world, out, *OPTIONS))


def test_every_signup_is_decided_at_its_second_and_later_rows_tell_what_changed(
    world: Path, replayed: tuple[Path, dict[str, Any]]
) -> None:
    out, said = replayed
    accounts = pq.read_table(world / "accounts.parquet", columns=["account_id", "created_at"]).to_pylist()
    asked = {one["account_id"]: one["created_at"] for one in accounts if FROM <= one["created_at"] < TO}
    rows = worlds.decisions(out)
    signups = {row["account_id"]: row["decided_at"] for row in rows if row["trigger"] == "signup"}
    assert signups == asked
    assert said["counts"]["signups"] == len(asked) > 50
    latest: dict[str, tuple[str, str | None]] = {}
    for row in sorted(rows, key=lambda one: (one["decided_at"], one["trigger"] != "signup")):
        word = (row["decision"], row["campaign_id"])
        if row["trigger"] != "signup":
            assert word != latest.get(row["account_id"], ("allow", None))
            assert (row["decided_at"] - FROM).total_seconds() % (12 * 3600) == 0 or row["decided_at"] == TO
        latest[row["account_id"]] = word
    assert {row["trigger"] for row in rows} >= {"signup", "campaign"}


def test_results_have_the_columns_that_the_contract_names(replayed: tuple[Path, dict[str, Any]]) -> None:
    out, said = replayed
    moment = pa.timestamp("us", tz="UTC")
    text, number = pa.string(), pa.float64()
    names = ("account_id", "decided_at", "trigger", "score", "decision", "model_version", "campaign_id")
    kinds = (text, moment, text, number, text, text, text)
    assert pq.read_schema(out / "decisions.parquet").equals(pa.schema(list(zip(names, kinds, strict=True))))
    members = pq.read_table(out / "campaigns.parquet")
    assert members.schema.equals(pa.schema([("campaign_id", text), ("account_id", text), ("detected_at", moment)]))
    pairs = list(zip(members["campaign_id"].to_pylist(), members["account_id"].to_pylist(), strict=True))
    assert len(pairs) == len(set(pairs)) > 10
    report = json.loads((out / "report.json").read_text())
    assert (out / "report.html").stat().st_size > 0
    assert said["campaigns"] == len(report["campaigns"]) > 0
    assert len(report["models"]) == 2  # at the start and after two days
    assert report["started_from"]["origin"] == "trained"
    assert not (out / ".backtest").exists()


def test_cutting_the_directory_leaves_every_decision_until_then_identical(
    world: Path, replayed: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    out, _ = replayed
    worlds.answer(worlds.backtest(worlds.cut(world, tmp_path / "cut", CUT), tmp_path / "out", *OPTIONS))
    before = [row for row in worlds.decisions(out) if row["decided_at"] <= CUT]
    assert [row for row in worlds.decisions(tmp_path / "out") if row["decided_at"] <= CUT] == before
    assert {row["trigger"] for row in before} >= {"signup", "campaign"}
    models = [json.loads((folder / "report.json").read_text())["models"] for folder in (tmp_path / "out", out)]
    assert models[0] == models[1]  # a training lies before the cut, and its verdict and figures are the same
    assert [one["origin"] for one in models[0]] == ["trained", "trained"]

    def members(folder: Path) -> list[dict[str, Any]]:
        rows = pq.read_table(folder / "campaigns.parquet").to_pylist()
        return [row for row in rows if row["detected_at"] <= CUT]

    assert members(tmp_path / "out") == members(out)


def test_a_replay_that_was_stopped_goes_on_where_it_was(
    world: Path, replayed: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, said = replayed
    step, stops = Replay._step, iter([2, 5])

    def broken_off(self: Replay, number: int) -> None:
        stop = next(stops, None) if number in (2, 5) else None
        if stop is not None:  # after the signups of a step are kept and campaigns found, before the step is whole
            monkeypatch.setattr(self.ledger, "keep", _interrupted(self))
        step(self, number)

    monkeypatch.setattr(Replay, "_step", broken_off)
    for _ in range(2):
        assert worlds.backtest(world, tmp_path / "out", *OPTIONS).exit_code == 1
        assert (tmp_path / "out" / ".backtest" / "plan.json").exists()
        assert not (tmp_path / "out" / "decisions.parquet").exists()
    monkeypatch.undo()
    done = worlds.backtest(world, tmp_path / "out", *OPTIONS)
    assert "going on after" in done.stderr
    assert worlds.answer(done)["decisions"] == said["decisions"]
    assert worlds.decisions(tmp_path / "out") == worlds.decisions(out)


def _interrupted(replay: Replay) -> Any:
    keep = replay.ledger.keep

    def keep_signups_alone(number: int, what: str, part: Any) -> None:
        if what == "whole":
            raise KeyboardInterrupt
        keep(number, what, part)

    return keep_signups_alone


def test_the_same_replay_again_is_answered_at_once_and_another_one_is_not_mixed_in(
    world: Path, replayed: tuple[Path, dict[str, Any]]
) -> None:
    out, said = replayed
    again = worlds.backtest(world, out, *OPTIONS)
    assert "--restart does it again" in again.stderr
    assert worlds.answer(again) == said


def test_what_cannot_be_replayed_is_said(world: Path, tmp_path: Path) -> None:
    words = ("--from", "2026-05-10", "--to", "2026-05-10", "--json")
    with pytest.raises(UsageError, match="is not after --from"):
        worlds.backtest(world, tmp_path / "out", *words)
    with pytest.raises(UsageError, match="a folder of their own"):
        worlds.backtest(world, world, "--from", "2026-05-10", "--to", "2026-05-12")
    assert (
        worlds.backtest(world, tmp_path / "out", "--from", "2026-05-10", "--to", "2026-05-12", "--step", "6x").exit_code
        == 2
    )
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "accounts.csv").write_text("account_id,created_at\na,yesterday\n")
    with pytest.raises(UsageError, match=r"accounts\.csv.*created_at"):
        worlds.backtest(tmp_path / "bad", tmp_path / "out", "--from", "2026-05-10", "--to", "2026-05-12")


def test_a_folder_with_the_beginning_of_another_replay_is_left_alone(world: Path, tmp_path: Path) -> None:
    work = tmp_path / "out" / ".backtest"
    work.mkdir(parents=True)
    (work / "plan.json").write_text(json.dumps({"fingerprint": "another", "told": {}, "seconds": 0, "imported": True}))
    with pytest.raises(UsageError, match="--restart to begin anew"):
        worlds.backtest(world, tmp_path / "out", *OPTIONS)
