"""One campaign as a page on its own: no script, nothing loaded, to be read on a screen, printed and filed.

Its reader may be a lawyer who knows nothing of us, so it says what is claimed and how surely before it shows why, it
gives what speaks against as much room as what speaks for, and it says what it does not show.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files

from markupsafe import Markup

from service.domain.campaigns import CampaignEvidence, CampaignRecord, ReviewRecord
from service.domain.enums import Verdict
from service.report import evidence_tables, history
from service.report.graph_picture import graph_picture
from service.report.headline import headline
from service.report.history import Event
from service.report.parts import HEAD, NONE, joined, paragraph, section
from service.report.timeline_picture import timeline_picture
from service.report.words import minute, visible

_STYLE = Markup(files("service.report").joinpath("page.css").read_text(encoding="utf-8"))  # noqa: S704 - our own file
_READING = Markup(files("service.report").joinpath("reading.html").read_text(encoding="utf-8"))  # noqa: S704 - the same
_METHOD = Markup(files("service.report").joinpath("method.html").read_text(encoding="utf-8"))  # noqa: S704 - the same

_SECTIONS = (
    ("claim", "1. What is claimed"),
    ("reading", "2. How to read this page"),
    ("ties", "3. Who is tied to whom"),
    ("time", "4. What happened when"),
    ("keys", "5. What links the accounts"),
    ("families", "6. Kinds of evidence"),
    ("against", "7. What speaks against"),
    ("members", "8. Typical members"),
    ("reviews", "9. What analysts found"),
    ("history", "10. History of this campaign"),
    ("method", "11. Method and limits"),
    ("figures", "12. Figures behind the timeline"),
)
_TITLES = dict(_SECTIONS)

_PAGE = HEAD + Markup('<body><a class="skip" href="#claim">To the claim</a>{body}</body></html>\n')


def campaign_page(
    record: CampaignRecord,
    evidence: CampaignEvidence,
    reviews: Sequence[ReviewRecord],
    events: Sequence[Event],
    account_ids: Mapping[int, str],
    *,
    made_at: int,
    verdicts: Mapping[int, Verdict] | None = None,
    meanings: Mapping[str, tuple[str, str]] | None = None,
) -> str:
    """The page's text, in UTF-8 once it is written.

    ``events`` are (at, what, detail) as they were recorded. ``account_ids`` names the accounts of the picture and the
    typical members; an account without a name is shown by its code. ``verdicts`` are those in force: an account without
    one was looked at by nobody; None: not said. ``meanings`` are, by kind of key, what it is and how honest accounts
    come to share one. The same arguments give the same bytes.
    """
    ids = dict(account_ids)
    picture = graph_picture(evidence.edges, typical=evidence.typical_accounts, account_ids=ids, verdicts=verdicts)
    when = timeline_picture(evidence.timeline, _marks(record, reviews))
    content = {
        "reading": (_READING,),
        "ties": (picture or paragraph("No ties between members were recorded.", "none"),),
        "time": (when or paragraph("No timeline was recorded.", "none"),),
        "keys": evidence_tables.keys(record, evidence, meanings or {}),
        "families": evidence_tables.families(evidence),
        "against": evidence_tables.against(evidence),
        "members": evidence_tables.typical_members(record, evidence, ids, verdicts),
        "reviews": history.review_table(reviews),
        "history": history.event_table(events),
        "method": (_METHOD,),
        "figures": evidence_tables.figures(evidence),
    }
    sections = [section(name, _TITLES[name], *parts) for name, parts in content.items()]
    links = joined([Markup('<li><a href="#{}">{}</a></li>').format(name, title) for name, title in _SECTIONS])
    body = Markup(
        '<header>{top}</header><nav aria-label="Contents"><ul>{links}</ul></nav><main>{sections}</main>'
        "<footer>{foot}</footer>"
    ).format(
        top=headline(record, evidence, reviews, made_at=made_at, title=_TITLES["claim"]),
        links=links,
        sections=joined(sections, "\n"),
        foot=_foot(record, evidence, made_at),
    )
    return str(
        _PAGE.format(title=f"Campaign {visible(record.campaign_id)}", style=_STYLE + _print_foot(record), body=body)
    )


def _marks(record: CampaignRecord, reviews: Sequence[ReviewRecord]) -> list[tuple[int, str]]:
    marks = [(record.created_at, "first noticed")]
    if record.detected_at is not None:
        same = record.detected_at == record.created_at
        marks = [*([] if same else marks), (record.detected_at, "noticed and detected" if same else "detected")]
    verdict = history.standing_verdict(record.state, reviews)
    if verdict is not None:
        marks.append((verdict.reviewed_at, record.state.value))
    return marks


def _foot(record: CampaignRecord, evidence: CampaignEvidence, made_at: int) -> Markup:
    as_of = f"evidence as of {minute(evidence.as_of)}" if evidence.as_of else "no evidence written yet"
    return paragraph(
        f"Made by Gatehouse on {minute(made_at)} for campaign {visible(record.campaign_id)}, revision "
        f"{record.revision}; {as_of}. All moments are in UTC."
    )


def _print_foot(record: CampaignRecord) -> Markup:
    """The campaign's id at the foot of each printed sheet, where it is made of characters that mean nothing in CSS."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", record.campaign_id):
        return NONE
    rule = Markup('@page {{ @bottom-left {{ content: "Gatehouse · campaign {} · revision {}"; }} }}')
    return rule.format(record.campaign_id, record.revision)
