"""The secret keys of link keys and content hashes, and their rotation.

A keyring holds one content key for ever and link-key secrets by id, the current one first. After a rotation both
secrets are used until the longest window has passed, so that an account of yesterday and one of today still meet under
the older secret; then the older secret stops by itself and may be deleted.
"""

from __future__ import annotations

import json
import os
import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from secrets import token_bytes

from service.domain.errors import UsageError
from service.domain.time import DAY, micros, rfc3339

LONGEST_WINDOW = 30 * DAY
SECRET_BYTES = 32
LEAST_SECRET_BYTES = 16
_ID = re.compile(r"[A-Za-z0-9_.-]{1,40}")
_CONTENT = "content"
_HOW = (
    "GATEHOUSE_HMAC_KEYS is a comma-separated list: content:BASE64, then ID:BASE64@SINCE with the current key first "
    "(SINCE is RFC 3339, may be left out on the oldest), each of at least 16 random bytes"
)


@dataclass(frozen=True, slots=True)
class LinkSecret:
    """One secret of link keys."""

    id: str
    since: int  # when it became the current one; 0: from the beginning
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Keyring:
    """All secrets of one installation; every server and import of it must use the same."""

    secrets: tuple[LinkSecret, ...]  # current first; each ``since`` above the next one's
    content: bytes = field(repr=False)  # never rotated: it only tells a repeat from a conflict

    def __post_init__(self) -> None:
        ids = [secret.id for secret in self.secrets]
        if not ids:
            raise UsageError(f"the keyring names no key; {_HOW}")
        if len(set(ids)) != len(ids) or _CONTENT in ids or not all(_ID.fullmatch(name) for name in ids):
            raise UsageError(f"key ids must differ and be 1 to 40 letters, digits, dots, dashes; {_HOW}")
        if any(new.since <= old.since for new, old in zip(self.secrets, self.secrets[1:], strict=False)):
            raise UsageError(f"every key but the oldest needs the moment it became current, newest first; {_HOW}")
        if min(map(len, (self.content, *(secret.secret for secret in self.secrets)))) < LEAST_SECRET_BYTES:
            raise UsageError(f"a key is shorter than {LEAST_SECRET_BYTES} bytes; {_HOW}")

    def active(self, now: int) -> tuple[LinkSecret, ...]:
        """The secrets that facts arriving at ``now`` are keyed under: the current one, and those not yet outlived."""
        if len(self.secrets) == 1:
            return self.secrets
        outlived = [new.since + LONGEST_WINDOW <= now for new in self.secrets]
        return (self.secrets[0], *(old for old, gone in zip(self.secrets[1:], outlived, strict=False) if not gone))

    def derived(self, purpose: str) -> bytes:
        """A secret of its own for another purpose; it survives rotation, and tells nothing of what it is made from."""
        return blake2b(f"gatehouse/{purpose}".encode(), key=self.content[:64], digest_size=SECRET_BYTES).digest()

    def rotated(self, now: int, random: Callable[[int], bytes] = token_bytes) -> Keyring:
        """A keyring whose current secret is new since ``now``; secrets that nothing uses any more are left out."""
        numbers = [int(secret.id[1:]) for secret in self.secrets if re.fullmatch(r"k\d{1,9}", secret.id)]
        new = LinkSecret(f"k{max(numbers, default=0) + 1}", now, random(SECRET_BYTES))
        return Keyring((new, *self.active(now)), self.content)

    @classmethod
    def generated(cls, now: int, random: Callable[[int], bytes] = token_bytes) -> Keyring:
        """A new keyring; ``now`` is only there so that a first rotation lies after it."""
        return cls((LinkSecret("k1", max(0, now), random(SECRET_BYTES)),), random(SECRET_BYTES))

    @classmethod
    def parse(cls, text: str) -> Keyring:
        """The keyring of ``GATEHOUSE_HMAC_KEYS``. Raises UsageError, which never shows a key."""
        content, found = b"", []
        for part in filter(None, (part.strip() for part in text.split(","))):
            name, colon, rest = part.partition(":")
            encoded, _, since = rest.partition("@")
            if not colon:
                raise UsageError(f"an entry of GATEHOUSE_HMAC_KEYS has no ID; {_HOW}")
            secret = _decoded(encoded)
            if name == _CONTENT:
                content = secret
            else:
                found.append(LinkSecret(name, _moment(since), secret))
        if not content:
            raise UsageError(f"GATEHOUSE_HMAC_KEYS has no entry `content`; {_HOW}")
        return cls(tuple(found), content)

    @classmethod
    def load(cls, path: Path) -> Keyring:
        """The keyring in the file ``path``. Raises UsageError where it is not one, OSError where it cannot be read."""
        try:
            said = json.loads(path.read_text())
            entries = [LinkSecret(entry["id"], entry["since"], _decoded(entry["secret"])) for entry in said["secrets"]]
            return cls(tuple(entries), _decoded(said["content"]))
        except (ValueError, KeyError, TypeError) as problem:
            raise UsageError(
                f"{path} is not a keyring; restore it from a backup, since link keys depend on it"
            ) from problem

    def save(self, path: Path) -> None:
        """Writes the file at once or not at all, readable by its owner alone."""
        said = {
            "content": b64encode(self.content).decode(),
            "secrets": [
                {"id": entry.id, "since": entry.since, "secret": b64encode(entry.secret).decode()}
                for entry in self.secrets
            ],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(json.dumps(said, indent=1))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)


def local_keyring(path: Path, now: int, random: Callable[[int], bytes] = token_bytes) -> tuple[Keyring, bool]:
    """The keyring at ``path``, generated where there is none yet, and whether it was.

    Two processes that start together end up with the same file: the one that creates it first wins.
    """
    if path.exists():
        return Keyring.load(path), False
    draft = path.with_name(f"{path.name}.new.{os.getpid()}")
    Keyring.generated(now, random).save(draft)
    try:
        os.link(draft, path)
    except FileExistsError:
        return Keyring.load(path), False
    finally:
        draft.unlink()
    return Keyring.load(path), True


def spelled(keyring: Keyring) -> str:
    """``keyring`` in the form that ``Keyring.parse`` reads. It is secret: for the operator's own secret store."""
    entries = [f"{_CONTENT}:{b64encode(keyring.content).decode()}"]
    for entry in keyring.secrets:
        since = f"@{rfc3339(entry.since)}" if entry.since else ""
        entries.append(f"{entry.id}:{b64encode(entry.secret).decode()}{since}")
    return ",".join(entries)


def _decoded(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (NotBase64, ValueError, TypeError):
        raise UsageError(f"a key is not base64; {_HOW}") from None


def _moment(text: str) -> int:
    if not text:
        return 0
    try:
        return micros(datetime.fromisoformat(text))
    except ValueError:
        raise UsageError(f"a key's SINCE is not an RFC 3339 moment; {_HOW}") from None
