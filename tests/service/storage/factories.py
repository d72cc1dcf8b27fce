"""Facts for the store's tests: each factory states only what matters, the rest is drawn from a seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np

from service.domain.campaigns import CampaignEvidence, CampaignState
from service.domain.codes import code32, hash64, hash64_many
from service.domain.detection import CampaignKeys, FoundCampaign
from service.domain.enums import Decision, Purpose, Verdict
from service.domain.facts import LinkFacts, OwnLinkFacts, PaymentFacts, SignalFacts, SignupFacts, UsageFacts
from service.domain.profile import PROFILE
from service.domain.raw import Label
from service.domain.records import Assessment
from service.domain.time import DAY, HOUR
from service.storage.arrivals import Arrival
from service.tiles.history import History
from service.tiles.payments import NO_CHARGE, NO_COUNTRY_MIN, PAYMENT_COLUMNS

START = 20_566 * DAY  # a midnight
KINDS = ("mailbox", "mail_domain", "device", "ip", "ip_net", "template", "card", "custom.wallet")
_NUMBER = count(1)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def link_facts(account: str, at: int, **keys: str) -> LinkFacts:
    """Links of one account: kind=value."""
    names = [kind.replace("custom_", "custom.") for kind in keys]
    return LinkFacts(
        np.full(len(keys), hash64(account)),
        np.array([code32(name) for name in names], np.int32),
        hash64_many([f"{name}|{value}" for name, value in zip(names, keys.values(), strict=True)]),
        np.full(len(keys), at),
    )


def signup(account: str, at: int = START, content: int = 1, **keys: str) -> SignupFacts:
    rng = np.random.default_rng(abs(hash64(account)))
    return SignupFacts(
        [account],
        ints(hash64(account)),
        ints(at),
        rng.random((1, len(PROFILE)), np.float32),
        ints(content),
        link_facts(account, at, **keys),
    )


def payment(account: str, event: str, at: int = START + HOUR, content: int = 1, **keys: str) -> PaymentFacts:
    values = dict.fromkeys([column.name for column in PAYMENT_COLUMNS], 0)
    values |= {"events": 1, "by_card": 1, "country_min": NO_COUNTRY_MIN, "first_at": at, "first_charge_at": NO_CHARGE}
    return PaymentFacts(
        [event],
        ints(hash64(event)),
        ints(hash64(account)),
        ints(at),
        np.array([list(values.values())], np.int64),
        ints(content),
        link_facts(account, at, **keys),
    )


def signal(account: str, name: str, value: float, at: int = START + HOUR, event: str | None = None) -> SignalFacts:
    event = event or f"signal-{next(_NUMBER)}"
    return SignalFacts(
        ints(hash64(event)),
        ints(hash64(account)),
        ints(at),
        np.array([code32(name)], np.int32),
        np.array([value], np.float64),
        ints(hash64(repr(value))),
        (name,),
    )


def own_link(account: str, value: str, at: int = START + HOUR, event: str | None = None) -> OwnLinkFacts:
    links = link_facts(account, at, custom_wallet=value)
    event = event or f"link-{account}-{value}-{at}"
    return OwnLinkFacts(ints(hash64(event)), ints(hash64(value)), links, ("custom.wallet",))


def usage(account: str, events: list[str], at: int = START + HOUR, ip: str = "1.2.3.4", content: int = 1) -> UsageFacts:
    """Exchanges of one account, a second apart."""
    n = len(events)
    rng = np.random.default_rng(abs(hash64(account + events[0])))
    happened = at + np.arange(n) * 1_000_000
    address = hash64(f"ip|{ip}")
    prompts = rng.integers(1, 2**62, n)
    links = LinkFacts(
        ints(hash64(account)), np.array([code32("ip")], np.int32), ints(address), happened[:1].astype(np.int64)
    )
    return UsageFacts(
        hash64_many(events),
        [account] * n,
        np.full(n, hash64(account)),
        happened,
        ip=np.full(n, address),
        ip_net=np.full(n, hash64(f"net|{ip}")),
        hosted=np.zeros(n, np.int64),
        client=np.full(n, hash64("sdk")),
        model=np.full(n, hash64("small")),
        input_tokens=rng.integers(1, 4000, n),
        output_tokens=rng.integers(1, 4000, n),
        status=np.zeros(n, np.int64),
        template=np.full(n, hash64("template")),
        simhash=prompts,
        content=np.full(n, content),
        links=links,
    )


def assessment(account: str, request: str | None = None, at: int = START + 2 * HOUR, content: int = 1) -> Assessment:
    return Assessment(
        assessment_id=f"a{next(_NUMBER)}",
        account_id=account,
        account=hash64(account),
        assessed_at=at,
        purpose=Purpose.SIGNUP,
        score=0.25,
        decision=Decision.ALLOW,
        recommended_limit=None,
        model_version="m1",
        policy_version="p1",
        feature_fingerprint="f1",
        features=np.arange(8, dtype="<f4").tobytes(),
        request_id=request,
        request_content=content,
    )


def arrival(learned_at: int | None = None, **parts: object) -> Arrival:
    return replace(Arrival(learned_at), **parts)  # type: ignore[arg-type]


def world(seed: int, accounts: int = 30) -> list[Arrival]:
    """Arrivals of a small crowd that shares devices, addresses, cards and wallets, over forty days."""
    rng = np.random.default_rng(seed)
    out: list[Arrival] = []
    for i in range(accounts):
        name = f"account-{i}"
        at = START + int(rng.integers(0, 20 * DAY))
        out.append(
            arrival(
                at,
                signups=signup(
                    name,
                    at,
                    ip=f"ip{rng.integers(5)}",
                    device=f"d{rng.integers(8)}",
                    mail_domain=f"m{rng.integers(2)}",
                ),
            )
        )
        for j in range(int(rng.integers(0, 4))):
            paid = at + int(rng.integers(HOUR, 9 * DAY))
            out.append(arrival(paid, payments=payment(name, f"p-{i}-{j}", paid, card=f"c{rng.integers(6)}")))
        for j in range(int(rng.integers(0, 5))):
            used = at + int(rng.integers(HOUR, 19 * DAY))
            events = [f"u-{i}-{j}-{k}" for k in range(int(rng.integers(1, 6)))]
            late = used + int(rng.integers(0, 3)) * DAY + 10_000_000
            out.append(arrival(late, usage=usage(name, events, used, ip=f"{rng.integers(4)}")))
        if rng.random() < 0.6:
            told = at + int(rng.integers(HOUR, 9 * DAY))
            out.append(arrival(told, links=own_link(name, f"w{rng.integers(3)}", told)))
            out.append(arrival(told, signals=signal(name, "calls", float(rng.random()), told, f"s-{i}")))
    return out


def verdicts(seed: int, accounts: int = 30) -> list[Label]:
    """Labels on some of the world's accounts, a few of them retracted."""
    rng = np.random.default_rng(seed)
    labels = []
    for i in rng.permutation(accounts)[: accounts // 2]:
        at = START + int(rng.integers(5 * DAY, 35 * DAY))
        verdict = Verdict.FRAUD if rng.random() < 0.7 else Verdict.LEGITIMATE
        retracted = at + int(rng.integers(1, 5 * DAY)) if rng.random() < 0.3 else None
        campaign = "ring" if verdict is Verdict.FRAUD else None
        labels.append(Label(f"account-{i}", verdict, at, "ann", campaign_id=campaign, retracted_at=retracted))
    return labels


def rows_of(history: History) -> dict[str, list[tuple[float, ...]]]:
    """A history's contents without regard to order, for comparison."""
    out = {"accounts": _sorted(history.account, history.known, history.created_at, history.learned_at)}
    out["profile"] = np.nan_to_num(history.profile, nan=-1).tolist()
    out["usage"] = _sorted(history.usage.account, history.usage.time, *history.usage.values.T)
    out["payments"] = _sorted(history.payments.account, history.payments.time, *history.payments.values.T)
    for name in ("signals", "own", "sharing", "marked", "spans"):
        rows = getattr(history, name)
        columns = [getattr(rows, column) for column in type(rows).__dataclass_fields__]
        arrays = [column for column in columns if isinstance(column, np.ndarray)]
        out[name] = _sorted(*(part for array in arrays for part in np.atleast_2d(array.T)))
    return out


def _sorted(*columns: np.ndarray) -> list[tuple[float, ...]]:
    return sorted(zip(*(column.tolist() for column in columns), strict=True))


def found_campaign(
    campaign_id: str,
    members: Sequence[str],
    *,
    score: float = 0.97,
    state: CampaignState = CampaignState.DETECTED,
    surely: float = 0.9,
    keys: Mapping[str, float] | None = None,
    **more: Any,
) -> FoundCampaign:
    """A campaign as a run finds it; ``keys``: name to weight."""
    accounts = hash64_many(list(members))
    weights = {} if keys is None else keys
    held = CampaignKeys(
        hash64_many(list(weights)),
        np.full(len(weights), code32("card"), np.int32),
        np.array(list(weights.values()), np.float64),
        np.ones(len(weights), bool),
        np.full(len(weights), 2, np.int8),
    )
    return FoundCampaign(
        campaign_id,
        accounts,
        np.full(len(accounts), surely, np.float32),
        ["card,device"] * len(accounts),
        score,
        state,
        more.pop("evidence", CampaignEvidence(as_of=START)),
        held,
        **more,
    )
