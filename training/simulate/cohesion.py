"""What the members of a group have in common, in one record for honest groups and campaigns alike.

An account first gets every habit from the laws that hold for everybody; a group then replaces some of its members'
draws by one common draw *from the same laws*. So a single member looks like anybody; only the group shows. A
campaign's tactic and a university's lab differ in which of these shares are large, and their ranges overlap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.simulate.population import CAMPAIGN, Group
from training.simulate.rng import generator


@dataclass(frozen=True, slots=True)
class Cohesion:
    """Shares (0 to 1) of members, or of their draws, that take the group's common value."""

    loose: float = 0.15  # members with nothing in common with the others
    country: float = 0.0  # the group's main country
    address: float = 0.0  # of address slots
    addresses_per_member: float = 0.02
    address_kind: str = "office"  # office, hosting, borrowed (from honest homes), carrier
    nearby: float = 0.0  # of borrowed addresses, those in the account's own country
    domain: float = 0.0  # mail on the group's own domains
    domains_per_member: float = 0.0  # 0: one domain
    shape: float = 0.0  # of free-mail names cut to one shape
    device: float = 0.0
    devices_per_member: float = 0.1
    agent: float = 0.0
    card: float = 0.0  # pays with a card that others pay with
    cards_per_member: float = 0.05
    bin: float = 0.0  # own card, common BIN
    stolen: float = 0.0  # cards whose owner will complain
    prompt: float = 0.0  # of exchanges whose prompt comes from the group's list
    prompts_per_member: float = 1.0
    template: float = 0.0  # of exchanges sent through the group's template
    window: float = 0.0  # sessions at the group's hours
    days: float = 0.0  # follows the group's on and off days
    profile: float = 0.0  # pull towards common token lengths, model mix and volume
    client: float = 0.0
    wake: float = 0.0  # first use on the group's day
    wake_days: float = 1.5  # from most signups to that day
    stop: float = 0.0  # last use on the group's day
    code: float = 0.0  # carries the group's linking key
    code_type: str = "referral_code"
    plan: float = 0.0
    source: float = 0.0
    form: float = 0.0
    release: float = 0.0  # moves to the new model on the same day
    span_days: float = 10.0  # of signups
    office_hours: float = 0.5  # of signups in the main country's office hours


