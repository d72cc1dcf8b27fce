"""The model that decides, held ready; switched between two calls without either noticing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Protocol

import numpy as np
import structlog

from service.domain.errors import ArtefactProblem, GatehouseError, NotReady
from service.domain.facts import Float32s, Float64s
from service.domain.records import ModelRecord, Reason, ShadowRecord
from service.engine.embedded import columns
from service.features.catalogue import by_name, fingerprint, for_rules, link_kinds_of, matrix, signal_names_of
from service.features.columns import Columns, Int64s
from service.features.feature import Feature
from service.features.linkage import KINDS
from service.model.scorer import Scorer
from service.policy.exploration import OFF, Exploration
from service.policy.policy import Decided, Policy, decide
from service.policy.reasons import Reasons
from service.policy.rules import CAMPAIGN_RULES
from service.tiles.history import History

log = structlog.get_logger(__name__)


class Registry(Protocol):
    """What is needed of the registry of models."""

    def champion(self) -> ModelRecord | None:
        """The model that decides; None: none was promoted yet."""
        ...

    def shadow(self) -> ShadowRecord | None:
        """The model that scores beside the champion, or did last; None: none ever did."""
        ...

    def model(self, version: str) -> ModelRecord:
        """One model; raises UnknownModel."""
        ...


@dataclass(frozen=True, slots=True)
class Serving:
    """A model with everything needed to answer with it."""

    version: str
    origin: str
    fingerprint: str
    scorer: Scorer
    features: tuple[Feature, ...]
    policy: Policy
    ruled: tuple[Feature, ...]  # what the policy's rules read and the model does not
    kinds: tuple[str, ...]
    signal_names: tuple[str, ...]
    told: Reasons  # of this model's features
    exploration: Exploration = OFF  # whom chance lets through all the same

    @classmethod
    def load(cls, directory: Path, *, manifest_sha256: str | None = None) -> Serving:
        """The model in ``directory``; raises ArtefactProblem if its files or features are not what they should be."""
        scorer = Scorer.load(directory, manifest_sha256=manifest_sha256)
        try:
            features = by_name(scorer.features)
        except KeyError as error:
            raise ArtefactProblem(f"model {scorer.version}: {error.args[0]}; train again with this version") from None
        scorer = Scorer.load(directory, fingerprint=fingerprint(features), manifest_sha256=manifest_sha256)
        manifest = scorer.manifest
        policy = Policy.from_json(manifest.policy).with_rules(CAMPAIGN_RULES)
        return cls(
            version=scorer.version,
            origin=manifest.origin,
            fingerprint=manifest.feature_fingerprint,
            scorer=scorer,
            features=features,
            policy=policy,
            ruled=for_rules([rule.feature for rule in policy.rules], scorer.features),
            kinds=(*KINDS, *link_kinds_of(scorer.features)),
            signal_names=signal_names_of(scorer.features),
            told=Reasons(features),
        )

    def columns(self, history: History, account: Int64s, as_of: Int64s) -> Columns:
        """The columns that this model's features need."""
        return columns(history, account, as_of, kinds=self.kinds, signal_names=self.signal_names)

    def matrix(self, of: Columns) -> Float32s:
        """The model's input, shape (n, features)."""
        return matrix(of, self.features)

    def decide(self, scores: Float64s, rows: Float32s, ruled: Float32s) -> Decided:
        """Decisions for the rows of ``matrix``, with what ``ruled_matrix`` says of the same accounts."""
        names = (*self.scorer.features, *(feature.name for feature in self.ruled))
        return decide(self.policy, scores, np.concatenate([rows, ruled], axis=1), names)

    def ruled_matrix(self, of: Columns) -> Float32s:
        """What rules read beside the model's input, shape (n, ruled); it is not stored, the rules that held are."""
        return matrix(of, self.ruled)

    def reasons(self, rows: Float32s, rules: Sequence[Sequence[str]]) -> list[tuple[Reason, ...]]:
        """Reasons of each row, shape (n, features), ranked, where the rules called ``rules[i]`` held.

        Exact contributions: about 10 ms a row for a large model.
        """
        of = {rule.code: rule for rule in self.policy.rules}
        held = [[rule for code, rule in of.items() if code in codes] if codes else [] for codes in rules]
        return self.told(rows, self.scorer.contributions(rows), held)

    def features_of(self, stored: Sequence[bytes]) -> Float32s:
        """The rows that assessments were made from, shape (n, features)."""
        return np.frombuffer(b"".join(stored), "<f4").reshape(len(stored), -1).astype(np.float32)


