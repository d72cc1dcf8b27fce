"""``gatehouse import`` and ``gatehouse labels import``: facts and verdicts from files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import click

from service.app import keyring_is_there, open_keyring
from service.commands.allocation import keep_memory
from service.commands.context import Advance, Run, command_options, now
from service.commands.reading import reader
from service.domain.errors import UsageError
from service.loading import loading

# Names of types only: a large import starts its second process before it loads what it needs itself.
if TYPE_CHECKING:
    from service.usecases.import_directory import Counts, ImportReport

SHOWN_BAD_ROWS = 20

Command = TypeVar("Command", bound=Callable[..., Any])


def _skip_option(command: Command) -> Command:
    return click.option(
        "--skip-bad-rows",
        metavar="FILE",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Import the good rows and write the bad ones here, as JSON lines with file, row, column, reason and "
        "record (the row as it stands, personal data included).",
    )(command)


@click.command("import")
@click.argument("directory", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@_skip_option
@command_options
def import_command(run: Run, directory: Path, skip_bad_rows: Path | None) -> None:
    """Take in the interchange tables of DIR.

    Tables are accounts, payments, usage, links, signals and labels, each as NAME.parquet, NAME.csv, NAME.jsonl or a
    folder NAME of such files; any of them may be absent, other files are ignored. Every row is checked, every file
    published whole or not at all, and what is known already is counted and left alone.
    """
    keep_memory()
    moment, skips = now(), skip_bad_rows is not None
    with reader(directory) as beside:
        if beside is not None and keyring_is_there(run.settings):
            beside.begin(run.settings, open_keyring(run.settings), directory, moment, originals=skips)
        with loading():
            from service.usecases.import_directory import import_directory  # noqa: PLC0415
        with run.app() as app, _Progress(run) as progress, _interruption(run):
            with loading():
                if beside is not None:
                    beside.begin(run.settings, app.keyring, directory, moment, originals=skips)
                door, store = app.door if beside is None else beside.beside(), app.store
            report = import_directory(
                directory, door=door, store=store, now=moment, skip_bad_rows=skip_bad_rows, progress=progress
            )
    _say(run, report, skip_bad_rows)


@click.group("labels")
def labels_group() -> None:
    """Analysts' verdicts."""


@labels_group.command("import")
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_skip_option
@command_options
def labels_import_command(run: Run, file: Path, skip_bad_rows: Path | None) -> None:
    """Take in one file of labels (.parquet, .csv or .jsonl).

    Its columns are account_id, verdict, decided_at and analyst, and optionally campaign_id, evidence and retracted_at.
    A campaign that is not known yet is created; a known label with retracted_at is a retraction.
    """
    with loading():
        from service.usecases.import_directory import import_labels  # noqa: PLC0415
    with run.app() as app, _Progress(run) as progress, _interruption(run):
        with loading():
            door, store = app.door, app.store
        report = import_labels(file, door=door, store=store, now=now(), skip_bad_rows=skip_bad_rows, progress=progress)
    _say(run, report, skip_bad_rows)


@contextmanager
def _interruption(run: Run) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        run.say(
            "interrupted: nothing of the file being read was imported, the files before it were; "
            "run the same command again to go on"
        )
        raise


def _say(run: Run, report: ImportReport, skip_bad_rows: Path | None) -> None:
    """The report. Raises UsageError where files were refused."""
    _say_what_is_wrong(run, report, skip_bad_rows)
    result: dict[str, object] = {"files": {name: asdict(counts) for name, counts in report.files.items()}}
    if "labels" in report.files:
        result["campaign_ids"] = sorted(report.campaigns)
    if report.refused:
        result["refused"] = report.refused
    run.done(result, "\n".join(f"{name}: {_counted(counts)}" for name, counts in report.files.items()))
    if report.refused:
        raise UsageError(_mend(report, skip_bad_rows))


def _say_what_is_wrong(run: Run, report: ImportReport, skip_bad_rows: Path | None) -> None:
    for bad in report.bad_rows[:SHOWN_BAD_ROWS]:
        run.say(str(bad))
    shown = len({(bad.file, bad.row) for bad in report.bad_rows[:SHOWN_BAD_ROWS]})
    if report.bad > shown:
        run.say(f"and {report.bad - shown:,} more bad rows")
    if report.bad and skip_bad_rows is not None:
        run.say(f"{report.bad:,} bad rows were left out; {skip_bad_rows} has them")
    for problem in report.problems:
        run.say(problem)


def _mend(report: ImportReport, skip_bad_rows: Path | None) -> str:
    hint = "mend them and run the command again"
    if skip_bad_rows is None and report.bad:
        hint += ", or give --skip-bad-rows FILE to go on without the bad rows"
    return f"nothing was imported of {', '.join(report.refused)}: what is wrong stands above; {hint}"


def _counted(counts: Counts) -> str:
    return (
        f"{counts.rows:,} rows, {counts.imported:,} imported, {counts.duplicates:,} known already, {counts.bad:,} bad"
    )


class _Progress:
    """One bar, or one set of plain lines, per file."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._stack = ExitStack()
        self._advance: Advance | None = None
        self._size = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def begins(self, name: str, size: int) -> None:
        self._size = size
        self._advance = self._stack.enter_context(self._run.progress(name))

    def advanced(self, read: int, rows: int) -> None:  # noqa: ARG002  bytes or rows of the file say how far it is
        if self._advance is not None:
            self._advance(read, self._size)

    def ends(self, name: str, counts: Counts, *, published: bool) -> None:
        self._stack.close()
        self._run.say(f"{name}: {_counted(counts)}" + ("" if published else "; nothing of it was imported"))
