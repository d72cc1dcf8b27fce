"""The starter model: trained on simulated accounts, so that a new installation can answer before it knows anyone.

It is as good as the simulator is true, is marked ``starter`` wherever it shows, and any model trained on the operator's
own accounts that is not worse on those replaces it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import click

from service.app import App
from service.domain.errors import GatehouseError
from service.domain.facts import Float32s, Int32s, Int64s
from service.domain.time import DAY
from service.log import configure
from service.model.artefact import Artefact, make_artefact, write_artefact
from service.policy.policy import GRADED
from service.settings import Settings
from service.storage.store import Store
from service.tiles.history import History
from service.usecases.import_directory import Counts, import_directory
from training.dataset import build
from training.pipeline import Trained, train
from training.simulate import DEFAULT_START, simulate

ACCOUNTS = 24_000
DAYS = 45
CAMPAIGNS = 60  # many and small: what one campaign does teaches little about the next
EXCHANGES_PER_DAY = 4.0  # enough for rhythm and templates; counts are not what campaigns share
SEED = 20_260
MOST_UNLABELLED = 9_000
BUDGET = 0.001


def train_starter(out: Path) -> None:
    """Writes a starter model into ``out``: the same bytes each time, but for another version of the product."""
    write_artefact(make_starter().artefact, out)


def make_starter(
    *, accounts: int = ACCOUNTS, days: int = DAYS, campaigns: int = CAMPAIGNS, seed: int = SEED
) -> Trained:
    """Simulates a world, imports it into a database of its own as an operator would, and learns from it."""
    with tempfile.TemporaryDirectory(prefix="gatehouse-starter-") as folder:
        world = Path(folder) / "world"
        simulate(
            world,
            accounts=accounts,
            days=days,
            campaigns=campaigns,
            seed=seed,
            start=DEFAULT_START,
            exchanges_per_day=EXCHANGES_PER_DAY,
        )
        # fixed keys: nothing here is anyone's personal data, and the same world gives the same model
        settings = Settings(
            database_url=f"sqlite:///{folder}/starter.db",
            data_dir=Path(folder),
            hmac_keys=f"content:{'a5' * 32},starter:{'5a' * 32}",
        )
        end = int(DEFAULT_START.timestamp()) * 1_000_000 + days * DAY
        with App.open(settings, upgrade=True) as app:
            import_directory(world, door=app.door, store=app.store, now=end, skip_bad_rows=None, progress=Quiet())
            source = _Anonymous(app.store)
            dataset = build(source, app.store.labels_at(end), as_of=end, seed=seed, most_unlabelled=MOST_UNLABELLED)
            made = train(
                dataset,
                seed=seed,
                budget=BUDGET,
                origin="starter",
                created_at=end,
                code_version=version("gatehouse"),
                source=source,
            )
    return replace(made, artefact=by_rules_alone(made.artefact))


def by_rules_alone(artefact: Artefact) -> Artefact:
    """The same model with no threshold: its scores inform, and its rules decide.

    Thresholds that were set on simulated accounts promise nothing about anybody else's; whom campaigns and confirmed
    frauds tie is evidence on any population.
    """
    policy = {**artefact.manifest.policy, "thresholds": dict.fromkeys([level.value for level in GRADED])}
    return make_artefact(replace(artefact.manifest, policy=policy), artefact.booster)


class _Anonymous:
    """A store without the simulator's own signals and link kinds: they are no operator's."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def histories(self, *, rows: int, accounts: Int64s | None = None) -> Iterator[History]:
        """As the store's."""
        return self._store.histories(rows=rows, accounts=accounts)

    def signups_between(self, start: int, end: int) -> tuple[Int64s, Int64s]:
        """As the store's."""
        return self._store.signups_between(start, end)

    def link_rows(
        self, as_of: int, since: int = -(2**62), kinds: tuple[int, ...] = ()
    ) -> tuple[Int64s, Int64s, Int32s, Int64s]:
        """As the store's."""
        return self._store.link_rows(as_of, since, kinds)

    def signup_rows(self, as_of: int) -> tuple[Int64s, Int64s, Int64s, Float32s]:
        """As the store's."""
        return self._store.signup_rows(as_of)

    def names(self, kind: str) -> dict[int, str]:  # noqa: ARG002  of either kind there are none
        """None."""
        return {}


class Quiet:
    """Nobody watches this import."""

    def begins(self, name: str, size: int) -> None:
        """Says nothing."""

    def advanced(self, read: int, rows: int) -> None:
        """Says nothing."""

    def ends(self, name: str, counts: Counts, *, published: bool) -> None:
        """Says nothing."""


@click.command("starter")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Directory of the model.")
@click.option("--accounts", default=ACCOUNTS, show_default=True, type=click.IntRange(500), help="Size of its world.")
@click.option("--campaigns", default=CAMPAIGNS, show_default=True, type=click.IntRange(2), help="Campaigns among them.")
def main(out: Path, accounts: int, campaigns: int) -> None:
    """Train the starter model and write it to a directory."""
    configure("info")
    try:
        write_artefact(make_starter(accounts=accounts, campaigns=campaigns).artefact, out)
    except GatehouseError as error:
        raise click.ClickException(str(error)) from None
    click.echo(str(out))


if __name__ == "__main__":
    main()
