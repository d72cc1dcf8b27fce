"""What was freed goes back to the kernel."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest

from service.linking.given_back import give_back

SOME = 200_000  # bytes: more than a page, and less than what is ever mapped for itself once larger arrays came and went

pytestmark = pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="another C library than glibc")


def resident_mib() -> float:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096 / 2**20


def test_holes_among_arrays_that_stay_are_given_back() -> None:
    del_later = np.ones(30 << 20, np.uint8)
    del del_later  # from now on arrays up to that size lie side by side
    held = [np.ones(SOME, np.uint8) for _ in range(1_000)]
    stays = held[1::2]
    held.clear()
    before = resident_mib()
    give_back()
    assert resident_mib() < before - 0.7 * 500 * SOME / 2**20
    assert sum(int(each.sum()) for each in stays) == 500 * SOME