Range = tuple[float, float]
# kind: ranges that each group draws its own shares from
HONEST: dict[str, dict[str, Range]] = {
    "team": {
        "country": (0.5, 1),
        "address": (0.2, 0.8),
        "domain": (0.6, 1),
        "device": (0, 0.15),
        "agent": (0, 0.5),
        "card": (0.5, 1),
        "prompt": (0, 0.25),
        "template": (0.1, 0.5),
        "window": (0, 0.3),
        "days": (0, 0.6),
        "profile": (0, 0.7),
        "client": (0.2, 0.9),
        "wake": (0, 0.3),
        "stop": (0, 0.3),
        "code": (0, 0.4),
        "plan": (0.6, 1),
        "source": (0, 0.6),
        "release": (0, 0.8),
        "span_days": (1, 20),
        "office_hours": (0.6, 0.95),
        "shape": (0, 1),
        "form": (0, 0.3),
        "prompts_per_member": (1, 8),
    },
    "university": {
        "country": (0.4, 0.9),
        "address": (0.4, 0.9),
        "domain": (0.7, 1),
        "device": (0, 0.25),
        "agent": (0, 0.3),
        "prompt": (0, 0.3),
        "template": (0, 0.25),
        "window": (0, 0.4),
        "days": (0, 0.5),
        "profile": (0, 0.3),
        "client": (0, 0.5),
        "wake": (0, 0.5),
        "wake_days": (0.5, 9),
        "stop": (0, 0.6),
        "code": (0, 0.3),
        "plan": (0.3, 0.9),
        "source": (0.1, 0.8),
        "span_days": (2, 18),
        "office_hours": (0.5, 0.9),
        "shape": (0, 1),
        "prompts_per_member": (0.1, 1),
    },
    "agency": {
        "country": (0.3, 1),
        "address": (0.5, 1),
        "domain": (0.1, 0.9),
        "device": (0.5, 1),
        "agent": (0.5, 1),
        "card": (0.7, 1),
        "bin": (0, 0.5),
        "prompt": (0, 0.4),
        "template": (0.1, 0.6),
        "window": (0, 0.6),
        "days": (0, 0.7),
        "profile": (0, 0.7),
        "client": (0.3, 1),
        "wake": (0, 0.4),
        "stop": (0, 0.4),
        "code": (0, 0.5),
        "plan": (0.3, 1),
        "source": (0, 0.8),
        "span_days": (0.3, 15),
        "office_hours": (0.6, 0.95),
        "shape": (0, 1),
        "form": (0, 0.8),
        "release": (0, 0.9),
        "domains_per_member": (0, 0.5),
        "prompts_per_member": (0.5, 8),
    },
    "hackathon": {
        "country": (0.3, 0.9),
        "address": (0.6, 1),
        "device": (0, 0.05),
        "agent": (0, 0.2),
        "prompt": (0, 0.3),
        "template": (0.05, 0.4),
        "window": (0.2, 0.7),
        "days": (0.3, 0.9),
        "profile": (0, 0.3),
        "client": (0, 0.6),
        "wake": (0.4, 0.95),
        "wake_days": (0.1, 1),
        "stop": (0.4, 0.95),
        "code": (0.6, 1),
        "plan": (0.3, 0.9),
        "source": (0.4, 1),
        "span_days": (0.3, 1.8),
        "office_hours": (0.4, 0.9),
        "prompts_per_member": (0.1, 1.5),
    },
    "rollout": {
        "country": (0.3, 0.9),
        "address": (0.3, 0.9),
        "domain": (0.85, 1),
        "device": (0, 0.05),
        "agent": (0.3, 0.9),
        "card": (0, 0.2),
        "prompt": (0.05, 0.5),
        "template": (0.2, 0.8),
        "window": (0.1, 0.6),
        "days": (0.2, 0.8),
        "profile": (0, 0.6),
        "client": (0.4, 1),
        "wake": (0.1, 0.8),
        "wake_days": (0.5, 8),
        "stop": (0, 0.3),
        "code": (0, 0.7),
        "plan": (0.8, 1),
        "source": (0.7, 1),
        "form": (0.3, 1),
        "release": (0.2, 1),
        "span_days": (0.3, 8),
        "office_hours": (0.7, 1),
        "shape": (0.5, 1),
        "prompts_per_member": (0.3, 4),
    },
    "course": {
        "country": (0, 0.5),
        "address": (0, 0.2),
        "domain": (0, 0.2),
        "device": (0, 0.03),
        "prompt": (0.2, 0.75),
        "template": (0.1, 0.7),
        "window": (0, 0.4),
        "days": (0, 0.6),
        "profile": (0, 0.5),
        "client": (0.1, 0.8),
        "wake": (0.1, 0.8),
        "wake_days": (0.5, 9),
        "stop": (0, 0.7),
        "code": (0.2, 0.9),
        "plan": (0.2, 0.8),
        "source": (0.3, 1),
        "span_days": (2, 15),
        "office_hours": (0.2, 0.6),
        "prompts_per_member": (0.1, 0.6),
    },
    "reseller": {
        "country": (0.2, 0.9),
        "address": (0.2, 0.8),
        "domain": (0, 0.7),
        "device": (0.2, 0.8),
        "agent": (0.2, 0.9),
        "card": (0.5, 1),
        "bin": (0, 0.6),
        "prompt": (0, 0.15),
        "template": (0, 0.4),
        "window": (0, 0.2),
        "days": (0, 0.3),
        "profile": (0, 0.3),
        "client": (0.2, 0.9),
        "code": (0, 0.6),
        "plan": (0.3, 1),
        "source": (0, 0.8),
        "form": (0, 0.7),
        "span_days": (3, 20),
        "office_hours": (0.4, 0.8),
        "shape": (0, 1),
        "domains_per_member": (0, 0.3),
        "prompts_per_member": (1, 8),
    },
}
CODE_TYPES = {"hackathon": "promo_code", "course": "promo_code", "rollout": "sso_tenant", "university": "referral_code"}


