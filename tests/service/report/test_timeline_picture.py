import re

import pytest

from service.domain.campaigns import TimelineSpan
from service.domain.time import DAY, HOUR
from service.report.timeline_picture import WIDTH, nice_top, timeline_picture
from tests.factories import NOON


def span(start: int, *, signups: int = 0, exchanges: int = 0, length: int = DAY) -> TimelineSpan:
    return TimelineSpan(start, start + length, signups, 0, exchanges, 0)


def heights(picture: str, look: str) -> list[float]:
    return [float(height) for height in re.findall(rf'<rect class="{look}"[^>]*height="([\d.]+)"', picture)]


def test_bars_are_as_high_as_their_counts() -> None:
    spans = [span(NOON + at * DAY, signups=count) for at, count in enumerate((10, 40, 0, 20))]
    one, two, three = heights(timeline_picture(spans), "signups")
    assert two == pytest.approx(4 * one, rel=0.02)
    assert three == pytest.approx(2 * one, rel=0.02)


def test_a_count_that_is_small_beside_the_others_is_still_seen() -> None:
    bars = heights(timeline_picture([span(NOON, exchanges=1), span(NOON + DAY, exchanges=90_000)]), "exchanges")
    assert min(bars) >= 1.0


def test_a_span_of_two_hours_is_narrower_than_one_of_a_day() -> None:
    spans = [span(NOON, signups=5, length=2 * HOUR), span(NOON + 2 * HOUR, signups=5, length=DAY)]
    short, long = (
        float(width) for width in re.findall(r'class="signups"[^>]* width="([\d.]+)"', timeline_picture(spans))
    )
    assert long == pytest.approx(12 * short, rel=0.05)


def test_words_of_neighbouring_marks_stand_on_different_rows() -> None:
    marks = [(NOON + 2 * DAY, "first noticed"), (NOON + 2 * DAY + HOUR, "detected"), (NOON - DAY, "before all")]
    picture = timeline_picture([span(NOON + at * DAY, signups=1) for at in range(10)], marks)
    texts = re.findall(r'<text class="mark" x="([\d.]+)" y="(\d+)" text-anchor="(\w+)">([^<]+)', picture)
    assert [text for *_, text in texts] == ["first noticed", "detected"]
    assert len({row for _, row, _, _ in texts}) == 2


def test_words_of_a_mark_at_the_right_edge_stand_to_its_left() -> None:
    picture = timeline_picture([span(NOON + at * DAY, signups=1) for at in range(10)], [(NOON + 10 * DAY, "detected")])
    ((x, anchor),) = re.findall(r'<text class="mark" x="([\d.]+)" y="\d+" text-anchor="(\w+)"', picture)
    assert float(x) <= WIDTH
    assert anchor == "end"


def test_spans_out_of_order_or_without_length_do_no_harm() -> None:
    good = [span(NOON, signups=1), span(NOON + DAY, signups=3)]
    assert timeline_picture([good[1], good[0], span(NOON, signups=99, length=0)]) == timeline_picture(good)
    assert timeline_picture([]) == ""


def test_a_quiet_timeline_and_one_of_three_years_have_axes() -> None:
    assert "Signups" in timeline_picture([span(NOON)])
    dates = re.findall(r'class="date"', timeline_picture([span(NOON + at * 7 * DAY, signups=1) for at in range(160)]))
    assert 2 <= len(dates) <= 9


@pytest.mark.parametrize(("most", "top"), [(0, 2), (3, 4), (9, 10), (11, 20), (41, 50), (1001, 2000), (8_000, 8_000)])
def test_an_axis_ends_at_a_round_number(most: int, top: int) -> None:
    assert nice_top(most) == top
