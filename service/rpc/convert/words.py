"""Words and moments: the domain's enums and times as protobuf has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import TypeVar

from gatehouse.risk.v1 import campaigns_pb2, facts_pb2, labels_pb2, models_pb2, scoring_pb2
from google.protobuf.timestamp_pb2 import Timestamp

from service.domain.campaigns import CampaignState, ReviewAction, ReviewState
from service.domain.enums import (
    CardFunding,
    Decision,
    ModelState,
    PaymentKind,
    PaymentMethod,
    Purpose,
    UsageStatus,
    Verdict,
)
from service.domain.errors import FieldViolation, InvalidInput

_Word = TypeVar("_Word", bound=StrEnum)
_Number = TypeVar("_Number", bound=int)

_NANOS = 1_000_000_000


def _numbers(words: type[_Word], value: Callable[[str], _Number], prefix: str) -> dict[_Word, _Number]:
    """Wire numbers of the domain's words; a word that the wire lacks is a defect that shows when this is imported."""
    return {word: value(f"{prefix}_{word.name}") for word in words}


def _words(numbers: Mapping[_Word, _Number]) -> dict[_Number, _Word]:
    return {number: word for word, number in numbers.items()}


DECISIONS = _numbers(Decision, scoring_pb2.Decision.Value, "DECISION")
PURPOSES = _numbers(Purpose, scoring_pb2.Purpose.Value, "PURPOSE")
VERDICTS = _numbers(Verdict, labels_pb2.Verdict.Value, "VERDICT")
MODEL_STATES = _numbers(ModelState, models_pb2.ModelState.Value, "MODEL_STATE")
CAMPAIGN_STATES = _numbers(CampaignState, campaigns_pb2.CampaignState.Value, "CAMPAIGN_STATE")
REVIEW_ACTIONS = _numbers(ReviewAction, campaigns_pb2.ReviewAction.Value, "REVIEW_ACTION")
REVIEW_STATES = _numbers(ReviewState, campaigns_pb2.ReviewState.Value, "REVIEW_STATE")

# The other way; UNSPECIFIED is in none of them: where it is allowed it means absent.
PURPOSE_OF = _words(PURPOSES)
VERDICT_OF = _words(VERDICTS)
MODEL_STATE_OF = _words(MODEL_STATES)
CAMPAIGN_STATE_OF = _words(CAMPAIGN_STATES)
REVIEW_ACTION_OF = _words(REVIEW_ACTIONS)
PAYMENT_KIND_OF = _words(_numbers(PaymentKind, facts_pb2.PaymentKind.Value, "PAYMENT_KIND"))
PAYMENT_METHOD_OF = _words(_numbers(PaymentMethod, facts_pb2.PaymentMethod.Value, "PAYMENT_METHOD"))
CARD_FUNDING_OF = _words(_numbers(CardFunding, facts_pb2.CardFunding.Value, "CARD_FUNDING"))
USAGE_STATUS_OF = _words(_numbers(UsageStatus, facts_pb2.UsageStatus.Value, "USAGE_STATUS"))


def micros_from_wire(moment: Timestamp, path: str) -> int:
    """UTC microseconds, finer digits dropped; raises InvalidInput naming ``path`` for nanoseconds beyond a second."""
    if not 0 <= moment.nanos < _NANOS:
        raise InvalidInput(FieldViolation(f"{path}.nanos", f"must be from 0 to {_NANOS - 1}"))
    return moment.seconds * 1_000_000 + moment.nanos // 1_000


def micros_to_wire(at: int) -> Timestamp:
    """The moment as protobuf has it."""
    return Timestamp(seconds=at // 1_000_000, nanos=at % 1_000_000 * 1_000)
