import itertools
import re

import numpy as np

from service.domain.enums import Verdict
from service.report.graph_picture import HEIGHT, WIDTH, Edge, Ties, graph_picture, layout
from tests.service.report.factories import make_campaign


def clique(members: list[int], weight: float = 5.0, kind: str = "card") -> list[Edge]:
    return [(a, b, weight, kind) for a, b in itertools.combinations(members, 2)]


def test_the_same_ties_in_any_order_and_direction_give_the_same_picture() -> None:
    campaign = make_campaign(members=60, keys=12)
    edges = list(campaign.evidence.edges)
    turned = [(b, a, weight, kind) for a, b, weight, kind in reversed(edges)]
    known = {"typical": campaign.evidence.typical_accounts, "account_ids": campaign.account_ids}
    assert graph_picture(edges, **known) == graph_picture(turned, **known)


def test_two_groups_with_one_tie_between_them_are_drawn_apart() -> None:
    edges = [*clique(list(range(8))), *clique(list(range(8, 16))), (0, 8, 1.0, "ip")]
    pairs = np.array([(a, b) for a, b, _, _ in edges], np.intp)
    place = layout(16, pairs, np.array([weight for _, _, weight, _ in edges]))
    one, other = place[:8], place[8:]
    within = max(np.linalg.norm(group - group.mean(axis=0), axis=1).max() for group in (one, other))
    assert np.linalg.norm(one.mean(axis=0) - other.mean(axis=0)) > 1.5 * within


def test_every_account_is_inside_the_picture_and_none_on_top_of_another() -> None:
    edges = make_campaign().evidence.edges
    ties = Ties.of(edges)
    index = {account: row for row, account in enumerate(ties.accounts)}
    pairs = np.unique(np.array([(index[a], index[b]) for a, b, _, _ in ties.edges], np.intp), axis=0)
    place = layout(len(index), pairs, np.ones(len(pairs)))
    assert (place >= 0).all()
    assert (place <= (WIDTH, HEIGHT)).all()
    assert len(np.unique(place.round(1), axis=0)) == len(index)


def test_of_too_many_ties_the_weakest_are_left_out_and_the_page_says_how_many() -> None:
    edges = [(0, other, float(other), "device") for other in range(1, 1001)]
    ties = Ties.of(edges)
    assert len(ties.accounts) <= 400
    assert min(weight for _, _, weight, _ in ties.edges) > 600
    assert ties.left_out == 1000 - len(ties.edges)
    assert f"The {ties.left_out:,} weaker ties" in graph_picture(edges, typical=(), account_ids={})


def test_an_account_tied_to_itself_a_doubled_tie_and_a_weight_that_is_no_number_draw_nothing() -> None:
    edges = [(1, 1, 4.0, "card"), (1, 2, 3.0, "card"), (2, 1, 3.0, "card"), (1, 3, float("nan"), "card")]
    assert Ties.of(edges).edges == ((1, 2, 3.0, "card"),)
    assert graph_picture(edges[:1], typical=(1,), account_ids={}) == ""


def test_two_keys_between_the_same_accounts_are_two_lines_beside_each_other() -> None:
    picture = graph_picture([(1, 2, 3.0, "card"), (1, 2, 2.0, "ip")], typical=(), account_ids={})
    lines = re.findall(r' d="(M[^"]+)" stroke-width', picture)
    assert len(lines) == len(set(lines)) == 2


def test_verdicts_differ_by_shape_and_words_and_not_by_colour_alone() -> None:
    verdicts = {1: Verdict.FRAUD, 2: Verdict.LEGITIMATE}
    picture = graph_picture(clique([1, 2, 3]), typical=(), account_ids={}, verdicts=verdicts)
    for words in ("found to be fraud (1)", "found to be legitimate (1)", "nobody has looked yet (1)"):
        assert words in picture
    assert '<rect class="legitimate"' in picture
    assert "found to be" not in graph_picture(clique([1, 2, 3]), typical=(), account_ids={})


def test_a_seventh_kind_of_key_shares_one_colour_with_those_after_it() -> None:
    edges = [(number, number + 1, 2.0, f"kind{number}") for number in range(9)]
    picture = graph_picture(edges, typical=(), account_ids={})
    assert "other keys (3)" in picture
    assert 'class="k7"' not in picture
