from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from scipy.sparse import csr_array

from service.domain.codes import hash64_many
from service.domain.time import DAY
from training.examples.starscout_lockstep import (
    Honest,
    Reference,
    Stars,
    agreement,
    bulk,
    by_day,
    ceiling,
    convert,
    honest_stars,
    measure,
    suspected_stars,
)

SMALL = Honest(accounts=2_000, launch_accounts=100)


def stars(*rows: tuple[str, str, int]) -> Stars:
    accounts, repositories, at = zip(*rows, strict=True)
    return Stars(np.array(accounts), np.array(repositories), np.array(at, np.int64))


def reference(holds: list[list[int]], *, counted: list[bool] | None = None) -> Reference:
    """Accounts by row, repositories by column; a row of zeros is honest unless ``counted`` says otherwise."""
    n = len(holds)
    names = [f"r{i}" for i in range(len(holds[0]))]
    counts = np.array(counted if counted is not None else [True] * n)
    return Reference(np.arange(n), counts, csr_array(np.array(holds, np.int64)), names)


def test_each_star_is_written_once_under_one_name_of_its_repository(starscout_data: Path, tmp_path: Path) -> None:
    made = convert(starscout_data, tmp_path, honest=SMALL, seed=1)
    rows = pq.read_table(starscout_data / "suspected_fake_stars.parquet")
    assert (made.suspected, made.bulk, made.renamed) == (24_080, 294, 240)
    links = pq.read_table(tmp_path / "links.parquet")
    usage = pq.read_table(tmp_path / "usage.parquet")
    assert len(links) == len(usage) == made.stars
    repositories = set(links["key_value"].to_pylist())
    assert len({"sst/sst", "serverless-stack/sst"} & repositories) == 1
    suspects = links.filter(pc.starts_with(links["account_id"], "gh_"))
    assert set(suspects["account_id"].to_pylist()) == set(rows["actor"].to_pylist())
    assert len(set(zip(suspects["account_id"].to_pylist(), suspects["key_value"].to_pylist(), strict=True))) == len(
        suspects
    )
    one = rows.slice(2, 1).to_pylist()[0]  # its repository has one name
    said = links.filter(pc.equal(links["account_id"], one["actor"]))
    assert one["starred_at"] in said.filter(pc.equal(said["key_value"], one["repository"]))["happened_at"].to_pylist()


def test_the_prompt_prefix_of_an_exchange_is_the_same_for_the_same_repository_and_no_other(
    starscout_data: Path, tmp_path: Path
) -> None:
    convert(starscout_data, tmp_path, honest=SMALL, seed=1)
    links = pq.read_table(tmp_path / "links.parquet")["key_value"].to_pylist()
    prefixes = pq.read_table(tmp_path / "usage.parquet")["prompt_prefix_hash"].to_pylist()
    assert len(set(zip(links, prefixes, strict=True))) == len(set(links)) == len(set(prefixes))


def test_every_account_is_created_a_day_before_its_first_star(starscout_data: Path, tmp_path: Path) -> None:
    convert(starscout_data, tmp_path, honest=SMALL, seed=1)
    accounts = pq.read_table(tmp_path / "accounts.parquet")
    links = pq.read_table(tmp_path / "links.parquet").group_by("account_id").aggregate([("happened_at", "min")])
    first = dict(zip(links["account_id"].to_pylist(), links["happened_at_min"].cast("int64").to_pylist(), strict=True))
    created = accounts["created_at"].cast("int64").to_pylist()
    assert {first[one] - at for one, at in zip(accounts["account_id"].to_pylist(), created, strict=True)} == {DAY}


def test_the_honest_background_is_as_said_and_the_same_again(starscout_data: Path) -> None:
    suspected, _ = suspected_stars(starscout_data)
    made = honest_stars(suspected, Honest(), 3)
    again, other = honest_stars(suspected, Honest(), 3), honest_stars(suspected, Honest(), 4)
    assert made.repository.tolist() == again.repository.tolist()
    assert made.repository.tolist() != other.repository.tolist()
    accounts, count = np.unique(made.account, return_counts=True)
    assert len(accounts) == 20_000
    assert 3.5 < count.mean() < 4.5
    both = set(made.repository.tolist()) & set(bulk(suspected))
    assert 147 <= len(both) <= 150  # every second one, and those with a launch
    launch = np.sort(made.at[made.repository == "made/launch-0"])
    assert len(launch) == 300
    assert launch[149] - launch[0] < DAY
    assert suspected.at.min() <= made.at.min()
    assert made.at.max() <= suspected.at.max()


