"""Secrets: how they are written down, kept to their owner, rotated and outlived."""

from __future__ import annotations

import hmac
import json
import stat
from pathlib import Path

import pytest

from service.domain.enums import PaymentKind, PaymentMethod
from service.domain.errors import UsageError
from service.domain.facts import LinkFacts
from service.domain.raw import Link, Payment, Signup, Usage
from service.domain.time import DAY
from service.signals.door import Door
from service.signals.keyring import LONGEST_WINDOW, Keyring, LinkSecret, local_keyring, spelled
from service.signals.pseudonymise import Pseudonymiser
from service.signals.reference.tables import AddressTables
from tests.service.signals.conftest import NOON

BEFORE = Keyring((LinkSecret("k1", 0, b"an older secret......."),), b"content key of the tests")
ROTATED = NOON - 10 * DAY
AFTER = BEFORE.rotated(ROTATED, lambda n: b"n" * n)


def test_a_keyring_reads_back_what_it_spells(tmp_path: Path) -> None:
    assert Keyring.parse(spelled(AFTER)) == AFTER
    AFTER.save(tmp_path / "keys.json")
    assert Keyring.load(tmp_path / "keys.json") == AFTER


def test_a_local_keyring_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "gatehouse.keys"
    first, made = local_keyring(path, NOON)
    again, made_again = local_keyring(path, NOON + DAY)
    assert (made, made_again) == (True, False)
    assert first == again
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_two_keyrings_generated_are_not_the_same() -> None:
    assert Keyring.generated(NOON) != Keyring.generated(NOON)


def test_both_secrets_are_used_until_the_longest_window_has_passed() -> None:
    assert [secret.id for secret in BEFORE.active(NOON)] == ["k1"]
    assert [secret.id for secret in AFTER.active(ROTATED)] == ["k2", "k1"]
    assert [secret.id for secret in AFTER.active(ROTATED + LONGEST_WINDOW - 1)] == ["k2", "k1"]
    assert [secret.id for secret in AFTER.active(ROTATED + LONGEST_WINDOW)] == ["k2"]


def test_rotating_again_drops_what_is_outlived_and_keeps_the_content_key() -> None:
    much_later = AFTER.rotated(ROTATED + 2 * LONGEST_WINDOW, lambda n: b"m" * n)
    assert [secret.id for secret in much_later.secrets] == ["k3", "k2"]
    assert much_later.content == AFTER.content
    soon = AFTER.rotated(ROTATED + DAY, lambda n: b"m" * n)
    assert [secret.id for secret in soon.active(ROTATED + DAY)] == ["k3", "k2", "k1"]


def test_an_account_of_yesterday_and_one_of_today_still_meet_after_a_rotation(tables: AddressTables) -> None:
    old, _ = Door(BEFORE, tables).signups([Signup("a", NOON - 20 * DAY, device_id="d")], NOON - 20 * DAY)
    new, _ = Door(AFTER, tables).signups([Signup("b", NOON, device_id="d")], NOON)
    later, _ = Door(AFTER, tables).signups([Signup("c", NOON, device_id="d")], ROTATED + LONGEST_WINDOW)
    assert len(new.links) == 2
    assert _shared(old.links, new.links) == 1
    assert _shared(new.links, later.links) == 1
    assert _shared(old.links, later.links) == 0


def test_every_kind_of_fact_links_under_both_secrets_during_a_rotation(tables: AddressTables) -> None:
    before, after = Door(BEFORE, tables), Door(AFTER, tables)
    payment = Payment("p", "a", NOON, PaymentKind.METHOD_ADDED, PaymentMethod.CARD, card_fingerprint="c")
    use = Usage("u", "a", NOON, ip="81.2.69.160", prompt_prefix_hash=7)
    own = Link("a", NOON, "referral", "r")
    assert _shared(before.payments([payment], NOON)[0].links, after.payments([payment], NOON)[0].links) == 1
    assert _shared(before.usage([use], NOON)[0].links, after.usage([use], NOON)[0].links) == 3
    one, both = before.links([own, own], NOON)[0], after.links([own, own], NOON)[0]
    assert len(both) == len(both.links) == len(both.older) == 2
    assert _shared(one.links, both.older) == 1
    assert _shared(one.links, both.links) == 0
    assert before.usage([use], NOON)[0].ip != after.usage([use], NOON)[0].ip


