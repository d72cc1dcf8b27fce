from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.time import micros
from service.usecases.interchange.schemas import Kind
from service.usecases.interchange.text_cells import _SLOW, BadCell, cells_of_array, cells_of_texts, moment_of

NOON = micros(datetime(2026, 4, 22, 12, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-04-22T12:00:00Z", NOON),
        ("2026-04-22t12:00:00z", NOON),
        ("2026-04-22 12:00:00", NOON),
        ("2026-04-22T12:00:00.5Z", NOON + 500_000),
        ("2026-04-22T12:00:00.000001", NOON + 1),
        ("2026-04-22T12:00:00.000001000Z", NOON + 1),
        ("2026-04-22T14:00:00+02:00", NOON),
        ("2026-04-22T14:00:00+0200", NOON),
        ("2026-04-22T06:30:00-05:30", NOON),
        ("2026-04-22T23:59:59+12:00", NOON - 1_000_000),
    ],
)
def test_a_time_is_converted_to_utc_and_without_a_zone_means_utc(text: str, at: int) -> None:
    assert moment_of(text) == at
    assert cells_of_texts(Kind.MOMENT, [text]).values.to_pylist() == [at]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2026-04-22T12:00:00.0000015Z", "finer than microseconds"),
        ("2026-02-30T12:00:00Z", "not a time that exists"),
        ("2026-04-22T25:00:00Z", "not a time that exists"),
        ("2026-04-22T12:00:00+24:00", "zone that does not exist"),
        ("2026-04-22", "not a time such as"),
        ("22.04.2026 12:00:00", "not a time such as"),
        ("1776859200", "not a time such as"),
        ("2026-04-22T12:00:00 UTC", "not a time such as"),
    ],
)
def test_a_time_that_cannot_be_kept_exactly_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(BadCell, match=reason):
        moment_of(text)
    cells = cells_of_texts(Kind.MOMENT, ["2026-04-22T12:00:00Z", text])
    assert cells.values.to_pylist() == [NOON, None]
    assert reason in cells.bad[1]


moments = st.datetimes(
    min_value=datetime(1, 1, 2),  # noqa: DTZ001 - the strategy adds the zones
    max_value=datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-9, minutes=-30))]),
)


@given(st.lists(moments, min_size=1, max_size=5))
def test_every_moment_that_python_writes_is_read_back_to_the_microsecond(some: list[datetime]) -> None:
    assert cells_of_texts(Kind.MOMENT, [at.isoformat() for at in some]).values.to_pylist() == [
        micros(at) for at in some
    ]


number_like = st.one_of(
    st.integers(-(2**66), 2**66).map(str),
    st.floats().map(repr),
    st.from_regex(r"[+-]?[0-9]{1,3}\.?[0-9]{0,3}([eE][+-]?[0-9]{1,3})?", fullmatch=True),
    st.sampled_from(["true", "TRUE", "False", "0", "1", "0x12", " 12", "1_000", "١٢", "nan", "-inf", "1e400", ""]),
    moments.map(lambda at: at.isoformat()),
    st.text(max_size=6),
)


@given(st.sampled_from([kind for kind in Kind if kind is not Kind.TEXT]), number_like)
def test_a_whole_column_is_read_as_its_values_one_by_one(kind: Kind, text: str) -> None:
    """The fast reading takes a column only if the slow one, which gives the reasons, would say the same."""
    try:
        expected = pa.array([_SLOW[kind](text)], kind.arrow, from_pandas=False)
        bad = False
    except BadCell:
        expected, bad = pa.nulls(1, kind.arrow), True
    cells = cells_of_array(kind, pa.array([text]))
    assert cells.values.to_string() == expected.to_string()
    assert bool(cells.bad) is bad


def test_an_unsigned_hash_keeps_all_its_64_bits() -> None:
    top = 2**64 - 1
    assert cells_of_texts(Kind.HASH, [str(top), "9007199254740993"]).values.to_pylist() == [top, 9007199254740993]
    assert cells_of_texts(Kind.HASH, [str(top + 1), "-1"]).bad.keys() == {0, 1}