def test_groups_that_are_the_repositories_agree_wholly() -> None:
    found = agreement(reference([[1, 0], [1, 0], [0, 1], [0, 1], [0, 0]]), np.array([7, 7, 2, 2, -1]))
    assert (found.pair_precision, found.pair_recall) == (1.0, 1.0)
    assert (found.b_cubed_precision, found.b_cubed_recall) == (1.0, 1.0)
    assert (found.groups, found.suspected, found.honest, found.largest, found.repositories) == (2, 4, 0, 2, 2)


def test_an_honest_account_in_a_group_makes_all_its_pairs_wrong() -> None:
    found = agreement(reference([[1], [1], [0]]), np.array([0, 0, 0]))
    assert found.pair_precision == pytest.approx(1 / 3)
    assert found.b_cubed_precision == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert (found.pair_recall, found.b_cubed_recall, found.honest) == (1.0, 1.0, 1)


def test_who_is_in_no_group_is_missed_and_finds_only_itself() -> None:
    found = agreement(reference([[1], [1], [1], [1]]), np.array([0, 0, -1, -1]))
    assert found.pair_recall == pytest.approx(1 / 6)
    assert found.b_cubed_recall == pytest.approx((2 / 4 + 2 / 4 + 1 / 4 + 1 / 4) / 4)
    assert (found.b_cubed_precision, found.repositories, found.found_of_one) == (1.0, 1, 0.5)


def test_an_account_in_two_repositories_counts_for_the_pairs_of_both_and_two_in_common_are_half_found_by_one() -> None:
    apart = agreement(reference([[1, 1], [1, 0], [0, 1]]), np.array([0, 0, 0]))
    assert apart.pair_precision == pytest.approx(2 / 3)
    assert apart.pair_recall == 1.0
    twice = agreement(reference([[1, 1], [1, 1]]), np.array([0, 0]))
    assert twice.b_cubed_recall == pytest.approx(1 / 2)  # they should have met in two groups


def test_suspects_whom_the_reference_does_not_know_are_neither_right_nor_wrong() -> None:
    found = agreement(reference([[1], [1], [0]], counted=[True, True, False]), np.array([0, 0, 0]))
    assert (found.pair_precision, found.b_cubed_precision, found.uncounted) == (1.0, 1.0, 1)


def test_no_groups_have_no_precision_and_recall_nothing() -> None:
    found = agreement(reference([[1], [1]]), np.array([-1, -1]))
    assert (found.pair_precision, found.b_cubed_precision) == (None, None)
    assert (found.pair_recall, found.groups, found.repositories) == (0.0, 0, 0)


def test_the_peer_takes_the_fullest_day_of_an_account_and_no_day_of_three() -> None:
    rows = [(f"a{i}", "r", 5 * DAY + i) for i in range(5)]
    rows += [("a0", "s", 9 * DAY), ("b1", "s", 9 * DAY), ("b2", "s", 9 * DAY), ("b3", "s", 9 * DAY)]
    rows += [("c1", "t", 9 * DAY), ("c2", "t", 9 * DAY), ("c3", "t", 9 * DAY)]
    names = sorted({name for name, _, _ in rows})
    account = np.sort(hash64_many(names))
    group = dict(zip(names, by_day(stars(*rows), account)[np.searchsorted(account, hash64_many(names))], strict=True))
    assert len({group[f"a{i}"] for i in range(5)}) == 1
    assert group["a0"] >= 0
    assert {group[name] for name in ("b1", "b2", "b3")} == {-1}  # three are left without a0
    assert {group[name] for name in ("c1", "c2", "c3")} == {-1}


def test_the_ceiling_counts_each_pair_once_however_many_repositories_it_has() -> None:
    rows = [(f"a{i}", "r", i * 2 * DAY) for i in range(20)]
    rows += [(f"a{i}", "s", i * 2 * DAY) for i in range(19)] + [("b", "s", 0)]
    suspected = stars(*rows)
    most = ceiling(Reference.of(suspected, stars(("h", "r", 0))), suspected)
    assert most.pairs == 190 + 19
    assert most.two_repositories == pytest.approx(171 / 209)
    assert most.within_a_day == pytest.approx(1 / 209)  # b and a0
    assert most.one_star == pytest.approx(2 / 21)


@pytest.mark.slow
def test_groups_on_real_stars_are_reported_at_each_step_and_no_honest_account_is_accused(
    starscout_data: Path, tmp_path: Path
) -> None:
    made = measure(starscout_data, tmp_path, honest=SMALL, seed=1)
    assert list(made.stages) == ["tied", "looked at", "suspected", "detected", "one repository, one day"]
    assert made.ceiling.one_star > 0.9  # which is why so little is found: one star is one key
    assert made.stages["tied"].suspected > 400
    assert made.stages["tied"].found_of_more > 0.6
    assert made.stages["detected"].honest == made.stages["suspected"].honest == 0
