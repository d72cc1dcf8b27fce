"""What every command shares: where the database is, how results are printed, how progress shows, how failures end."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Concatenate, ParamSpec, TypeVar

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from service import log
from service.app import App
from service.domain.time import micros
from service.settings import DEFAULT_DATABASE, Settings

P = ParamSpec("P")
R = TypeVar("R")

Advance = Callable[[int, int | None], None]  # (done so far, total if known)

LINE_EVERY = 10  # percent between two plain lines of progress


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a command."""

    settings: Settings
    as_json: bool

    @contextmanager
    def app(self, *, upgrade: bool = True, serving: bool = False) -> Iterator[App]:
        """The wired product on this run's database; ``upgrade``: bring an older schema up to date first.

        ``serving``: for many calls at once, see ``App.open``.
        """
        with App.open(self.settings, upgrade=upgrade, serving=serving) as app:
            yield app

    def make_default_home(self) -> None:
        """Creates ``var/`` where the database is the default one; any other folder is the operator's to make."""
        if self.settings.database_url == DEFAULT_DATABASE:
            self.settings.home().mkdir(parents=True, exist_ok=True)

    def done(self, result: Mapping[str, Any], text: str = "") -> None:
        """Prints the result: with ``--json`` one object as the last line of standard output, else ``text``."""
        if self.as_json:
            # words such as decisions are keys, too
            option = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
            click.echo(orjson.dumps(result, default=_plain, option=option).decode())
        elif text:
            click.echo(text)

    def say(self, text: str) -> None:
        """A line for a person, on standard error."""
        click.echo(text, err=True)

    @contextmanager
    def progress(self, label: str) -> Iterator[Advance]:
        """A bar on a terminal, plain lines every tenth elsewhere; both on standard error."""
        if not sys.stderr.isatty():
            yield _plain_lines(label, self.say)
            return
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(label, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)


def _plain_lines(label: str, say: Callable[[str], None]) -> Advance:
    shown = -LINE_EVERY

    def advance(done: int, total: int | None) -> None:
        nonlocal shown
        percent = 100 * done // total if total else 0
        if total and (percent >= shown + LINE_EVERY or done == total) and percent != shown:
            shown = percent
            say(f"{label}: {done:,} of {total:,} ({percent} %)")

    return advance


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    return str(value)


def command_options(function: Callable[Concatenate[Run, P], R]) -> Callable[P, R]:
    """Adds ``--database``, ``--json`` and ``--log-level`` to a command, which gets them as its first argument."""

    @click.option(
        "--database",
        metavar="URL",
        help="sqlite:///PATH or postgresql://USER@HOST/NAME [default: GATEHOUSE_DATABASE_URL, else sqlite:///var/gatehouse.db]",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line of standard output.")
    @click.option(
        "--log-level",
        type=click.Choice(["debug", "info", "warning", "error"]),
        help="Least level of the JSON log lines on standard error. [default: GATEHOUSE_LOG_LEVEL, else info]",
    )
    @functools.wraps(function)
    def wrapper(*args: Any, database: str | None, as_json: bool, log_level: str | None, **kwargs: Any) -> R:
        given = {"database_url": database, "log_level": log_level}
        settings = Settings().model_copy(update={name: value for name, value in given.items() if value is not None})
        log.configure(settings.log_level)
        return function(Run(settings, as_json), *args, **kwargs)

    return wrapper  # type: ignore[return-value]  # click's decorators keep the signature, which mypy cannot see


class Moment(click.ParamType[int]):
    """A time on the command line: RFC 3339 or a date; without a zone it means UTC. Microseconds inside."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Fails with a message that shows the form."""
        if isinstance(value, int):
            return value
        try:
            return micros(datetime.fromisoformat(value))
        except ValueError:
            self.fail(f"{value!r} is not a time such as 2026-06-05 or 2026-06-05T12:00:00Z", param, ctx)


MOMENT = Moment()


def now() -> int:
    """The present moment; commands and rpc are the only places that read a clock."""
    return micros(datetime.now(UTC))
