"""The picture of who is tied to whom: the strongest ties between members, laid out so that close accounts stand close.

The layout pushes all accounts apart and pulls tied ones together (Fruchterman and Reingold, Software: Practice and
Experience 21, 1991), with a pull that hardly grows with distance, which keeps groups apart (Noack's LinLog, Journal of
Graph Algorithms and Applications 11, 2007). It starts from a place that depends on the ties alone: the same ties in any
order give the same picture.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from service.domain.enums import Verdict
from service.domain.facts import Float64s
from service.report.parts import joined
from service.report.words import count_of, kind_words, visible

Edge = tuple[int, int, float, str]

WIDTH, HEIGHT = 760, 500
_MARGIN = 18
_MOST_TIES = 600  # more lines than that are a black spot
_MOST_ACCOUNTS = 400  # the layout looks at all pairs
_COLOURS = 6  # kinds of key with a colour of their own; the rest share one
_STEPS = 260
_GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))


@dataclass(frozen=True, slots=True)
class Ties:
    """The ties that are drawn."""

    accounts: tuple[int, ...]  # sorted
    edges: tuple[Edge, ...]  # the strongest first
    left_out: int  # ties too many for one picture

    @classmethod
    def of(cls, edges: Sequence[Edge]) -> Ties:
        """The strongest of ``edges``; one of an account with itself says nothing."""
        ordered = sorted(
            {(min(a, b), max(a, b), weight, kind) for a, b, weight, kind in edges if a != b and np.isfinite(weight)},
            key=lambda edge: (-edge[2], edge),
        )
        accounts: set[int] = set()
        kept: list[Edge] = []
        for edge in ordered[:_MOST_TIES]:
            ends = {edge[0], edge[1]}
            if len(accounts | ends) <= _MOST_ACCOUNTS:
                accounts |= ends
                kept.append(edge)
        return cls(tuple(sorted(accounts)), tuple(kept), len(ordered) - len(kept))


def layout(count: int, pairs: NDArray[np.intp], strength: Float64s) -> Float64s:
    """Places of ``count`` accounts within the picture, shape (count, 2).

    Account ``pairs[i]`` (m, 2) are tied by ``strength[i]``, 0 or more.
    """
    place = _start(count, pairs)
    if count < 2:
        return np.full((count, 2), (WIDTH / 2, HEIGHT / 2))
    pull = (0.1 + 2.9 * (strength / max(float(strength.max(initial=0.0)), 1e-9)) ** 1.5)[:, None]
    first, second = pairs[:, 0], pairs[:, 1]
    # An account with a hundred ties would be pulled a hundred times as hard, and its neighbours into one spot.
    ties = np.maximum(np.bincount(pairs.ravel(), minlength=count), 1)
    pull = pull / np.sqrt(np.minimum(ties[first], ties[second]))[:, None]
    for step in range(_STEPS):
        x, y = place[:, 0, None] - place[:, 0], place[:, 1, None] - place[:, 1]
        weight = 1.0 / np.maximum(x * x + y * y, 1e-4)
        push = np.column_stack((np.einsum("ij,ij->i", x, weight), np.einsum("ij,ij->i", y, weight)))
        along = place[first] - place[second]
        length = np.sqrt(np.maximum(np.einsum("ik,ik->i", along, along), 1e-9))
        tension = along * (np.log1p(length) / length)[:, None] * pull
        np.subtract.at(push, first, tension)
        np.add.at(push, second, tension)
        push -= 0.05 * place
        length = np.maximum(np.sqrt(np.einsum("ik,ik->i", push, push)), 1e-9)
        place = place + push * (np.minimum(length, 0.6 * (1 - step / _STEPS) ** 1.5 + 0.005) / length)[:, None]
    return _fitted(_turned(place))


def _start(count: int, pairs: NDArray[np.intp]) -> Float64s:
    """A spiral like a sunflower's seeds, neighbours after each other, from the account with most ties."""
    near: dict[int, list[int]] = defaultdict(list)
    for a, b in pairs.tolist():
        near[a].append(b)
        near[b].append(a)
    order: list[int] = []
    seen: set[int] = set()
    for root in sorted(range(count), key=lambda one: (-len(near[one]), one)):
        queue = [] if root in seen else [root]
        seen.add(root)
        for one in queue:
            order.append(one)
            fresh = sorted(set(near[one]) - seen)
            seen.update(fresh)
            queue.extend(fresh)
    rank = np.empty(count)
    rank[order] = np.arange(count)
    radius, angle = np.sqrt(rank + 0.5), rank * _GOLDEN_ANGLE
    return np.column_stack((radius * np.cos(angle), radius * np.sin(angle)))


