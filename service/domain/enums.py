"""The words that have a fixed set of values; lower case in files, tables and on the command line."""

from __future__ import annotations

from enum import StrEnum


class Decision(StrEnum):
    """What the caller should do with the account, in rising order of severity."""

    ALLOW = "allow"
    CHALLENGE = "challenge"  # step-up verification
    THROTTLE = "throttle"  # let in at a lower rate limit
    REVIEW = "review"  # a person looks
    BLOCK = "block"


class Purpose(StrEnum):
    """Why an assessment is made."""

    SIGNUP = "signup"
    PERIODIC = "periodic"
    MANUAL = "manual"


class Verdict(StrEnum):
    """What an analyst decided about an account."""

    FRAUD = "fraud"
    LEGITIMATE = "legitimate"


class PaymentKind(StrEnum):
    """What happened to a payment method or a charge."""

    METHOD_ADDED = "method_added"
    CHARGE_SUCCEEDED = "charge_succeeded"
    CHARGE_DECLINED = "charge_declined"
    REFUND = "refund"
    CHARGEBACK = "chargeback"


class PaymentMethod(StrEnum):
    """How the customer pays."""

    CARD = "card"
    WALLET = "wallet"
    BANK = "bank"
    INVOICE = "invoice"
    PREPAID = "prepaid"


class CardFunding(StrEnum):
    """Where a card's money comes from, as the issuer or the payment provider says."""

    CREDIT = "credit"
    DEBIT = "debit"
    PREPAID = "prepaid"
    UNKNOWN = "unknown"


class UsageStatus(StrEnum):
    """How one exchange with the model ended."""

    OK = "ok"
    ERROR = "error"
    RATE_LIMITED = "rate_limited"


class ModelState(StrEnum):
    """Where a model stands in the registry; exactly one is champion once any is."""

    CHALLENGER = "challenger"  # registered, not deciding
    SHADOW = "shadow"  # scores beside the champion, and decides nothing; at most one
    CHAMPION = "champion"  # decides
    RETIRED = "retired"  # was champion once; roll back returns to the latest of these
