"""E-mail addresses: what can be told from one without sending mail."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from disposable_email_domains import blocklist
from email_validator import EmailNotValidError, validate_email
from publicsuffixlist import PSLFILE, PublicSuffixList

from service.domain.parsed import ParsedMail
from service.signals import letters
from service.signals.reference.tables import read_lines

LONGEST = 320  # 64 before the @, 255 after it (RFC 5321)

_PRIVATE_PART = "// ===BEGIN PRIVATE DOMAINS==="
_CLASSIC = frozenset({"com", "net", "org", "edu", "gov", "mil", "int"})
_ACADEMIC = re.compile(r"(?:^|\.)(?:edu(?:\.[a-z]{2})?|ac\.[a-z]{2}|sch\.[a-z]{2}|k12\.[a-z]{2}\.us)$")
_UNIVERSITY = re.compile(r"^(?:uni|univ)-|-(?:uni|univ)$|universit")
_ROLES = frozenset(read_lines("role_mail.txt"))
_TWO_NAMES = re.compile(r"[^\W\d_]{2,}[._-][^\W\d_]{2,}\d*")
_SWITCH = re.compile(r"(?<=\d)(?=[^\W\d_])|(?<=[^\W\d_])(?=\d)")
_LATIN_RUN = re.compile(r"[a-z]+")
# Letters, digits and dots on both sides: what is before the @ then stands as it is, and the domain alone decides.
_PLAIN = re.compile(r"([A-Za-z0-9_+-]{1,64}(?:\.[A-Za-z0-9_+-]{1,64}){0,31})@([A-Za-z0-9.-]{1,253})")
_LONGEST_LOCAL, _LONGEST_MAIL = 64, 254


class MailFacts(NamedTuple):
    """Profile facts of one address, in the profile's order; the one that needs the full name is elsewhere."""

    mail_valid: float
    mail_free: float
    mail_disposable: float
    mail_relay: float
    mail_education: float
    mail_suffix_class: float
    mail_suffix_shared: float
    mail_domain_depth: float
    mail_domain_length: float
    mail_domain_digits: float
    mail_domain_vowels: float
    mail_domain_idn: float
    mail_plus_tag: float
    mail_dots: float
    mail_length: float
    mail_digits: float
    mail_last_digits: float
    mail_entropy: float
    mail_vowels: float
    mail_consonants: float
    mail_switches: float
    mail_two_names: float
    mail_role: float
    mail_homoglyphs: float


NO_MAIL = MailFacts._make(24 * [np.nan])
_NOT_MAIL = NO_MAIL._replace(mail_valid=0.0)


class MailReader:
    """Reads addresses against the public suffix list and the lists of mail domains. Safe to share between threads."""

    def __init__(self) -> None:
        with open(PSLFILE, encoding="utf-8") as file:  # noqa: PTH123 - the package names its file as text
            delegated, marker, private = file.read().partition(_PRIVATE_PART)
        self._delegated = PublicSuffixList(delegated, accept_unknown=False)
        self._private = PublicSuffixList(marker + private, accept_unknown=False)
        names = read_lines("free_mail.txt")
        self._free = frozenset(name for name in names if "." in name)
        self._free_anywhere = frozenset(name for name in names if "." not in name)
        self._relay = frozenset(read_lines("relay_mail.txt"))
        self.domain_facts = lru_cache(maxsize=50_000)(self._domain_facts)

    def read(self, text: str) -> tuple[MailFacts, ParsedMail | None]:
        """Facts of an address and, where it has both sides of an @, its parsed form.

        An address that cannot work still links: campaigns reuse their typing errors, too.
        """
        text = text.strip()
        shown, domain, valid = _sides(text)
        if not shown or not domain:
            return _NOT_MAIL, None
        local, plus, _ = shown.partition("+")
        local = local or shown
        flat = letters.plain(local)
        digits = sum(map(str.isdigit, local))
        of_local = (
            float(bool(plus)),
            float(local.count(".")),
            float(len(local)),
            digits / len(local),
            float(len(local) - len(local.rstrip("0123456789"))),
            letters.entropy(local),
            letters.vowel_share(flat),
            float(letters.longest_consonants(flat)),
            float(len(_SWITCH.findall(local))),
            float(_TWO_NAMES.fullmatch(local) is not None),
            float(flat in _ROLES),
            float(letters.homoglyphs(local) + letters.homoglyphs(_unicode(domain))),
        )
        facts = MailFacts._make((float(valid), *self.domain_facts(domain), *of_local))
        return facts, ParsedMail(shown, domain)

    def _domain_facts(self, domain: str) -> tuple[float, ...]:
        """The eleven facts of a domain, from ``mail_free`` to ``mail_domain_idn``."""
        suffix = self._delegated.publicsuffix(domain)
        below_private = self._private.publicsuffix(domain)
        ending = below_private or suffix or domain.rpartition(".")[2]
        stem = domain.removesuffix(ending).rstrip(".")
        name = stem.rpartition(".")[2] or domain
        depth = len(stem.split(".")) if stem else 0
        top = domain.rpartition(".")[2]
        kind = 3 if suffix is None else 0 if top in _CLASSIC else 1 if len(top) == 2 else 2
        relay = self._listed(domain, self._relay)
        free = domain in self._free or (depth == 1 and name in self._free_anywhere)
        shown = _unicode(name)
        return (
            float(free),
            float(not relay and not free and self._listed(domain, blocklist)),
            float(relay),
            float(bool(_ACADEMIC.search(domain) or _UNIVERSITY.search(name))),
            float(kind),
            float(below_private is not None),
            float(depth),
            float(len(shown)),
            sum(map(str.isdigit, shown)) / len(shown),
            letters.vowel_share(letters.plain(shown)),
            float("xn--" in domain),
        )

    @staticmethod
    def _listed(domain: str, names: frozenset[str] | set[str]) -> bool:
        """Whether the domain or one that it lies below is in ``names``."""
        while "." in domain:
            if domain in names:
                return True
            domain = domain.partition(".")[2]
        return False


