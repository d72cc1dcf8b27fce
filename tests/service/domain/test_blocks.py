"""Ids of a job's assessments: where to look for one can be read from it."""

from __future__ import annotations

import uuid

import pytest

from service.domain.blocks import job_assessment_id, told_by_id
from service.domain.codes import hash64


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
