from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from service.domain.campaigns import CampaignEvidence, CampaignState
from service.domain.codes import hash64, hash64_many
from service.domain.detection import FoundCampaign
from service.domain.enums import Verdict
from service.domain.raw import Label
from service.domain.records import LabelRecord
from service.domain.time import DAY, HOUR
from service.features.catalogue import RULED
from service.storage.arrivals import Arrival
from service.storage.store import Store, open_store
from tests.factories import NOON, make_own_links, make_signals, make_signups, make_usage
from training.confirmation import ages_before_confirmation
from training.dataset import AGES, FRAUD, LEGITIMATE, UNLABELLED, Dataset, build, verdicts

T = NOON + 40 * DAY


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    opened = open_store(sqlite_url, upgrading=True)
    yield opened
    opened.close()


def label(account: str, verdict: Verdict, at: int, **more: object) -> Label:
    return Label(account_id=account, verdict=verdict, decided_at=at, analyst="ann", **more)  # type: ignore[arg-type]


def a_world(store: Store) -> None:
    """Four accounts a day apart, two on one device; the second is confirmed on day 5, the third is called honest."""
    names = ["one", "two", "three", "four"]
    made = [(name, NOON + i * DAY) for i, name in enumerate(names)]
    links = [(name, "device", 77, NOON + i * DAY) for i, name in enumerate(names[:2])]
    store.write([Arrival(None, signups=make_signups(made, links))])
    store.write([Arrival(None, signals=make_signals([("one", "risk", NOON + 2 * DAY, 0.5)]))])
    store.record_labels(
        [
            label("two", Verdict.FRAUD, NOON + 5 * DAY, campaign_id="c-1"),
            label("three", Verdict.LEGITIMATE, NOON + 6 * DAY),
        ]
    )


def rows_of(dataset: Dataset, account: str) -> list[int]:
    place = dataset.accounts.account.tolist().index(hash64(account))
    return np.flatnonzero(dataset.row == place).tolist()


def value(dataset: Dataset, account: str, age: int, feature: str) -> float:
    (row,) = [i for i in rows_of(dataset, account) if dataset.age[i] == age]
    return float(dataset.matrix[row, [one.name for one in dataset.features].index(feature)])


def built(store: Store, as_of: int = T) -> Dataset:
    return build(store, store.labels_at(as_of), as_of=as_of, seed=1)


def test_each_probe_knows_what_was_known_at_its_moment_and_nothing_later(store: Store) -> None:
    a_world(store)
    dataset = built(store)
    assert value(dataset, "one", 0, "device_others_life") == 0.0  # the other one came a day later
    assert value(dataset, "one", DAY, "device_others_life") == 1.0
    assert value(dataset, "one", 3 * DAY, "device_fraud") == 0.0  # confirmed on day 5
    assert value(dataset, "one", 7 * DAY, "device_fraud") == 1.0
    assert np.isnan(value(dataset, "one", DAY, "signal.risk"))
    assert value(dataset, "one", 3 * DAY, "signal.risk") == 0.5


def test_a_frauds_probes_end_with_its_verdict_and_a_legitimate_accounts_do_not(store: Store) -> None:
    a_world(store)
    dataset = built(store)
    before = 4 * DAY - 1  # its verdict comes at the age of 4 days
    assert dataset.age[rows_of(dataset, "two")].tolist() == [0, HOUR, DAY, 3 * DAY, before]
    assert dataset.age[rows_of(dataset, "three")].tolist() == sorted([*AGES.values(), before])


def a_campaign(store: Store) -> None:
    """Three members of one campaign on one device, the first confirmed on day 5, and one who came after that."""
    names = ["a", "b", "c", "late"]
    made = [(name, NOON + i * DAY) for i, name in enumerate(names[:3])] + [("late", NOON + 6 * DAY)]
    links = [(name, "device", 77, at) for name, at in made]
    honest = [(f"h{i}", NOON + i * HOUR) for i in range(40)]
    store.write([Arrival(None, signups=make_signups([*made, *honest], links))])
    told = [NOON + 5 * DAY, NOON + 9 * DAY, NOON + 12 * DAY, NOON + 9 * DAY]
    store.record_labels(
        [label(name, Verdict.FRAUD, at, campaign_id="c-1") for name, at in zip(names, told, strict=True)]
    )