def name_overlap(local: str, words: Sequence[str]) -> float:
    """Share of the letters before the @ that the words of a full name explain; NaN without letters on either side.

    Whole words first, the longest first; then beginnings of three letters and more, then initials. ``words`` are as in
    ``ParsedName.folded``. ``jsmith`` is all John Smith, ``johnny`` two thirds of him.
    """
    pieces = _LATIN_RUN.findall(letters.plain(local.partition("+")[0]))
    total = sum(map(len, pieces))
    known = sorted({word for word in words if word.isascii() and word.isalpha()}, key=lambda word: (-len(word), word))
    if not total or not known:
        return np.nan
    left = " ".join(pieces)
    for word in known:
        if len(word) >= 2:
            left = left.replace(word, " ")
    unexplained = 0
    for piece in left.split():
        start = max(_common_start(piece, word) for word in known)
        if start >= 3:
            unexplained += len(piece) - start
        elif any(piece == word[0] for word in known) or piece == "".join(word[0] for word in words if word.isascii()):
            continue
        else:
            unexplained += len(piece)
    return 1.0 - unexplained / total


def _common_start(left: str, right: str) -> int:
    length = 0
    for a, b in zip(left, right, strict=False):
        if a != b:
            break
        length += 1
    return length


def _sides(text: str) -> tuple[str, str, bool]:
    """Both sides of the @ in lower case, the domain as ASCII, and whether mail could be sent there."""
    plain = _PLAIN.fullmatch(text)
    if plain is not None and len(text) <= _LONGEST_MAIL and len(plain[1]) <= _LONGEST_LOCAL:
        domain = _plain_domain(plain[2])
        if domain is not None:
            return plain[1].lower(), domain, True
    return _checked_sides(text)


@lru_cache(maxsize=50_000)
def _plain_domain(domain: str) -> str | None:
    """An ASCII domain in lower case; None where the library refuses it, or its length depends on how it is written.

    Many accounts share a domain and hardly two a mailbox, so it is the domain alone that is remembered.
    """
    if "xn--" in domain.lower():
        return None
    local, found, valid = _checked_sides(f"a@{domain}")
    return found if valid and local == "a" else None


def _checked_sides(text: str) -> tuple[str, str, bool]:
    """The same by the library alone."""
    try:
        checked = validate_email(text, check_deliverability=False)
    except EmailNotValidError:
        local, _, domain = text.lower().rpartition("@")
        return local, domain.strip("."), False
    return checked.local_part.lower(), (checked.ascii_domain or checked.domain).lower(), True


def _unicode(domain: str) -> str:
    """``domain`` as people see it; as it is where its ``xn--`` form is broken."""
    if "xn--" not in domain:
        return domain
    try:
        return domain.encode().decode("idna")
    except UnicodeError:
        return domain
