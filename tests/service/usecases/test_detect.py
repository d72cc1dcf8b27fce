"""The periodic job on a real store, on both databases: what it finds, and what it does with bad input and bad luck."""

from __future__ import annotations

import os
import signal as signals
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from service.domain.campaigns import CampaignState
from service.domain.codes import code32, hash64, hash64_many
from service.domain.detection import DetectionOutcome
from service.domain.enums import Verdict
from service.domain.errors import DetectionRunning
from service.domain.facts import LinkFacts, SignupFacts, UsageFacts
from service.domain.profile import PROFILE, PROFILE_INDEX
from service.domain.raw import Label
from service.domain.time import DAY, HOUR, MINUTE, SECOND, rfc3339
from service.linking import habits, spoken
from service.linking.find import Found
from service.linking.judge import DETECTED, TERMS, Judge
from service.storage.store import Store
from service.usecases import observe
from service.usecases.detect import Detect, DetectReport
from service.usecases.observe import Observed, Observer
from tests.service.storage.factories import START, arrival, ints, own_link, signup, usage

ROOT = Path(__file__).resolve().parents[3]

DAYS = 10
T = START + DAYS * DAY
# Half of the members share two prompts that were dealt out: a campaign. What the shipped judge makes of a group is
# tested where it is fitted, and changes with it.
JUDGE = Judge(tuple(4.0 if name == "split_median" else 0.0 for name in TERMS), -4.0)

RINGS = tuple(tuple(f"ring-{number}-{i}" for i in range(30)) for number in range(4))
STRANGERS = tuple(f"person-{i}" for i in range(1_500))


def detect(store: Store, at: int = T, *, clock: int | None = None) -> DetectReport:
    """A run by a process that remembers nothing."""
    return Detect(store, JUDGE)(as_of=at, holder="here", clock=lambda: at if clock is None else clock)


def signups(names: Sequence[str], created: Iterable[int], keys: Sequence[tuple[str, str, str]] = ()) -> SignupFacts:
    """Signups with keys, each (account, kind, value)."""
    account, at = hash64_many(list(names)), np.array(list(created), np.int64)
    when = dict(zip(names, at.tolist(), strict=True))
    links = LinkFacts(
        hash64_many([name for name, _, _ in keys]),
        np.array([code32(kind) for _, kind, _ in keys], np.int32),
        hash64_many([f"{kind}|{value}" for _, kind, value in keys]),
        np.array([when[name] for name, _, _ in keys], np.int64),
    )
    profile = np.full((len(names), len(PROFILE)), np.nan, np.float32)
    return SignupFacts(list(names), account, at, profile, account ^ 1, links)


def sent(by: Sequence[tuple[str, str]], *, first: int = START + 2 * DAY) -> UsageFacts:
    """Exchanges, each (account, prompt), twenty seconds apart."""
    events = [f"{account}|{prompt}|{i}" for i, (account, prompt) in enumerate(by)]
    some = usage("nobody", events, first)
    names = [account for account, _ in by]
    none = np.empty(0, np.int64)
    return replace(
        some,
        account_id=names,
        account=hash64_many(names),
        happened=first + np.arange(len(by)) * 20 * SECOND,
        ip=np.zeros(len(by), np.int64),
        ip_net=np.zeros(len(by), np.int64),
        template=np.zeros(len(by), np.int64),
        simhash=np.array([hash64(f"prompt {prompt}") for _, prompt in by]),
        links=LinkFacts(none, none.astype(np.int32), none, none),
    )


@cache
def crowd() -> tuple[SignupFacts, UsageFacts]:
    """Strangers, and four campaigns of thirty with pools of addresses and cards and a list of work."""
    rng = np.random.default_rng(7)
    keys: list[tuple[str, str, str]] = []
    work: list[tuple[str, str]] = []
    for i, name in enumerate(STRANGERS):
        keys += [(name, "ip", f"home-{i // 2}"), (name, "card", f"card-{i}"), (name, "mail_domain", f"mail-{i % 5}")]
        work += [(name, f"own {i} {j}") for j in range(12)]
        work += [(name, f"public {rng.integers(40)}") for _ in range(2)]
    for number, ring in enumerate(RINGS):
        for i, name in enumerate(ring):
            keys += [(name, "ip", f"pool-{number}-{rng.integers(9)}"), (name, "card", f"lot-{number}-{i % 7}")]
            keys += [(name, "mail_domain", f"mail-{i % 5}")]
        for prompt in range(110):
            work += [(ring[i], f"job {number} {prompt}") for i in rng.choice(30, 7, replace=False)]
    names = [*STRANGERS, *(name for ring in RINGS for name in ring)]
    created = START + rng.integers(0, 2 * DAY, len(names))
    order = rng.permutation(len(work))
    return signups(names, created.tolist(), keys), sent([work[i] for i in order])


