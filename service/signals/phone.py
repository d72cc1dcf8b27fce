"""Phone numbers by the world's numbering plans."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import phonenumbers
from phonenumbers import PhoneNumberType

from service.domain.parsed import ParsedPhone
from service.domain.profile import country_number
from service.signals import numbering

LONGEST = 200

_KIND = {
    PhoneNumberType.FIXED_LINE: 0,
    PhoneNumberType.MOBILE: 1,
    PhoneNumberType.FIXED_LINE_OR_MOBILE: 2,
    PhoneNumberType.VOIP: 3,
    PhoneNumberType.TOLL_FREE: 4,
    PhoneNumberType.PREMIUM_RATE: 4,
    PhoneNumberType.SHARED_COST: 4,
    PhoneNumberType.UAN: 4,
    PhoneNumberType.PERSONAL_NUMBER: 5,
}
_OTHER_KIND = 6


class PhoneFacts(NamedTuple):
    """Profile facts of one number, in the profile's order."""

    phone_given: float
    phone_valid: float
    phone_kind: float
    phone_country: float
    phone_country_agrees: float
    phone_variety: float


NO_PHONE = PhoneFacts(0.0, np.nan, np.nan, np.nan, np.nan, np.nan)
_NOT_A_NUMBER = PhoneFacts(1.0, 0.0, np.nan, np.nan, np.nan, np.nan)


def read_phone(text: str, country: str | None) -> tuple[PhoneFacts, ParsedPhone | None]:
    """Facts of a number, E.164 or national in ``country``; parsed where it has the form of a number at all.

    An impossible number still links: made-up numbers are made up in series.
    """
    plain = numbering.split(text)
    if plain is not None:
        code, national = plain
        e164 = text
    else:
        try:
            number = phonenumbers.parse(text, country)
        except phonenumbers.NumberParseException:
            return _NOT_A_NUMBER, None
        code, national = number.country_code or 0, phonenumbers.national_significant_number(number)
        e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    variety = float(len(set(national.lstrip("0") or "0")))
    region, kind = numbering.placed(code, national)
    if kind == PhoneNumberType.UNKNOWN:
        return PhoneFacts(1.0, 0.0, np.nan, np.nan, np.nan, variety), ParsedPhone(e164)
    real = len(region) == 2 and region.isalpha()  # 001 is a number of no country
    facts = PhoneFacts(
        1.0,
        1.0,
        float(_KIND.get(kind, _OTHER_KIND)),
        float(country_number(region)) if real else np.nan,
        float(region == country) if country and real else np.nan,
        variety,
    )
    return facts, ParsedPhone(e164)
