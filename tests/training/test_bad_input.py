"""Labels and facts as they should not be, through the commands: a clear message or a sensible model, nothing lost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from service.cli import cli
from service.domain.enums import Verdict
from service.domain.raw import Label
from service.domain.time import DAY
from service.model.artefact import read_artefact
from service.storage.arrivals import Arrival
from service.storage.store import open_store
from tests.factories import NOON, make_signups
from training.dataset import FRAUD, build

ACCOUNTS = 150
FRAUDS = range(0, ACCOUNTS, 5)
AS_OF = "2026-05-20"
Row = tuple[str, str, str, str, str, str]  # account, verdict, decided, analyst, campaign, retracted


def gatehouse(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, [*words, "--database", f"sqlite:///{folder / 'gatehouse.db'}"])


def answer(done: Result) -> Any:
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def refused(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """``gatehouse train`` as a program, for its exit code."""
    database = ["--database", f"sqlite:///{folder / 'gatehouse.db'}"]
    command = [sys.executable, "-m", "service.cli", "train", "--as-of", AS_OF, "--json", *more, *database]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def labels_file(folder: Path, rows: Sequence[Row]) -> Path:
    file = folder / "labels.csv"
    header = "account_id,verdict,decided_at,analyst,campaign_id,retracted_at"
    file.write_text("\n".join([header, *(",".join(row) for row in rows)]))
    return file


def fraud(i: int, *, at: str = "2026-05-10", campaign: str = "", analyst: str = "eve", retracted: str = "") -> Row:
    return (f"a{i}", "fraud", f"{at}T00:00:00Z", analyst, campaign, retracted)


def legitimate(i: int, *, at: str = "2026-05-11", analyst: str = "bob") -> Row:
    return (f"a{i}", "legitimate", f"{at}T00:00:00Z", analyst, "", "")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Shops that sign up one an hour; every fifth has a mailbox where the frauds have theirs."""
    world = tmp_path / "world"
    world.mkdir()
    hours = [f"2026-04-{22 + i // 24:02d}T{i % 24:02d}:00:00Z" for i in range(ACCOUNTS)]
    mail = ["pay-me.example" if i in FRAUDS else f"shop{i}.example" for i in range(ACCOUNTS)]
    rows = [f"a{i},{hours[i]},user{i}@{mail[i]},DE,web" for i in range(ACCOUNTS)]
    header = "account_id,created_at,email,country,signup_source"
    (world / "accounts.csv").write_text("\n".join([header, *rows]))
    answer(gatehouse(tmp_path, "import", str(world), "--json"))
    return tmp_path


def say(folder: Path, rows: Sequence[Row]) -> None:
    answer(gatehouse(folder, "labels", "import", str(labels_file(folder, rows)), "--json"))


def train(folder: Path, *more: str) -> Result:
    return gatehouse(folder, "train", "--as-of", AS_OF, "--json", *more)


def kept_labels(folder: Path) -> int:
    store = open_store(f"sqlite:///{folder / 'gatehouse.db'}")
    try:
        return len(store.list_labels(page_size=1000).items)
    finally:
        store.close()


def assert_refused(done: subprocess.CompletedProcess[str], *told: str) -> None:
    assert done.returncode == 2
    for words in told:
        assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_without_labels_it_says_how_to_bring_some(folder: Path) -> None:
    assert_refused(refused(folder), "there are no labels to train on", "gatehouse labels import")


def test_when_every_label_was_taken_back_there_is_nothing_to_learn_from_and_the_labels_are_still_there(
    folder: Path,
) -> None:
    say(folder, [fraud(i) for i in FRAUDS])
    say(folder, [fraud(i, retracted="2026-05-12T00:00:00Z") for i in FRAUDS])
    assert_refused(refused(folder), "all 30 labels that were known at 2026-05-20", "taken back")
    assert kept_labels(folder) == len(FRAUDS)
    assert answer(gatehouse(folder, "train", "--as-of", "2026-05-11", "--json"))["positives"] == len(FRAUDS)


def test_verdicts_that_all_say_legitimate_are_refused(folder: Path) -> None:
    say(folder, [legitimate(i) for i in range(20)])
    assert_refused(refused(folder), "all 20 verdicts", "a model needs fraud to learn from")


