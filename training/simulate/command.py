"""``gatehouse simulate``."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from training.simulate import DEFAULT_START, simulate
from training.simulate.habits import MEAN_PER_ACTIVE_DAY


class Moment(click.ParamType[datetime]):
    """A date or an RFC 3339 time; without a zone it is UTC."""

    name = "date"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Parse the option's text."""
        if isinstance(value, datetime):
            return value
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a date such as 2026-04-22 or 2026-04-22T08:00:00Z", param, ctx)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


@click.command("simulate")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--accounts",
    type=click.IntRange(min=1),
    default=2000,
    show_default=True,
    help="Accounts in all, honest ones and others.",
)
@click.option(
    "--days", type=click.IntRange(min=1, max=3660), default=14, show_default=True, help="Length of the period in days."
)
@click.option(
    "--campaigns", type=click.IntRange(min=0), default=3, show_default=True, help="Campaigns hidden among the accounts."
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, help="The same seed gives the same bytes."
)
@click.option(
    "--start",
    type=Moment(),
    default=DEFAULT_START.date().isoformat(),
    show_default=True,
    help="First moment of the period (UTC).",
)
@click.option(
    "--exchanges-per-day",
    type=click.FloatRange(min=0, min_open=True, max=100_000),
    default=MEAN_PER_ACTIVE_DAY,
    show_default=True,
    help="Mean exchanges of an account on a day on which it is used.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line of standard output.")
def simulate_command(
    *,
    out: Path,
    accounts: int,
    days: int,
    campaigns: int,
    seed: int,
    start: datetime,
    exchanges_per_day: float,
    as_json: bool,
) -> None:
    """Write a simulated world to the folder OUT.

    That is an interchange directory with labels as analysts would have given them, late and incomplete, and
    truth.parquet (account_id, campaign_id, kind), which no other command reads.
    """
    try:
        with _progress() as report:
            summary = simulate(
                out,
                accounts=accounts,
                days=days,
                campaigns=campaigns,
                seed=seed,
                start=start,
                exchanges_per_day=exchanges_per_day,
                progress=report,
            )
    except (ValueError, FileExistsError) as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        click.echo(json.dumps(asdict(summary)))
    else:
        click.echo(
            f"{summary.accounts} accounts, {summary.exchanges} exchanges and {summary.campaigns} campaigns in {out}"
        )
        for kind, count in summary.kinds.items():
            click.echo(f"  {kind:<12} {count}")


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A bar on a terminal, a plain line per stage and tenth of the usage elsewhere; both on standard error."""
    if sys.stderr.isatty():
        columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("accounts", total=1)
            yield lambda stage, done, total: bar.update(task, description=stage, completed=done, total=total)
        return
    said: set[tuple[str, int]] = set()

    def line(stage: str, done: int, total: int) -> None:
        tenth = done * 10 // max(total, 1) if stage == "usage" else 0
        if (stage, tenth) not in said:
            said.add((stage, tenth))
            click.echo(f"simulating {stage} ({done} of {total})", err=True)

    yield line
