"""What a simulated world promises to everybody who trains or measures on it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import phonenumbers
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from email_validator import validate_email

from tests.training.simulate.conftest import Written
from training.simulate import SimulationSummary, WorldTooSmall
from training.simulate.prompts import flip
from training.simulate.rng import generator

Small = Callable[..., SimulationSummary]
TIME = pa.timestamp("us", tz="UTC")
# The contract's columns, written out again here so that the simulator cannot change them alone.
CONTRACT = {
    "accounts": "account_id:s created_at:t email:s full_name:s phone:s country:s ip:s user_agent:s device_id:s "
    "accept_language:s plan:s signup_source:s form_seconds:f email_verified:b phone_verified:b",
    "payments": "event_id:s account_id:s happened_at:t kind:s method:s card_fingerprint:s card_bin:s card_country:s "
    "card_funding:s amount_minor:i currency:s",
    "usage": "event_id:s account_id:s happened_at:t ip:s client:s model:s input_tokens:i output_tokens:i status:s "
    "prompt_prefix_hash:u prompt_simhash:u",
    "links": "account_id:s happened_at:t key_type:s key_value:s",
    "signals": "account_id:s happened_at:t name:s value:f",
    "labels": "account_id:s verdict:s decided_at:t analyst:s campaign_id:s evidence:s retracted_at:t",
    "truth": "account_id:s campaign_id:s kind:s",
}
TYPES = {"s": pa.string(), "t": TIME, "f": pa.float64(), "b": pa.bool_(), "i": pa.int64(), "u": pa.uint64()}
HONEST = {"individual", "team", "university", "agency", "hackathon", "carrier_nat", "heavy", "batch", "framework",
          "rollout", "course", "reseller"}  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.parquet"))}


def signup_times(world: Written) -> dict[str, datetime]:
    accounts = world.table("accounts")
    return dict(zip(accounts["account_id"].to_pylist(), accounts["created_at"].to_pylist(), strict=True))


def kinds(world: Written) -> dict[str, str]:
    truth = world.table("truth")
    return dict(zip(truth["account_id"].to_pylist(), truth["kind"].to_pylist(), strict=True))


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path, small: Small) -> None:
    first, again = small(tmp_path / "first"), small(tmp_path / "again")
    assert first == again
    assert contents(tmp_path / "first") == contents(tmp_path / "again")


def test_another_seed_gives_another_world(tmp_path: Path, small: Small) -> None:
    small(tmp_path / "first", seed=3)
    small(tmp_path / "other", seed=4)
    first, other = contents(tmp_path / "first"), contents(tmp_path / "other")
    assert all(first[name] != other[name] for name in first.keys() & other.keys())


@pytest.mark.parametrize("name", sorted(CONTRACT))
def test_the_columns_and_types_are_the_contracts(world: Written, name: str) -> None:
    wanted = [(column, TYPES[kind]) for column, kind in (part.split(":") for part in CONTRACT[name].split())]
    assert [(field.name, field.type) for field in world.table(name).schema] == wanted
    for path in world.folder.glob(f"{name}*/**/*.parquet"):
        assert pq.read_schema(path).names == [column for column, _ in wanted]


def test_the_summary_counts_what_was_written(world: Written) -> None:
    assert world.summary.accounts == world.table("accounts").num_rows == 3000
    assert world.summary.exchanges == world.table("usage").num_rows
    assert world.summary.campaigns == len(pc.unique(world.table("truth")["campaign_id"].drop_null())) == 6
    assert sum(world.summary.kinds.values()) == 3000


@pytest.mark.parametrize("name", ["payments", "usage", "links", "signals"])
def test_nothing_happens_outside_the_period_or_before_the_account_signed_up(world: Written, name: str) -> None:
    rows, created = world.table(name), signup_times(world)
    assert rows.num_rows > 0
    for account, moment in zip(rows["account_id"].to_pylist(), rows["happened_at"].to_pylist(), strict=True):
        assert created[account] <= moment < world.end
    assert min(created.values()) >= world.start


def test_event_ids_are_unique_over_the_whole_world(world: Written) -> None:
    ids = [*world.table("payments")["event_id"].to_pylist(), *world.table("usage")["event_id"].to_pylist()]
    assert len(set(ids)) == len(ids)


def test_ids_and_file_order_say_nothing_about_the_kind(world: Written) -> None:
    truth = world.table("truth")
    fraud = np.array([kind == "campaign" for kind in truth["kind"].to_pylist()])
    by_id = np.argsort(truth["account_id"].to_pylist())
    for order in (np.arange(len(fraud)), by_id):
        ranks = np.flatnonzero(fraud[order]) / len(fraud)
        # The mean of n uniform ranks is within 5 standard errors of a half in all but one of a million worlds.
        assert abs(ranks.mean() - 0.5) < 5 * np.sqrt(1 / 12 / len(ranks))


def test_every_honest_kind_is_there(world: Written) -> None:
    assert set(world.summary.kinds) == HONEST | {"campaign", "stolen_card"}


def test_campaigns_are_a_few_per_cent_and_stand_on_both_sides_of_the_middle(world: Written) -> None:
    assert 0.01 < world.summary.kinds["campaign"] / world.summary.accounts < 0.08
    created, truth = signup_times(world), world.table("truth")
    members: dict[str, list[datetime]] = {}
    for account, campaign in zip(truth["account_id"].to_pylist(), truth["campaign_id"].to_pylist(), strict=True):
        if campaign is not None:
            members.setdefault(campaign, []).append(created[account])
    middle = world.start + (world.end - world.start) / 2
    assert any(max(times) < middle for times in members.values())
    assert any(min(times) > middle for times in members.values())


def test_campaigns_use_addresses_mail_domains_and_card_issuers_of_honest_people(world: Written) -> None:
    kind = kinds(world)

    def values(name: str, column: str, *, fraud: bool) -> set[str]:
        rows = world.table(name)
        pairs = zip(rows["account_id"].to_pylist(), rows[column].to_pylist(), strict=True)
        return {value for account, value in pairs if value is not None and (kind[account] == "campaign") == fraud}

    assert values("usage", "ip", fraud=True) & values("usage", "ip", fraud=False)
    assert values("payments", "card_bin", fraud=True) & values("payments", "card_bin", fraud=False)
    assert values("usage", "prompt_prefix_hash", fraud=True) & values("usage", "prompt_prefix_hash", fraud=False)
    domains = [{mail.partition("@")[2] for mail in values("accounts", "email", fraud=fraud)} for fraud in (True, False)]
    assert domains[0] & domains[1]


def test_honest_people_have_chargebacks_and_prepaid_cards_too(world: Written) -> None:
    kind, payments = kinds(world), world.table("payments")
    rows = zip(*(payments[name].to_pylist() for name in ("account_id", "kind", "card_funding")), strict=True)
    honest = [(event, funding) for account, event, funding in rows if kind[account] in HONEST]
    assert any(event == "chargeback" for event, _ in honest)
    assert any(funding == "prepaid" for _, funding in honest)


def test_two_rewordings_of_one_prompt_differ_in_at_most_four_bits() -> None:
    rng = generator(1, "test")
    prompts = rng.integers(0, 2**63, 20_000).astype(np.uint64)
    apart = np.bitwise_count(flip(prompts, rng) ^ flip(prompts, rng))
    assert apart.max() == 4
    assert np.bitwise_count(flip(prompts, rng) ^ prompts).max() == 2


def test_some_members_of_a_campaign_send_near_duplicates_of_each_other(world: Written) -> None:
    truth, usage = world.table("truth"), world.table("usage")
    campaign = dict(zip(truth["account_id"].to_pylist(), truth["campaign_id"].to_pylist(), strict=True))
    sent: dict[str, list[tuple[str, int]]] = {}
    for account, prompt in zip(usage["account_id"].to_pylist(), usage["prompt_simhash"].to_pylist(), strict=True):
        if campaign[account] is not None:
            sent.setdefault(campaign[account], []).append((account, prompt))
    close = 0
    for rows in sent.values():
        prompts = np.array([prompt for _, prompt in rows[:3000]], dtype=np.uint64)
        owners = np.unique([account for account, _ in rows[:3000]], return_inverse=True)[1]
        for i in range(0, len(prompts), 40):
            apart = np.bitwise_count(prompts ^ prompts[i])
            close += int(((apart > 0) & (apart <= 4) & (owners != owners[i])).sum())
    assert close > 0


def test_phones_and_mail_addresses_are_valid(world: Written) -> None:
    accounts = world.table("accounts").slice(0, 400)
    for phone, country in zip(accounts["phone"].to_pylist(), accounts["country"].to_pylist(), strict=True):
        if phone is not None:
            number = phonenumbers.parse(phone)
            assert phonenumbers.is_valid_number(number)
            assert country in (None, phonenumbers.region_code_for_number(number))
    for mail in accounts["email"].to_pylist():
        validate_email(mail, check_deliverability=False)


@pytest.mark.parametrize(("accounts", "days", "campaigns"), [(1, 1, 0), (40, 2, 1), (500, 3, 0), (2000, 14, 3)])
def test_small_worlds_work(tmp_path: Path, small: Small, accounts: int, days: int, campaigns: int) -> None:
    summary = small(tmp_path / "world", accounts=accounts, days=days, campaigns=campaigns)
    assert summary.accounts == accounts
    assert pq.read_table(tmp_path / "world" / "usage").num_rows == summary.exchanges


def test_more_campaigns_than_accounts_allow_are_refused(tmp_path: Path, small: Small) -> None:
    with pytest.raises(WorldTooSmall, match="at most 5 do"):
        small(tmp_path / "world", accounts=100, campaigns=6)
    assert not (tmp_path / "world").exists()