class Models:
    """The champion and, for explaining old assessments, the models before it."""

    KEPT = 4  # models held in memory besides the champion

    def __init__(
        self, registry: Registry, resolve: Callable[[ModelRecord], Path], exploration: Exploration = OFF
    ) -> None:
        self._registry = registry
        self._resolve = resolve
        self._exploration = exploration
        self._lock = Lock()
        self._current: Serving | None = None
        self._shadow: Serving | None = None
        self._loaded: dict[str, Serving] = {}
        self._refused: str | None = None
        self._shadow_refused: str | None = None

    def current(self) -> Serving:
        """The model that decides; raises NotReady if there is none."""
        serving = self._current
        if serving is None:
            raise NotReady("no model is loaded; train and promote one with `gatehouse train --promote always`")
        return serving

    def ready(self) -> bool:
        """Whether a model is loaded."""
        return self._current is not None

    def shadow(self) -> Serving | None:
        """The model that scores beside the champion; None: none does."""
        return self._shadow

    def refresh(self) -> bool:
        """Looks at the registry and switches if another model was promoted, or shadows; True: another decides.

        A champion that cannot be loaded leaves the present model in charge, and the log says why, once. A shadow that
        cannot be loaded scores nothing.
        """
        switched = self._follow_champion()
        self._follow_shadow()
        return switched

    def _follow_shadow(self) -> None:
        found = self._registry.shadow()
        record = found.model if found is not None and found.until is None else None
        if record is None:
            if self._shadow is not None:
                log.info("shadow_ended", model=self._shadow.version)
            self._shadow = self._shadow_refused = None
        elif record.version not in (self._shadow.version if self._shadow else None, self._shadow_refused):
            self._shadow = None
            try:
                self._shadow = self._serving(record)
            except ArtefactProblem as error:
                self._shadow_refused = record.version
                log.error("shadow_refused", model=record.version, why=str(error))  # noqa: TRY400  said whole
            else:
                self._shadow_refused = None
                log.info("shadow_began", model=record.version)

    def _follow_champion(self) -> bool:
        record = self._registry.champion()
        if record is None or (self._current is not None and self._current.version == record.version):
            return False
        if self._refused == record.version:
            return False
        try:
            serving = self._serving(record)
        except ArtefactProblem as error:
            self._refused = record.version
            log.error("model_refused", model=record.version, why=str(error))  # noqa: TRY400  said whole
            if self._current is None:
                raise
            return False
        before = self._current.version if self._current else None
        self._current, self._refused = serving, None
        log.info("model_switched", model=serving.version, before=before, origin=serving.origin)
        return True

    def of_version(self, version: str) -> Serving:
        """The model that made an old assessment; raises UnknownModel or ArtefactProblem if it is gone."""
        if self._current is not None and self._current.version == version:
            return self._current
        return self._serving(self._registry.model(version))

    def _serving(self, record: ModelRecord) -> Serving:
        with self._lock:
            held = self._loaded.get(record.version)
            if held is None:
                loaded = Serving.load(self._resolve(record), manifest_sha256=record.manifest_sha256)
                held = replace(loaded, exploration=self._exploration)
                while len(self._loaded) >= self.KEPT:
                    self._loaded.pop(next(iter(self._loaded)))
                self._loaded[record.version] = held
            return held


def check_model(directory: Path) -> str | None:
    """What is wrong with the model in ``directory``; None: nothing."""
    try:
        Serving.load(directory)
    except GatehouseError as error:
        return str(error)
    return None
