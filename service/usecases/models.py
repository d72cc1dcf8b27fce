"""The registry of models: list, show, promote, roll back. A model that cannot be loaded never becomes champion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from service.domain.enums import ModelState
from service.domain.errors import ArtefactProblem, NoEarlierModel
from service.domain.records import ModelRecord
from service.domain.requests import Page
from service.storage.pages import page_of, position
from service.usecases.champion import Serving

Resolve = Callable[[ModelRecord], Path]  # where a registered model's files are on this machine


class Registry(Protocol):
    """What is needed of the store."""

    def models(self) -> list[ModelRecord]: ...

    def model(self, version: str) -> ModelRecord: ...

    def champion(self) -> ModelRecord | None: ...

    def promote(self, version: str, at: int, why: str) -> ModelRecord: ...

    def roll_back(self, at: int, why: str) -> ModelRecord: ...

    def start_shadow(self, version: str, at: int, why: str) -> ModelRecord: ...


@dataclass(frozen=True, slots=True)
class ListModels:
    """The deed, wired to its rooms."""

    registry: Registry

    def __call__(self, *, states: frozenset[ModelState], page_size: int, page_token: str) -> Page[ModelRecord]:
        """Models in one of these states (none given: all), the newest first; raises InvalidPageToken."""
        scope = "models " + " ".join(sorted(states))
        after = position(page_token, scope, (int, str))
        found = sorted(self.registry.models(), key=_place, reverse=True)
        shown = [
            model
            for model in found
            if (not states or model.state in states) and (after is None or _place(model) < tuple(after))
        ]
        return page_of(shown[: page_size + 1], page_size, scope, _place)


@dataclass(frozen=True, slots=True)
class GetModel:
    """The deed, wired to its rooms."""

    registry: Registry

    def __call__(self, version: str) -> ModelRecord:
        """One model; raises UnknownModel."""
        return self.registry.model(version)


@dataclass(frozen=True, slots=True)
class PromoteModel:
    """The deed, wired to its rooms."""

    registry: Registry
    resolve: Resolve

    def __call__(self, version: str, *, why: str, now: int) -> ModelRecord:
        """Makes a model the champion once it has been loaded here; raises UnknownModel, ArtefactProblem."""
        _check(self.registry.model(version), self.resolve)
        return self.registry.promote(version, now, why or "promoted by hand")


@dataclass(frozen=True, slots=True)
class RollBackModel:
    """The deed, wired to its rooms."""

    registry: Registry
    resolve: Resolve

    def __call__(self, *, why: str, now: int) -> ModelRecord:
        """Makes the champion before the present one champion again.

        Raises NoEarlierModel if there was none, and ArtefactProblem, with the present one still in charge, if its files
        cannot be used any more.
        """
        before = self.registry.champion()
        if before is None:
            raise NoEarlierModel("there is no champion to roll back from; `gatehouse models list` shows what there is")
        record = self.registry.roll_back(now, why or "rolled back by hand")
        try:
            _check(record, self.resolve)
        except ArtefactProblem:
            self.registry.promote(before.version, now, f"{record.version} could not be rolled back to: its files fail")
            raise
        return record


@dataclass(frozen=True, slots=True)
class ShadowModel:
    """The deed, wired to its rooms."""

    registry: Registry
    resolve: Resolve

    def __call__(self, version: str, *, why: str, now: int) -> ModelRecord:
        """Lets a model score beside the champion, once it has been loaded here.

        Raises UnknownModel, ArtefactProblem, and UsageError where it is the champion.
        """
        _check(self.registry.model(version), self.resolve)
        return self.registry.start_shadow(version, now, why or "to be compared with the champion")


def _check(record: ModelRecord, resolve: Resolve) -> None:
    Serving.load(resolve(record), manifest_sha256=record.manifest_sha256)


def _place(model: ModelRecord) -> tuple[int, str]:
    return model.created_at, model.version
