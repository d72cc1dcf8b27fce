import re
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from time import process_time

import pytest

from service.domain.campaigns import (
    CampaignEvidence,
    CampaignRecord,
    CampaignState,
    ReviewAction,
    ReviewRecord,
    TimelineSpan,
)
from service.domain.codes import hash64
from service.domain.enums import Verdict
from service.domain.time import DAY, HOUR
from service.report.campaign_page import campaign_page
from service.report.history import Event
from tests.factories import NOON
from tests.service.report.factories import Campaign, make_campaign, make_key, make_record, make_review

HOSTILE = "</style></title><script>alert(1)</script><img src=x onerror=alert(1)>\"'{0}{x}\u202e\ud800&amp;"
VOID = {"meta", "br"}  # and whatever is closed where it is opened


class Elements(HTMLParser):
    """What a page is made of; every element must be closed where it was opened."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))

    def values(self, attribute: str) -> list[str]:
        return [said for _, attrs in self.found if (said := attrs.get(attribute)) is not None]


def page_of(
    record: CampaignRecord,
    evidence: CampaignEvidence | None = None,
    reviews: Sequence[ReviewRecord] = (),
    events: Sequence[Event] = (),
) -> str:
    return campaign_page(record, evidence or CampaignEvidence(), reviews, events, {}, made_at=NOON + 2 * DAY)


def whole(campaign: Campaign) -> str:
    return campaign_page(
        campaign.record,
        campaign.evidence,
        campaign.reviews,
        campaign.events,
        campaign.account_ids,
        made_at=NOON + HOUR,
        verdicts=campaign.verdicts,
        meanings={"card": ("The card, as ``fingerprint``.", "a family.")},
    )


@pytest.fixture(scope="module")
def page() -> str:
    return whole(make_campaign())


def test_the_page_says_what_is_claimed_how_surely_since_when_and_how_much() -> None:
    record = make_record(members=3, confirmed_members=1, input_tokens=40_000, output_tokens=9_000)
    evidence = CampaignEvidence(keys=(make_key(),), keys_looked_at=900, changed_assessments=7, as_of=NOON)
    text = Elements(page_of(record, evidence)).text
    for words in (
        "3 accounts appear to be run by one party",
        "probability that this is a campaign is 98.7 %",
        "Of the 3 members, 1 is under a verdict of fraud",
        "3 of 3 members share one payment card; less than 0.01 would",
        "less than once in a million times, even after allowing for all 900 keys looked at. No account outside has it.",
        "first noticed on 22 April 2026, 12:00 UTC",
        "passed the evidence threshold on 22 April 2026, 18:00 UTC",
        "changed the decision of 7 assessments",
        "49,000",
    ):
        assert words in text, words


def test_nothing_is_loaded_and_nothing_runs(page: str) -> None:
    elements = Elements(page)
    assert {tag for tag, _ in elements.found}.isdisjoint({"script", "link", "iframe", "img", "object", "form", "use"})
    assert [one for one in elements.values("href") if not one.startswith("#")] == []
    assert elements.values("src") == []
    assert not [name for _, attrs in elements.found for name in attrs if name.startswith("on")]
    assert not re.search(r"url\(|@import|https?:", page)
    assert "default-src 'none'" in elements.values("content")[0]


def test_links_labels_and_names_of_places_agree(page: str) -> None:
    elements = Elements(page)
    places = elements.values("id")
    assert len(places) == len(set(places))
    assert {one.removeprefix("#") for one in elements.values("href")} <= set(places)
    assert set(" ".join(elements.values("aria-labelledby")).split()) <= set(places)


def test_every_table_has_a_caption_and_every_figure_its_words(page: str) -> None:
    tags = [tag for tag, _ in Elements(page).found]
    assert tags.count("table") == tags.count("caption") == 7
    assert tags.count("figure") == tags.count("figcaption") == 2
    numbered = re.findall(r"<caption>Table (\d)", page)
    assert numbered == sorted(numbered)
    assert all(attrs.get("scope") for tag, attrs in Elements(page).found if tag == "th")


def test_whatever_stands_in_a_record_is_shown_as_text() -> None:
    record = make_record(campaign_id=HOSTILE, merged_into=HOSTILE, split_from=HOSTILE, state=CampaignState.MERGED)
    account, other = hash64("a"), hash64("b")
    evidence = CampaignEvidence(
        keys=(make_key(key_type=HOSTILE), make_key(key_type=f"custom.{HOSTILE}")),
        families=((HOSTILE, 2.0),),
        counter_evidence=(HOSTILE,),
        typical_accounts=(account,),
        edges=((account, other, 2.0, HOSTILE),),
    )
    review = make_review(analyst=HOSTILE, second_analyst=HOSTILE, reason=HOSTILE)
    events = [(NOON, HOSTILE, {HOSTILE: HOSTILE, "list": [HOSTILE, 1]})]
    page = campaign_page(
        record,
        evidence,
        [review],
        events,
        {account: HOSTILE, other: HOSTILE},
        made_at=NOON,
        verdicts={account: Verdict.FRAUD},
        meanings={HOSTILE: (HOSTILE, HOSTILE)},
    )
    page.encode()  # a lone surrogate would not pass
    elements = Elements(page)
    assert {tag for tag, _ in elements.found}.isdisjoint({"script", "img"})
    assert "\u202e" not in page
    assert elements.text.count("<script>alert(1)</script>") >= 15


def test_an_id_that_means_something_in_css_stays_out_of_the_printed_foot() -> None:
    assert "campaign c-1 · revision" in page_of(make_record(campaign_id="c-1"))
    harmful = page_of(make_record(campaign_id='x"; } body { display: none'))
    style = harmful.partition("</style>")[0].partition("<style>")[2]
    assert "display: none }" not in style
    assert 'x"' not in style


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (CampaignState.SUSPECTED, "may be run by one party"),
        (CampaignState.DETECTED, "No analyst’s verdict on the campaign is in force"),
        (CampaignState.CONFIRMED, "Analysts found that one party is behind these 3 accounts"),
        (CampaignState.REFUTED, "are not run by one party"),
        (CampaignState.MERGED, "was found to be part of another one"),
    ],
)
def test_each_state_is_said_in_its_own_words(state: CampaignState, words: str) -> None:
    assert words in Elements(page_of(make_record(state=state))).text


@pytest.mark.parametrize(
    ("confirmed", "words", "title"),
    [
        (3, "behind these 3 accounts.", "are run"),
        (2, "behind 2 of these 3 accounts. The other one is tied to them by the evidence alone.", "appear to be run"),
        (1, "behind 1 of these 3 accounts. The other 2 are tied to them by the evidence alone.", "appear to be run"),
    ],
)
def test_no_more_accounts_are_said_to_be_found_by_analysts_than_were(confirmed: int, words: str, title: str) -> None:
    text = Elements(page_of(make_record(state=CampaignState.CONFIRMED, confirmed_members=confirmed))).text
    assert f"Analysts found that one party is {words}" in text
    assert f"3 accounts {title} by one party" in text


def test_an_analysts_word_alone_is_not_given_a_probability() -> None:
    text = Elements(page_of(make_record(score=None, origin="label"))).text
    assert "no probability was computed" in text
    assert "%" not in text.partition("How to read this page")[0]


def test_a_campaign_with_no_evidence_yet_says_so_in_every_section() -> None:
    bare = make_record(
        members=0,
        first_signup_at=None,
        last_signup_at=None,
        detected_at=None,
        exchanges=0,
        input_tokens=0,
        output_tokens=0,
    )
    text = Elements(page_of(bare)).text
    for words in (
        "A campaign of 0 accounts",
        "has not passed the evidence threshold",
        "not counted yet",
        "No ties between members were recorded",
        "No timeline was recorded",
        "No linking keys were recorded",
        "recorded nothing that speaks against",
        "No typical members",
        "No analyst has reviewed it yet",
        "no evidence written yet",
    ):
        assert words in text, words


def test_the_verdict_that_stands_is_the_one_the_state_names_and_not_one_about_a_single_member() -> None:
    reviews = [
        make_review(analyst="alba", second_analyst="bo", reviewed_at=NOON),
        make_review(review_id="r-2", action=ReviewAction.REFUTE, analyst="cem", members=1, reviewed_at=NOON + DAY),
    ]
    lead = Elements(page_of(make_record(state=CampaignState.CONFIRMED), reviews=reviews)).text.partition("How sure")[0]
    assert "alba and, as the second analyst, bo on 22 April 2026" in lead
    assert "cem" not in lead


def test_keys_that_luck_may_explain_are_marked() -> None:
    keys = (
        make_key(),
        make_key(key=2, chance=0.04, adjusted_chance=0.3),
        make_key(key=3, adjusted_chance=float("nan")),
    )
    text = Elements(page_of(make_record(), CampaignEvidence(keys=keys, keys_looked_at=50))).text
    assert "2 keys marked “weak” may be luck" in text


def test_a_member_that_was_erased_or_has_no_name_here_is_shown_by_its_code() -> None:
    evidence = CampaignEvidence(typical_accounts=(-1,), edges=((-1, 5, 1.0, "card"),))
    assert "id not at hand, code ffffffffffffffff" in Elements(page_of(make_record(), evidence)).text


def test_spans_in_which_nothing_happened_are_left_out_of_the_figures_and_counted() -> None:
    timeline = tuple(TimelineSpan(NOON + at * DAY, NOON + (at + 1) * DAY, at % 2, 0, 0, 0) for at in range(5))
    text = Elements(page_of(make_record(), CampaignEvidence(timeline=timeline))).text
    assert "3 spans in which nothing happened are left out" in text


def test_merges_and_splits_are_told_in_order() -> None:
    events = [(NOON + DAY, "split", {"into": "c-9"}), (NOON, "merged", {"from": ["c-7", "c-8"]})]
    text = Elements(page_of(make_record(), events=events)).text
    assert text.index("from: c-7, c-8") < text.index("into: c-9")


def test_the_same_campaign_gives_the_same_page(page: str) -> None:
    assert whole(make_campaign()) == page


def test_a_campaign_of_five_thousand_members_and_a_thousand_keys_is_a_page_within_two_seconds() -> None:
    campaign = make_campaign(members=5511, keys=1000)
    many = replace(campaign.evidence, edges=campaign.evidence.edges[:20_000])
    before = process_time()
    text = whole(replace(campaign, evidence=many))
    assert process_time() - before < 2
    assert "The first 200 are shown; the export has the other 800." in text


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, 1 to 21 (Web Content Accessibility Guidelines 2.2)."""

    def light(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [0, 1])
def test_text_and_lines_can_be_told_from_their_ground_in_light_and_dark(scheme: int) -> None:
    style = files("service.report").joinpath("page.css").read_text(encoding="utf-8")
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", re.findall(r":root \{(.*?)\}", style, re.DOTALL)[scheme]))
    text = [("ink", "paper"), ("soft", "paper"), ("soft", "raised"), ("accent", "paper"), ("warn", "warn-paper")]
    text += [("ink", "warn-paper"), ("fraud", "paper"), ("legitimate", "paper"), ("on-fraud", "fraud")]
    text += [("on-legitimate", "legitimate"), ("ink", "unseen"), ("warn", "paper")]
    lines = [(f"k{number}", ground) for number in range(7) for ground in ("paper", "raised")] + [("bar", "paper")]
    assert [pair for pair in text if contrast(colours[pair[0]], colours[pair[1]]) < 4.5] == []
    assert [pair for pair in lines if contrast(colours[pair[0]], colours[pair[1]]) < 3] == []
