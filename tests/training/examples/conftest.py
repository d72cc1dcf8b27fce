from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def shared(name: str) -> Path:
    """The folder of one kind of real records; skips where it is not here."""
    folder = Path(os.environ.get("GATEHOUSE_SHARED_DATA", ROOT.parent / "shared" / "data")) / name
    if not folder.is_dir():
        pytest.skip(f"the real records of {name} are not here; set GATEHOUSE_SHARED_DATA to the folder that has them")
    return folder


@pytest.fixture
def starscout_data() -> Path:
    return shared("starscout")


@pytest.fixture
def safe_airdrop_data() -> Path:
    return shared("safe_airdrop")
