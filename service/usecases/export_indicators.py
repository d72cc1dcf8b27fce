"""Exports what marks a campaign, so that others can look for it: keyed hashes, unless the operator says otherwise."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from service.domain.errors import UsageError
from service.usecases.campaigns import CampaignReads, GetCampaign, key_hash

COLUMNS = ("key_type", "key_hash", "text")

KeyText = Callable[[str, int], str]  # what to write for a key, of its type and its keyed hash


@dataclass(frozen=True, slots=True)
class Indicators:
    """An export."""

    content_type: str  # media type of ``data``
    data: bytes
    keys: int  # how many linking keys it names


@dataclass(frozen=True, slots=True)
class ExportIndicators:
    """The deed, wired to its rooms."""

    reads: CampaignReads
    key_texts: Path | None = None  # the operator's own texts of keys; None: keyed hashes

    def __call__(self, campaign_id: str, *, now: int) -> Indicators:
        """The campaign's indicators. Raises UnknownCampaign, and UsageError where the file of texts is not one."""
        # Not at the top: stix2 brings 370 modules, 22 MiB, and a server that never exports needs none of them.
        from service.report.indicators import CONTENT_TYPE, stix_bundle  # noqa: PLC0415

        found = GetCampaign(self.reads)(campaign_id)
        key_text = hashed if self.key_texts is None else read_key_texts(self.key_texts)
        data = stix_bundle(found.record, found.evidence, made_at=now, key_text=key_text)
        return Indicators(CONTENT_TYPE, data, len(found.evidence.keys))


def hashed(_key_type: str, key: int) -> str:
    """The keyed hash itself, which only holders of the secret can match."""
    return key_hash(key)


def read_key_texts(path: Path) -> KeyText:
    """The texts of a CSV file with the columns key_type, key_hash and text; a key that it lacks stays a keyed hash.

    Raises UsageError where the file cannot be read or is not of this form.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if not set(COLUMNS) <= set(reader.fieldnames or ()):
                raise UsageError(f"GATEHOUSE_EXPORT_KEYS names {path}, which lacks the columns {', '.join(COLUMNS)}")
            texts = {(row["key_type"], (row["key_hash"] or "").lower()): row["text"] for row in reader}
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise UsageError(f"GATEHOUSE_EXPORT_KEYS names {path}, which cannot be read: {problem}") from None
    return lambda key_type, key: texts.get((key_type, key_hash(key))) or key_hash(key)