def _turned(place: Float64s) -> Float64s:
    """Turned so that it is widest from left to right."""
    centred = place - place.mean(axis=0)
    xx, yy = (centred**2).sum(axis=0)
    xy = float((centred[:, 0] * centred[:, 1]).sum())
    angle = 0.5 * np.arctan2(2 * xy, xx - yy)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(centred @ turn, np.float64)


def _fitted(place: Float64s) -> Float64s:
    """Stretched to the picture, by at most half as much more one way than the other."""
    low, high = place.min(axis=0), place.max(axis=0)
    room = np.array([WIDTH - 2 * _MARGIN, HEIGHT - 2 * _MARGIN])
    scale = room / np.maximum(high - low, 1e-9)
    scale = np.minimum(scale, 1.5 * scale.min())
    return np.asarray((place - (low + high) / 2) * scale + np.array([WIDTH, HEIGHT]) / 2, np.float64)


def graph_picture(
    edges: Sequence[Edge],
    *,
    typical: Sequence[int],
    account_ids: Mapping[int, str],
    verdicts: Mapping[int, Verdict] | None = None,
) -> Markup:
    """The picture with its legend; empty without ties.

    ``typical`` accounts carry their number in the table of typical members. ``verdicts`` None: not said, all accounts
    look the same; an account that it leaves out was looked at by nobody.
    """
    ties = Ties.of(edges)
    if not ties.edges:
        return Markup("")
    index = {account: row for row, account in enumerate(ties.accounts)}
    ends = np.array([(index[a], index[b]) for a, b, _, _ in ties.edges], np.intp)
    strength = np.array([max(weight, 0.0) for _, _, weight, _ in ties.edges])
    # Accounts tied by several keys are one pair for the layout, as strong as its strongest tie.
    unique, member = np.unique(ends, axis=0, return_inverse=True)
    strongest = np.zeros(len(unique))
    np.maximum.at(strongest, member.ravel(), strength)
    place = layout(len(index), unique, strongest)

    often = Counter(kind for _, _, _, kind in ties.edges)
    named = [kind for kind, _ in sorted(often.items(), key=lambda item: (-item[1], item[0]))]
    colour = {kind: min(rank, _COLOURS) for rank, kind in enumerate(named)}
    numbers = {account: at for at, account in enumerate(typical, 1)}
    lines = _lines(ties, place, index, colour)
    dots = [_dot(account, place[row], numbers, account_ids, verdicts) for account, row in index.items()]
    dots.sort(key=lambda dot: 'class="typical' in dot)  # on top of the others
    left_out = f" The {count_of(ties.left_out, 'weaker tie')} would not fit and are left out." if ties.left_out else ""
    drawn = f"{count_of(len(index), 'account')} and the {count_of(len(ties.edges), 'strongest tie')} between them."
    words = drawn + left_out
    return Markup(
        '<figure class="graph">'
        '<svg viewBox="0 0 {width} {height}" role="img" aria-labelledby="graph-title graph-words">'
        '<title id="graph-title">Ties between members</title><desc id="graph-words">{words} {kinds}</desc>'
        '<g class="ties">{lines}</g><g class="accounts">{dots}</g></svg>{legend}'
        "<figcaption><b>Picture 1.</b> {words} A dot is an account; a line is a key that two accounts share, the "
        "stronger the wider. Accounts that share much are drawn close. The numbers are those of the typical members in "
        "section 8.</figcaption></figure>"
    ).format(
        width=WIDTH,
        height=HEIGHT,
        words=words,
        kinds="; ".join(f"{visible(kind_words(kind))}: {count_of(often[kind], 'tie')}" for kind in named),
        lines=joined(lines),
        dots=joined(dots),
        legend=_legend(named, often, colour, ties.accounts, verdicts),
    )


