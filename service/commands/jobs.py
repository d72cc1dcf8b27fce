"""``gatehouse rescore``: the periodic job."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Self

import click
import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from service.commands.context import MOMENT, Run, command_options, now
from service.domain.blocks import DECISIONS, NONE, AssessmentBlock, Int8s
from service.domain.errors import UsageError
from service.domain.time import DAY, rfc3339

SCHEMA = pa.schema(
    [
        ("account_id", pa.string()),
        ("assessed_at", pa.timestamp("us", tz="UTC")),
        ("score", pa.float64()),
        ("decision", pa.string()),
        ("decision_before", pa.string()),
        ("recommended_limit", pa.string()),
        ("model_version", pa.string()),
        ("policy_version", pa.string()),
        ("assessment_id", pa.string()),
    ]
)


@click.command("rescore")
@click.option("--as-of", type=MOMENT, metavar="T", help="Score as things were known at T. [default: now]")
@click.option("--changed-since", type=MOMENT, metavar="T", help="Only accounts with facts learned after T.")
@click.option("--all", "everyone", is_flag=True, help="Every account (the default without --changed-since).")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write a row for each account scored (.parquet, .csv or .jsonl).",
)
@command_options
def rescore_command(
    run: Run, as_of: int | None, changed_since: int | None, out: Path | None, *, everyone: bool
) -> None:
    """Score known accounts again, record the assessments, and say what changed.

    A decision counts as changed where it differs from the account's latest assessment; no assessment counts as allow.
    """
    if everyone and changed_since is not None:
        raise UsageError("--all and --changed-since exclude each other; give one of them")
    started = time.monotonic()
    with run.app() as app, _Writer(out) as rows, run.progress("rescore") as advance:
        moment = as_of if as_of is not None else now()
        warn_if_stale(run, app.store.newest_fact(), as_of, moment)
        report = app.rescore(
            as_of=moment, changed_since=changed_since, each=rows.write if out else None, progress=advance
        )
    seconds = round(time.monotonic() - started, 3)
    run.done(
        {
            "scored": report.scored,
            "changed": report.changed,
            "seconds": seconds,
            "decisions": report.decisions,
            "as_of": rfc3339(moment),
        },
        f"scored {report.scored:,} accounts in {seconds:.1f} s; {report.changed:,} decisions changed; "
        + (", ".join(f"{count:,} {name}" for name, count in sorted(report.decisions.items())) or "nothing to score"),
    )


def warn_if_stale(run: Run, newest: int | None, as_of: int | None, moment: int) -> None:
    """Warns where ``--as-of`` was left to now and the newest fact is more than a day older."""
    if as_of is None and newest is not None and moment - newest > DAY:
        run.say(
            f"warning: the newest fact is of {rfc3339(newest)}, more than a day ago; windows that end now may be "
            f"empty. Give --as-of {rfc3339(newest)} to look from there."
        )


class _Writer:
    """Writes scored batches to a file in the form its name asks for; a file not finished leaves none behind."""

    def __init__(self, path: Path | None) -> None:
        """None: there is no file to write."""
        self._path = path
        self._part = path.with_name(f".{path.name}.part") if path else None
        self._parts: list[pa.Table] = []

    def __enter__(self) -> Self:
        if self._path is not None and self._path.suffix not in (".parquet", ".csv", ".jsonl"):
            raise UsageError(f"--out {self._path}: the name must end in .parquet, .csv or .jsonl")
        if self._path is not None and not self._path.parent.is_dir():
            raise UsageError(f"--out {self._path}: there is no folder {self._path.parent}")
        return self

    def write(self, made: AssessmentBlock, before: Int8s) -> None:
        """Adds a batch."""
        moment = pa.scalar(made.assessed_at, pa.int64()).cast(pa.timestamp("us", tz="UTC"))
        self._parts.append(
            pa.table(
                [
                    made.account_id,
                    pa.array([moment] * len(made), moment.type),
                    made.score,
                    [DECISIONS[place].value for place in made.decision.tolist()],
                    [None if place == NONE else DECISIONS[place].value for place in before.tolist()],
                    made.limit,
                    [made.model_version] * len(made),
                    [made.policy_version] * len(made),
                    [made.assessment_id(row) for row in range(len(made))],
                ],
                schema=SCHEMA,
            )
        )

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._path is None or self._part is None or kind is not None:
            return
        table = pa.concat_tables(self._parts) if self._parts else SCHEMA.empty_table()
        if self._path.suffix == ".parquet":
            pq.write_table(table, self._part)
        else:
            frame = table.to_pylist()
            _write_text(self._part, self._path.suffix, frame)
        self._part.replace(self._path)


def _write_text(path: Path, suffix: str, rows: list[dict[str, object]]) -> None:
    if suffix == ".jsonl":
        path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
        return
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, SCHEMA.names)
        writer.writeheader()
        writer.writerows(rows)
