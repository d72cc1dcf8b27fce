"""Stars that were bought: do the groups that linking finds match the repositories they were bought for?

The data are those of He et al., "4.5 Million (Suspected) Fake Stars in GitHub" (2024), Apache-2.0: which account
starred which repository, to the second, for accounts suspected of fake stars only. What this example does with them:

- Each star becomes an exchange whose prompt prefix is the repository's hash (``usage``), and a link of the type
  ``repository`` (``links``); on demand one of the type ``repository_day``, too (``days``). That is one fact said two or
  three times, and linking, which cannot know it, counts it so.
- A repository that was renamed stands under all its names, each with the same stars at the same second: 2,905 accounts
  starred two repositories that are one. Names that have at least half of the smaller one's stars in common, account
  and second, are taken as one; two keys of one fact would make strangers look like accomplices.
- There are no signup times. An account is taken as created one day before its first star, suspected or not, so no
  figure here comes from anybody's age; nor are there addresses, mailboxes, cards or prompts.
- There are no honest accounts, and stars of honest ones are made up (``Honest``): most star few repositories and some
  many, by Zipf's law, at any time; every second repository that was bought is popular among them, too; and a few
  repositories, bought ones among them, have a launch on which hundreds star within hours.
- Repositories with 20 suspected accounts or more are what groups are held against. Accounts with other stars alone
  are neither right nor wrong, and are left out. The reference is no truth: a suspect's star on a famous repository may
  be camouflage and not bought, and stars of one repository lie years apart (``Ceiling`` counts them).
- Secrets are made from the seed, so that the same seed gives the same groups; in life they are the installation's own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from base64 import b64encode
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import asdict, dataclass
from hashlib import sha256
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from scipy.sparse import csr_array, triu

from service.app import App
from service.domain.codes import hash64_many
from service.domain.facts import Int64s
from service.domain.time import DAY, HOUR, SECOND, WEEK
from service.linking.communities import communities, compact
from service.linking.find import Found
from service.linking.judge import DETECTED, SUSPECTED
from service.linking.membership import SMALLEST
from service.settings import Settings
from service.usecases.detect import SEED
from service.usecases.observe import Observed
from training.simulate.tables import SCHEMAS, table, write

BULK = 20  # suspected accounts, from which a repository is taken as bought in bulk
RENAMED = 0.5  # share of the smaller name's stars
CREATED_BEFORE = DAY
BROUGHT = ("usage", "links", "days")  # ways in which a star may be said


@dataclass(frozen=True, slots=True)
class Honest:
    """The honest background; ``accounts`` 0 is none."""

    accounts: int = 20_000
    repositories: int = 5_000  # by Zipf's law, the exponent one
    mean_stars: float = 4.0  # geometric: a quarter has one, one in a hundred 16 and more
    popular: int = 1_000  # ranks among which the bought ones are that honest people star, too
    launches: int = 6  # half of them of repositories that were bought
    launch_accounts: int = 300  # honest ones, of those 20,000
    launch_spread: int = 12 * HOUR  # mean of the exponential time since the launch


@dataclass(frozen=True, slots=True, eq=False)
class Stars:
    """Each (account, repository) once, at its first moment; arrays of shape (stars,)."""

    account: NDArray[np.str_]
    repository: NDArray[np.str_]
    at: Int64s

    def of_accounts(self) -> tuple[NDArray[np.str_], Int64s]:
        """The accounts, ascending, and the moment of each one's first star."""
        names, place = np.unique(self.account, return_inverse=True)
        first = np.full(len(names), np.iinfo(np.int64).max)
        np.minimum.at(first, place, self.at)
        return names, first


@dataclass(frozen=True, slots=True)
class Converted:
    """What was written."""

    suspected: int
    honest: int
    stars: int  # of both
    renamed: int  # repository names that are another name of one
    bulk: int  # repositories with BULK suspected accounts
    as_of: int  # one second after the last star


def suspected_stars(source: Path) -> tuple[Stars, int]:
    """The suspected accounts' stars with one name for each repository, and how many names went.

    Raises FileNotFoundError where ``source`` lacks suspected_fake_stars.parquet.
    """
    rows = pq.read_table(source / "suspected_fake_stars.parquet")
    names, accounts = rows["repository"].to_pylist(), rows["actor"].to_pylist()
    moments = rows["starred_at"].cast(pa.int64()).to_pylist()
    name_of = _one_name(names, accounts, moments)
    first: dict[tuple[str, str], int] = {}
    for account, name, at in zip(accounts, names, moments, strict=True):
        pair = (account, name_of.get(name, name))
        first[pair] = min(at, first.get(pair, at))
    pairs = sorted(first)
    stars = Stars(
        np.array([account for account, _ in pairs]),
        np.array([name for _, name in pairs]),
        np.array([first[pair] for pair in pairs], np.int64),
    )
    return stars, len(set(names)) - len(set(stars.repository.tolist()))


