from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from benchmarks.worlds.groups import HEAVY, NAMED_SIZES, honest_groups
from benchmarks.worlds.roster import Span, World
from benchmarks.worlds.tactics import DIMENSIONS, NUMBERS, REPORTED, TUNING
from benchmarks.worlds.world import START, build, make_world

DAY = 86_400_000_000
Words = NDArray[np.uint64]
Ints = NDArray[np.int64]
FAMILIES = ["tuning", "reported"]


def table(folder: Path, name: str) -> pa.Table:
    path = folder / f"{name}.parquet"
    return pq.read_table(path if path.exists() else folder / name)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {}
    for tactics in FAMILIES:
        made[tactics] = tmp_path_factory.mktemp("worlds") / tactics
        make_world(made[tactics], seed=3, tactics=tactics, accounts=2000, days=20, exchanges=260_000, campaigns=3)
    return made


@pytest.fixture(scope="module")
def named() -> World:
    """A world with the named groups, before it is written."""
    return build(5, TUNING, 22_000, Span(START, 45), None, 2, named=True)[0]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.parquet")}


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("two", 1), ("three", 2)):
        make_world(tmp_path / name, seed=seed, tactics="reported", accounts=800, days=6, exchanges=40_000, campaigns=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert contents(tmp_path / "one")["accounts.parquet"] != contents(tmp_path / "three")["accounts.parquet"]


@pytest.mark.parametrize("tactics", FAMILIES)
def test_every_row_is_accepted_at_the_door(small: dict[str, Path], tactics: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "service.cli", "import", str(small[tactics]), "--json"]
    database = ["--database", f"sqlite:///{tmp_path / 'gatehouse.db'}"]
    done = subprocess.run(command + database, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    files = json.loads(done.stdout.splitlines()[-1])["files"]
    for name in ("accounts", "payments", "usage", "links"):
        rows = table(small[tactics], name).num_rows
        assert rows > 0
        assert files[name] == {"rows": rows, "imported": rows, "duplicates": 0, "bad": 0}


@pytest.mark.parametrize("tactics", FAMILIES)
def test_the_truth_names_every_account_once_and_says_campaign_of_members_alone(
    small: dict[str, Path], tactics: str
) -> None:
    truth = table(small[tactics], "truth")
    ids = truth["account_id"].to_pylist()
    assert ids == table(small[tactics], "accounts")["account_id"].to_pylist()
    assert len(set(ids)) == 2000
    kinds, campaigns = truth["kind"].to_pylist(), truth["campaign_id"].to_pylist()
    assert [kind == "campaign" for kind in kinds] == [campaign is not None for campaign in campaigns]
    assert len(set(campaigns) - {None}) == 3
    alone = {"individual", "batch", "campaign"}
    assert all(
        (group is None) == (kind in alone) for kind, group in zip(kinds, truth["group_id"].to_pylist(), strict=True)
    )


@pytest.mark.parametrize("tactics", FAMILIES)
def test_nothing_happens_before_signup_or_outside_the_period(small: dict[str, Path], tactics: str) -> None:
    accounts = table(small[tactics], "accounts")
    created = dict(
        zip(accounts["account_id"].to_pylist(), accounts["created_at"].cast(pa.int64()).to_pylist(), strict=True)
    )
    for name in ("usage", "payments", "links"):
        rows = table(small[tactics], name)
        moments = rows["happened_at"].cast(pa.int64()).to_numpy()
        signup = np.array([created[account] for account in rows["account_id"].to_pylist()])
        assert (moments >= signup).all()
        assert moments.max() < START + 20 * DAY
    assert table(small[tactics], "usage")["happened_at"].cast(pa.int64()).to_numpy().min() >= START


def near_duplicates(words: Words, row: Ints) -> dict[int, int]:
    """For each account, how many of its prompts another account has too, within four bits.

    Four turned bits leave two of six blocks alone, so equal pairs of blocks find all of them.
    """
    edges = [0, 11, 22, 33, 44, 54, 64]
    blocks = [words >> np.uint64(a) & np.uint64(2 ** (b - a) - 1) for a, b in pairwise(edges)]
    shared = np.zeros(len(words), bool)
    for one, other in combinations(range(6), 2):
        key = blocks[one] << np.uint64(16) | blocks[other]
        order = np.argsort(key, kind="stable")
        for step in range(1, 12):
            left, right = order[:-step], order[step:]
            apart = np.bitwise_count(words[left] ^ words[right])
            found = (key[left] == key[right]) & (apart <= 4) & (row[left] != row[right])
            shared[left[found]] = shared[right[found]] = True
    return dict(zip(*(part.tolist() for part in np.unique(row[shared], return_counts=True)), strict=True))


@pytest.mark.parametrize("tactics", FAMILIES)
def test_every_member_of_a_campaign_shares_prompts_with_other_members(small: dict[str, Path], tactics: str) -> None:
    truth, usage = table(small[tactics], "truth"), table(small[tactics], "usage")
    member = dict(zip(truth["account_id"].to_pylist(), truth["campaign_id"].to_pylist(), strict=True))
    account = usage["account_id"].to_pylist()
    words = usage["prompt_simhash"].to_numpy()
    for campaign in set(member.values()) - {None}:
        members = sorted(name for name, of in member.items() if of == campaign)
        number = {name: place for place, name in enumerate(members)}
        rows = np.array([index for index, name in enumerate(account) if name in number])
        shared = near_duplicates(words[rows], np.array([number[account[index]] for index in rows.tolist()]))
        assert min(shared.get(place, 0) for place in range(len(members))) >= 3


@pytest.mark.parametrize("tactics", FAMILIES)
def test_campaigns_use_addresses_prompts_and_issuers_of_honest_people(small: dict[str, Path], tactics: str) -> None:
    truth = table(small[tactics], "truth")
    member = dict(zip(truth["account_id"].to_pylist(), truth["campaign_id"].to_pylist(), strict=True))
    for name, column in (("usage", "ip"), ("usage", "prompt_simhash"), ("payments", "card_bin")):
        rows = table(small[tactics], name)
        honest: set[object] = set()
        used: dict[str, set[object]] = {}
        for account, value in zip(rows["account_id"].to_pylist(), rows[column].to_pylist(), strict=True):
            campaign = member[account]
            (honest if campaign is None else used.setdefault(campaign, set())).add(value)
        for values in used.values():
            assert (values & honest) - {None}


def test_what_is_reported_on_was_never_seen_while_tuning() -> None:
    for name in DIMENSIONS:
        assert not set(TUNING.mechanisms()[name]) & set(REPORTED.mechanisms()[name]), name
    for name in NUMBERS:
        (low, high), (other_low, other_high) = TUNING.bounds()[name], REPORTED.bounds()[name]
        assert high <= other_low or other_high <= low, name


def of(world: World, group: str) -> Ints:
    return np.array([row for row, name in enumerate(world.group) if name == group])


def test_the_named_groups_have_their_named_sizes_and_heavy_versions(named: World) -> None:
    for group in honest_groups(5):
        rows = of(named, group.group_id)
        assert len(rows) == NAMED_SIZES[group.kind] == group.size
        assert {named.kind[row] for row in rows.tolist()} == {group.kind}
    assert {group.kind for group in honest_groups(5) if group.heavy} == set(HEAVY)


def test_members_of_a_named_group_have_in_common_what_the_group_is_known_for(named: World) -> None:
    roster = named.roster
    for version in ("named", "heavy"):
        university, agency = of(named, f"university-{version}"), of(named, f"agency-{version}")
        assert len(set(roster.domain[university])) == 1
        assert set(roster.pool_length[university]) == {2}
        assert len(np.unique(roster.card[agency])) == len(np.unique(roster.device[agency])) == 1
        hackathon = roster.created[of(named, f"hackathon-{version}")]
        assert hackathon.max() - hackathon.min() <= 1.5 * DAY
        remote = of(named, f"remote_company-{version}")
        assert len(np.unique(roster.country[remote])) == 9
        assert len(set(roster.domain[remote])) == 1
    assert len(np.unique(roster.card[of(named, "reseller-named")])) == 1
    assert (roster.crew_template[of(named, "agent_users-named")] > 0.5).all()
    tenants = {row: value for row, kind, value in named.links if kind == "sso_tenant"}
    assert len({tenants[row] for row in of(named, "rollout-named").tolist()}) == 1


def test_heavy_groups_use_as_much_as_campaigns(named: World) -> None:
    campaign = np.array([row for row, kind in enumerate(named.kind) if kind == "campaign"])
    for kind in HEAVY:
        rows = of(named, f"{kind}-heavy")
        mean = float(named.roster.rate[rows].mean())
        assert 0.7 < mean / float(named.roster.rate[campaign].mean()) < 1.4


Refusal = Callable[[Path], object]


def too_small(out: Path) -> object:
    return make_world(out, seed=1, tactics="tuning", accounts=9000, named_groups=True)


def too_quiet(out: Path) -> object:
    return make_world(out, seed=1, tactics="tuning", accounts=2000, days=20, exchanges=100)


@pytest.mark.parametrize(("ask", "why"), [(too_small, "ask for"), (too_quiet, "too few")])
def test_numbers_that_do_not_fit_are_refused_and_nothing_is_written(tmp_path: Path, ask: Refusal, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        ask(tmp_path / "world")
    assert not list(tmp_path.iterdir())


def test_a_folder_with_somebodys_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(FileExistsError, match="something other"):
        make_world(tmp_path, seed=1, tactics="tuning", accounts=800, days=5)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
