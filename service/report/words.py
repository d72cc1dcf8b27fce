"""Numbers, moments and kinds of key in the words of a reader who is neither a statistician nor a programmer."""

from __future__ import annotations

import math
import unicodedata

from service.domain.time import moment

_KINDS = {
    "mailbox": "mailbox",
    "mail_domain": "mail domain",
    "mail_shape": "pattern of the mailbox name",
    "phone": "phone number",
    "device": "device",
    "ip": "internet address",
    "ip_net": "network of addresses",
    "full_name": "full name",
    "card": "payment card",
    "card_bin": "card issuer (BIN)",
    "template": "prompt template",
}
_OWN = "custom."
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_SMALLEST = 1e-300  # below it a probability of 0.0 is an underflow, not a certainty


def kind_words(key_type: str) -> str:
    """What a kind of key is called on the page; of an unknown kind its own name, with blanks for underscores."""
    if key_type.startswith(_OWN):
        return f"your own key “{key_type.removeprefix(_OWN)}”"
    return _KINDS.get(key_type, key_type.replace("_", " "))


def count_of(number: int, one: str, many: str | None = None) -> str:
    """``1 account``, ``1,250 accounts``; ``many`` where an s does not do."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def short_count(number: int) -> str:
    """A count at a glance: exact below ten million, then ``12.8 million``, ``3.41 thousand million``.

    A billion is one thing in London and another in Paris.
    """
    if number < 10**7:
        return f"{number:,}"
    for size, name in ((10**12, "million million"), (10**9, "thousand million"), (10**6, "million")):
        if number >= size:
            return f"{float(f'{number / size:.3g}'):,g} {name}"
    raise AssertionError


def day(at: int) -> str:
    """``22 April 2026``, in UTC."""
    said = moment(at)
    return f"{said.day} {said:%B %Y}"


def short_day(at: int) -> str:
    """``22 Apr 2026``, in UTC."""
    said = moment(at)
    return f"{said.day} {said:%b} {said.year}"


def minute(at: int) -> str:
    """``22 April 2026, 10:05 UTC``; seconds are cut off."""
    return f"{day(at)}, {moment(at):%H:%M} UTC"


def probability(share: float) -> str:
    """A probability in per cent; one that rounds to none or all of it is said as a bound, for it is neither."""
    if not 0.0 <= share <= 1.0:
        return "not known"
    if share > 0.999:
        return "more than 99.9 %"
    return "less than 0.1 %" if share < 0.001 else f"{100 * share:.1f} %"


def odds(chance: float) -> str:
    """How often something happens by chance, in words: ``about 1 in 40``, ``less than one in a million``.

    NaN, and what is no probability, is ``not known``.
    """
    if not 0.0 <= chance <= 1.0:
        return "not known"
    if chance > 0.5:
        return "to be expected"
    if chance < 1e-6:
        return "less than one in a million"
    once_in = 1.0 / chance
    digits = 1 - math.floor(math.log10(once_in))
    return f"about 1 in {once_in:.1f}" if once_in < 10 else f"about 1 in {int(round(once_in, digits)):,}"


def scientific(value: float) -> str:
    """``0.034``, ``3.1 × 10⁻⁸``; ``below 10⁻³⁰⁰`` where the machine's numbers end."""
    if not math.isfinite(value):
        return "-"
    if 0.0 <= value < _SMALLEST:
        return "below 10" + "-300".translate(_SUPERSCRIPTS)
    if value >= 0.001:
        return f"{value:.2g}"
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    return f"{mantissa} × 10{str(int(exponent)).translate(_SUPERSCRIPTS)}"


def expected(number: float) -> str:
    """An expected count: ``12``, ``0.4``, ``less than 0.01``."""
    if not math.isfinite(number):
        return "-"
    if number < 0.01:
        return "less than 0.01" if number > 0 else "0"
    return f"{number:,.0f}" if number >= 10 else f"{number:.2g}"


def times(nats: float) -> str:
    """A weight of evidence as a factor: 3 nats are ``20 times``; below 0 it speaks against."""
    if not math.isfinite(nats):
        return "-"
    if nats > math.log(1e6):
        return "more than a million times"
    factor = math.exp(abs(nats))
    said = f"{factor:.1f}" if factor < 9.95 else f"{factor:,.0f}"
    if said == "1.0":
        return "no difference"
    return f"{said} times" if nats > 0 else f"{said} times less"


def visible(text: str) -> str:
    """``text`` with what cannot be seen written out, as ``<U+202E>``.

    Somebody who signs up chooses what stands on this page. A mark that turns the direction of writing around would let
    an account id read as another one; a lone surrogate could not be written to a file at all.
    """
    return "".join(
        f"<U+{ord(letter):04X}>"
        if letter != "\n" and unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
        else letter
        for letter in text
    )
