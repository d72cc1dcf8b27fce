from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def _shared(name: str) -> Path:
    folder = Path(os.environ.get("GATEHOUSE_SHARED_DATA", ROOT.parent / "shared" / "data")) / name
    if not folder.is_dir():
        pytest.skip(f"the real records of {name} are not here; set GATEHOUSE_SHARED_DATA to the folder that has them")
    return folder


@pytest.fixture
def starscout_data() -> Path:
    return _shared("starscout")


@pytest.fixture
def safe_airdrop_data() -> Path:
    return _shared("safe_airdrop")
