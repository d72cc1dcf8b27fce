"""The evidence in tables: linking keys, kinds of evidence, what speaks against, typical members, the timeline."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from service.domain.campaigns import CampaignEvidence, CampaignRecord, KeyEvidence
from service.domain.enums import Verdict
from service.report.graph_picture import name_of
from service.report.parts import cell, head, joined, number, paragraph, said, table
from service.report.words import count_of, expected, kind_words, minute, odds, scientific, times, visible

_SHOWN_KEYS = 200  # a few sheets of paper; the export has all of them
_WEAK = 0.05  # above it a key is marked as one that chance may explain

Parts = tuple[Markup, ...]


def keys(record: CampaignRecord, evidence: CampaignEvidence, meanings: Mapping[str, tuple[str, str]]) -> Parts:
    """Linking keys against chance, and what their kinds mean."""
    if not evidence.keys:
        return (paragraph("No linking keys were recorded: it rests on an analyst’s word.", "none"),)
    shown = evidence.keys[:_SHOWN_KEYS]
    columns = (
        ("No.", "number"),
        ("What they share", ""),
        ("Members", "number"),
        ("Expected", "number"),
        ("Others", "number"),
        ("By chance", "number"),
        ("Adjusted", "number"),
    )
    top = max((key.members for key in evidence.keys), default=1)
    rows = [_key_row(at, key, record.members, top) for at, key in enumerate(shown, 1)]
    more = len(evidence.keys) - len(shown)
    weak = sum(1 for key in evidence.keys if not key.adjusted_chance <= _WEAK)
    looked_at = max(evidence.keys_looked_at, len(evidence.keys))
    notes = [f"{count_of(len(evidence.keys), 'key')} of {looked_at:,} looked at, the least likely by chance first."]
    if more > 0:
        notes.append(f"The first {len(shown):,} are shown; the export has the other {more:,}.")
    if weak:
        notes.append(
            f"{count_of(weak, 'key')} marked “weak” may be luck: after the adjustment, more often than 1 time in 20."
        )
    caption = "Table 1. Linking keys against chance"
    return (paragraph(" ".join(notes)), table(caption, columns, rows, "keys"), *_meanings(evidence, meanings))


def _key_row(at: int, key: KeyEvidence, all_members: int, top: int) -> list[Markup]:
    share = f"{100 * key.members / all_members:.0f} %" if all_members else "-"
    weak = Markup(' <span class="weak">weak</span>') if not key.adjusted_chance <= _WEAK else ""
    chance = Markup('<td class="number">{}<small>{}</small></td>')
    return [
        number(str(at)),
        Markup('<th scope="row">{}{}<code>{:016x}</code></th>').format(
            said(kind_words(key.key_type)), weak, key.key & 0xFFFF_FFFF_FFFF_FFFF
        ),
        Markup('<td class="number">{} <small>({})</small>{}</td>').format(
            f"{key.members:,}", share, _bar(key.members, top)
        ),
        number(expected(key.expected_members)),
        number(f"{key.others:,}"),
        number(scientific(key.chance)),
        chance.format(odds(key.adjusted_chance), scientific(key.adjusted_chance)),
    ]


def _bar(value: float, top: float) -> Markup:
    """A bar beside a number that says the same."""
    width = 100 * max(min(value / top, 1.0), 0.0) if top > 0 else 0.0
    return Markup(
        '<svg class="bar" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">'
        '<path class="track" d="M0 3H100"/><path d="M0 3H{:.1f}"/></svg>'
    ).format(width)


def _meanings(evidence: CampaignEvidence, meanings: Mapping[str, tuple[str, str]]) -> Parts:
    present = dict.fromkeys(key.key_type for key in evidence.keys)
    known = [kind for kind in present if kind in meanings]
    if not known:
        return ()
    rows = [
        [head(_plain(visible(kind_words(kind)))), *(cell(_plain(visible(text)) or "-") for text in meanings[kind])]
        for kind in known
    ]
    columns = (("Kind of key", ""), ("What it is", ""), ("How honest accounts come to share one", ""))
    return (table("Table 2. What the kinds of key mean", columns, rows, "words"),)


def _plain(text: str) -> str:
    said_plainly = text.replace("``", "").strip()
    return said_plainly[:1].upper() + said_plainly[1:]


def families(evidence: CampaignEvidence) -> Parts:
    """How much each kind of evidence adds."""
    if not evidence.families:
        return (paragraph("No weights by kind of evidence were recorded.", "none"),)
    top = max((abs(nats) for _, nats in evidence.families), default=1.0)
    rows = [
        [
            head(_plain(visible(kind_words(name)))),
            Markup('<td class="number">{:.1f}{}</td>').format(nats, _bar(abs(nats), top)),
            cell(times(nats)),
        ]
        for name, nats in sorted(evidence.families, key=lambda family: (-family[1], family[0]))
    ]
    columns = (
        ("Kind of evidence", ""),
        ("Weight for a member, in nats", "number"),
        ("How much likelier it makes one party", ""),
    )
    return (
        paragraph(
            "How much each kind of evidence weighs for an average member, after taking away what an ordinary "
            "organisation would explain: one company’s domain, one office, one card, one country."
        ),
        table("Table 3. Weight by kind of evidence", columns, rows, "families"),
    )


def against(evidence: CampaignEvidence) -> Parts:
    """What speaks against."""
    intro = "Reasons to doubt that these accounts are one, found by the same run that found the links:"
    if not evidence.counter_evidence:
        return (
            paragraph(
                "The run that wrote this evidence recorded nothing that speaks against. That does not mean that there "
                "is nothing: it knows only the facts that it was given.",
                "against",
            ),
        )
    items = joined([Markup("<li>{}</li>").format(said(sentence)) for sentence in evidence.counter_evidence])
    return (paragraph(intro), Markup('<ul class="against">{}</ul>').format(items))


_VERDICTS = {Verdict.FRAUD: "fraud", Verdict.LEGITIMATE: "legitimate"}


def typical_members(
    record: CampaignRecord,
    evidence: CampaignEvidence,
    account_ids: Mapping[int, str],
    verdicts: Mapping[int, Verdict] | None,
) -> Parts:
    """The members that stand for the others, with how many drawn ties each has."""
    if not evidence.typical_accounts:
        return (paragraph("No typical members were recorded.", "none"),)
    rows = []
    for at, account in enumerate(evidence.typical_accounts, 1):
        kinds: dict[str, int] = {}
        for a, b, _, kind in evidence.edges:
            if account in (a, b):
                kinds[kind] = kinds.get(kind, 0) + 1
        by = ", ".join(
            f"{visible(kind_words(kind))} ({n:,})"
            for kind, n in sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
        )
        row = [
            number(str(at)),
            Markup('<th scope="row"><code>{}</code></th>').format(said(name_of(account, account_ids))),
            cell(by or "-"),
        ]
        if verdicts is not None:
            verdict = verdicts.get(account)
            row.append(cell(_VERDICTS[verdict] if verdict else "nobody has looked yet"))
        rows.append(row)
    columns = [("No.", "number"), ("Account", ""), ("Tied to other members by (strong ties)", "")]
    if verdicts is not None:
        columns.append(("Verdict in force", ""))
    return (
        paragraph(
            f"{count_of(len(rows), 'account')} of {record.members:,} whose links are most like those of all. The "
            "numbers are those in picture 1."
        ),
        table("Table 4. Typical members", columns, rows, "members"),
    )


def figures(evidence: CampaignEvidence) -> Parts:
    """The timeline in numbers; spans in which nothing happened are left out."""
    rows = [
        [
            head(minute(span.start)),
            cell(minute(span.end)),
            *(number(f"{of:,}") for of in (span.signups, span.active_members, span.exchanges, span.tokens)),
        ]
        for span in evidence.timeline
        if span.signups or span.active_members or span.exchanges or span.tokens
    ]
    if not rows:
        return (paragraph("No timeline was recorded.", "none"),)
    columns = (
        ("From", ""),
        ("until before", ""),
        ("Signups", "number"),
        ("Members active", "number"),
        ("Exchanges", "number"),
        ("Tokens", "number"),
    )
    quiet = len(evidence.timeline) - len(rows)
    note = (
        f"{count_of(quiet, 'span')} in which nothing happened {'is' if quiet == 1 else 'are'} left out."
        if quiet
        else ""
    )
    return (*((paragraph(note),) if note else ()), table("Table 7. What members did when", columns, rows, "figures"))
