"""The world's numbering plans with their patterns compiled once.

The plans are the library's (phonenumbers); what is here is how one number is held against one plan. Asked for a number
in E.164, its validity, its region and its kind, the library goes through the same dozen patterns up to four times and
takes 57 us; this takes 6. A test holds both against each other for every plan there is.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumberType
from phonenumbers.phonemetadata import PhoneNumberDesc

REGIONS_OF = phonenumbers.COUNTRY_CODE_TO_REGION_CODE  # by calling code; the main region first

_E164 = re.compile(r"\+([1-9][0-9]{6,14})")
_LONGEST_CODE = 3


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers of one kind in one plan."""

    pattern: re.Pattern[str]
    lengths: Collection[int]  # empty: whatever the pattern takes

    def hold(self, national: str) -> bool:
        """Whether a number is one of them."""
        if self.lengths and len(national) not in self.lengths:
            return False
        return self.pattern.fullmatch(national) is not None


@dataclass(frozen=True, slots=True)
class Plan:
    """One region's numbering plan."""

    region: str
    prefix: re.Pattern[str] | None  # what is dialled before a number at home; None: nothing
    leading: re.Pattern[str] | None  # how the region's numbers begin; None: that does not tell
    all: Numbers | None
    special: tuple[tuple[int, Numbers], ...]  # kinds that are neither fixed nor mobile, the first that holds counts
    any_special: re.Pattern[str]  # whatever one of those patterns takes: hardly a number, so they need not be tried
    fixed: Numbers | None
    mobile: Numbers | None
    alike: bool  # fixed and mobile numbers cannot be told apart

    def kind(self, national: str) -> int:
        """The ``PhoneNumberType`` of a number of the region; UNKNOWN where it cannot be one."""
        if self.all is None or not self.all.hold(national):
            return PhoneNumberType.UNKNOWN
        if self.any_special.fullmatch(national) is not None:
            for kind, numbers in self.special:
                if numbers.hold(national):
                    return kind
        mobile = self.mobile is not None and (not self.alike) and self.mobile.hold(national)
        if self.fixed is not None and self.fixed.hold(national):
            return PhoneNumberType.FIXED_LINE_OR_MOBILE if self.alike or mobile else PhoneNumberType.FIXED_LINE
        return PhoneNumberType.MOBILE if mobile else PhoneNumberType.UNKNOWN


def split(text: str) -> tuple[int, str] | None:
    """Calling code and national number of a plain number in E.164; None where the library has to look closer.

    It has to where somebody may have dialled a prefix of their country behind its calling code, as in +44 0 20 ...
    """
    found = _E164.fullmatch(text)
    if found is None:
        return None
    digits = found[1]
    for length in range(1, _LONGEST_CODE + 1):
        code = int(digits[:length])
        if code in REGIONS_OF:
            plan, national = plan_of(code, REGIONS_OF[code][0]), digits[length:]
            dialled = plan is None or (plan.prefix is not None and plan.prefix.match(national))
            return None if dialled else (code, national)
    return None


def placed(code: int, national: str) -> tuple[str, int]:
    """Region and ``PhoneNumberType`` of a number; of one that cannot exist no region, and UNKNOWN."""
    regions = REGIONS_OF.get(code, ())
    for region in regions:
        plan = plan_of(code, region)
        if plan is None:
            continue
        if len(regions) > 1 and plan.leading is not None:
            if plan.leading.match(national):
                kind = plan.kind(national)
                return (region if kind != PhoneNumberType.UNKNOWN else ""), kind
            continue
        kind = plan.kind(national)
        if kind != PhoneNumberType.UNKNOWN:
            return region, kind
    return "", PhoneNumberType.UNKNOWN


@lru_cache(maxsize=1024)
def plan_of(code: int, region: str) -> Plan | None:
    """The plan of a region, or of numbers of no country (region 001); None: the library has none."""
    about = PhoneMetadata.metadata_for_region_or_calling_code(code, region)
    if about is None:
        return None
    special = (
        (PhoneNumberType.PREMIUM_RATE, about.premium_rate),
        (PhoneNumberType.TOLL_FREE, about.toll_free),
        (PhoneNumberType.SHARED_COST, about.shared_cost),
        (PhoneNumberType.VOIP, about.voip),
        (PhoneNumberType.PERSONAL_NUMBER, about.personal_number),
        (PhoneNumberType.PAGER, about.pager),
        (PhoneNumberType.UAN, about.uan),
        (PhoneNumberType.VOICEMAIL, about.voicemail),
    )
    kinds = tuple((kind, numbers) for kind, said in special if (numbers := _numbers(said)) is not None)
    return Plan(
        region=region,
        prefix=re.compile(about.national_prefix_for_parsing) if about.national_prefix_for_parsing else None,
        leading=re.compile(about.leading_digits) if about.leading_digits is not None else None,
        all=_numbers(about.general_desc),
        special=kinds,
        any_special=re.compile("|".join(f"(?:{numbers.pattern.pattern})" for _, numbers in kinds) or "(?!)"),
        fixed=_numbers(about.fixed_line),
        mobile=_numbers(about.mobile),
        alike=bool(about.same_mobile_and_fixed_line_pattern),
    )


def _numbers(said: PhoneNumberDesc | None) -> Numbers | None:
    if said is None or not said.national_number_pattern:
        return None
    return Numbers(re.compile(said.national_number_pattern), frozenset(said.possible_length))
