"""Ids of a job's assessments: where to look for one can be read from it."""

from __future__ import annotations

import uuid

import pytest

from service.domain.blocks import call_assessment_id, job_assessment_id, told_by_id
from service.domain.codes import hash64
from tests.factories import NOON


@pytest.mark.parametrize("account", [0, 1, -1, 2**63 - 1, -(2**63), hash64("a")])
@pytest.mark.parametrize("name", [0, 1, 2**58 - 1, 0x155_5555_5555_5555])
def test_an_id_tells_its_account_and_name(account: int, name: int) -> None:
    made = job_assessment_id(account, name)
    assert told_by_id(made) == (account, name)
    assert (uuid.UUID(made).version, uuid.UUID(made).variant) == (8, uuid.RFC_4122)


@pytest.mark.parametrize(
    "other", ["", "a1", str(uuid.UUID(int=7, version=4)), str(uuid.UUID(int=7, version=5)), "g" * 36]
)
def test_an_id_of_another_kind_tells_nothing(other: str) -> None:
    assert told_by_id(other) is None


def test_ids_of_calls_are_all_different_and_those_of_a_later_millisecond_sort_behind() -> None:
    earlier = [call_assessment_id(NOON + 999) for _ in range(1000)]
    later = [call_assessment_id(NOON + 1000) for _ in range(1000)]
    assert len({*earlier, *later}) == 2000
    assert max(earlier) < min(later)
    assert all(told_by_id(made) is None for made in earlier)
    made = uuid.UUID(earlier[0])
    assert (made.version, made.variant, made.int >> 80) == (7, uuid.RFC_4122, NOON // 1000)


@pytest.mark.parametrize("at", [0, -1, 2**62])
def test_an_id_can_be_made_at_any_moment(at: int) -> None:
    assert uuid.UUID(call_assessment_id(at)).version == 7
