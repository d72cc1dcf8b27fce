import json
from dataclasses import replace
from time import process_time
from typing import Any

import pytest
import stix2
from hypothesis import given
from hypothesis import strategies as st
from stix2patterns.validator import run_validator

from service.domain.campaigns import CampaignEvidence, CampaignState
from service.domain.time import DAY
from service.report.indicators import KEY_OBJECT, hex_key, stix_bundle
from tests.factories import NOON
from tests.service.report.factories import make_campaign, make_key, make_record


def objects(said: bytes, kind: str) -> list[dict[str, Any]]:
    return [one for one in json.loads(said)["objects"] if one["type"] == kind]


@pytest.fixture(scope="module")
def bundle() -> bytes:
    campaign = make_campaign()
    return stix_bundle(campaign.record, campaign.evidence, made_at=NOON + DAY)


def test_a_strict_reader_reads_it_back_and_finds_a_campaign_with_its_keys(bundle: bytes) -> None:
    read = stix2.parse(bundle.decode(), allow_custom=False)
    kinds = [one.type for one in read.objects]
    assert {kind: kinds.count(kind) for kind in ("campaign", "indicator", "relationship", "report", "identity")} == {
        "campaign": 1,
        "indicator": 40,
        "relationship": 40,
        "report": 1,
        "identity": 1,
    }
    assert all(one.get("spec_version", "2.1") == "2.1" for one in read.objects)


def test_every_pattern_is_one(bundle: bytes) -> None:
    for indicator in objects(bundle, "indicator"):
        assert run_validator(indicator["pattern"], stix_version="2.1") == []


def test_everything_that_is_referred_to_is_in_the_bundle(bundle: bytes) -> None:
    present = {one["id"] for one in json.loads(bundle)["objects"]}
    assert len(present) == len(json.loads(bundle)["objects"])
    for one in json.loads(bundle)["objects"]:
        named = [value for name, value in one.items() if name.endswith("_ref")]
        named += [value for name, values in one.items() if name.endswith("_refs") for value in values]
        assert set(named) <= present, one["type"]


def test_the_same_campaign_keeps_its_ids_as_its_evidence_changes_and_only_grows_newer() -> None:
    record, evidence = make_record(), CampaignEvidence(keys=(make_key(),), as_of=NOON)
    first = stix_bundle(record, evidence, made_at=NOON)
    assert stix_bundle(record, evidence, made_at=NOON) == first
    later = stix_bundle(
        replace(record, members=9, updated_at=NOON + 3 * DAY),
        replace(evidence, as_of=NOON + 2 * DAY),
        made_at=NOON + 4 * DAY,
    )
    before = {one["id"]: one for one in json.loads(first)["objects"]}
    after = {one["id"]: one for one in json.loads(later)["objects"]}
    assert before.keys() == after.keys()
    for name, one in before.items():
        assert after[name].get("created") == one.get("created")
        assert after[name].get("modified", "") >= one.get("modified", "")


def test_keys_are_keyed_hashes_unless_the_caller_gives_another_text() -> None:
    evidence = CampaignEvidence(keys=(make_key(key=-2),))
    (hashed,) = objects(stix_bundle(make_record(), evidence, made_at=NOON), "indicator")
    assert f"{KEY_OBJECT}:value = 'fffffffffffffffe'" in hashed["pattern"]
    said = stix_bundle(make_record(), evidence, made_at=NOON, key_text=lambda kind, key: f"{kind}/{key}")
    (told,) = objects(said, "indicator")
    assert f"{KEY_OBJECT}:value = 'card/-2'" in told["pattern"]


@given(kind=st.text(min_size=1, max_size=20), value=st.text(max_size=30))
def test_no_kind_and_no_text_breaks_out_of_its_pattern(kind: str, value: str) -> None:
    evidence = CampaignEvidence(keys=(make_key(key_type=kind),))
    said = stix_bundle(make_record(), evidence, made_at=NOON, key_text=lambda _kind, _key: value)
    (indicator,) = stix2.parse(said.decode()).objects[4:5]
    assert indicator.type == "indicator"
    assert run_validator(indicator.pattern, stix_version="2.1") == []
    assert indicator.pattern.count(" AND ") - value.count(" AND ") - kind.count(" AND ") == 1