def _lines(ties: Ties, place: Float64s, index: Mapping[int, int], colour: Mapping[str, int]) -> list[Markup]:
    """The lines, the weakest at the bottom; several between the same two accounts lie beside each other."""
    top = max(edge[2] for edge in ties.edges)
    side: Counter[tuple[int, int]] = Counter()
    lines = []
    for a, b, weight, kind in ties.edges:
        start, end = place[index[a]], place[index[b]]
        along = end - start
        across = np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1e-9)
        turn = side[a, b]
        side[a, b] += 1
        shift = across * 1.8 * ((turn + 1) // 2) * (1 if turn % 2 else -1)
        (x1, y1), (x2, y2) = start + shift, end + shift
        share = max(weight, 0.0) / max(top, 1e-9)
        lines.append(
            Markup(
                '<path class="k{}" d="M{:.1f} {:.1f}L{:.1f} {:.1f}" stroke-width="{:.2f}" stroke-opacity="{:.2f}"/>'
            ).format(colour[kind], x1, y1, x2, y2, 0.6 + 1.4 * share, 0.2 + 0.5 * share)
        )
    return lines[::-1]


def _dot(
    account: int,
    at: Float64s,
    numbers: Mapping[int, int],
    account_ids: Mapping[int, str],
    verdicts: Mapping[int, Verdict] | None,
) -> Markup:
    verdict = verdicts.get(account) if verdicts else None
    look = verdict.value if verdict else "unseen"
    number = numbers.get(account)
    x, y = float(at[0]), float(at[1])
    radius = 8.5 if number else 4.2
    shape = (
        Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
            look, x - radius, y - radius, 2 * radius, 2 * radius
        )
        if verdict is Verdict.LEGITIMATE
        else Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{:.1f}"/>').format(look, x, y, radius)
    )
    label = (
        Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(look, x, y + 3.6, number) if number else ""
    )
    name = Markup("<title>{}</title>").format(visible(name_of(account, account_ids)))
    return Markup('<g class="{}">{}{}{}</g>').format("typical" if number else "account", name, shape, label)


def name_of(account: int, account_ids: Mapping[int, str]) -> str:
    """An account's id; of one whose id is not at hand, its code."""
    return account_ids.get(account, f"(id not at hand, code {account & 0xFFFF_FFFF_FFFF_FFFF:016x})")


def _legend(
    named: Sequence[str],
    often: Mapping[str, int],
    colour: Mapping[str, int],
    accounts: Sequence[int],
    verdicts: Mapping[int, Verdict] | None,
) -> Markup:
    line = Markup(
        '<li><svg class="swatch" viewBox="0 0 34 12" aria-hidden="true"><path class="k{}" d="M1 6H33"/></svg>{}</li>'
    )
    own = [kind for kind in named if colour[kind] < _COLOURS]
    others = sum(often[kind] for kind in named if colour[kind] >= _COLOURS)
    entries = [line.format(colour[kind], f"{visible(kind_words(kind))} ({often[kind]:,})") for kind in own]
    if others:
        entries.append(line.format(_COLOURS, f"other keys ({others:,})"))
    if verdicts is not None:
        dot = Markup('<li><svg class="dot" viewBox="0 0 12 12" aria-hidden="true">{}</svg>{}</li>')
        round_dot = Markup('<circle class="{}" cx="6" cy="6" r="4.5"/>')
        square = Markup('<rect class="{}" x="1.5" y="1.5" width="9" height="9"/>')
        seen = Counter(verdicts.get(account) for account in accounts)
        for verdict, look, words, shape in (
            (Verdict.FRAUD, "fraud", "found to be fraud", round_dot),
            (Verdict.LEGITIMATE, "legitimate", "found to be legitimate", square),
            (None, "unseen", "nobody has looked yet", round_dot),
        ):
            if seen[verdict]:
                entries.append(dot.format(shape.format(look), f"{words} ({seen[verdict]:,})"))
    return Markup('<ul class="legend" aria-label="Legend">{}</ul>').format(joined(entries))
