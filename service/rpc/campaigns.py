"""CampaignService: part of the contract, and not served by this version."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
from gatehouse.risk.v1 import campaigns_pb2 as pb
from gatehouse.risk.v1 import campaigns_pb2_grpc

from service.domain.errors import NotAvailableYet

_MISSING = "campaigns are not detected by this version yet, so there are none to {deed}; score accounts by their links"


class CampaignServicer(campaigns_pb2_grpc.CampaignServiceServicer):
    """Says what is missing."""

    def ListCampaigns(
        self, request: pb.ListCampaignsRequest, context: grpc.ServicerContext
    ) -> pb.ListCampaignsResponse:
        """Not available yet."""
        raise NotAvailableYet(_MISSING.format(deed="list"))

    def GetCampaign(self, request: pb.GetCampaignRequest, context: grpc.ServicerContext) -> pb.GetCampaignResponse:
        """Not available yet."""
        raise NotAvailableYet(_MISSING.format(deed="show"))

    def ListCampaignMembers(
        self, request: pb.ListCampaignMembersRequest, context: grpc.ServicerContext
    ) -> pb.ListCampaignMembersResponse:
        """Not available yet."""
        raise NotAvailableYet(_MISSING.format(deed="list the members of"))

    def ReviewCampaign(
        self, request: pb.ReviewCampaignRequest, context: grpc.ServicerContext
    ) -> pb.ReviewCampaignResponse:
        """Not available yet."""
        raise NotAvailableYet(_MISSING.format(deed="review"))

    def ExportIndicators(
        self, request: pb.ExportIndicatorsRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.ExportIndicatorsResponse]:
        """Not available yet."""
        raise NotAvailableYet(_MISSING.format(deed="export"))
