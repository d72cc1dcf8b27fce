"""One campaign's linking keys for other systems: a STIX 2.1 bundle (OASIS Standard, 10 June 2021).

STIX has no object for a linking key, so patterns look for one of our own type, ``x-gatehouse-link-key`` with
``key_type`` and ``value``; the bundle carries the extension definition that says what it is. All that follows from the
same campaign has the same ids in every export, so that a reader's second import renews its objects and adds none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid5

import stix2

from service.domain.campaigns import CampaignEvidence, CampaignRecord, CampaignState, KeyEvidence
from service.domain.time import micros, moment, rfc3339
from service.report.words import count_of, expected, kind_words, odds, probability, scientific, visible

CONTENT_TYPE = "application/stix+json;version=2.1"
KEY_OBJECT = "x-gatehouse-link-key"

_OURS = UUID("6f1d3c52-7a0e-5c0b-9d1e-2b8f4a61c7d3")  # any number would do; it must never change
_SINCE = micros(moment(0).replace(year=2026))  # of what is the same in all bundles
_MILLISECOND = 1000

KeyText = Callable[[str, int], str]


def hex_key(key_type: str, key: int) -> str:  # noqa: ARG001 - other texts may depend on the kind
    """The keyed hash in hexadecimal, as everywhere outside: 16 digits."""
    return f"{key & 0xFFFF_FFFF_FFFF_FFFF:016x}"


def stix_bundle(
    record: CampaignRecord, evidence: CampaignEvidence, *, made_at: int, key_text: KeyText = hex_key
) -> bytes:
    """The bundle as JSON in UTF-8: who says so, the campaign, an indicator for each key, the figures, a report of all.

    ``key_text`` gives the text that a key's pattern looks for; of two keys with the same type and text the first stays.
    Nothing of a campaign that was refuted or merged away holds any more, so all of it is marked as revoked. The same
    arguments give the same bytes.
    """
    who = stix2.Identity(
        id=_id("identity", "gatehouse"),
        created=moment(_SINCE),
        modified=moment(_SINCE),
        name="Gatehouse",
        identity_class="system",
        description="Scores account signups and finds the campaigns behind them.",
    )
    maker = _Maker(record, evidence, who.id, made_at)
    campaign = maker.campaign()
    said: dict[str, Any] = {}
    for key in evidence.keys:
        text = key_text(key.key_type, key.key)
        indicator = maker.indicator(key, text)
        said.setdefault(indicator.id, indicator)
    indicators = list(said.values())
    ties = [maker.relation(indicator.id, "indicates", campaign.id) for indicator in indicators]
    others = [
        maker.relation(campaign.id, kind, _id("campaign", other))
        for kind, other in (("duplicate-of", record.merged_into), ("derived-from", record.split_from))
        if other is not None and other != record.campaign_id
    ]
    about = [campaign, *indicators]
    notes = [maker.note("figures", "The evidence in figures", _figures(record, evidence), campaign.id)]
    if evidence.counter_evidence:
        doubts = "\n".join(f"- {visible(sentence)}" for sentence in evidence.counter_evidence)
        notes.append(maker.note("against", "What speaks against", doubts, campaign.id))
    report = maker.report([one.id for one in (*about, *ties, *notes)])
    objects = [who, maker.extension(), stix2.TLP_AMBER, campaign, *indicators, *ties, *others, *notes, report]
    bundle = stix2.Bundle(*objects, id=_id("bundle", record.campaign_id))
    return f"{bundle.serialize()}\n".encode()


def _id(kind: str, *names: str) -> str:
    return f"{kind}--{uuid5(_OURS, '/'.join((kind, *names)))}"


class _Maker:
    """Makes the objects of one campaign, with what they have in common."""

    def __init__(self, record: CampaignRecord, evidence: CampaignEvidence, who: str, made_at: int) -> None:
        self._record = record
        self._evidence = evidence
        self._made_at = made_at
        self._created = record.created_at - record.created_at % _MILLISECOND  # STIX counts no finer
        changed = max(record.created_at, record.updated_at, evidence.as_of)
        self._common: dict[str, Any] = {
            "created": moment(self._created),
            "modified": moment(changed - changed % _MILLISECOND),
            "created_by_ref": who,
            "object_marking_refs": [stix2.TLP_AMBER.id],
            "revoked": record.state in (CampaignState.REFUTED, CampaignState.MERGED),
        }

    def campaign(self) -> Any:
        record = self._record
        known: dict[str, Any] = {}
        if record.score is not None:
            known["confidence"] = round(100 * min(max(record.score, 0.0), 1.0))
        if record.first_signup_at is not None:
            known["first_seen"] = moment(record.first_signup_at)
            if record.last_signup_at is not None:
                known["last_seen"] = moment(max(record.first_signup_at, record.last_signup_at))
        return stix2.Campaign(
            id=_id("campaign", record.campaign_id),
            name=f"Gatehouse campaign {visible(record.campaign_id)}",
            description=f"{count_of(record.members, 'account')}; state: {record.state.value}.",
            labels=[record.state.value],
            **self._common,
            **known,
        )

    def indicator(self, key: KeyEvidence, text: str) -> Any:
        record = self._record
        is_key = stix2.AndBooleanExpression(
            [
                stix2.EqualityComparisonExpression(
                    stix2.ObjectPath(KEY_OBJECT, [name]), stix2.StringConstant(visible(value))
                )
                for name, value in (("key_type", key.key_type), ("value", text))
            ]
        )
        confirmed = record.state is CampaignState.CONFIRMED
        known: dict[str, Any] = {}
        if record.score is not None and key.members:
            share = key.members / (key.members + max(key.others, 0))
            known["confidence"] = round(100 * min(max(record.score, 0.0), 1.0) * share)
        return stix2.Indicator(
            id=_id("indicator", record.campaign_id, key.key_type, text),
            name=f"Linking key: {visible(kind_words(key.key_type))}",
            description=(
                f"{count_of(key.members, 'member')} and {count_of(key.others, 'other account')} have this key; "
                f"{expected(key.expected_members)} of the members would by chance. Chance of so many: "
                f"{scientific(key.chance)}; adjusted for all keys looked at: {scientific(key.adjusted_chance)} "
                f"({odds(key.adjusted_chance)})."
            ),
            indicator_types=["malicious-activity" if confirmed else "anomalous-activity"],
            pattern=str(stix2.ObservationExpression(is_key)),
            pattern_type="stix",
            pattern_version="2.1",
            valid_from=moment(record.created_at if record.first_signup_at is None else record.first_signup_at),
            **self._common,
            **known,
        )

    def relation(self, source: str, kind: str, target: str) -> Any:
        return stix2.Relationship(
            id=_id("relationship", source, kind, target),
            source_ref=source,
            relationship_type=kind,
            target_ref=target,
            **self._common,
        )

    def note(self, name: str, title: str, content: str, about: str) -> Any:
        return stix2.Note(
            id=_id("note", self._record.campaign_id, name),
            abstract=title,
            content=content,
            object_refs=[about],
            **self._common,
        )

    def report(self, object_refs: list[str]) -> Any:
        return stix2.Report(
            id=_id("report", self._record.campaign_id),
            name=f"Gatehouse campaign {visible(self._record.campaign_id)}: linking keys and evidence",
            report_types=["campaign", "indicator"],
            published=moment(max(self._made_at, self._created)),
            object_refs=object_refs,
            **self._common,
        )

    def extension(self) -> Any:
        return stix2.ExtensionDefinition(
            id=_id("extension-definition", KEY_OBJECT),
            created=moment(_SINCE),
            modified=moment(_SINCE),
            created_by_ref=self._common["created_by_ref"],
            name="Gatehouse link key",
            description=(
                f"The observable {KEY_OBJECT}: a value that accounts may have in common, as a keyed hash. Property "
                "key_type (string, required) says what was hashed, such as card or template; property value (string, "
                "required) is the hash. Only who has the same secret can compute it."
            ),
            schema=(
                '{"type": "object", "required": ["key_type", "value"], '
                '"properties": {"key_type": {"type": "string"}, "value": {"type": "string"}}}'
            ),
            version="1.0.0",
            extension_types=["new-sco"],
        )


def _figures(record: CampaignRecord, evidence: CampaignEvidence) -> str:
    """The evidence as lines of text."""
    sure = (
        "an analyst's word"
        if record.score is None
        else f"probability from the evidence alone {probability(record.score)}"
    )
    lines = [
        f"State: {record.state.value}; {sure}.",
        f"Accounts: {record.members:,}, of them under a verdict of fraud: {record.confirmed_members:,}.",
        f"Exchanges: {record.exchanges:,}; tokens in: {record.input_tokens:,}; tokens out: {record.output_tokens:,}.",
        f"Linking keys: {len(evidence.keys):,} of {max(evidence.keys_looked_at, len(evidence.keys)):,} looked at.",
        *(f"Weight of {visible(name)}: {nats:.2f} nats a member." for name, nats in evidence.families),
        f"Assessments whose decision it changed: {evidence.changed_assessments:,}.",
    ]
    if evidence.as_of:
        lines.append(f"Evidence as of {rfc3339(evidence.as_of)}.")
    return "\n".join(lines)