def test_a_quote_in_a_text_is_part_of_the_text() -> None:
    evidence = CampaignEvidence(keys=(make_key(),))
    harmful = r"x' OR x-gatehouse-link-key:value != '\'"
    said = stix_bundle(make_record(), evidence, made_at=NOON, key_text=lambda _kind, _key: harmful)
    (indicator,) = objects(said, "indicator")
    assert run_validator(indicator["pattern"], stix_version="2.1") == []
    assert " OR " not in indicator["pattern"].replace(r"\' OR", "")


@pytest.mark.parametrize("state", list(CampaignState))
def test_what_was_refuted_or_merged_away_is_revoked(state: CampaignState) -> None:
    said = stix_bundle(make_record(state=state), CampaignEvidence(keys=(make_key(),)), made_at=NOON)
    gone = state in (CampaignState.REFUTED, CampaignState.MERGED)
    (campaign,) = objects(said, "campaign")
    (indicator,) = objects(said, "indicator")
    assert (campaign.get("revoked", False), indicator.get("revoked", False)) == (gone, gone)
    assert (indicator["indicator_types"] == ["malicious-activity"]) is (state is CampaignState.CONFIRMED)


def test_where_it_was_merged_to_and_split_from_is_told() -> None:
    record = make_record(state=CampaignState.MERGED, merged_into="c-other", split_from="c-old")
    said = stix_bundle(record, CampaignEvidence(), made_at=NOON)
    (other,) = objects(stix_bundle(make_record(campaign_id="c-other"), CampaignEvidence(), made_at=NOON), "campaign")
    ties = {one["relationship_type"]: one["target_ref"] for one in objects(said, "relationship")}
    assert ties["duplicate-of"] == other["id"]
    assert set(ties) == {"duplicate-of", "derived-from"}


def test_a_key_that_many_others_have_is_a_weaker_sign() -> None:
    keys = (make_key(key=1, members=10, others=0), make_key(key=2, members=10, others=90))
    rare, common = objects(stix_bundle(make_record(), CampaignEvidence(keys=keys), made_at=NOON), "indicator")
    assert (rare["confidence"], common["confidence"]) == (99, 10)


def test_two_keys_that_the_caller_gives_one_text_are_one_indicator() -> None:
    evidence = CampaignEvidence(keys=(make_key(key=1), make_key(key=2)))
    said = stix_bundle(make_record(), evidence, made_at=NOON, key_text=lambda _kind, _key: "hidden")
    assert len(objects(said, "indicator")) == len(objects(said, "relationship")) == 1


def test_an_analysts_campaign_without_evidence_and_with_clocks_that_ran_backwards_is_still_valid() -> None:
    record = make_record(
        score=None,
        members=0,
        detected_at=None,
        first_signup_at=NOON,
        last_signup_at=NOON - DAY,
        updated_at=NOON - 9 * DAY,
    )
    read = stix2.parse(stix_bundle(record, CampaignEvidence(), made_at=NOON - 30 * DAY).decode())
    assert "confidence" not in read.objects[3]


def test_what_speaks_against_goes_out_with_what_speaks_for(bundle: bytes) -> None:
    notes = {note["abstract"]: note["content"] for note in objects(bundle, "note")}
    assert "university" in notes["What speaks against"]
    assert "40 of 18,240 looked at" in notes["The evidence in figures"]


def test_a_thousand_keys_are_exported_within_two_seconds() -> None:
    keys = tuple(make_key(key=number) for number in range(1000))
    before = process_time()
    said = stix_bundle(make_record(), CampaignEvidence(keys=keys), made_at=NOON)
    assert process_time() - before < 2
    assert len(objects(said, "indicator")) == 1000


def test_a_key_is_sixteen_digits_whatever_its_sign() -> None:
    assert [hex_key("card", key) for key in (0, -1, 255)] == ["0" * 16, "f" * 16, "00000000000000ff"]
