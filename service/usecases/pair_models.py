"""Pair models that training kept, as directories beside the account models; the newest that was known by then is used.

A model is refused, with a line in the log, where its files were altered or what it learned from was made otherwise than
this version makes it. Detection then ties pairs by the sum of their surprise, as it does where there is none.
"""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path

import lightgbm
import structlog

from service.domain.errors import ArtefactProblem
from service.domain.time import micros
from service.linking.find import TIED
from service.linking.pair_model import COLUMNS, PairModel, fingerprint
from service.model.artefact import Artefact, read_artefact

log = structlog.get_logger(__name__)

FOLDER = "linking"  # below the folder of models


class PairModels:
    """What is in one directory, read anew each time that a model is asked for."""

    def __init__(self, models: Path) -> None:
        self.directory = models / FOLDER

    def __call__(self, as_of: int) -> PairModel | None:
        """The newest model that learned from nothing after ``as_of``; None: there is none that can be used."""
        found = sorted(self.directory.glob("p-*")) if self.directory.is_dir() else []
        for path in reversed(found):
            try:
                artefact = read_artefact(path)
                if learned_at(artefact) <= as_of:
                    model = pair_model(artefact)
                    log.info("pair_model_used", model=path.name)
                    return model
            except ArtefactProblem as problem:
                log.warning("pair_model_ignored", model=path.name, why=str(problem))
        return None


def learned_at(artefact: Artefact) -> int:
    """The moment whose facts and labels it learned from; raises ArtefactProblem where its manifest does not say."""
    said = artefact.manifest.training.get("as_of")
    try:
        return micros(datetime.fromisoformat(str(said)))
    except ValueError:
        raise ArtefactProblem(f"{artefact.manifest.version} does not say what moment it learned from") from None


def pair_model(artefact: Artefact) -> PairModel:
    """Ready to use; raises ArtefactProblem where it cannot be."""
    manifest = artefact.manifest
    if manifest.feature_fingerprint != fingerprint():
        raise ArtefactProblem(
            f"{manifest.version} was made for families of keys with fingerprint {manifest.feature_fingerprint}, and "
            f"this version has {fingerprint()}; train again with this version"
        )
    tied_at = manifest.calibration.get("tied_at")
    if not isinstance(tied_at, float) or manifest.calibration.get("threshold") != TIED:
        raise ArtefactProblem(
            f"{manifest.version} does not say from where on a pair is tied at {TIED} nats; train again"
        )
    # by default LightGBM prints to standard output, which belongs to the commands' answers
    lightgbm.register_logger(logging.getLogger("lightgbm"))
    try:
        booster = lightgbm.Booster(model_str=artefact.booster)
    except lightgbm.basic.LightGBMError as error:
        raise ArtefactProblem(f"LightGBM cannot read the booster of {manifest.version}: {error}") from None
    if booster.num_feature() != len(COLUMNS):
        raise ArtefactProblem(
            f"the booster of {manifest.version} takes {booster.num_feature()} columns, not {len(COLUMNS)}"
        )
    return PairModel(booster, tied_at, manifest.version)
