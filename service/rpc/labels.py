"""LabelService."""

from __future__ import annotations

import grpc
from gatehouse.risk.v1 import labels_pb2 as pb
from gatehouse.risk.v1 import labels_pb2_grpc

from service.rpc.calls import Caller, page_size
from service.rpc.convert.labels import label_from_wire, label_to_wire
from service.rpc.convert.words import micros_from_wire
from service.rpc.ports import UseCases


class LabelServicer(labels_pb2_grpc.LabelServiceServicer):
    """Analysts' verdicts."""

    def __init__(self, use_cases: UseCases, caller: Caller) -> None:
        self._use_cases = use_cases
        self._caller = caller

    def RecordLabels(self, request: pb.RecordLabelsRequest, context: grpc.ServicerContext) -> pb.RecordLabelsResponse:
        """All of them or none."""
        labels = [label_from_wire(label, f"labels[{place}]") for place, label in enumerate(request.labels)]
        done = self._use_cases.record_labels(labels, now=self._caller.now())
        return pb.RecordLabelsResponse(
            recorded=done.recorded, duplicates=done.duplicates, created_campaign_ids=done.created_campaigns
        )

    def RetractLabel(self, request: pb.RetractLabelRequest, context: grpc.ServicerContext) -> pb.RetractLabelResponse:
        """Takes a verdict back."""
        decided_at = micros_from_wire(request.decided_at, "decided_at")
        label = self._use_cases.retract_label(
            request.account_id, request.analyst, decided_at, reason=request.reason, now=self._caller.now()
        )
        return pb.RetractLabelResponse(label=label_to_wire(label))

    def ListLabels(self, request: pb.ListLabelsRequest, context: grpc.ServicerContext) -> pb.ListLabelsResponse:
        """Labels by account, analyst and campaign."""
        page = self._use_cases.list_labels(
            account_id=request.account_id or None,
            analyst=request.analyst or None,
            campaign_id=request.campaign_id or None,
            page_size=page_size(request.page_size),
            page_token=request.page_token,
        )
        return pb.ListLabelsResponse(
            labels=[label_to_wire(label) for label in page.items], next_page_token=page.next_page_token
        )