def cohesions(seed: int, groups: tuple[Group, ...]) -> tuple[Cohesion, ...]:
    """One record for each group, each from its own generator."""
    drawn = []
    for group in groups:
        rng = generator(seed, "cohesion", group.index)
        drawn.append(_tactic(rng) if group.kind == CAMPAIGN else _honest(rng, group.kind))
    return tuple(drawn)


def _uniform(rng: np.random.Generator, ranges: dict[str, Range]) -> dict[str, float]:
    return {name: float(rng.uniform(low, high)) for name, (low, high) in ranges.items()}


def _honest(rng: np.random.Generator, kind: str) -> Cohesion:
    code_type = CODE_TYPES.get(kind, "referral_code")
    few = float(rng.uniform(0.004, 0.03))
    return Cohesion(**_uniform(rng, HONEST[kind]), addresses_per_member=few, code_type=code_type)  # type: ignore[arg-type]


def _tactic(rng: np.random.Generator) -> Cohesion:
    """A campaign's combination of tactics: each part is chosen on its own, so that no two campaigns need look alike."""
    share: dict[str, float] = {"loose": rng.uniform(0.1, 0.3), "country": rng.uniform(0, 0.7)}
    hosting = rng.random() < 0.4
    share["nearby"] = rng.uniform(0.5, 1.0)  # exits are sold by country
    share |= _uniform(rng, {"address": (0.2, 0.8), "addresses_per_member": (0.1, 0.9) if hosting else (0.4, 1.6)})
    if rng.random() < 0.45:
        share |= _uniform(rng, {"domain": (0.3, 0.9), "domains_per_member": (0, 0.08), "shape": (0, 1)})
    else:
        share |= _uniform(rng, {"shape": (0.3, 0.95)})
    if rng.random() < 0.3:
        share |= _uniform(rng, {"device": (0.2, 0.7), "devices_per_member": (0.05, 0.4)})
    if rng.random() < 0.4:
        share |= _uniform(rng, {"card": (0.3, 0.9), "cards_per_member": (0.05, 0.35)})
    else:
        share |= _uniform(rng, {"bin": (0.4, 1)})
    if rng.random() < 0.25:
        share |= _uniform(rng, {"stolen": (0.1, 0.5)})
    resale = rng.random() < 0.3  # other people's traffic drowns the campaign's own
    share |= _uniform(
        rng, {"prompt": (0.03, 0.25) if resale else (0.15, 0.7), "template": (0.1, 0.7), "prompts_per_member": (0.6, 8)}
    )
    orchestrated = rng.random() < 0.5
    share |= _uniform(
        rng, {"window": (0.2, 0.8), "days": (0.3, 0.9)} if orchestrated else {"window": (0, 0.2), "days": (0, 0.3)}
    )
    if rng.random() < 0.35:  # aged: signed up, left alone, then woken together
        share |= _uniform(rng, {"wake": (0.5, 0.95), "wake_days": (3, 12)})
    share |= _uniform(
        rng,
        {
            "profile": (0.1, 0.8),
            "client": (0.1, 0.9),
            "agent": (0, 0.6),
            "plan": (0, 0.7),
            "source": (0, 0.7),
            "form": (0, 0.6),
            "stop": (0, 0.8),
            "release": (0, 0.8),
            "office_hours": (0, 0.7),
        },
    )
    if rng.random() < 0.4:
        share |= _uniform(rng, {"code": (0.1, 0.7)})
    share["span_days"] = float(rng.uniform(0.2, 2) if rng.random() < 0.45 else rng.uniform(4, 14))
    kind = "hosting" if hosting else "borrowed"
    code = "wallet_counterparty" if rng.random() < 0.3 else "referral_code"
    return Cohesion(**{name: float(value) for name, value in share.items()}, address_kind=kind, code_type=code)
