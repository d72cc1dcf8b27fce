"""Names and mail addresses: the commonest given and family names anywhere, and domains built from syllables."""

from __future__ import annotations

import numpy as np

from training.simulate.rng import Ints, pick


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


GIVEN = _words(
    """
    maria anna james john wei li ana jose mohamed ahmed fatima priya rahul amit sofia lucas emma noah olivia liam
    mia elena ivan olga yuki kenji min jun seo thi van nguyen siti budi ade chidi amina grace peter paul laura
    julia max leon hugo louis chloe marta pablo luis carlos juan sara david daniel thomas martin eva ines rosa
    nina tom ben sam alex chris kim lee robin andrea dana omar ali hassan zeynep emre mehmet ayse oleh iryna
    """
)
FAMILY = _words(
    """
    smith johnson brown garcia martinez lopez silva santos oliveira pereira mueller schmidt weber fischer martin
    bernard dubois rossi russo ferrari novak kowalski nowak ivanov petrov shevchenko wang zhang chen liu yang
    huang tan lim lee kim park choi sato suzuki tanaka nguyen tran pham le kumar sharma singh patel gupta khan
    ahmed hussain rahman islam ali hassan ibrahim mohamed okafor adeyemi mwangi otieno dlamini cohen levy yilmaz
    kaya demir jansen devries visser johansson andersson wilson taylor clark hall young king wright hill green
    adams
    """
)
SYLLABLES = _words(
    """
    ba be bi bo da de do fa fi ga go ha he ka ke ki ko la le li lo lu ma me mi mo na ne ni no nu pa pe pi po ra re
    ri ro sa se si so su ta te ti to va ve vi vo wa za ze zo
    """
)
WORDS = _words(
    """
    labs soft data cloud works studio digital systems group tech dev media net hub code apps solutions consulting
    ai robotics research design logistics health
    """
)
ENDINGS = ("com", "io", "dev", "net", "org", "co", "app", "ai", "xyz", "tech", "online", "me", "info", "site", "cloud")
ENDING_WEIGHTS = np.array([44, 9, 6, 8, 6, 4, 3, 5, 3, 3, 2, 2, 2, 1.5, 1.5])
FREE = {
    "": ("gmail.com", "gmail.com", "gmail.com", "outlook.com", "hotmail.com", "yahoo.com", "icloud.com", "proton.me"),
    "DE": ("gmail.com", "gmx.de", "web.de", "outlook.de", "t-online.de"),
    "FR": ("gmail.com", "orange.fr", "free.fr", "laposte.net"),
    "IT": ("gmail.com", "libero.it", "hotmail.it"),
    "PL": ("gmail.com", "wp.pl", "onet.pl", "o2.pl"),
    "KR": ("gmail.com", "naver.com", "daum.net"),
    "JP": ("gmail.com", "yahoo.co.jp"),
    "TW": ("gmail.com", "yahoo.com.tw"),
    "HK": ("gmail.com", "qq.com", "163.com", "foxmail.com"),
    "SG": ("gmail.com", "outlook.com", "qq.com"),
    "UA": ("gmail.com", "ukr.net", "i.ua"),
    "BR": ("gmail.com", "uol.com.br", "hotmail.com"),
    "GB": ("gmail.com", "outlook.com", "yahoo.co.uk", "btinternet.com"),
    "IN": ("gmail.com", "gmail.com", "rediffmail.com"),
    "US": ("gmail.com", "gmail.com", "gmail.com", "outlook.com", "yahoo.com", "icloud.com", "aol.com", "proton.me"),
}
DISPOSABLE = (
    "mailinator.com",
    "guerrillamail.com",
    "yopmail.com",
    "10minutemail.com",
    "temp-mail.org",
    "sharklasers.com",
    "maildrop.cc",
    "trashmail.com",
)
SHAPES = (
    "first.last",
    "firstlast",
    "flast",
    "first_last",
    "first+2",
    "firstlast+2",
    "first.last+2",
    "firstlast+3",
    "flast+4",
    "nick+2",
    "nick+3",
    "nick",
    "last.first",
    "random",
    "first",
    "first.last+4",
    "nick+5",
    "first+6",
)
SHAPE_WEIGHTS = np.array([14, 10, 8, 4, 6, 8, 5, 6, 4, 7, 5, 6, 4, 3, 3, 4, 2, 3])


def invented_domains(rng: np.random.Generator, count: int) -> list[str]:
    """``count`` domain names that read like those of small companies and people's own sites."""
    endings = pick(rng, ENDING_WEIGHTS, count)
    word = rng.random(count) < 0.6
    found = []
    for i in range(count):
        stem = "".join(SYLLABLES[k] for k in rng.integers(0, len(SYLLABLES), int(rng.integers(2, 5))))
        found.append(f"{stem}{WORDS[int(rng.integers(0, len(WORDS)))] if word[i] else ''}.{ENDINGS[int(endings[i])]}")
    return found


def university_domain(rng: np.random.Generator, country: str) -> str:
    """An invented university's domain, with the academic ending of its country."""
    stem = "".join(SYLLABLES[k] for k in rng.integers(0, len(SYLLABLES), 3))
    endings = {
        "US": "edu",
        "GB": "ac.uk",
        "IN": "ac.in",
        "JP": "ac.jp",
        "KR": "ac.kr",
        "AU": "edu.au",
        "BR": "edu.br",
        "SG": "edu.sg",
        "HK": "edu.hk",
        "TW": "edu.tw",
        "PK": "edu.pk",
        "NG": "edu.ng",
        "ZA": "ac.za",
    }
    return f"{stem}.{endings[country]}" if country in endings else f"uni-{stem}.{country.lower()}"


def local_part(shape: str, given: str, family: str, u: float, nick: Ints) -> str:
    """The part before the @: the name in some shape, ``u`` (0 to 1) as its digits, ``nick`` as syllable numbers."""
    stem, _, digits = shape.partition("+")
    text = {
        "first.last": f"{given}.{family}",
        "firstlast": given + family,
        "flast": given[0] + family,
        "first_last": f"{given}_{family}",
        "first": given,
        "last.first": f"{family}.{given}",
        "nick": "".join(SYLLABLES[k] for k in nick[:4]),
        "random": f"{int(u * 36**8):x}",
    }[stem]
    if not digits:
        return text
    width = int(digits)
    return f"{text}{int(10 ** (width - 1) + u * 9 * 10 ** (width - 1))}"
