"""The order in which an account's keys are looked at."""

from __future__ import annotations

import numpy as np
import pytest

from service.tiles.sharing import in_order


@pytest.mark.parametrize("rows", [0, 1, 2, 40, 3_000])
@pytest.mark.parametrize("together", [True, False], ids=["by account", "in any order"])
def test_keys_come_by_account_and_kind_the_latest_first(rows: int, together: bool) -> None:
    rng = np.random.default_rng(rows)
    account = rng.integers(-(2**63), 2**63 - 1, 60)[rng.integers(0, 60, rows)]
    account = np.sort(account) if together else account
    kind, learned = rng.integers(0, 9, rows), rng.integers(0, 5, rows)
    key = rng.integers(-(2**63), 2**63 - 1, rows)
    listed = sorted(zip(account.tolist(), kind.tolist(), (-learned).tolist(), key.tolist(), strict=True))
    by = in_order(account, kind, learned, key)
    assert list(zip(*(c[by].tolist() for c in (account, kind, -learned, key)), strict=True)) == listed
