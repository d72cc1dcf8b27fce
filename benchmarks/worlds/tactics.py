"""What a campaign may do. Two families that have no mechanism and no number in common, and a harder one.

``TUNING`` and ``HARDER`` are for looking at while building, ``REPORTED`` is for the figures. A campaign draws one
mechanism of each dimension and one number of each range. All leak: members use honest people's addresses, prompts and
issuers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

Bounds = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Family:
    """Mechanisms by dimension, and bounds of numbers; shares are 0 to 1, times in days of a world of 45."""

    name: str
    addresses: tuple[str, ...]
    mail: tuple[str, ...]
    cards: tuple[str, ...]
    devices: tuple[str, ...]
    dealing: tuple[str, ...]  # how the work list is dealt out
    templates: tuple[str, ...]
    timing: tuple[str, ...]
    signups: tuple[str, ...]
    clients: tuple[str, ...]
    listed: Bounds  # share of exchanges from the work list
    askers: Bounds  # how often an item is asked in all
    resale: Bounds  # share of the rest that is strangers' traffic
    public: Bounds  # share of what is left in well-known prompts
    trends: Bounds  # how many of those it picked
    reworded: Bounds
    through_template: Bounds  # share of the rest that goes behind the crew's template, too
    pays: Bounds  # share of members with a payment method
    ordinary_issuer: Bounds  # share of cards from issuers that honest people use
    ordinary_mail: Bounds  # share of members with mail like anybody's
    homes_per_member: Bounds
    shared_device: Bounds  # share of members on a device of another
    token_spread: Bounds  # of log tokens
    given_up: Bounds  # share of members that stop after some days or weeks

    def mechanisms(self) -> dict[str, tuple[str, ...]]:
        """Mechanisms by dimension."""
        return {name: getattr(self, name) for name in DIMENSIONS}

    def bounds(self) -> dict[str, Bounds]:
        """Bounds by number."""
        return {name: getattr(self, name) for name in NUMBERS}


DIMENSIONS = ("addresses", "mail", "cards", "devices", "dealing", "templates", "timing", "signups", "clients")
NUMBERS = ("listed", "askers", "resale", "public", "trends", "reworded", "through_template", "pays", "ordinary_issuer",
           "ordinary_mail", "homes_per_member", "shared_device", "token_spread", "given_up")  # fmt: skip

TUNING = Family(
    name="tuning",
    addresses=(
        "kept_homes",  # honest people's homes, one to two for each member and kept
        "server_blocks",  # a few /24 of hosting providers, some homes among them
    ),
    mail=(
        "catch_all",  # several domains of its own, fifteen to forty members on each
        "one_shape",  # names generated to one pattern at one free provider
    ),
    cards=(
        "bin_lots",  # a card for each member, from one to three rare issuers
        "prepaid",  # a prepaid card for each member, of an issuer that many use
    ),
    devices=("own", "small_pool"),  # one for each; or a dozen members on one, for a share of them
    dealing=(
        "shards",  # the list is split, parts overlap
        "pool",  # anybody takes any item
    ),
    templates=("own_few", "own_and_public"),  # two to five of its own; the same and a framework's beside them
    timing=("windows", "continuous"),  # hours at work; around the clock
    signups=("lots", "two_waves"),  # a lot every day or two; half now, half a week later
    clients=("one", "one_and_leaks"),
    listed=(0.22, 0.38),
    askers=(5.0, 8.0),
    resale=(0.0, 0.3),
    public=(0.02, 0.06),
    trends=(12, 24),
    reworded=(0.25, 0.55),
    through_template=(0.35, 0.6),
    pays=(0.6, 0.85),
    ordinary_issuer=(0.2, 0.45),
    ordinary_mail=(0.05, 0.2),
    homes_per_member=(0.9, 2.0),
    shared_device=(0.0, 0.14),
    token_spread=(0.2, 0.4),
    given_up=(0.05, 0.2),
)

# The same mechanisms, used more carefully: less of a list in common, more strangers' traffic around it, fewer cards,
# more that is borrowed. What finds the careless ones only is seen here before the figures show it.
HARDER = replace(
    TUNING,
    name="harder",
    listed=(0.14, 0.26),
    askers=(3.5, 6.0),
    resale=(0.2, 0.65),
    public=(0.04, 0.1),
    trends=(6, 16),
    reworded=(0.4, 0.75),
    through_template=(0.15, 0.4),
    pays=(0.4, 0.7),
    ordinary_issuer=(0.4, 0.8),
    ordinary_mail=(0.15, 0.35),
    homes_per_member=(0.5, 1.2),
    shared_device=(0.0, 0.2),
    token_spread=(0.3, 0.6),
    given_up=(0.15, 0.35),
)

REPORTED = Family(
    name="reported",
    addresses=(
        "rotated_homes",  # a pool of honest people's homes, every member on another one each day
        "gateways",  # carriers' gateways that thousands of honest people are behind
        "exits_and_homes",  # exits of VPN providers that honest people use, and a few homes
    ),
    mail=(
        "aged",  # mailboxes bought from people: any provider, any name
        "small_domains",  # three to seven members on each of many domains that look like firms'
        "words",  # syllables and digits at whatever providers the country has
    ),
    cards=(
        "shared_rotation",  # nine to twenty-two members on a card, and on another one from the second week on
        "common",  # a card for each member, of issuers that honest people use
        "hardly_any",  # free plans; one in eight pays
    ),
    devices=("emulators", "pairs", "unread"),  # a farm for a share; two members on each; none could be read
    dealing=(
        "sweep",  # teams go through parts of the list together, and answers are compared
        "echo",  # the same, and items are asked again days later
    ),
    templates=("public", "renewed", "none"),  # a framework that thousands use; new ones every few days; items alone
    timing=(
        "bursts",
        "woken",
        "shifts",
        "imitated",
    ),  # release days; aged accounts at once; teams in turn; days like people's
    signups=("drip", "aged"),  # some every day for two weeks; weeks before the first use
    clients=("mixture", "two"),
    listed=(0.12, 0.2),
    askers=(3.0, 4.8),
    resale=(0.4, 0.83),
    public=(0.07, 0.14),
    trends=(3, 10),
    reworded=(0.6, 0.9),
    through_template=(0.1, 0.3),
    pays=(0.35, 0.6),
    ordinary_issuer=(0.5, 1.0),
    ordinary_mail=(0.25, 0.4),
    homes_per_member=(0.25, 0.7),
    shared_device=(0.16, 0.35),
    token_spread=(0.45, 0.75),
    given_up=(0.25, 0.45),
)

FAMILIES = {family.name: family for family in (TUNING, HARDER, REPORTED)}


@dataclass(frozen=True, slots=True)
class Tactic:
    """What one campaign does: a mechanism for each dimension and a number for each range."""

    does: dict[str, str]
    number: dict[str, float]


def draw_tactics(rng: np.random.Generator, family: Family, count: int) -> list[Tactic]:
    """``count`` different tactics; each mechanism is used about as often as its neighbours."""
    columns: dict[str, list[str]] = {}
    for name, options in family.mechanisms().items():
        deck = [options[k] for _ in range(-(-count // len(options))) for k in rng.permutation(len(options)).tolist()]
        # Dealt out anew: in turns, mechanisms of two dimensions would always come together.
        columns[name] = [deck[k] for k in rng.permutation(count).tolist()]
    found = []
    for index in range(count):
        does = {name: columns[name][index] for name in DIMENSIONS}
        number = {name: float(rng.uniform(*bounds)) for name, bounds in family.bounds().items()}
        if does["timing"] == "woken":
            does["signups"] = "aged"  # nobody can be woken who was not asleep
        found.append(Tactic(does, number))
    return found