def test_every_account_called_fraud_is_refused(folder: Path) -> None:
    say(folder, [fraud(i) for i in range(ACCOUNTS)])
    assert_refused(refused(folder), "every known account is labelled as fraud")


def test_one_campaign_alone_is_learned_from_and_the_gate_does_not_let_it_decide(folder: Path) -> None:
    say(folder, [fraud(i, campaign="only") for i in FRAUDS])
    said = answer(train(folder))
    assert said["campaigns"] == 1
    assert any("all labelled campaigns are one" in warning for warning in said["warnings"])
    assert not said["promoted"]
    assert read_artefact(folder / "models" / said["model_version"]).manifest.training["positives"] == len(FRAUDS)


def test_a_single_fraud_is_enough_for_a_model_that_is_not_promoted(folder: Path) -> None:
    say(folder, [fraud(5)])
    said = answer(train(folder))
    assert said["positives"] == 1
    assert not said["promoted"]


def test_labels_of_accounts_that_nobody_knows_are_counted_and_kept(folder: Path) -> None:
    say(folder, [*(fraud(i) for i in FRAUDS), *(fraud(i) for i in range(500, 507))])
    said = answer(train(folder))
    assert said["positives"] == len(FRAUDS)
    assert any("have not signed up: 7" in warning for warning in said["warnings"])
    assert kept_labels(folder) == len(FRAUDS) + 7


def test_of_contradicting_labels_the_later_counts_and_both_are_kept_and_shown(folder: Path) -> None:
    say(folder, [fraud(i) for i in FRAUDS])
    say(folder, [legitimate(0), legitimate(5, at="2026-05-09")])  # after the first one's verdict, before the second's
    done = train(folder)
    said = answer(done)
    assert said["positives"] == len(FRAUDS) - 1
    assert said["legitimate"] == 1
    assert any("called fraud by one label and legitimate by another: 2" in warning for warning in said["warnings"])
    assert "warning: accounts called fraud" in done.stderr
    assert kept_labels(folder) == len(FRAUDS) + 2


def test_a_label_from_before_its_account_signed_up_counts_and_is_said(folder: Path) -> None:
    say(folder, [fraud(i, at="2026-04-01") if i < 50 else fraud(i) for i in FRAUDS])
    said = answer(train(folder))
    assert said["positives"] == len(FRAUDS)
    assert any("judged before they signed up: 10" in warning for warning in said["warnings"])


def test_a_feature_that_is_the_same_for_everybody_is_not_learned_from(folder: Path) -> None:
    say(folder, [fraud(i) for i in FRAUDS])
    said = answer(train(folder))
    gain = read_artefact(folder / "models" / said["model_version"]).manifest.gain
    # without usage, payments or a signal every such feature has one value throughout
    assert not [name for name, of in gain.items() if of > 0 and name.startswith(("usage", "payment", "signal."))]
    assert all(np.isfinite(of) for of in gain.values())


def test_far_more_accounts_than_memory_holds_are_learned_from_by_a_sample_that_stands_for_all(tmp_path: Path) -> None:
    store = open_store(f"sqlite:///{tmp_path}/gatehouse.db", upgrading=True)
    n, most = 6_000, 300
    store.write([Arrival(None, signups=make_signups([(f"a{i}", NOON + i * 1_000_000) for i in range(n)]))])
    said = [Label(f"a{i}", Verdict.FRAUD, NOON + 9 * DAY, "eve", campaign_id=f"c{i % 7}") for i in range(1_000)]
    said += [Label(f"a{i}", Verdict.LEGITIMATE, NOON + 9 * DAY, "eve") for i in range(1_000, 2_000)]
    store.record_labels(said)
    as_of = NOON + 40 * DAY
    dataset = build(store, store.labels_at(as_of), as_of=as_of, seed=1, most_unlabelled=most, most_labelled=most)
    store.close()
    accounts = dataset.accounts
    assert len(accounts) <= 3 * most
    assert accounts.stands_for.sum() == pytest.approx(n)
    assert accounts.stands_for[accounts.verdict == FRAUD].sum() == pytest.approx(1_000)
    assert len({name for name in accounts.campaign if name}) == 7
