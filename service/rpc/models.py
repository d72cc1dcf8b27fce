"""ModelService."""

from __future__ import annotations

import grpc
from gatehouse.risk.v1 import models_pb2 as pb
from gatehouse.risk.v1 import models_pb2_grpc

from service.rpc.calls import Caller, page_size
from service.rpc.convert.models import model_to_wire
from service.rpc.convert.words import MODEL_STATE_OF
from service.rpc.ports import UseCases


class ModelServicer(models_pb2_grpc.ModelServiceServicer):
    """The registry of models."""

    def __init__(self, use_cases: UseCases, caller: Caller) -> None:
        self._use_cases = use_cases
        self._caller = caller

    def ListModels(self, request: pb.ListModelsRequest, context: grpc.ServicerContext) -> pb.ListModelsResponse:
        """Models by state."""
        states = frozenset(MODEL_STATE_OF[state] for state in request.states)
        page = self._use_cases.list_models(
            states=states, page_size=page_size(request.page_size), page_token=request.page_token
        )
        return pb.ListModelsResponse(
            models=[model_to_wire(model) for model in page.items], next_page_token=page.next_page_token
        )

    def GetModel(self, request: pb.GetModelRequest, context: grpc.ServicerContext) -> pb.GetModelResponse:
        """One model."""
        return pb.GetModelResponse(model=model_to_wire(self._use_cases.get_model(request.model_version)))

    def PromoteModel(self, request: pb.PromoteModelRequest, context: grpc.ServicerContext) -> pb.PromoteModelResponse:
        """A new champion."""
        model = self._use_cases.promote_model(request.model_version, why=request.reason, now=self._caller.now())
        return pb.PromoteModelResponse(model=model_to_wire(model))

    def RollBackModel(
        self, request: pb.RollBackModelRequest, context: grpc.ServicerContext
    ) -> pb.RollBackModelResponse:
        """The champion before."""
        return pb.RollBackModelResponse(
            model=model_to_wire(self._use_cases.roll_back_model(why=request.reason, now=self._caller.now()))
        )
