"""``gatehouse detect``: the periodic job that finds campaigns."""

from __future__ import annotations

import os
import socket
import time

import click
from rich.console import Console
from rich.table import Table

from service.commands.context import MOMENT, Run, command_options, now
from service.commands.jobs import warn_if_stale
from service.domain.campaigns import CampaignState
from service.domain.errors import DetectionRunning
from service.domain.time import rfc3339
from service.usecases.detect import Detect, DetectReport, Step

SHOWN = 30  # campaigns on a terminal; --json has all of them
LOOK_AGAIN_S = 2.0


@click.command("detect")
@click.option("--as-of", type=MOMENT, metavar="T", help="Look at what was known at T. [default: now]")
@click.option(
    "--wait",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="Wait so long for another detection on this database to end. [default: 0, say so and stop]",
)
@command_options
def detect_command(run: Run, as_of: int | None, wait: float) -> None:
    """Find accounts that are one, and update campaigns.

    Reads what was learned since the last run, links accounts, judges the groups and records what changed, all or
    nothing. Run again for the same moment it records nothing twice; stopped, it leaves nothing half-done. Members of a
    campaign above the evidence threshold score differently from then on; suspicions only analysts see.
    """
    started = time.monotonic()
    with run.app() as app, run.progress("detect") as advance:
        moment = as_of if as_of is not None else now()
        warn_if_stale(run, app.store.newest_fact(), as_of, moment)
        holder = f"gatehouse detect on {socket.gethostname()} (process {os.getpid()})"

        def progress(what: str, done: int, of: int) -> None:
            advance(done, of)
            if done < of:
                run.say(f"detect: {what}")

        report = _when_free(app.detect_once, moment, holder, wait, progress)
    seconds = round(time.monotonic() - started, 3)
    outcome = report.outcome
    run.done(
        {
            "campaigns": [
                {
                    "id": each.campaign_id,
                    "campaign_id": each.campaign_id,
                    "state": each.state.value,
                    "members": each.members,
                    "score": each.score,
                    "families": list(each.strongest),
                }
                for each in report.campaigns
            ],
            "created": list(outcome.created),
            "changed": list(outcome.changed),
            "merged": list(outcome.merged),
            "closed": list(outcome.closed),
            "accounts": report.accounts,
            "exchanges": report.exchanges,
            "groups": report.groups,
            "as_of": rfc3339(report.as_of),
            "seconds": seconds,
        },
        _text(report, seconds),
    )


def _when_free(detect: Detect, as_of: int, holder: str, wait: float, progress: Step) -> DetectReport:
    """Runs it as soon as no other detection is at work, within ``wait`` seconds."""
    deadline = time.monotonic() + wait
    while True:
        try:
            return detect(as_of=as_of, holder=holder, clock=now, progress=progress)
        except DetectionRunning:
            if time.monotonic() >= deadline:
                raise
        time.sleep(min(LOOK_AGAIN_S, max(deadline - time.monotonic(), 0.0)))


def _text(report: DetectReport, seconds: float) -> str:
    live = [each for each in report.campaigns if each.state is not CampaignState.SUSPECTED]
    head = (
        f"looked at {report.accounts:,} accounts and {report.exchanges:,} exchanges in {seconds:.1f} s: "
        f"{len(live):,} campaigns of {sum(each.members for each in live):,} accounts, "
        f"{len(report.campaigns) - len(live):,} suspicions; "
        f"{len(report.outcome.created):,} new, {len(report.outcome.changed):,} changed"
    )
    if not report.campaigns:
        return head
    table = Table("campaign", "state", "members", "score", "linked by", box=None, pad_edge=False)
    for each in report.campaigns[:SHOWN]:
        table.add_row(
            each.campaign_id,
            each.state.value,
            f"{each.members:,}",
            "-" if each.score is None else f"{each.score:.3f}",
            ", ".join(each.strongest),
        )
    console = Console(width=120, color_system=None)
    with console.capture() as captured:
        console.print(table)
    more = len(report.campaigns) - SHOWN
    return "\n".join([head, captured.get().rstrip(), *([f"and {more:,} more: --json lists all"] if more > 0 else [])])
