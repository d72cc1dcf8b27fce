from __future__ import annotations

import numpy as np

from service.linking.families import CUSTOM, FAMILIES, FAMILY_CAP, OWN_KINDS, by_family

KINDS = ("ip", "ip_net", "custom.a", "custom.b", "custom.c")
NETWORK = FAMILIES.index("network")


def test_one_fact_at_two_widths_counts_once_and_two_kinds_of_ones_own_count_twice() -> None:
    said = by_family(np.array([[5.0, 3.0, 5.0, 3.0, 0.0]]), KINDS)[0]
    assert (said[NETWORK], said[CUSTOM]) == (5.0, 8.0)
    assert said.sum() == 13.0


def test_no_single_kind_of_ones_own_decides_nor_do_all_of_them_say_more_than_two_families() -> None:
    one, all_of_them = by_family(np.array([[0, 0, 99.0, 0, 0], [0, 0, 99.0, 99.0, 99.0]]), KINDS)
    assert one[CUSTOM] == FAMILY_CAP
    assert all_of_them[CUSTOM] == OWN_KINDS * FAMILY_CAP
