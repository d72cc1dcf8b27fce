"""The top of the page: what is claimed, how surely, since when, and how much is at stake."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from service.domain.campaigns import CampaignEvidence, CampaignRecord, CampaignState, KeyEvidence, ReviewRecord
from service.report.history import standing_verdict
from service.report.parts import joined, paragraph, said
from service.report.words import (
    count_of,
    expected,
    kind_words,
    minute,
    odds,
    probability,
    short_count,
    short_day,
    visible,
)

_PARTY = {
    CampaignState.SUSPECTED: "may be run by one party",
    CampaignState.DETECTED: "appear to be run by one party",
    CampaignState.CONFIRMED: "are run by one party",
    CampaignState.REFUTED: "are not run by one party",
    CampaignState.MERGED: "are part of another campaign",
}

_CLAIM = {
    CampaignState.SUSPECTED: (
        "It is possible that {accounts} are run by one party. The evidence is below the threshold, so only analysts "
        "see this, and no decision about an account rests on it."
    ),
    CampaignState.DETECTED: (
        "The evidence points to one party behind {accounts}. No analyst’s verdict on the campaign is in force; until "
        "there is one, the evidence counts in the score of each member."
    ),
    CampaignState.CONFIRMED: "Analysts found that one party is behind {accounts}.",
    CampaignState.REFUTED: (
        "Analysts found that {accounts} are not run by one party. This page is kept as a record of what had been found."
    ),
    CampaignState.MERGED: "This campaign was found to be part of another one and is kept as a record.",
}

# Labels of 19 members name a campaign, and detection found 8 more: nobody may say that analysts found 27.
_IN_PART = "Analysts found that one party is behind {found} of {accounts}. {tied} tied to them by the evidence alone."


def headline(
    record: CampaignRecord,
    evidence: CampaignEvidence,
    reviews: Sequence[ReviewRecord],
    *,
    made_at: int,
    title: str,
) -> Markup:
    """The page's head with the first section, called ``title``, in it."""
    return Markup(
        '<p class="brand">Gatehouse <span>Campaign report</span></p>'
        '<p class="state {state}">{state}</p><h1>{name}</h1>'
        '<p class="about">Campaign <code>{id}</code> · revision {revision} · as of {as_of}</p>'
        '<section aria-labelledby="claim"><h2 id="claim">{title}</h2>{claim}</section>{figures}'
    ).format(
        state=record.state.value,
        name=_title(record),
        id=said(record.campaign_id),
        revision=record.revision,
        as_of=minute(evidence.as_of or made_at),
        title=title,
        claim=joined(_claim(record, evidence, reviews)),
        figures=_figures(record, evidence),
    )


def _title(record: CampaignRecord) -> str:
    if record.members > 1:
        state = CampaignState.DETECTED if _found_in_part(record) else record.state
        return f"{record.members:,} accounts {_PARTY[state]}"
    return f"A campaign of {count_of(record.members, 'account')}"


def _claim(record: CampaignRecord, evidence: CampaignEvidence, reviews: Sequence[ReviewRecord]) -> list[Markup]:
    accounts = f"these {record.members:,} accounts" if record.members > 1 else "accounts of which few or none are left"
    verdict = standing_verdict(record.state, reviews)
    claim = _IN_PART if _found_in_part(record) else _CLAIM[record.state]
    rest = record.members - record.confirmed_members
    tied = "The other one is" if rest == 1 else f"The other {rest:,} are"
    text = claim.format(accounts=accounts, found=f"{record.confirmed_members:,}", tied=tied)
    parts = [Markup("{}").format(text)]
    if verdict is not None:
        parts.append(Markup("Found by {} on {}.").format(_analysts(verdict), minute(verdict.reviewed_at)))
    if record.merged_into is not None:
        parts.append(Markup("It is part of campaign <code>{}</code> now.").format(said(record.merged_into)))
    lead = paragraph(joined(parts, " "), "lead")
    return [lead, _how_sure(record), *_strongest(record, evidence), _since(record, evidence)]


def _found_in_part(record: CampaignRecord) -> bool:
    """Whether analysts called some members fraud, and not others."""
    return record.state is CampaignState.CONFIRMED and 0 < record.confirmed_members < record.members


def _analysts(verdict: ReviewRecord) -> Markup:
    if verdict.second_analyst is None:
        return said(verdict.analyst)
    return Markup("{} and, as the second analyst, {}").format(said(verdict.analyst), said(verdict.second_analyst))


