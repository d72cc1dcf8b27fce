"""``gatehouse campaigns``: analysts' work from a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
import orjson
import pyarrow as pa

from service.app import App
from service.commands.account_files import (
    check_folder,
    check_table_name,
    read_account_ids,
    write_file,
    write_table,
)
from service.commands.campaign_words import (
    campaign_body,
    file_body,
    member_body,
    print_campaigns,
    print_file,
    print_members,
    receipt_body,
    receipt_text,
)
from service.commands.context import Run, command_options, now
from service.domain.campaigns import CampaignMember, CampaignRecord, CampaignState, ReviewAction, ReviewAsked
from service.domain.errors import CampaignMerged, UnknownCampaign, UsageError
from service.domain.requests import Page
from service.keys.kinds import KINDS
from service.linking.derived import DERIVED
from service.report.campaign_page import campaign_page
from service.report.words import count_of
from service.usecases.campaigns import CampaignFile, GetCampaign, ListCampaignMembers, ListCampaigns

PAGE = 1000
FORMATS = ("text", "json", "html")
MEMBERS = pa.schema(
    [
        ("account_id", pa.string()),
        ("joined_at", pa.timestamp("us", tz="UTC")),
        ("membership", pa.float64()),
        ("key_types", pa.list_(pa.string())),
        ("verdict", pa.string()),
    ]
)

Command = TypeVar("Command", bound=Callable[..., Any])
Item = TypeVar("Item")

_OUT = click.Path(dir_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


def _members_option(text: str, *, required: bool = False) -> Callable[[Command], Command]:
    return click.option(
        "--members",
        "members_file",
        metavar="FILE",
        type=_FILE,
        required=required,
        help=f"{text} A .parquet, .csv or .jsonl file with a column account_id, or a text file of one id a line.",
    )


def _verdict_options(command: Command) -> Command:
    """``--analyst``, ``--reason`` and ``--etag``, which every verdict takes."""
    for option in (
        click.option("--etag", metavar="ETAG", help="As `show` printed it: refused if the campaign changed since."),
        click.option("--reason", required=True, metavar="TEXT", help="Why; kept for ever, so no personal data here."),
        click.option("--analyst", required=True, metavar="NAME", help="Who says so."),
    ):
        command = option(command)
    return command


@click.group("campaigns")
def campaigns_group() -> None:
    """Look at campaigns and give verdicts on them.

    A campaign is a group of accounts that are one. Verdicts on more than GATEHOUSE_TWO_ANALYSTS_ABOVE members (100) are
    recorded as pending, and done once another analyst asks for the same.
    """


@campaigns_group.command("list")
@click.option(
    "--state",
    "states",
    multiple=True,
    type=click.Choice([state.value for state in CampaignState]),
    help="Only campaigns in this state; may be given more than once. [default: all but merged]",
)
@click.option("--min-members", type=click.IntRange(0), default=0, help="Only campaigns with at least so many members.")
@click.option("--limit", type=click.IntRange(1), help="At most so many. [default: all]")
@command_options
def list_command(run: Run, states: tuple[str, ...], min_members: int, limit: int | None) -> None:
    """Print campaigns, the latest to change first."""
    with run.app() as app:
        deed = ListCampaigns(app.store)

        def page(token: str, size: int) -> Page[CampaignRecord]:
            return deed(
                states=frozenset(map(CampaignState, states)), min_members=min_members, page_size=size, page_token=token
            )

        found = list(_items(page, limit))
    run.done({"campaigns": [campaign_body(record) for record in found], "count": len(found)})
    if run.as_json:
        return
    if not found:
        click.echo("no such campaign; `gatehouse detect` finds them, and a label with a campaign_id makes one")
        return
    print_campaigns(found)


@campaigns_group.command("show")
@click.argument("campaign_id", metavar="ID")
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="text", show_default=True, help="html is a page of its own."
)
@click.option("--out", metavar="FILE", type=_OUT, help="Write it here instead of printing it.")
@command_options
def show_command(run: Run, campaign_id: str, form: str, out: Path | None) -> None:
    """Print one campaign: what links its accounts, how improbable that is, when they did what, and what was said of it.

    As html it is one file without scripts or outside parts, with pictures, for readers who have no access to Gatehouse.
    """
    if out is None and form == "html" and run.as_json:
        raise UsageError("--format html and --json both write to standard output; give --out FILE for the page")
    if out is not None and form == "text":
        raise UsageError("--out takes --format json or --format html")
    check_folder(out)
    with run.app() as app, _callers_mistakes():
        found = GetCampaign(app.store)(campaign_id)
        page = _page(app, found) if form == "html" else ""
    body = file_body(found)
    if out is not None:
        write_file(out, page.encode() if form == "html" else _json(body, orjson.OPT_INDENT_2))
        run.done({**body, "out": str(out)}, f"{out} shows campaign {campaign_id}")
    elif run.as_json:
        run.done(body)
    elif form == "json":
        click.echo(_json(body).decode())
    elif form == "html":
        click.echo(page)
    else:
        print_file(found)


@campaigns_group.command("members")
@click.argument("campaign_id", metavar="ID")
@click.option("--out", metavar="FILE", type=_OUT, help="Write a row for each member (.parquet, .csv or .jsonl).")
@command_options
def members_command(run: Run, campaign_id: str, out: Path | None) -> None:
    """Print a campaign's members, the earliest to join first.

    The file of --out can be edited and given to --members of confirm, refute and split.
    """
    check_table_name(out)
    with run.app() as app, _callers_mistakes():
        found = _members(app, campaign_id)
    rows = [member_body(member) for member in found]
    if out is not None:
        write_table(out, MEMBERS, rows)
        text = f"{out} has {count_of(len(rows), 'member')}"
        run.done({"campaign_id": campaign_id, "members": len(rows), "out": str(out)}, text)
        return
    run.done({"campaign_id": campaign_id, "members": len(rows), "accounts": rows})
    if not run.as_json:
        print_members(found)


@campaigns_group.command("confirm")
@click.argument("campaign_id", metavar="ID")
@_verdict_options
@_members_option("Only these members. [default: all]")
@command_options
def confirm_command(
    run: Run, campaign_id: str, analyst: str, reason: str, etag: str | None, members_file: Path | None
) -> None:
    """Confirm that a campaign is one: a fraud label for each member. Linked accounts score differently at once."""
    _review(run, campaign_id, ReviewAction.CONFIRM, analyst, reason, etag, members_file=members_file)


@campaigns_group.command("refute")
@click.argument("campaign_id", metavar="ID")
@_verdict_options
@_members_option("Only these members, which leave the campaign. [default: all]")
@command_options
def refute_command(
    run: Run, campaign_id: str, analyst: str, reason: str, etag: str | None, members_file: Path | None
) -> None:
    """Say that a campaign is none, or that some members do not belong: a legitimate label for each of them."""
    _review(run, campaign_id, ReviewAction.REFUTE, analyst, reason, etag, members_file=members_file)


@campaigns_group.command("merge")
@click.argument("campaign_id", metavar="ID")
@click.option("--into", required=True, metavar="ID", help="The campaign that takes the members.")
@_verdict_options
@command_options
def merge_command(run: Run, campaign_id: str, into: str, analyst: str, reason: str, etag: str | None) -> None:
    """Make a campaign part of another one."""
    _review(run, campaign_id, ReviewAction.MERGE, analyst, reason, etag, into=into)


@campaigns_group.command("split")
@click.argument("campaign_id", metavar="ID")
@_members_option("The members that become a campaign of their own.", required=True)
@_verdict_options
@command_options
def split_command(run: Run, campaign_id: str, members_file: Path, analyst: str, reason: str, etag: str | None) -> None:
    """Make some members a campaign of their own; detection does not put them back."""
    _review(run, campaign_id, ReviewAction.SPLIT, analyst, reason, etag, members_file=members_file)


@campaigns_group.command("reopen")
@click.argument("campaign_id", metavar="ID")
@_verdict_options
@command_options
def reopen_command(run: Run, campaign_id: str, analyst: str, reason: str, etag: str | None) -> None:
    """Take the last confirm or refute back: its labels are retracted, and scores are what they were."""
    _review(run, campaign_id, ReviewAction.REOPEN, analyst, reason, etag)


@campaigns_group.command("export")
@click.argument("campaign_id", metavar="ID")
@click.option("--out", required=True, metavar="FILE", type=_OUT, help="The file to write, such as campaign.stix.json.")
@command_options
def export_command(run: Run, campaign_id: str, out: Path) -> None:
    """Write a campaign's indicators as a STIX 2.1 bundle.

    Keys are keyed hashes, which only holders of this installation's secret can match, unless GATEHOUSE_EXPORT_KEYS
    names a file with your own texts for them.
    """
    check_folder(out)
    with run.app() as app, _callers_mistakes():
        made = app.export_indicators(campaign_id, now=now())
    write_file(out, made.data)
    run.done(
        {
            "campaign_id": campaign_id,
            "out": str(out),
            "content_type": made.content_type,
            "indicators": made.keys,
            "bytes": len(made.data),
        },
        f"{out} has {count_of(made.keys, 'indicator')} of campaign {campaign_id}",
    )


def _review(
    run: Run,
    campaign_id: str,
    action: ReviewAction,
    analyst: str,
    reason: str,
    etag: str | None,
    *,
    members_file: Path | None = None,
    into: str | None = None,
) -> None:
    asked = ReviewAsked(
        campaign_id=campaign_id,
        action=action,
        analyst=analyst,
        reason=reason,
        account_ids=read_account_ids(members_file) if members_file is not None else (),
        merge_into=into,
        revision=_revision(etag),
    )
    with run.app() as app, _callers_mistakes():
        receipt = app.review_campaign(asked, now=now())
    run.done(receipt_body(receipt), receipt_text(receipt, campaign_id))


def _revision(etag: str | None) -> int | None:
    if etag is None:
        return None
    if not (etag.isascii() and etag.isdecimal() and len(etag) <= 18):
        raise UsageError(f"--etag {etag!r} is not one; `gatehouse campaigns show` prints it")
    return int(etag)


def _items(page: Callable[[str, int], Page[Item]], limit: int | None) -> Iterator[Item]:
    """The items of page after page."""
    token, left = "", limit
    while left is None or left > 0:
        got = page(token, PAGE if left is None else min(left, PAGE))
        yield from got.items
        token = got.next_page_token
        left = None if left is None else left - len(got.items)
        if not token:
            return


@contextmanager
def _callers_mistakes() -> Iterator[None]:
    """A campaign that is not there, or not any more, was named on the command line: exit code 2."""
    try:
        yield
    except (UnknownCampaign, CampaignMerged) as error:
        raise UsageError(str(error)) from None


def _members(app: App, campaign_id: str) -> list[CampaignMember]:
    deed = ListCampaignMembers(app.store)
    return list(_items(lambda token, size: deed(campaign_id, page_size=size, page_token=token), None))


def _page(app: App, found: CampaignFile) -> str:
    members = _members(app, found.record.campaign_id)
    return campaign_page(
        found.record,
        found.evidence,
        found.reviews,
        found.events,
        found.account_ids,
        made_at=now(),
        verdicts={member.account: member.verdict for member in members if member.verdict is not None},
        meanings={kind.name: (kind.meaning, kind.honest) for kind in (*KINDS, *DERIVED)},
    )


def _json(body: Mapping[str, Any], option: int = 0) -> bytes:
    return orjson.dumps(body, default=str, option=option)
