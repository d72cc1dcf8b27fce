"""Keys of an e-mail address."""

from __future__ import annotations

import re

from service.domain.parsed import ParsedMail

_RUNS = re.compile(r"\d|[^\W\d_]+|.")
_ASCII_LETTERS = re.compile(r"[A-Za-z]+")
_ASCII_DIGITS = str.maketrans("123456789", "000000000", "\n")

# Domains whose mailboxes are one and the same, each with the name that stands for all of them.
_SAME_MAILBOX = {
    "googlemail.com": "gmail.com",
    "me.com": "icloud.com",
    "mac.com": "icloud.com",
    "pm.me": "proton.me",
    "protonmail.com": "proton.me",
    "protonmail.ch": "proton.me",
    "ya.ru": "yandex.ru",
    "yandex.com": "yandex.ru",
    "yandex.by": "yandex.ru",
    "yandex.kz": "yandex.ru",
}

# What a provider ignores before the @, so that one mailbox has thousands of spellings.
_IGNORED = {"gmail.com": ".", "proton.me": ".-_"}

_DASH_TAGS = frozenset({"yahoo.com", "ymail.com", "rocketmail.com"})


def mailbox(mail: ParsedMail) -> str | None:
    """The mailbox itself: without the tag, without dots where the provider ignores them, aliases of a domain as one.

    Honest sharing: almost none; somebody who signs up twice, a couple with one mailbox, a team behind ``info@``.
    """
    domain = _SAME_MAILBOX.get(mail.domain, mail.domain)
    local = mail.local.partition("-" if domain in _DASH_TAGS else "+")[0] or mail.local
    for character in _IGNORED.get(domain, ""):
        local = local.replace(character, "")
    return f"{local}@{domain}"


def mail_domain(mail: ParsedMail) -> str | None:
    """The domain after the @, of free providers, too.

    Honest sharing: everyone at a free provider, a university or a company. A catch-all domain of a campaign is the
    other case: young, small, and all of its accounts alike.
    """
    return _SAME_MAILBOX.get(mail.domain, mail.domain)


def mail_shape(mail: ParsedMail) -> str | None:
    """How the part before the @ is built, and the domain: ``john.smith84@d`` has the shape ``a.a00@d``.

    Generated names keep their pattern when every name differs. Honest sharing: common shapes at large providers, and
    companies that give all of their staff ``name.surname``.
    """
    local = mail.local.partition("+")[0] or mail.local
    return f"{shape_of(local)}@{_SAME_MAILBOX.get(mail.domain, mail.domain)}"


def shape_of(local: str) -> str:
    """Each run of letters as ``a``, each digit as ``0``, and the rest as it is, but for line feeds."""
    if local.isascii():  # nearly all are, and take a third of the time so
        return _ASCII_LETTERS.sub("a", local).translate(_ASCII_DIGITS)
    return shape_by_runs(local)


def shape_by_runs(local: str) -> str:
    """The same of any text; what counts as a letter or a digit is Unicode's."""
    return "".join("0" if run.isdigit() else "a" if run.isalpha() else run for run in _RUNS.findall(local))


KEYS = (mailbox, mail_domain, mail_shape)