@pytest.fixture
def world(store: Store) -> Store:
    """A store with the crowd in it."""
    known, used = crowd()
    with store.bulk() as file:
        file.signups(known)
        file.usage(used)
    return store


def campaigns(store: Store) -> dict[str, tuple[CampaignState, frozenset[str]]]:
    """State and members by id, of all that stand."""
    page = store.list_campaigns(states=frozenset(CampaignState), min_members=0, page_size=1000, page_token="")
    return {
        each.campaign_id: (each.state, frozenset(store.member_accounts(each.campaign_id)[1])) for each in page.items
    }


def of_ring(store: Store, ring: Sequence[str]) -> str:
    """The one campaign that most of a ring is in."""
    mine = [name for name, (_, members) in campaigns(store).items() if len(members & set(ring)) > len(ring) / 2]
    assert len(mine) == 1
    return mine[0]


# --- what is found --------------------------------------------------------------------------------------------------


def test_campaigns_are_found_whole_apart_and_without_strangers(world: Store) -> None:
    report = detect(world)
    assert (report.accounts, report.as_of) == (len(STRANGERS) + 120, T)
    assert report.exchanges == len(crowd()[1])
    assert sorted(report.outcome.created) == sorted(campaigns(world))
    for ring in RINGS:
        state, members = campaigns(world)[of_ring(world, ring)]
        assert state is CampaignState.DETECTED
        assert members <= set(ring)
        assert len(members) >= 0.9 * len(ring)
    assert all(members <= {name for ring in RINGS for name in ring} for _, members in campaigns(world).values())


def test_who_came_through_one_provider_in_one_hour_shows_that_but_not_who_was_stored_before_it_was_kept(
    store: Store,
) -> None:
    some = signups(["one", "two", "later", "old"], [START, START + MINUTE, START + HOUR, START])
    some.profile[:3, PROFILE_INDEX["ip_asn"]] = 24940
    with store.bulk() as file:
        file.signups(some)
    observed = Detect(store, JUDGE).observed(T)
    seen = observed.seen
    assert [seen.kinds[kind] for kind in seen.kind] == ["asn_hour"]
    named = dict(
        zip(observed.accounts.account.tolist(), seen.shown[seen.kinds.index("asn_hour")].tolist(), strict=True)
    )
    assert [named[hash64(name)] for name in ("one", "two", "later", "old")] == [1, 1, 1, 0]
    assert {observed.accounts.account[place] for place in seen.account} == {hash64("one"), hash64("two")}


def test_newcomers_are_joined_to_the_campaign_that_they_belong_to_which_keeps_its_id(world: Store) -> None:
    detect(world)
    before = of_ring(world, RINGS[0])
    late = [f"late-{i}" for i in range(3)]
    keys = [key for i, name in enumerate(late) for key in ((name, "ip", f"pool-0-{i}"), (name, "card", f"lot-0-{i}"))]
    with world.bulk() as file:
        file.signups(signups(late, [T + HOUR] * 3, keys))
        file.usage(sent([(name, f"job 0 {prompt}") for name in late for prompt in range(9)], first=T + 2 * HOUR))
    report = detect(world, T + DAY)
    assert of_ring(world, RINGS[0]) == before
    assert set(late) <= campaigns(world)[before][1]
    assert before in report.outcome.changed
    assert not report.outcome.created


