"""Labels must be as good, and as bad, as analysts' labels."""

from __future__ import annotations

from tests.training.simulate.conftest import Written

Label = dict[str, object]


def labels(world: Written) -> list[Label]:
    found: list[Label] = world.table("labels").to_pylist()
    return found


def by_account(world: Written, name: str, column: str) -> dict[str, object]:
    rows = world.table(name)
    return dict(zip(rows["account_id"].to_pylist(), rows[column].to_pylist(), strict=True))


def test_labels_come_late_and_within_the_period(world: Written) -> None:
    created = by_account(world, "accounts", "created_at")
    waits = sorted(label["decided_at"] - created[str(label["account_id"])] for label in labels(world))  # type: ignore[operator]
    assert waits[0].total_seconds() > 0
    assert waits[len(waits) // 2].total_seconds() > 86_400
    assert all(world.start <= label["decided_at"] < world.end for label in labels(world))  # type: ignore[operator]


def test_found_campaigns_are_labelled_in_part_and_some_are_never_found(world: Written) -> None:
    truth = by_account(world, "truth", "campaign_id")
    caught = {label["account_id"] for label in labels(world) if label["verdict"] == "fraud"}
    shares = {}
    for campaign in {value for value in truth.values() if value is not None}:
        members = [account for account, value in truth.items() if value == campaign]
        shares[campaign] = sum(account in caught for account in members) / len(members)
    assert max(shares.values()) < 0.9
    assert max(shares.values()) > 0.4
    assert min(shares.values()) < 0.1


def test_campaign_verdicts_carry_a_case_that_is_not_the_truths_name(world: Written) -> None:
    cases = {label["campaign_id"] for label in labels(world) if label["campaign_id"] is not None}
    assert cases
    assert not cases & set(by_account(world, "truth", "campaign_id").values())


def test_a_few_verdicts_are_wrong_and_some_are_taken_back_later(world: Written) -> None:
    kind = by_account(world, "truth", "kind")
    fraud = [label for label in labels(world) if label["verdict"] == "fraud"]
    wrong = [label for label in fraud if kind[str(label["account_id"])] not in ("campaign", "stolen_card")]
    assert 0 < len(wrong) < 0.2 * len(fraud)
    back = [label for label in labels(world) if label["retracted_at"] is not None]
    assert back
    assert all(label["decided_at"] < label["retracted_at"] < world.end for label in back)  # type: ignore[operator]


def test_honest_accounts_of_many_kinds_were_looked_at_and_cleared(world: Written) -> None:
    kind = by_account(world, "truth", "kind")
    cleared = {kind[str(label["account_id"])] for label in labels(world) if label["verdict"] == "legitimate"}
    assert len(cleared - {"campaign", "stolen_card"}) >= 8


def test_a_label_is_known_by_account_analyst_and_moment(world: Written) -> None:
    keys = [(label["account_id"], label["analyst"], label["decided_at"]) for label in labels(world)]
    assert len(set(keys)) == len(keys)
    assert len({label["analyst"] for label in labels(world)}) > 3
