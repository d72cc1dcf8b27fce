"""User agents, languages, and the clock where somebody lives."""

from __future__ import annotations

from datetime import UTC, datetime
from math import isnan, log

import pytest

from service.domain.time import DAY, micros
from tests.service.signals.conftest import NOON, Told

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36"
)
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_2 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.2 "
    "Mobile/15E148 Safari/604.1"
)
FIREFOX = "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:121.0) Gecko/20100101 Firefox/121.0"
EDGE = CHROME.format(121) + " Edg/121.0.0.0"
HEADLESS = CHROME.format(121).replace("Chrome/", "HeadlessChrome/")
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
CUBOT = CHROME.format(121).replace("Windows NT 10.0; Win64; x64", "Linux; Android 11; CUBOT NOTE 20")


@pytest.mark.parametrize(
    ("agent", "family", "system", "mobile", "automated"),
    [
        (CHROME.format(121), 1, 1, 0, 0),
        (SAFARI, 2, 5, 1, 0),
        (FIREFOX, 3, 3, 0, 0),
        (EDGE, 4, 1, 0, 0),
        (CUBOT, 1, 4, 1, 0),  # a phone, not a bot
        ("python-requests/2.31.0", 8, 0, 0, 1),
        ("curl/8.4.0", 8, 0, 0, 1),
        ("Go-http-client/2.0", 8, 0, 0, 1),
        (HEADLESS, 9, 1, 0, 1),
        (GOOGLEBOT, 10, 0, 0, 1),
        ("zzz", 0, 0, 0, 0),
    ],
)
def test_a_user_agent_says_what_kind_of_client_it_is(
    told: Told, agent: str, family: int, system: int, mobile: int, automated: int
) -> None:
    shown = told(user_agent=agent)
    assert (shown["agent_family"], shown["agent_system"]) == (family, system)
    assert (shown["agent_mobile"], shown["agent_automated"]) == (mobile, automated)
    assert shown["agent_given"] == 1


def test_a_browser_is_old_by_how_far_it_lags_and_not_by_its_number(told: Told) -> None:
    released = micros(datetime(2023, 12, 5, tzinfo=UTC))  # Chrome 120
    fresh = told(user_agent=CHROME.format(120), created_at=released + DAY)
    later = told(user_agent=CHROME.format(120), created_at=released + 730 * DAY)
    assert fresh["agent_months_behind"] == 0
    assert 21 < later["agent_months_behind"] < 25
    assert told(user_agent=CHROME.format(60), created_at=released)["agent_months_behind"] > 60


def test_a_version_that_does_not_exist_yet_is_not_old(told: Told) -> None:
    assert told(user_agent=CHROME.format(9999))["agent_months_behind"] == 0


def test_no_user_agent_is_a_fact_and_its_kind_is_unknown(told: Told) -> None:
    shown = told()
    assert shown["agent_given"] == 0
    assert isnan(shown["agent_automated"])
    assert isnan(shown["agent_family"])


@pytest.mark.parametrize("agent", ["Mozilla/5.0 (" * 300, "a;" * 2000, "(" * 4096, "Mozilla/5.0 " + " " * 4000])
def test_a_hostile_user_agent_is_read_like_any_other(told: Told, agent: str) -> None:
    assert told(user_agent=agent[:4096])["agent_given"] == 1


@pytest.mark.parametrize(
    ("header", "country", "count", "agrees"),
    [
        ("de-DE,de;q=0.9,en;q=0.8", "DE", 2, 1),
        ("de", "AT", 1, 1),
        ("fr-CH, fr;q=0.9", "CH", 1, 1),
        ("zh-CN", "DE", 1, 0),
        ("en-DE", "DE", 1, 1),  # the region says as much
        ("vi", "DE", 1, 0),
        ("iw", "IL", 1, 1),  # the old code of Hebrew
        ("no", "NO", 1, 1),
        ("zh-Hant-TW", "TW", 1, 1),
    ],
)
def test_languages_agree_with_the_country_where_they_are_spoken(
    told: Told, header: str, country: str, count: int, agrees: int
) -> None:
    shown = told(accept_language=header, country=country)
    assert (shown["language_given"], shown["language_count"], shown["language_agrees"]) == (1, count, agrees)


def test_a_header_without_a_language_agrees_with_nothing_and_disagrees_with_nothing(told: Told) -> None:
    shown = told(accept_language="*", country="DE")
    assert shown["language_count"] == 0
    assert isnan(shown["language_agrees"])
    assert told()["language_given"] == 0


@pytest.mark.parametrize(
    ("country", "hour", "weekday", "offset"),
    [
        ("GB", 13, 4, 0),  # summer time on the clock, not in the offset
        ("DE", 14, 4, 1),
        ("US", 8, 4, -5),
        ("IN", 17.5, 4, 5.5),
        ("NZ", 0, 5, 12),  # already Saturday
        ("JP", 21, 4, 9),
        ("RU", 15, 4, 3),
        ("BR", 9, 4, -3),
        ("AU", 22, 4, 10),
    ],
)
def test_the_clock_is_that_of_the_largest_city(
    told: Told, country: str, hour: float, weekday: int, offset: float
) -> None:
    shown = told(country=country)
    assert (shown["local_hour"], shown["local_weekday"], shown["utc_offset_hours"]) == (hour, weekday, offset)


def test_without_a_country_the_clock_is_that_of_the_address(told: Told) -> None:
    assert told(ip="217.80.1.1")["local_hour"] == 14
    assert isnan(told()["local_hour"])


def test_the_offset_does_not_tell_summer_from_winter(told: Told) -> None:
    winter = told(country="DE", created_at=NOON - 150 * DAY)
    assert winter["utc_offset_hours"] == told(country="DE")["utc_offset_hours"] == 1
    assert winter["local_hour"] == 13


def test_what_the_form_said_is_told_as_it_is_and_silence_is_unknown(told: Told) -> None:
    shown = told(form_seconds=9.0, email_verified=False, phone_verified=True, device_id="d", plan="Free")
    assert shown["form_log_seconds"] == pytest.approx(log(10))
    assert (shown["email_verified"], shown["phone_verified"], shown["device_given"]) == (0, 1, 1)
    assert shown["fields_given"] == 5
    assert shown["plan"] == told(plan=" free")["plan"] < 64
    silent = told()
    assert silent["fields_given"] == 0
    for fact in ("form_log_seconds", "email_verified", "phone_verified", "plan", "signup_source", "country"):
        assert isnan(silent[fact])