def test_an_instance_that_remembers_finds_what_a_new_one_finds(world: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """At every moment, to the last bit, while exchanges come and, in so short a memory, go again."""
    monkeypatch.setattr(observe, "LOOKBACK", 4 * DAY + 5 * HOUR)
    monkeypatch.setattr(observe, "HABITS", 2 * DAY + 7 * HOUR)
    monkeypatch.setattr(habits, "WINDOWS", 2 * DAY // habits.WINDOW)
    seen: list[tuple[Observed, Found]] = []

    def looked(observed: Observed, found: Found) -> None:
        seen.append((observed, found))

    kept = Detect(world, JUDGE)
    for at in (START + 3 * DAY, START + 4 * DAY, START + 5 * DAY + 6 * HOUR, START + 7 * DAY):
        kept(as_of=at, holder="here", clock=lambda: T)
        kept(as_of=at, holder="here", clock=lambda: T, watch=looked)  # what the first look recorded is settled
        there = records(world)
        report = Detect(world, JUDGE)(as_of=at, holder="here", clock=lambda: T, watch=looked)
        assert report.outcome == DetectionOutcome()
        assert records(world) == there
        (observed, found), (anew, found_anew) = seen[-2:]
        assert len(observed.seen.key)
        same(observed.accounts, anew.accounts)
        same(observed.seen, anew.seen)
        same(found.ties, found_anew.ties)
        same(found.traits, found_anew.traits)
        for name in ("group", "score", "surprise"):
            np.testing.assert_array_equal(getattr(found, name), getattr(found_anew, name))
        assert observed.usage.exchanges == anew.usage.exchanges > 0
    assert len(there) >= len(RINGS)
    assert seen[0][0].usage.exchanges < observed.usage.exchanges < len(crowd()[1])


def test_prompts_that_are_taken_in_by_parts_link_as_those_of_all_at_once(
    world: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More exchanges than memory should hold while they are taken in come in parts, one table or more each."""
    at_once = Detect(world, JUDGE).observed(T)
    rows = world.usage_rows

    def by_parts(as_of: int, since: int | None = None, columns: Sequence[str] = ()) -> Iterator[pa.Table]:
        for table in rows(as_of, since, columns):
            for first in range(0, table.num_rows, 500):
                yield table.slice(first, 500)

    monkeypatch.setattr(world, "usage_rows", by_parts)
    monkeypatch.setattr(spoken, "AT_ONCE", 1_200)
    in_parts = Detect(world, JUDGE).observed(T)
    assert in_parts.usage.exchanges == at_once.usage.exchanges > 3_600
    same(at_once.accounts, in_parts.accounts)
    same(at_once.seen, in_parts.seen)


def test_a_job_that_looks_once_records_what_one_that_remembers_does(world: Store) -> None:
    once = Detect(world, JUDGE, once=True)
    for at in (START + 5 * DAY, T, START + 6 * DAY):  # asked again it reads everything anew, earlier or later
        report = once(as_of=at, holder="here", clock=lambda: T)
        there = records(world)
        again = Detect(world, JUDGE)(as_of=at, holder="here", clock=lambda: T)
        assert again.outcome == DetectionOutcome()
        assert records(world) == there
        assert (report.accounts, report.exchanges, report.links) == (again.accounts, again.exchanges, again.links)
        same(once.observed(at).seen, Detect(world, JUDGE).observed(at).seen)
    assert len(there) >= len(RINGS)


def test_an_observer_without_usage_sees_the_same(world: Store) -> None:
    whole, without = Observer(world)(T), Observer(world, usage=False)(T)
    same(without.seen, whole.seen)
    same(without.accounts, whole.accounts)
    assert without.usage.exchanges == whole.usage.exchanges > 0
    with pytest.raises(RuntimeError, match="not held"):
        without.usage.of(np.ones(len(whole.accounts.account), bool))


def test_prompts_are_left_for_the_next_process_and_not_at_every_look(world: Store) -> None:
    def left() -> int:
        held = world.linking_cache(observe.CACHE)
        assert held is not None
        return held[0]

    kept = Detect(world, JUDGE)
    for hours in (0, 6, 12):
        kept(as_of=START + 5 * DAY + hours * HOUR, holder="here", clock=lambda: T)
        assert left() == START + 5 * DAY
    detect(world, START + 6 * DAY)
    assert left() == START + 6 * DAY
    detect(world, START + 6 * DAY + MINUTE)  # nearly nothing was said since
    assert left() == START + 6 * DAY


def records(store: Store) -> dict[str, object]:
    """Campaigns with their evidence, members and how surely those belong."""
    rows = store.campaign_rows()
    found: dict[str, object] = {
        name: (store.campaign(name), members) for name, (_, members) in campaigns(store).items()
    }
    found["members"] = [rows.member_account.tolist(), rows.membership.tolist(), rows.member_campaign.tolist()]
    found["keys"] = [rows.key.tolist(), rows.key_weight.tolist(), rows.key_campaign.tolist()]
    return found


def same(one: object, other: object) -> None:
    """Two records of arrays are equal, to the last bit."""
    assert type(one) is type(other)
    for each in fields(one):  # type: ignore[arg-type]
        np.testing.assert_array_equal(getattr(one, each.name), getattr(other, each.name), each.name)


def states(report: DetectReport) -> set[CampaignState]:
    return {each.state for each in report.campaigns}


def test_what_passes_the_threshold_narrowly_must_do_so_at_two_looks_in_a_row(
    world: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.usecases.detect.AT_ONCE", 1.1)
    blind = Judge(tuple(0.0 for _ in TERMS), -9.0)
    Detect(world, blind)(as_of=T - 6 * HOUR, holder="here", clock=lambda: T)

    first = detect(world)
    again = detect(world)
    assert states(first) == states(again) == {CampaignState.SUSPECTED}
    assert all(each.score is not None and each.score >= DETECTED for each in first.campaigns)

    assert states(detect(world, T + 6 * HOUR)) == {CampaignState.DETECTED}


@pytest.mark.parametrize("before", [None, T - DAY])
def test_where_nobody_looked_lately_one_look_is_enough(
    world: Store, before: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.usecases.detect.AT_ONCE", 1.1)
    if before is not None:
        Detect(world, Judge(tuple(0.0 for _ in TERMS), -9.0))(as_of=before, holder="here", clock=lambda: T)

    assert states(detect(world)) == {CampaignState.DETECTED}


def test_what_passes_the_threshold_by_far_is_detected_at_once(world: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    Detect(world, Judge(tuple(0.0 for _ in TERMS), -9.0))(as_of=T - 6 * HOUR, holder="here", clock=lambda: T)
    monkeypatch.setattr("service.usecases.detect.AT_ONCE", DETECTED)

    assert states(detect(world)) == {CampaignState.DETECTED}


def test_the_same_moment_again_changes_nothing(world: Store) -> None:
    detect(world)
    first = detect(world, clock=T + MINUTE)
    held, rows = campaigns(world), world.campaign_rows()
    second = detect(world, clock=T + 2 * MINUTE)
    assert second == first
    outcome = second.outcome
    assert (outcome.created, outcome.changed, outcome.merged, outcome.closed) == ((), (), (), ())
    assert campaigns(world) == held
    after = world.campaign_rows()
    for name in type(rows).__dataclass_fields__:
        np.testing.assert_array_equal(getattr(after, name), getattr(rows, name))


# --- bad input ------------------------------------------------------------------------------------------------------


def test_no_accounts_at_all_are_no_campaigns(store: Store) -> None:
    report = detect(store)
    assert (report.accounts, report.exchanges, report.groups, report.campaigns) == (0, 0, 0, ())
    assert store.last_detection() is not None


def test_usage_of_accounts_that_never_signed_up_links_nobody(store: Store) -> None:
    with store.bulk() as file:
        file.usage(sent([(name, "one prompt") for name in RINGS[0]]))
    report = detect(store)
    assert (report.accounts, report.exchanges, report.campaigns) == (0, 0, ())


def test_accounts_without_any_key_are_no_campaign(store: Store) -> None:
    with store.bulk() as file:
        file.signups(signups(STRANGERS, [START] * len(STRANGERS)))
    report = detect(store)
    assert (report.accounts, report.links, report.groups, report.campaigns) == (len(STRANGERS), 0, 0, ())


def test_five_thousand_accounts_on_one_device_are_no_campaign_and_quickly_seen(store: Store) -> None:
    names = [f"kiosk-{i}" for i in range(5_000)]
    with store.bulk() as file:
        file.signups(signups(names, [START + i * MINUTE for i in range(5_000)], [(n, "device", "one") for n in names]))
    began = time.process_time()
    report = detect(store)
    assert time.process_time() - began < 10
    assert (report.accounts, report.campaigns) == (5_000, ())
    assert campaigns(store) == {}


def test_a_campaign_of_one_that_a_label_made_stays(world: Store) -> None:
    world.record_labels([Label("person-3", Verdict.FRAUD, T - DAY, "ann", campaign_id="c-solo")], None)
    before = campaigns(world)["c-solo"]
    report = detect(world)
    assert campaigns(world)["c-solo"] == before
    assert before[1] == {"person-3"}
    assert "c-solo" not in report.outcome.closed
    assert {each.campaign_id: each.members for each in report.campaigns}["c-solo"] == 1


def test_an_earlier_moment_than_the_last_one_loses_nothing(world: Store) -> None:
    detect(world)
    names = {of_ring(world, ring) for ring in RINGS}
    earlier = START + 3 * DAY
    again = Detect(world, JUDGE)
    again(as_of=T, holder="here", clock=lambda: T)
    report = again(as_of=earlier, holder="here", clock=lambda: earlier)
    assert report.as_of == earlier
    assert 0 < report.exchanges < len(crowd()[1])
    detect(world)
    assert {of_ring(world, ring) for ring in RINGS} == names


def test_an_earlier_moment_sees_only_what_was_known_by_then(world: Store) -> None:
    before_usage = START + 2 * DAY - 1
    assert detect(world, before_usage).exchanges == 0
    report = detect(world, START - DAY)
    assert (report.accounts, report.exchanges, report.links) == (0, 0, 0)


def test_a_look_at_an_earlier_moment_starts_from_the_campaigns_of_then(world: Store) -> None:
    """On the fourth day rings are found in part: who was joined to one later must not bring it together before."""
    early = START + 3 * DAY
    looks: list[Found] = []

    class Seen(Exception):
        """Enough."""

    def looked(_: Observed, found: Found) -> None:
        looks.append(found)
        raise Seen

    def look() -> Found:
        with pytest.raises(Seen):
            Detect(world, JUDGE)(as_of=early, holder="here", clock=lambda: T, watch=looked)
        return looks[-1]

    before = look()
    detect(world)
    after = look()
    np.testing.assert_array_equal(before.group, after.group)
    np.testing.assert_array_equal(before.score, after.score)


def test_clocks_of_the_present_that_run_backwards_do_not_keep_a_run_from_ending(world: Store) -> None:
    ticks = iter(range(T, T - 10_000 * SECOND, -SECOND))
    Detect(world, JUDGE)(as_of=T, holder="here", clock=lambda: next(ticks))
    assert detect(world, clock=T - HOUR).accounts == len(STRANGERS) + 120


def test_signups_after_the_moment_and_links_before_the_signup_are_taken_as_they_are(world: Store) -> None:
    """A clock ahead: learned now, and created next week. A clock behind: a key was shown before the signup."""
    world.write(
        [
            arrival(T - HOUR, signups=signup("ahead", T + 7 * DAY, device="a", ip="pool-0-1", mail_domain="mail-1")),
            arrival(T - HOUR, signups=signup("behind", T - HOUR, device="a", mail_domain="mail-1")),
            arrival(START, links=own_link("behind", "w", START), usage=usage("behind", ["u-1", "u-2"], START + HOUR)),
        ]
    )
    report = detect(world)
    assert report.accounts == len(STRANGERS) + 122
    for ring in RINGS:
        assert len(campaigns(world)[of_ring(world, ring)][1] & set(ring)) >= 0.9 * len(ring)
    for found in report.campaigns:
        record = world.campaign(found.campaign_id)
        assert record.first_signup_at is not None
        assert record.last_signup_at is not None
        assert record.first_signup_at <= record.last_signup_at


def test_a_member_who_is_erased_between_runs_is_gone_and_the_others_stay(world: Store) -> None:
    detect(world)
    name = of_ring(world, RINGS[0])
    gone = min(campaigns(world)[name][1])
    world.erase(gone, "asked for it", T + HOUR)
    detect(world, T + DAY)
    assert of_ring(world, RINGS[0]) == name
    members = campaigns(world)[name][1]
    assert gone not in members
    assert len(members) >= 0.9 * 29


def test_a_member_who_is_erased_while_a_run_works_is_not_brought_back(world: Store) -> None:
    gone = RINGS[1][4]

    def erases(*_: object) -> None:
        world.erase(gone, "asked for it", T)

    Detect(world, JUDGE)(as_of=T, holder="here", clock=lambda: T, watch=erases)
    assert all(gone not in members for _, members in campaigns(world).values())
    rows = world.campaign_rows(ints(hash64(gone)), ints())
    assert len(rows.member_account) == 0


# --- two runs, and runs that break off ------------------------------------------------------------------------------


def test_a_second_run_at_once_is_told_who_runs_and_the_first_one_ends(world: Store) -> None:
    told: list[DetectionRunning] = []

    def another(*_: object) -> None:
        with pytest.raises(DetectionRunning) as caught:
            detect(world, clock=T + 5 * SECOND)
        told.append(caught.value)

    Detect(world, JUDGE)(as_of=T, holder="the first", clock=lambda: T, watch=another)
    assert "the first" in str(told[0])
    assert len(campaigns(world)) >= len(RINGS)
    detect(world, clock=T + 6 * SECOND)


def test_a_run_that_fails_midway_leaves_nothing_and_frees_its_place(world: Store) -> None:
    for broken in (KeyboardInterrupt, MemoryError):

        def breaks(*_: object, broken: type[BaseException] = broken) -> None:
            raise broken

        with pytest.raises(broken):
            Detect(world, JUDGE)(as_of=T, holder="first", clock=lambda: T, watch=breaks)
        assert campaigns(world) == {}
        assert world.last_detection() is None
    detect(world, clock=T + SECOND)
    assert len(campaigns(world)) >= len(RINGS)


def test_a_run_whose_place_was_taken_records_nothing(world: Store) -> None:
    """It was silent for over a minute, as on a machine that slept, and wakes up when another has begun."""

    def sleeps(*_: object) -> None:
        world.begin_detection(T, "the other", T + 2 * MINUTE)

    with pytest.raises(DetectionRunning, match="the other"):
        Detect(world, JUDGE)(as_of=T, holder="first", clock=lambda: T, watch=sleeps)
    assert campaigns(world) == {}


_STOPS = """
import sys, time
from service.app import App
from service.settings import Settings
settings = Settings(database_url=sys.argv[1], segments_url=sys.argv[2])
def stops(*_):
    print("midway", flush=True)
    time.sleep(60)
with App.open(settings, upgrade=False) as app:
    app.detect(as_of=int(sys.argv[3]), holder="elsewhere", clock=lambda: int(sys.argv[3]), watch=stops)
"""


def broken_off(store: Store, url: str, segments: Path, how: signals.Signals) -> int:
    """A run in a process of its own that ``how`` reaches when it has linked and not yet recorded; its exit code."""
    process = subprocess.Popen(
        [sys.executable, "-c", _STOPS, url, str(segments), str(T)], stdout=subprocess.PIPE, cwd=ROOT, env=os.environ
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"midway\n"
        with pytest.raises(DetectionRunning, match="elsewhere"):
            detect(store, clock=T + SECOND)
        process.send_signal(how)
        return process.wait(30)


def test_ctrl_c_frees_the_place_at_once(world: Store, ready_database_url: str, tmp_path: Path) -> None:
    assert broken_off(world, ready_database_url, tmp_path / "segments", signals.SIGINT) != 0
    assert campaigns(world) == {}
    detect(world, clock=T + SECOND)
    assert len(campaigns(world)) >= len(RINGS)


def test_after_a_run_was_killed_the_next_one_works_a_minute_later(
    world: Store, ready_database_url: str, tmp_path: Path
) -> None:
    assert broken_off(world, ready_database_url, tmp_path / "segments", signals.SIGKILL) == -signals.SIGKILL
    with pytest.raises(DetectionRunning, match="elsewhere"):
        detect(world, clock=T + 59 * SECOND)
    assert campaigns(world) == {}
    detect(world, clock=T + 61 * SECOND)
    assert len(campaigns(world)) >= len(RINGS)


def test_the_moment_of_a_run_is_kept_with_what_it_did(world: Store) -> None:
    detect(world)
    last = world.last_detection()
    assert last is not None
    assert last[0] == T, rfc3339(last[0])
