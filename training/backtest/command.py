"""``gatehouse backtest``."""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import orjson

from service.app import App
from service.commands.context import MOMENT, Run, command_options, now
from service.domain.enums import Verdict
from service.domain.errors import UsageError
from service.domain.raw import Label
from service.domain.time import DAY, HOUR, rfc3339
from service.usecases.import_directory import Counts
from training.backtest.measure import measure
from training.backtest.plan import Plan
from training.backtest.replay import Replay
from training.backtest.stage import LabelStream, Stage, fill, settings_of
from training.report.backtest_page import write_backtest_report

WORK = ".backtest"  # folder in OUT: database, steps and models of a replay that is not done yet
LEAST_FREE = 2  # GiB, below which a replay is not begun
_UNITS = {"h": HOUR, "d": DAY, "m": HOUR // 60, "w": 7 * DAY}


class Span(click.ParamType[int]):
    """A span of time on the command line: 6h, 7d, 90m, 2w. Microseconds inside."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Fails with a message that shows the form."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([mhdw])", value.strip().lower())
        if found is None or float(found[1]) <= 0:
            self.fail(f"{value!r} is not a span of time such as 6h or 7d", param, ctx)
        return int(float(found[1]) * _UNITS[found[2]])


SPAN = Span()


@click.command("backtest")
@click.argument("directory", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--from", "start", type=MOMENT, required=True, metavar="T", help="Decide about signups from T on.")
@click.option("--to", "end", type=MOMENT, required=True, metavar="T", help="And about none at T or later.")
@click.option("--step", type=SPAN, default="6h", show_default=True, help="Between detections and rescorings.")
@click.option("--retrain-every", type=SPAN, default="7d", show_default=True, help="Between trainings.")
@click.option(
    "--friction-budget",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Share of legitimate accounts that may ever be touched. [default: GATEHOUSE_FRICTION_BUDGET, else 0.001]",
)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the results; made new."
)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=1, show_default=True, help="Of the trainings.")
@click.option("--restart", is_flag=True, help="Begin anew, whatever OUT holds of an earlier replay.")
@click.option("--keep-work", is_flag=True, help=f"Leave the replay's database and models in OUT/{WORK}.")
@command_options
def backtest_command(
    run: Run,
    directory: Path,
    start: int,
    end: int,
    step: int,
    retrain_every: int,
    friction_budget: float | None,
    out: Path,
    seed: int,
    *,
    restart: bool,
    keep_work: bool,
) -> None:
    """Replay the interchange directory DIR as it would have happened, and say what would have been decided.

    Every signup from --from until --to is scored at its second; every step campaigns are detected and accounts of which
    anything was learned are scored again; models are trained on the labels known by then and promoted past the gate.
    Nothing uses a fact that is later than the moment it decides about.

    OUT gets decisions.parquet, campaigns.parquet, report.json and report.html. The replay has a database of its own;
    --database is not touched. Stopped, the same command goes on where it was.
    """
    budget = friction_budget if friction_budget is not None else run.settings.friction_budget
    plan = Plan(directory.resolve(), out.resolve(), start, end, step, retrain_every, budget, seed)
    _check(plan)
    began = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    work = plan.out / WORK
    with _alone(plan.out):
        if restart:
            shutil.rmtree(work, ignore_errors=True)
        known = _known(plan, work)
        finished = None if restart else _finished(plan)
        if finished is not None:
            run.say(f"{out} holds this very replay already; --restart does it again")
        else:
            finished = _replayed(run, plan, work, known, began)
            if not keep_work:
                shutil.rmtree(work, ignore_errors=True)
    run.done(_summary(finished, out), _told(finished, out))


def _replayed(run: Run, plan: Plan, work: Path, known: dict[str, Any], began: float) -> dict[str, Any]:
    settings = settings_of(run.settings, work)
    work.mkdir(parents=True, exist_ok=True)
    try:
        with App.open(settings, upgrade=True) as app:
            stage = _stage(run, app, plan, work, known)
            replay = Replay(plan, stage, work, clock=now, say=run.say)
            if replay.done:
                run.say(f"going on after {replay.done:,} of {len(plan.moments()):,} steps")
            with run.progress("backtest") as advance:
                replay.run(advance)
            seconds = known["seconds"] + time.monotonic() - began
            report = {**measure(plan, app, replay.ledger, stage.labels), "seconds": round(seconds, 1)}
            report["inputs"] = known["fingerprint"]
            replay.ledger.write(plan.out)
            write_backtest_report(plan.out, report)
            return report
    except BaseException:  # Ctrl-C, too: how long it took so far is kept, and the mend said
        known["seconds"] += time.monotonic() - began
        _note(work, known)
        run.say(f"stopped; what is done is kept in {plan.out / WORK}, and the same command goes on from there")
        raise


def _check(plan: Plan) -> None:
    if plan.end <= plan.start:
        raise UsageError(f"--to {rfc3339(plan.end)} is not after --from {rfc3339(plan.start)}")
    if len(plan.moments()) > 100_000:
        raise UsageError(f"--step makes {len(plan.moments()):,} steps of it; give a longer one")
    if plan.out == plan.directory:
        raise UsageError("--out is DIR itself; results need a folder of their own")


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """One replay in a folder at a time."""
    with (out / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"another backtest is at work in {out}; wait for it or give another --out") from None
        yield
        (out / ".lock").unlink(missing_ok=True)


def _known(plan: Plan, work: Path) -> dict[str, Any]:
    """What is known of the replay that the folder holds the beginning of; a new one where there is none.

    Raises UsageError where it is another one's.
    """
    path = work / "plan.json"
    fingerprint = plan.fingerprint(version("gatehouse"))
    if path.exists():
        known: dict[str, Any] = json.loads(path.read_text())
        if known["fingerprint"] != fingerprint:
            raise UsageError(
                f"{plan.out} holds the beginning of another replay ({known['told']}), or DIR changed since; give "
                "another --out, or --restart to begin anew"
            )
        return known
    return {"fingerprint": fingerprint, "told": plan.told(), "seconds": 0.0, "imported": False}


def _note(work: Path, known: dict[str, Any]) -> None:
    work.mkdir(parents=True, exist_ok=True)
    draft = work / ".plan.json.part"
    draft.write_text(json.dumps(known))
    draft.replace(work / "plan.json")


def _finished(plan: Plan) -> dict[str, Any] | None:
    path = plan.out / "report.json"
    if not path.exists() or not (plan.out / "decisions.parquet").exists():
        return None
    held: dict[str, Any] = json.loads(path.read_text())
    return held if held.get("inputs") == plan.fingerprint(version("gatehouse")) else None


def _stage(run: Run, app: App, plan: Plan, work: Path, known: dict[str, Any]) -> Stage:
    """The directory imported, or, where that was done before, its labels taken up again."""
    path = work / "labels.json"
    if known["imported"]:
        held = orjson.loads(path.read_bytes())
        return Stage(app, LabelStream([Label(**{**one, "verdict": Verdict(one["verdict"])}) for one in held]))
    _note(work, known)
    stage = fill(app, plan.directory, now=now(), progress=_Lines(run))
    path.write_bytes(orjson.dumps(stage.labels.labels))
    known["imported"] = True
    _note(work, known)
    return stage


class _Lines:
    """Says how the import goes, a line a table's file."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def begins(self, name: str, size: int) -> None:
        """Nothing to say yet."""

    def advanced(self, read: int, rows: int) -> None:
        """Nothing to say yet."""

    def ends(self, name: str, counts: Counts, *, published: bool) -> None:  # noqa: ARG002  refused files are told of
        """One file is read."""
        self._run.say(f"read {name}: {counts.rows:,} rows")


def _summary(report: dict[str, Any], out: Path) -> dict[str, Any]:
    """What ``--json`` prints."""
    names = ("from", "to", "friction_budget", "started_from", "counts", "decisions", "honest", "unlabelled")
    return {
        "out": str(out),
        **{name: report[name] for name in names},
        "campaigns": len(report["campaigns"]),
        "models": [
            {name: one[name] for name in ("at", "model_version", "promoted", "why")} for one in report["models"]
        ],
        "warnings": report["warnings"],
        "seconds": report["seconds"],
    }


def _told(report: dict[str, Any], out: Path) -> str:
    """What a person reads."""
    counts, honest = report["counts"], report["honest"]
    caught = sum(one["caught"] for one in report["labelled_campaigns"])
    members = sum(one["members"] for one in report["labelled_campaigns"])
    promoted, tried = sum(one["promoted"] for one in report["models"][1:]), len(report["models"]) - 1
    lines = [
        f"{counts['signups']:,} signups, {len(report['campaigns']):,} campaigns found, {report['seconds']:.0f} s",
        f"begun with a {report['started_from']['origin']} model; {promoted} later ones of {tried} were promoted",
    ]
    if members:
        lines.append(f"of {members:,} accounts in campaigns that analysts named, {caught:,} were caught")
    if honest["accounts"]:
        lines.append(f"of {honest['accounts']:,} accounts that analysts cleared, {honest['touched']:,} were touched")
    lines += [f"warning: {warning}" for warning in report["warnings"]]
    return "\n".join([*lines, f"{out}/report.html shows it"])