def _one_name(names: list[str], accounts: list[str], moments: list[int]) -> dict[str, str]:
    """For each name that is one of several of a repository, the first of them."""
    together: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    for name, account, at in zip(names, accounts, moments, strict=True):
        together[account, at].add(name)
    same = Counter(pair for group in together.values() for pair in combinations(sorted(group), 2))
    size = Counter(names)
    root: dict[str, str] = {}

    def first(name: str) -> str:
        while root.get(name, name) != name:
            name = root[name]
        return name

    for (one, other), count in sorted(same.items()):
        if count >= RENAMED * min(size[one], size[other]):
            low, high = sorted((first(one), first(other)))
            root[high] = low
    return {name: first(name) for name in root}


def bulk(stars: Stars) -> list[str]:
    """Repositories with BULK accounts or more, by name."""
    return sorted(name for name, count in Counter(stars.repository.tolist()).items() if count >= BULK)


def honest_stars(suspected: Stars, made: Honest, seed: int) -> Stars:
    """Stars of honest accounts, as ``Honest`` says, over the same time as ``suspected``."""
    draw = np.random.default_rng(seed)
    start, end = int(suspected.at.min()), int(suspected.at.max())
    bought = bulk(suspected)
    names = np.array([f"made/{i:05d}" for i in range(made.repositories)], dtype=np.str_).astype(object)
    shared = bought[::2]
    names[draw.choice(made.popular, len(shared), replace=False)] = shared
    chance = 1.0 / np.arange(1, made.repositories + 1)
    count = draw.geometric(1.0 / made.mean_stars, made.accounts)
    account = np.repeat(np.arange(made.accounts), count)
    repository = names[draw.choice(made.repositories, len(account), p=chance / chance.sum())]
    at = draw.integers(start, end + 1, len(account))
    parts = [(account, repository, at)]
    launched = [bought[i] for i in draw.choice(len(bought), made.launches // 2, replace=False).tolist()]
    launched += [f"made/launch-{i}" for i in range(made.launches - len(launched))]
    for name in launched:
        who = draw.choice(made.accounts, min(made.launch_accounts, made.accounts), replace=False)
        began = draw.integers(start, end - 10 * DAY)
        after = draw.exponential(made.launch_spread, len(who)).astype(np.int64)
        parts.append((who, np.full(len(who), name, object), began + np.minimum(after, 10 * DAY)))
    account, repository, at = (np.concatenate([part[i] for part in parts]) for i in range(3))
    at = at // SECOND * SECOND
    once: dict[tuple[int, str], int] = {}
    for number, name, moment in zip(account.tolist(), repository.tolist(), at.tolist(), strict=True):
        once[number, name] = min(moment, once.get((number, name), moment))
    pairs = sorted(once)
    return Stars(
        np.array([f"honest-{number:06d}" for number, _ in pairs], np.str_),
        np.array([name for _, name in pairs], np.str_),
        np.array([once[pair] for pair in pairs], np.int64),
    )


def convert(source: Path, out: Path, *, honest: Honest, seed: int, brought: Collection[str] = BROUGHT[:2]) -> Converted:
    """Writes OUT/accounts, and of usage and links what ``brought`` says. Raises FileNotFoundError as above."""
    suspected, renamed = suspected_stars(source)
    stars = _together(suspected, honest_stars(suspected, honest, seed))
    accounts, first = stars.of_accounts()
    signups: dict[str, object] = {"account_id": accounts.tolist(), "created_at": first - CREATED_BEFORE}
    write(out / "accounts.parquet", _rows("accounts", signups))
    names = stars.repository.tolist()
    if "usage" in brought:
        columns: dict[str, object] = {
            "event_id": [f"star-{i}" for i in range(len(names))],
            "account_id": stars.account.tolist(),
            "happened_at": stars.at,
            "prompt_prefix_hash": pa.array(hash64_many(names).view(np.uint64), pa.uint64()),
        }
        write(out / "usage.parquet", _rows("usage", columns))
    links = []
    if "links" in brought:
        links.append(_links(stars, "repository", names))
    if "days" in brought:
        on = [f"{name} {day}" for name, day in zip(names, (stars.at // DAY).tolist(), strict=True)]
        links.append(_links(stars, "repository_day", on))
    if links:
        write(out / "links.parquet", pa.concat_tables(links))
    suspects = len(set(suspected.account.tolist()))
    return Converted(
        suspected=suspects,
        honest=len(accounts) - suspects,
        stars=len(names),
        renamed=renamed,
        bulk=len(bulk(suspected)),
        as_of=int(stars.at.max()) + SECOND,
    )


def _together(one: Stars, other: Stars) -> Stars:
    return Stars(
        np.concatenate([one.account, other.account]),
        np.concatenate([one.repository, other.repository]),
        np.concatenate([one.at, other.at]),
    )


def _links(stars: Stars, kind: str, values: list[str]) -> pa.Table:
    n = len(values)
    return _rows(
        "links",
        {
            "account_id": stars.account.tolist(),
            "happened_at": stars.at,
            "key_type": [kind] * n,
            "key_value": values,
        },
    )


def _rows(name: str, columns: dict[str, object]) -> pa.Table:
    """A table with nothing said in the columns that are not given."""
    n = len(columns["account_id"])  # type: ignore[arg-type]
    absent = [each for each in SCHEMAS[name].names if each not in columns]
    return table(name, columns | dict.fromkeys(absent, pa.nulls(n)))


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """Who starred what was bought in bulk; account hashes ascending, all arrays of shape (accounts,) but ``holds``."""

    account: Int64s
    counted: NDArray[np.bool_]  # honest, or with a star on a repository of ``names``
    holds: csr_array  # (accounts, names) 1 where a suspected account starred it
    names: list[str]

    @classmethod
    def of(cls, suspected: Stars, honest: Stars) -> Reference:
        """Held against are the repositories of ``bulk``."""
        names = bulk(suspected)
        account = np.unique(hash64_many([*suspected.account.tolist(), *honest.account.tolist()]))
        place = {name: i for i, name in enumerate(names)}
        column = np.array([place.get(name, -1) for name in suspected.repository.tolist()], np.int64)
        row = np.searchsorted(account, hash64_many(suspected.account.tolist()))
        kept = column >= 0
        ones = np.ones(int(kept.sum()), np.int64)
        holds = csr_array((ones, (row[kept], column[kept])), shape=(len(account), len(names)))
        counted = np.diff(holds.indptr) > 0
        counted[np.searchsorted(account, hash64_many(honest.account.tolist()))] = True
        return cls(account, counted, holds, names)


@dataclass(frozen=True, slots=True)
class Ceiling:
    """What the stars themselves could tell: shares of the pairs of accounts with a repository in common."""

    pairs: int
    two_repositories: float  # that have a second one in common
    within_a_day: float  # whose stars on one are no further apart
    within_a_week: float
    one_star: float  # share of the reference's accounts, not of pairs: those without any other star


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well groups match the repositories; a precision is None where nobody is in a group."""

    groups: int
    suspected: int  # reference accounts in groups
    honest: int  # honest ones in groups
    uncounted: int  # suspected ones in groups, of which the reference says nothing
    largest: int  # accounts in the largest group
    pair_precision: float | None
    pair_recall: float
    b_cubed_precision: float | None
    b_cubed_recall: float
    repositories: int  # of which half of the accounts or more are in one group
    found_of_one: float  # share in groups of the accounts with one repository of the reference
    found_of_two: float  # ... with two or three
    found_of_more: float


def agreement(reference: Reference, group: Int64s) -> Agreement:
    """``group`` of shape (accounts,) is -1 for who is in none.

    A pair is right where both starred one repository of the reference. B-cubed is the one for overlapping categories
    (Amigo, Gonzalo, Artiles, Verdejo 2009), who is in no group being a group alone; its precision is over accounts in
    groups, and an honest account among them is wrong whoever it is with.
    """
    held = np.diff(reference.holds.indptr)
    mine, inside = held > 0, (group >= 0) & reference.counted
    size = np.bincount(group[inside], minlength=1)
    shared = triu(reference.holds @ reference.holds.T, k=1).tocoo()
    left, right = shared.coords
    same = (group[left] >= 0) & (group[left] == group[right])
    right_pairs, found_pairs = int(same.sum()), int((size * (size - 1) // 2).sum())
    n = len(group)
    alike = np.bincount(left, minlength=n) + np.bincount(right, minlength=n) + 1
    together = np.bincount(left[same], minlength=n) + np.bincount(right[same], minlength=n) + 1
    weight = 1.0 / shared.data[same]
    recalled = np.bincount(left[same], weight, n) + np.bincount(right[same], weight, n) + 1.0 / np.maximum(held, 1)
    precision = np.where(mine, together, 0)[inside] / size[group[inside]]
    return Agreement(
        groups=int(np.count_nonzero(size)),
        suspected=int((inside & mine).sum()),
        honest=int((inside & ~mine).sum()),
        uncounted=int(((group >= 0) & ~reference.counted).sum()),
        largest=int(size.max()),
        pair_precision=right_pairs / found_pairs if found_pairs else None,
        pair_recall=right_pairs / max(len(left), 1),
        b_cubed_precision=float(precision.mean()) if len(precision) else None,
        b_cubed_recall=float((recalled / alike)[mine].mean()),
        repositories=_covered(reference, group),
        found_of_one=_share(inside[held == 1]),
        found_of_two=_share(inside[(held == 2) | (held == 3)]),
        found_of_more=_share(inside[held > 3]),
    )


def _covered(reference: Reference, group: Int64s) -> int:
    holds = reference.holds.tocoo()
    row, column = holds.coords
    row, column = row[group[row] >= 0], column[group[row] >= 0]
    width = int(group.max(initial=-1)) + 1
    code, count = np.unique(column * max(width, 1) + group[row], return_counts=True)
    members = np.bincount(reference.holds.indices, minlength=len(reference.names))
    half = count * 2 >= members[code // max(width, 1)]
    return len(np.unique(code[half] // max(width, 1)))


def _share(found: NDArray[np.bool_]) -> float:
    return float(found.mean()) if len(found) else 0.0


def ceiling(reference: Reference, suspected: Stars) -> Ceiling:
    """Of suspected accounts alone."""
    shared = triu(reference.holds @ reference.holds.T, k=1)
    who = np.searchsorted(reference.account, hash64_many(suspected.account.tolist()))
    codes, gaps = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for name in reference.names:
        mine = np.flatnonzero(suspected.repository == name)
        one, other = np.triu_indices(len(mine), 1)
        left, right = who[mine[one]], who[mine[other]]
        codes.append(np.minimum(left, right) * len(reference.account) + np.maximum(left, right))
        gaps.append(np.abs(suspected.at[mine[one]] - suspected.at[mine[other]]))
    code, gap = np.concatenate(codes), np.concatenate(gaps)
    stars = np.bincount(who, minlength=len(reference.account))[np.diff(reference.holds.indptr) > 0]
    pairs = max(shared.nnz, 1)
    return Ceiling(
        pairs=shared.nnz,
        two_repositories=int((shared.data > 1).sum()) / pairs,
        within_a_day=len(np.unique(code[gap <= DAY])) / pairs,
        within_a_week=len(np.unique(code[gap <= WEEK])) / pairs,
        one_star=_share(stars == 1),
    )


def by_day(stars: Stars, account: Int64s) -> Int64s:
    """The plain peer: who starred one repository on one day, if SMALLEST or more did; of several days the fullest.

    ``account`` are the accounts' hashes, ascending; answers the group of each, -1 for none.
    """
    who = np.searchsorted(account, hash64_many(stars.account.tolist()))
    _, repository = np.unique(stars.repository, return_inverse=True)
    _, of, count = np.unique(repository * 100_000 + stars.at // DAY, return_inverse=True, return_counts=True)
    group = np.full(len(account), -1, np.int64)
    order = np.argsort(count[of], kind="stable")
    full = order[count[of][order] >= SMALLEST]
    group[who[full]] = of[full]  # of an account's several the last stays, which is the fullest
    return compact(group, SMALLEST)


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything that one run says."""

    converted: Converted
    ceiling: Ceiling
    stages: dict[str, Agreement]  # in the order of the search, the peer last
    highest_score: float  # of any group that was looked at; 0 where none was
    seconds: float  # of the detection


def measure(source: Path, work: Path, *, honest: Honest, seed: int, brought: Collection[str] = BROUGHT[:2]) -> Measured:
    """Imports and detects in the folder ``work``. Raises CalledProcessError where the import fails."""
    converted = convert(source, work / "facts", honest=honest, seed=seed, brought=brought)
    suspected, _ = suspected_stars(source)
    made = honest_stars(suspected, honest, seed)
    reference = Reference.of(suspected, made)
    settings = Settings(database_url=f"sqlite:///{work / 'gatehouse.db'}", hmac_keys=_secrets(seed))
    command = [sys.executable, "-m", "service.cli", "import", str(work / "facts"), "--database", settings.database_url]
    environment = {**os.environ, "GATEHOUSE_HMAC_KEYS": _secrets(seed)}
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)  # noqa: S603  our own command
    groups: dict[str, Int64s] = {}
    scores = [0.0]

    def watch(observed: Observed, found: Found) -> None:
        place = np.searchsorted(reference.account, observed.accounts.account)
        for name, group in _stages(found, len(place)).items():
            groups[name] = np.full(len(reference.account), -1, np.int64)
            groups[name][place] = group
        scores.extend(found.score.tolist())

    with App.open(settings, upgrade=True) as app:
        began = time.monotonic()
        app.detect(as_of=converted.as_of, holder=__name__, clock=lambda: int(time.time() * 1e6), watch=watch)
        seconds = time.monotonic() - began
    groups["one repository, one day"] = by_day(_together(suspected, made), reference.account)
    return Measured(
        converted,
        ceiling(reference, suspected),
        {name: agreement(reference, group) for name, group in groups.items()},
        max(scores),
        round(seconds, 1),
    )


def _secrets(seed: int) -> str:
    def secret(purpose: str) -> str:
        return b64encode(sha256(f"starscout lockstep {purpose} {seed}".encode()).digest()).decode()

    return f"content:{secret('content')},example:{secret('links')}@1970-01-01T00:00:00Z"


def _stages(found: Found, n: int) -> dict[str, Int64s]:
    """Groups at each step of the search, for whoever asks where they went."""
    tied = communities(n, found.ties.left, found.ties.right, found.ties.strength, SEED)
    score = np.append(found.score, 0.0)[found.group]  # the last one is for -1
    return {
        "tied": compact(tied, SMALLEST),
        "looked at": found.group,
        "suspected": np.where(score >= SUSPECTED, found.group, -1),
        "detected": np.where(score >= DETECTED, found.group, -1),
    }


@click.command()
@click.argument("source", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--work", type=click.Path(file_okay=False, path_type=Path), help="Keep everything in this new folder.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the honest background.")
@click.option("--honest", type=click.IntRange(0), default=Honest().accounts, show_default=True, help="Accounts.")
@click.option(
    "--brought",
    multiple=True,
    type=click.Choice(BROUGHT),
    default=BROUGHT[:2],
    show_default=True,
    help="How a star is said; may be given more than once.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line of standard output.")
def main(source: Path, work: Path | None, seed: int, honest: int, brought: tuple[str, ...], *, as_json: bool) -> None:
    """Find groups among the accounts in SOURCE and made-up honest ones, and hold them against what was bought."""
    background = Honest(accounts=honest)
    if work is None:
        with TemporaryDirectory() as folder:
            measured = measure(source, Path(folder), honest=background, seed=seed, brought=brought)
    else:
        work.mkdir(parents=True)
        measured = measure(source, work, honest=background, seed=seed, brought=brought)
    made, most = measured.converted, measured.ceiling
    click.echo(
        f"{made.suspected:,} suspected accounts and {made.honest:,} honest ones with {made.stars:,} stars; "
        f"{made.bulk} repositories with {BULK} suspected accounts or more ({made.renamed} names were another's)"
    )
    click.echo(
        f"{most.one_star:.1%} of the accounts of these have one star; of {most.pairs:,} pairs "
        f"{most.two_repositories:.2%} have two repositories in common, "
        f"{most.within_a_day:.1%} starred one within a day, {most.within_a_week:.1%} within a week"
    )
    click.echo(f"detection took {measured.seconds} s; the highest score of a group was {measured.highest_score:.3f}")
    click.echo(f"{'':20}" + "".join(f"{stage:>25}" for stage in measured.stages))
    for name in Agreement.__dataclass_fields__:
        row = "".join(f"{_figure(getattr(each, name)):>25}" for each in measured.stages.values())
        click.echo(f"{name.replace('_', ' '):20}{row}")
    if as_json:
        click.echo(json.dumps(asdict(measured)))


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


if __name__ == "__main__":
    main()