def _how_sure(record: CampaignRecord) -> Markup:
    if record.score is None:
        text = Markup("<b>How sure.</b> It exists by an analyst’s word; no probability was computed.")
    else:
        text = Markup(
            "<b>How sure.</b> From the evidence alone, the estimated probability that this is a campaign is <b>{}</b>."
        ).format(probability(record.score))
    looked = record.confirmed_members
    if not looked:
        return paragraph(text + " No member is under a verdict of fraud.")
    many = "are" if looked > 1 else "is"
    return paragraph(
        text + f" Of the {count_of(record.members, 'member')}, {looked:,} {many} under a verdict of fraud by analysts."
    )


def _strongest(record: CampaignRecord, evidence: CampaignEvidence) -> list[Markup]:
    if not evidence.keys:
        return []
    key: KeyEvidence = min(evidence.keys, key=lambda key: (key.adjusted_chance, key.chance, -key.members))
    looked = f"after allowing for all {max(evidence.keys_looked_at, len(evidence.keys)):,} keys looked at"
    once, adjusted = _times(odds(key.chance)), _times(odds(key.adjusted_chance))
    by_chance = f"{once}, even {looked}" if once == adjusted else f"{once}; {looked}, {adjusted}"
    outside = f"{count_of(key.others, 'account')} outside {'has' if key.others == 1 else 'have'} it, too."
    return [
        paragraph(
            Markup(
                "<b>Strongest link.</b> {members:,} of {all} share one {kind}; {expected} would if they were unrelated "
                "accounts of the same country, plan and week. Chance alone would do so {by_chance}. {outside}"
            ).format(
                members=key.members,
                all=count_of(record.members, "member"),
                kind=visible(kind_words(key.key_type).removeprefix("your ")),
                expected=expected(key.expected_members),
                by_chance=by_chance,
                outside=outside if key.others else "No account outside has it.",
            )
        )
    ]


def _times(said_odds: str) -> str:
    """Odds as the end of ``chance alone would do so ...``."""
    for odd in ("about 1 in ", "less than one in "):
        if said_odds.startswith(odd):
            return f"{odd.replace('1 in', 'once in').replace('one in', 'once in')}{said_odds.removeprefix(odd)} times"
    return {"to be expected": "as a rule", "not known": "how often is not known"}[said_odds]


def _since(record: CampaignRecord, evidence: CampaignEvidence) -> Markup:
    parts = [f"It was first noticed on {minute(record.created_at)}"]
    if record.detected_at is None:
        parts.append("and has not passed the evidence threshold.")
    elif record.detected_at == record.created_at:
        parts.append("and passed the evidence threshold at once.")
    else:
        parts.append(f"and passed the evidence threshold on {minute(record.detected_at)}.")
    if record.first_signup_at is not None and record.last_signup_at is not None:
        parts.append(
            f"Its members signed up between {minute(record.first_signup_at)} and {minute(record.last_signup_at)}."
        )
    if evidence.changed_assessments:
        parts.append(f"It changed the decision of {count_of(evidence.changed_assessments, 'assessment')}.")
    text = Markup("<b>Since when.</b> {}").format(" ".join(parts))
    if record.split_from is not None:
        text += Markup(" It was split off campaign <code>{}</code>.").format(said(record.split_from))
    return paragraph(text)


def _figures(record: CampaignRecord, evidence: CampaignEvidence) -> Markup:
    tokens = record.input_tokens + record.output_tokens
    keys = len(evidence.keys)
    signup = record.first_signup_at
    entries = [
        ("Accounts", short_count(record.members), f"{record.confirmed_members:,} under a verdict of fraud"),
        (
            "Probability",
            "-" if record.score is None else probability(record.score),
            "by an analyst’s word" if record.score is None else "from the evidence alone",
        ),
        (
            "Linking keys",
            short_count(keys),
            f"of {evidence.keys_looked_at:,} looked at" if evidence.keys_looked_at else "",
        ),
        (
            "Exchanges",
            short_count(record.exchanges) if record.exchanges else "-",
            "with the model" if record.exchanges else "not counted yet",
        ),
        (
            "Tokens",
            short_count(tokens) if tokens else "-",
            f"{short_count(record.input_tokens)} in, {short_count(record.output_tokens)} out"
            if tokens
            else "not counted yet",
        ),
        ("First signup", "-" if signup is None else short_day(signup), f"first noticed {short_day(record.created_at)}"),
    ]
    rows = [
        Markup("<div><dt>{}</dt><dd><b>{}</b><small>{}</small></dd></div>").format(
            name, value.replace(" ", "\u00a0"), more
        )
        for name, value, more in entries
    ]
    return Markup('<dl class="tiles" aria-label="At a glance">{}</dl>').format(joined(rows))