def test_members_are_asked_about_the_moment_before_their_campaign_was_confirmed(store: Store) -> None:
    a_campaign(store)
    dataset = built(store)
    before = {name: 5 * DAY - i * DAY - 1 for i, name in enumerate("abc")}
    for name, age in before.items():
        assert age in dataset.age[rows_of(dataset, name)]
        assert value(dataset, name, age, "device_fraud") == 0.0  # nothing of the confirmation is known yet
        assert value(dataset, name, age, "campaign_confirmed") == 0.0
        assert value(dataset, name, age, "device_others_life") == 2.0
    assert value(dataset, "b", 7 * DAY, "device_fraud") == 1.0  # and a probe of the same account after it knows
    assert 3 * DAY - 1 in dataset.age[rows_of(dataset, "late")]  # who came later: before its own verdict


def test_an_odd_age_is_no_sign_of_fraud_since_others_are_asked_at_the_same_ages(store: Store) -> None:
    a_campaign(store)
    dataset = built(store)
    odd = ~np.isin(dataset.age, list(AGES.values()))
    fraud = dataset.accounts.verdict[dataset.row] == FRAUD
    assert odd[~fraud].sum() == 40  # each of them once
    assert set(dataset.age[odd & ~fraud].tolist()) <= set(dataset.age[odd & fraud].tolist())


def test_whose_age_an_account_is_asked_at_hardly_changes_when_another_campaign_is_confirmed() -> None:
    n, day = 4_000, DAY
    account = np.random.default_rng(2).integers(-(2**60), 2**60, n)
    created = np.zeros(n, np.int64)
    fraud = np.arange(n) < 40
    learned = np.where(fraud, (1 + np.arange(n)) * day, 0)
    ages = ages_before_confirmation(account, created, fraud, learned, account, 90 * day)
    more = np.arange(n) < 41
    again = ages_before_confirmation(
        account, created, more, np.where(more, 41 * day, 0) * (~fraud) + learned, account, 90 * day
    )
    assert 0.005 < (ages[41:] != again[41:]).mean() < 0.06
    assert (ages[:40] == again[:40]).all()
    assert len(np.unique(ages[41:])) == 40


def test_a_label_dated_before_its_account_leaves_the_signups_own_probe(store: Store) -> None:
    store.write([Arrival(None, signups=make_signups([("early", NOON + 9 * DAY), ("other", NOON)]))])
    store.record_labels([label("early", Verdict.FRAUD, NOON)])
    dataset = built(store)
    assert dataset.age[rows_of(dataset, "early")].tolist() == [0]
    assert (dataset.age >= 0).all()


def test_no_probe_lies_after_the_moment_that_is_trained_for(store: Store) -> None:
    a_world(store)
    dataset = built(store, NOON + 4 * DAY)
    assert (dataset.accounts.created_at[dataset.row] + dataset.age <= NOON + 4 * DAY).all()
    assert dataset.accounts.verdict.tolist() == [UNLABELLED] * 4


def test_facts_and_labels_learned_later_change_no_byte(store: Store) -> None:
    a_world(store)
    at = NOON + 20 * DAY
    before = built(store, at)
    late = at + HOUR
    store.write([Arrival(None, signups=make_signups([("late", late)], [("late", "device", 77, late)]))])
    store.write([Arrival(None, signals=make_signals([("one", "later_signal", late, 9.0)]))])
    store.write([Arrival(None, links=make_own_links([("four", "custom.later", 5, late)]))])
    store.write([Arrival(None, usage=make_usage([{"event": "u", "account": "one", "at": late}]))])
    store.record_labels([label("one", Verdict.FRAUD, late), label("four", Verdict.FRAUD, late)])
    store.retract_label("two", "ann", NOON + 5 * DAY, late, late)
    after = built(store, at)
    assert after.fingerprint == before.fingerprint
    assert after.matrix.tobytes() == before.matrix.tobytes()
    assert [one.name for one in after.features] == [one.name for one in before.features]


def found(store: Store, at: int, *members: str) -> None:
    accounts = hash64_many(list(members))
    sure = np.full(len(accounts), 0.75, np.float32)
    campaign = FoundCampaign(
        "c-9", accounts, sure, [""] * len(accounts), 0.9, CampaignState.DETECTED, CampaignEvidence()
    )
    number = store.begin_detection(at, "host", at)
    store.record_detection([campaign], run=number, as_of=at)
    store.finish_detection(number, at, "{}")


def test_a_campaign_is_known_from_when_it_was_found_and_a_member_from_when_it_joined(store: Store) -> None:
    a_world(store)
    before = built(store, NOON + 9 * DAY)
    found(store, NOON + 10 * DAY, "one", "three")
    found(store, NOON + 20 * DAY, "one", "three", "four")
    dataset = built(store)
    assert value(dataset, "one", 7 * DAY, "campaign_score") == 0.0
    assert value(dataset, "one", 30 * DAY, "campaign_score") == pytest.approx(0.9)
    assert value(dataset, "four", 7 * DAY, "campaign_members_log") == 0.0
    assert value(dataset, "four", 30 * DAY, "campaign_members_log") == 2.0
    assert built(store, NOON + 9 * DAY).fingerprint == before.fingerprint


