"""A door with fixed secrets, and columns of a profile by name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from service.domain.facts import Float32s, SignupFacts
from service.domain.profile import PROFILE_INDEX
from service.domain.raw import Signup
from service.signals.door import Door
from service.signals.keyring import Keyring, LinkSecret
from service.signals.reference.tables import AddressTables

NOON = 1_780_056_000_000_000  # 2026-05-29 12:00 UTC, a Friday

Told = Callable[..., dict[str, float]]


@pytest.fixture(scope="session")
def tables() -> AddressTables:
    return AddressTables()


@pytest.fixture(scope="session")
def keyring() -> Keyring:
    return Keyring((LinkSecret("k1", 0, b"first secret of the tests"),), b"content key of the tests")


@pytest.fixture(scope="session")
def door(keyring: Keyring, tables: AddressTables) -> Door:
    return Door(keyring, tables)


@pytest.fixture(scope="session")
def now() -> int:
    return NOON


@pytest.fixture(scope="session")
def told(door: Door) -> Told:
    """The profile of one signup with these fields, by name of the fact."""

    def tell(**fields: object) -> dict[str, float]:
        facts, rejections = door.signups([Signup("a", **{"created_at": NOON, **fields})], NOON)  # type: ignore[arg-type]
        assert not rejections
        return named(facts)

    return tell


def named(facts: SignupFacts, row: int = 0) -> dict[str, float]:
    profile: Float32s = facts.profile
    assert profile.dtype == np.float32
    return {name: float(profile[row, place]) for name, place in PROFILE_INDEX.items()}
