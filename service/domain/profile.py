"""What is known of an account's identity the second it signs up, as one float32 vector.

NaN means unknown or not said, which is never zero. Categories are small integers that never change their meaning; a
new one is appended. No fact names an absolute moment: a model that can tell the week learns which campaign was running
in it, and fails in the next. So browsers are so many months behind, not of version 131.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SMALL_HASH = 64  # plan and signup_source are open sets; their hash is taken modulo this


@dataclass(frozen=True, slots=True)
class ProfileFact:
    """One element of the vector."""

    name: str
    meaning: str  # for analysts, in one line
    unit: str  # ``flag`` is 1 or 0; ``category`` is a small integer without order


def country_number(alpha2: str) -> int:
    """A country's small category: 1 for AA to 676 for ZZ; 0 is never a country. Expects two upper-case letters."""
    return (ord(alpha2[0]) - 65) * 26 + (ord(alpha2[1]) - 65) + 1


PROFILE: tuple[ProfileFact, ...] = (
    ProfileFact("mail_valid", "The e-mail address is one that mail can be sent to", "flag"),
    ProfileFact("mail_free", "The mail domain is a free provider's", "flag"),
    ProfileFact("mail_disposable", "The mail domain hands out throw-away addresses", "flag"),
    ProfileFact("mail_relay", "The mail domain forwards to an address that it hides", "flag"),
    ProfileFact("mail_education", "The mail domain is a school's or university's", "flag"),
    ProfileFact("mail_suffix_class", "0 com/net/org/edu/gov, 1 country, 2 newer generic, 3 not delegated", "category"),
    ProfileFact("mail_suffix_shared", "Anyone may get a name below the domain's suffix (dynamic DNS, hosters)", "flag"),
    ProfileFact("mail_domain_depth", "Labels of the mail domain left of its public suffix", "labels"),
    ProfileFact("mail_domain_length", "Length of the registrable part of the mail domain", "characters"),
    ProfileFact("mail_domain_digits", "Share of digits in the registrable part of the mail domain", "share"),
    ProfileFact("mail_domain_vowels", "Share of vowels among its letters a-z", "share"),
    ProfileFact("mail_domain_idn", "The mail domain has letters beyond a-z", "flag"),
    ProfileFact("mail_plus_tag", "The address carries a +tag", "flag"),
    ProfileFact("mail_dots", "Dots before the @", "dots"),
    ProfileFact("mail_length", "Length of the part before the @, without its tag", "characters"),
    ProfileFact("mail_digits", "Share of digits before the @", "share"),
    ProfileFact("mail_last_digits", "Digits at the end of the part before the @", "digits"),
    ProfileFact("mail_entropy", "Entropy of the characters before the @", "bits a character"),
    ProfileFact("mail_vowels", "Share of vowels among the letters a-z before the @", "share"),
    ProfileFact("mail_consonants", "Longest run of consonants before the @", "characters"),
    ProfileFact("mail_switches", "Changes between letters and digits before the @", "changes"),
    ProfileFact("mail_two_names", "Two words of letters, split by a dot, dash or underscore, before the @", "flag"),
    ProfileFact("mail_role", "The address is a role (info@, admin@), not a person", "flag"),
    ProfileFact("mail_homoglyphs", "Letters of the address that only look like Latin ones", "characters"),
    ProfileFact("mail_name_overlap", "Share of the letters before the @ that the full name explains", "share"),
    ProfileFact("name_words", "Words of the full name", "words"),
    ProfileFact("name_length", "Length of the full name", "characters"),
    ProfileFact("name_scripts", "Writing systems mixed in the full name", "scripts"),
    ProfileFact("name_homoglyphs", "Letters of the name that only look like Latin ones", "characters"),
    ProfileFact("name_case", "0 capitalised, 1 all lower case, 2 all capitals, 3 otherwise, 4 no case", "category"),
    ProfileFact("name_digits", "Digits in the full name", "digits"),
    ProfileFact("name_vowels", "Share of vowels among the letters a-z of the name, accents removed", "share"),
    ProfileFact("phone_given", "A phone number was given", "flag"),
    ProfileFact("phone_valid", "The phone number can exist by its country's numbering plan", "flag"),
    ProfileFact(
        "phone_kind", "0 fixed, 1 mobile, 2 fixed or mobile, 3 VoIP, 4 service, 5 personal, 6 other", "category"
    ),
    ProfileFact("phone_country", "Country of the phone number", "category"),
    ProfileFact("phone_country_agrees", "The phone number is of the account's country", "flag"),
    ProfileFact("phone_variety", "Distinct digits of the national number", "digits"),
    ProfileFact("ip_version", "Version of the Internet protocol, 4 or 6", "version"),
    ProfileFact("ip_kind", "0 unlisted, 1 data centre, 2 CDN, 3 VPN, 4 Tor, 5 crawler, 6 not public", "category"),
    ProfileFact(
        "ip_hosted", "The address is a data centre's, VPN's or Tor exit's, or its network hosts servers", "flag"
    ),
    ProfileFact("ip_anonymous", "The address is a VPN's or a Tor exit", "flag"),
    ProfileFact("ip_country", "Country of the address", "category"),
    ProfileFact("ip_country_agrees", "The address is in the account's country", "flag"),
    ProfileFact("ip_network_size", "Size of the network that announces the address", "log2 of IPv4 addresses"),
    ProfileFact("local_hour", "Hour of the day where the account's country is", "hours, 0 to 24"),
    ProfileFact("local_weekday", "Day of the week there, 0 Monday", "category"),
    ProfileFact("utc_offset_hours", "Standard time of the account's country against UTC", "hours"),
    ProfileFact("agent_given", "The client named its user agent", "flag"),
    ProfileFact("agent_automated", "The user agent is a script, a bot or a headless browser", "flag"),
    ProfileFact(
        "agent_family",
        "0 unknown, 1 Chrome, 2 Safari, 3 Firefox, 4 Edge, 5 Opera, 6 Samsung, 7 other browser, 8 script, 9 headless, "
        "10 bot",
        "category",
    ),
    ProfileFact(
        "agent_system", "0 unknown, 1 Windows, 2 macOS, 3 Linux, 4 Android, 5 iOS, 6 Chrome OS, 7 other", "category"
    ),
    ProfileFact("agent_mobile", "The user agent is a phone's or a tablet's", "flag"),
    ProfileFact("agent_months_behind", "Age of the browser's release at signup; 0 is the newest", "months"),
    ProfileFact("language_given", "The client named the languages it accepts", "flag"),
    ProfileFact("language_count", "Languages it accepts", "languages"),
    ProfileFact("language_agrees", "One of them is spoken in the account's country", "flag"),
    ProfileFact("device_given", "A device id was given", "flag"),
    ProfileFact("form_log_seconds", "Natural logarithm of 1 + seconds spent on the form", "log seconds"),
    ProfileFact("email_verified", "The e-mail address was verified by signup", "flag"),
    ProfileFact("phone_verified", "The phone number was verified by signup", "flag"),
    ProfileFact("fields_given", "Optional fields that the signup carried", "fields"),
    ProfileFact("country", "The account's country", "category"),
    ProfileFact("plan", "Small hash of the plan's name", "category"),
    ProfileFact("signup_source", "Small hash of where the signup came from", "category"),
    ProfileFact("ip_asn", "AS number of the network that announces the address", "category"),
)

PROFILE_INDEX: dict[str, int] = {fact.name: index for index, fact in enumerate(PROFILE)}

UNKNOWN_PROFILE = np.full(len(PROFILE), np.nan, np.float32)
UNKNOWN_PROFILE.setflags(write=False)