def test_a_rotation_does_not_make_the_same_row_a_conflict(tables: AddressTables) -> None:
    row = [Signup("a", NOON, email="anna@firma.de")]
    assert Door(BEFORE, tables).signups(row, NOON)[0].content == Door(AFTER, tables).signups(row, NOON)[0].content


def test_the_same_value_has_another_key_for_each_kind_and_each_secret() -> None:
    maker = Pseudonymiser(AFTER)
    keys = [
        key
        for kind in ("phone", "device", "custom.device")
        for row in maker.link_keys(kind, ["v"], NOON)
        for key in row
    ]
    assert len(set(keys)) == 6
    assert maker.link_keys("ab", ["c"], NOON) != maker.link_keys("a", ["bc"], NOON)


def test_link_keys_are_the_first_bytes_of_the_standards_hmac() -> None:
    import hashlib
    import hmac

    digest = hmac.new(BEFORE.secrets[0].secret, b"phone\0+4915112345678", hashlib.sha256).digest()
    expected = int.from_bytes(digest[:8], "little", signed=True)
    assert Pseudonymiser(BEFORE).link_keys("phone", ["+4915112345678"], NOON) == [[expected]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "content:bm90IHZlcnkgc2VjcmV0ISE=",
        "k1:bm90IHZlcnkgc2VjcmV0ISE=",
        "content:bm90IHZlcnkgc2VjcmV0ISE=,k1:c2hvcnQ=",
        "content:bm90IHZlcnkgc2VjcmV0ISE=,k1:%%%",
        "content:bm90IHZlcnkgc2VjcmV0ISE=,k 1:bm90IHZlcnkgc2VjcmV0ISE=",
        "content:bm90IHZlcnkgc2VjcmV0ISE=,k1:bm90IHZlcnkgc2VjcmV0ISE=@yesterday",
        "content:bm90IHZlcnkgc2VjcmV0ISE=,k2:bm90IHZlcnkgc2VjcmV0ISE=,k1:bm90IHZlcnkgc2VjcmV0ISE=",
        "bm90IHZlcnkgc2VjcmV0ISE=",
    ],
)
def test_a_keyring_that_cannot_be_used_says_how_one_is_written_and_shows_no_key(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        Keyring.parse(text)
    assert "GATEHOUSE_HMAC_KEYS is a comma-separated list" in str(refused.value)
    assert "bm90" not in str(refused.value)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"content": "AAAA", "secrets": 3}', "\x00"])
def test_a_damaged_keyring_file_is_refused_rather_than_replaced(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)
    with pytest.raises(UsageError, match="restore it from a backup"):
        local_keyring(path, NOON)
    assert path.read_text() == content


def test_a_secret_for_another_purpose_survives_rotation_and_is_nobody_elses() -> None:
    derived = BEFORE.derived("exploration")
    assert derived == BEFORE.rotated(NOON + DAY).derived("exploration")
    assert len(derived) == 32
    others = (BEFORE.derived("other"), Keyring.generated(NOON).derived("exploration"), BEFORE.content)
    assert derived not in others


def test_a_keyrings_repr_shows_no_secret() -> None:
    shown = repr(AFTER)
    assert "older secret" not in shown
    assert "nnnn" not in shown
    assert "content key" not in shown
    assert json.dumps("k2") in shown.replace("'", '"')


def _shared(left: LinkFacts, right: LinkFacts) -> int:
    return len(set(left.key.tolist()) & set(right.key.tolist()))


@pytest.mark.parametrize(
    "secret", [b"of sixteen bytes", b"of exactly one block of sixty-four bytes".ljust(64, b"."), b"long" * 40]
)
def test_link_keys_are_the_hmac_of_their_kind_and_value(secret: bytes) -> None:
    keys = Pseudonymiser(Keyring((LinkSecret("k1", 0, secret),), b"content key of the tests"))
    expected = [
        int.from_bytes(hmac.digest(secret, f"ip\0{value}".encode(), "sha256")[:8], "little", signed=True)
        for value in ("", "1", "51e2" * 40)
    ]
    assert keys.link_keys("ip", ["", "1", "51e2" * 40], NOON) == [expected]