def test_no_model_learns_from_what_an_analyst_said_of_the_account_itself(store: Store) -> None:
    a_world(store)
    found(store, NOON + 10 * DAY, "one", "three")
    dataset = built(store)
    assert not {feature.name for feature in RULED} & {feature.name for feature in dataset.features}
    levels = {
        name: dataset.ruled[[row for row in rows_of(dataset, name) if dataset.age[row] == 30 * DAY], 0].tolist()
        for name in ("one", "three", "four")
    }
    assert levels == {"one": [1.0], "three": [0.0], "four": [0.0]}  # an analyst called the third legitimate


def test_a_signup_that_came_live_is_not_asked_about_before_it_arrived(store: Store) -> None:
    arrived = NOON + 2 * HOUR
    store.write([Arrival(arrived, signups=make_signups([("live", NOON)], profile={"mail_free": 1.0}))])
    dataset = built(store)
    assert value(dataset, "live", 0, "mail_free") == 1.0
    assert len(built(store, NOON + HOUR).accounts) == 0


def test_a_sample_of_the_silent_stands_for_all_of_them_and_keeps_every_label(store: Store) -> None:
    silent = [(f"s{i}", NOON + i * HOUR) for i in range(200)]
    judged = [(f"j{i}", NOON + i * HOUR) for i in range(9)]
    store.write([Arrival(None, signups=make_signups([*silent, *judged]))])
    store.record_labels([label(name, Verdict.FRAUD, NOON + 9 * DAY) for name, _ in judged])
    dataset = build(store, store.labels_at(T), as_of=T, seed=4, most_unlabelled=50)
    assert (dataset.accounts.verdict == FRAUD).sum() == 9
    assert (dataset.accounts.verdict == UNLABELLED).sum() == 50
    assert dataset.accounts.stands_for[dataset.accounts.verdict == UNLABELLED].sum() == pytest.approx(200)
    again = build(store, store.labels_at(T), as_of=T, seed=4, most_unlabelled=50)
    assert again.fingerprint == dataset.fingerprint
    other = build(store, store.labels_at(T), as_of=T, seed=5, most_unlabelled=50)
    assert other.accounts.account.tolist() != dataset.accounts.account.tolist()


def record(verdict: Verdict, decided: int, **changes: object) -> LabelRecord:
    made = LabelRecord("a", 1, verdict, decided, "ann", decided)
    return replace(made, **changes)  # type: ignore[arg-type]


def test_of_several_verdicts_the_one_decided_last_stands() -> None:
    fraud, honest = record(Verdict.FRAUD, 10, campaign_id="c"), record(Verdict.LEGITIMATE, 20, analyst="bob")
    assert not verdicts([fraud, honest], 30)[1].fraud
    assert verdicts([fraud, honest], 15)[1].fraud
    assert verdicts([fraud, honest], 5) == {}


def test_a_retracted_verdict_stands_until_its_retraction_is_learned() -> None:
    fraud = record(Verdict.FRAUD, 10, retracted_at=15, retraction_learned_at=20)
    assert verdicts([fraud], 19)[1].fraud
    assert verdicts([fraud], 20) == {}


def test_a_fraud_that_was_once_pardoned_tells_how_much_a_pardon_is_worth() -> None:
    pardon = record(Verdict.LEGITIMATE, 5, retracted_at=8, retraction_learned_at=8)
    assert verdicts([pardon, record(Verdict.FRAUD, 10)], 30)[1].overturned
    assert not verdicts([record(Verdict.FRAUD, 10)], 30)[1].overturned


def test_members_of_one_campaign_share_a_group_and_others_are_their_own(store: Store) -> None:
    store.write([Arrival(None, signups=make_signups([(name, NOON) for name in "abcd"]))])
    store.record_labels(
        [
            label("a", Verdict.FRAUD, NOON + DAY, campaign_id="c-1"),
            label("b", Verdict.FRAUD, NOON + DAY, campaign_id="c-1"),
            label("c", Verdict.FRAUD, NOON + DAY),
            label("d", Verdict.LEGITIMATE, NOON + DAY),
        ]
    )
    accounts = built(store).accounts
    group = {account: int(group) for account, group in zip(accounts.account.tolist(), accounts.group, strict=True)}
    assert group[hash64("a")] == group[hash64("b")]
    assert len(set(group.values())) == 3
    assert (accounts.verdict == LEGITIMATE).sum() == 1
