"""Keys of a person and of what they sign up with: phone, name, device."""

from __future__ import annotations

from service.domain.parsed import ParsedName, ParsedPhone

_NO_DEVICE = frozenset({"unknown", "undefined", "null", "none", "n/a", "na", "nil", "nan", "test", "device", "default"})


def phone(number: ParsedPhone) -> str | None:
    """The phone number in E.164 form.

    Honest sharing: a family, a small firm, a number that the carrier gave to somebody else. Rented numbers of
    verification services come back after a few weeks.
    """
    return number.e164


def full_name(name: ParsedName) -> str | None:
    """The words of a name in any order, without case, accents and lookalike letters; None for a single word.

    Honest sharing: namesakes, the more the commoner the name.
    """
    if len(name.folded) < 2:
        return None
    return " ".join(sorted(name.folded))


def device(device_id: str) -> str | None:
    """The device id as the caller's client computes it; None for what stands for no device at all.

    Honest sharing: a family's tablet, a library, an agency, and the fleets of identical machines that a weak
    fingerprint cannot tell apart.
    """
    text = device_id.strip()
    if text.lower() in _NO_DEVICE or not text.strip("0-"):
        return None
    return text


PHONE_KEYS = (phone,)
NAME_KEYS = (full_name,)
DEVICE_KEYS = (device,)
