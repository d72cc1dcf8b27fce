"""CampaignService."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
from gatehouse.risk.v1 import campaigns_pb2 as pb
from gatehouse.risk.v1 import campaigns_pb2_grpc

from service.rpc.calls import Caller, page_size
from service.rpc.convert.campaigns import (
    campaign_file_to_wire,
    campaign_to_wire,
    member_to_wire,
    receipt_to_wire,
    review_asked_from_wire,
)
from service.rpc.convert.words import CAMPAIGN_STATE_OF
from service.rpc.ports import UseCases

PIECE_BYTES = 64 * 1024  # of an export: far below what any client takes in one message


class CampaignServicer(campaigns_pb2_grpc.CampaignServiceServicer):
    """Groups of accounts that are one, and analysts' verdicts on them."""

    def __init__(self, use_cases: UseCases, caller: Caller) -> None:
        self._use_cases = use_cases
        self._caller = caller

    def ListCampaigns(
        self, request: pb.ListCampaignsRequest, context: grpc.ServicerContext
    ) -> pb.ListCampaignsResponse:
        """Campaigns by state and size."""
        page = self._use_cases.list_campaigns(
            states=frozenset(CAMPAIGN_STATE_OF[state] for state in request.states),
            min_members=request.min_members,
            page_size=page_size(request.page_size),
            page_token=request.page_token,
        )
        return pb.ListCampaignsResponse(
            campaigns=[campaign_to_wire(record) for record in page.items], next_page_token=page.next_page_token
        )

    def GetCampaign(self, request: pb.GetCampaignRequest, context: grpc.ServicerContext) -> pb.GetCampaignResponse:
        """One campaign with its evidence and reviews."""
        return campaign_file_to_wire(self._use_cases.get_campaign(request.campaign_id))

    def ListCampaignMembers(
        self, request: pb.ListCampaignMembersRequest, context: grpc.ServicerContext
    ) -> pb.ListCampaignMembersResponse:
        """Who belongs to it."""
        page = self._use_cases.list_campaign_members(
            request.campaign_id, page_size=page_size(request.page_size), page_token=request.page_token
        )
        return pb.ListCampaignMembersResponse(
            members=[member_to_wire(member) for member in page.items], next_page_token=page.next_page_token
        )

    def ReviewCampaign(
        self, request: pb.ReviewCampaignRequest, context: grpc.ServicerContext
    ) -> pb.ReviewCampaignResponse:
        """An analyst's verdict."""
        asked = review_asked_from_wire(request)
        return receipt_to_wire(self._use_cases.review_campaign(asked, now=self._caller.now()))

    def ExportIndicators(
        self, request: pb.ExportIndicatorsRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.ExportIndicatorsResponse]:
        """A STIX bundle in pieces; the first one says what it is."""
        made = self._use_cases.export_indicators(request.campaign_id, now=self._caller.now())
        content_type = made.content_type
        for start in range(0, max(1, len(made.data)), PIECE_BYTES):
            yield pb.ExportIndicatorsResponse(content_type=content_type, data=made.data[start : start + PIECE_BYTES])
            content_type = ""
