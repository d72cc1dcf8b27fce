"""The model as a function from a matrix to calibrated probabilities, safe to call from any number of threads.

LightGBM writes into a booster while it predicts (the iterations in use, a tree's depth for contributions), and a
predictor shared by threads gave wrong answers in 2 of 300 replies, and with contributions a corrupted heap (LightGBM's
issue 5482; releases differ). So a booster is lent to one call at a time: a call takes one from the shelf or loads
another from the text, and puts it back. There are never more boosters than calls at one moment, and no call for a score
waits for another. Contributions are a core's time each and are asked for by many callers at once, so no more of them
than there are cores are worked out at a moment.
"""

from __future__ import annotations

import logging
import os
import re
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any

import lightgbm
import numpy as np
from scipy.sparse import csr_matrix

from service.domain.errors import ArtefactProblem
from service.domain.facts import Float32s, Float64s
from service.model.artefact import Artefact, Manifest, check_fingerprint, read_artefact
from service.model.calibration import Calibration
from service.model.slices import Leaf, Slices

_ONE_THREAD: dict[str, Any] = {
    "num_threads": 1
}  # with the default a single row waited 8 ms for a busy core instead of 0.1 ms


_NUM_LEAVES = re.compile(r"^num_leaves=(\d+)$", re.MULTILINE)
MANY = 512  # rows from which on a large model's trees are gone through in slices; below it the calls cost more


class Scorer:
    """One model, ready to score."""

    def __init__(self, artefact: Artefact) -> None:
        """Raises ArtefactProblem if the booster or the calibration cannot be used."""
        self._artefact = artefact
        self._shelf: deque[lightgbm.Booster] = deque([_load(artefact)])
        self._cores = BoundedSemaphore(os.cpu_count() or 1)
        self._slices = _slices(artefact)
        self._leaves = max(1, sum(map(int, _NUM_LEAVES.findall(artefact.booster))))
        try:
            self._calibration = Calibration.from_json(artefact.manifest.calibration)
        except (ValueError, TypeError) as error:
            raise ArtefactProblem(f"model {artefact.manifest.version} has a broken calibration: {error}") from None

    @classmethod
    def load(cls, directory: Path, *, fingerprint: str | None = None, manifest_sha256: str | None = None) -> Scorer:
        """The model in ``directory``.

        ``fingerprint`` is the service's feature fingerprint (None: not compared), ``manifest_sha256`` the registry's
        (None: not registered). Raises ArtefactProblem where the files or the fingerprint do not fit.
        """
        artefact = read_artefact(directory, manifest_sha256=manifest_sha256)
        if fingerprint is not None:
            check_fingerprint(artefact.manifest, fingerprint)
        return cls(artefact)

    @property
    def manifest(self) -> Manifest:
        """What the model says of itself."""
        return self._artefact.manifest

    @property
    def booster_text(self) -> str:
        """The booster's file."""
        return self._artefact.booster

    @property
    def version(self) -> str:
        """The model's version."""
        return self._artefact.manifest.version

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the matrix's columns, in order."""
        return self._artefact.manifest.features

    @property
    def leaves(self) -> int:
        """Leaves of all trees, which contributions take their time from; at least 1."""
        return self._leaves

    def score(self, matrix: Float32s) -> Float64s:
        """Calibrated probability of fraud of each row, shape (n,); ``matrix`` is (n, features), NaN is unknown.

        A row's answer does not depend on the rows beside it, nor on what other threads do, to the last bit.
        """
        return self._calibration.probability(self.raw(matrix))

    def raw(self, matrix: Float32s) -> Float64s:
        """Log-odds before calibration, shape (n,)."""
        rows = self._checked(matrix)
        if len(rows) == 0:
            return np.empty(0, np.float64)
        with self._borrowed() as booster:
            if self._slices is not None and len(rows) >= MANY:
                return self._slices.raw(rows, _leaves_of(booster))
            return np.asarray(booster.predict(rows, raw_score=True, **_ONE_THREAD), np.float64)

    def contributions(self, matrix: Float32s) -> Float64s:
        """Exact Shapley contributions to the raw log-odds (Lundberg and others 2018); shape (n, features + 1).

        The last column is the expectation; a row sums to ``raw``. About 10 ms a row for 500 trees of 63 leaves.
        """
        rows = self._checked(matrix)
        if len(rows) == 0:
            return np.empty((0, len(self.features) + 1), np.float64)
        with self._cores, self._borrowed() as booster:
            out = np.asarray(booster.predict(rows, pred_contrib=True, **_ONE_THREAD), np.float64)
        return out.reshape(len(rows), len(self.features) + 1)

    def _checked(self, matrix: Float32s) -> Float32s:
        if matrix.ndim != 2 or matrix.shape[1] != len(self.features):
            raise ValueError(f"the model takes rows of {len(self.features)} features, not shape {matrix.shape}")
        return np.ascontiguousarray(matrix, np.float32)

    @contextmanager
    def _borrowed(self) -> Iterator[lightgbm.Booster]:
        try:
            booster = self._shelf.pop()
        except IndexError:
            booster = _load(self._artefact)
        try:
            yield booster
        finally:
            self._shelf.append(booster)


def _slices(artefact: Artefact) -> Slices | None:
    """None: the model is so small that it is one slice, or its answer is not the plain sum of its leaves."""
    try:
        slices = Slices(artefact.booster)
    except ValueError:
        return None
    return slices if len(slices) > 1 else None


def _leaves_of(booster: lightgbm.Booster) -> Callable[[csr_matrix, int, int], Leaf]:
    def leaves(rows: csr_matrix, first: int, trees: int) -> Leaf:
        out = booster.predict(rows, pred_leaf=True, start_iteration=first, num_iteration=trees, **_ONE_THREAD)
        return np.asarray(out, np.int32)

    return leaves


def _load(artefact: Artefact) -> lightgbm.Booster:
    # by default LightGBM prints to standard output, which belongs to the commands' answers
    lightgbm.register_logger(logging.getLogger("lightgbm"))
    try:
        booster = lightgbm.Booster(model_str=artefact.booster)
    except lightgbm.basic.LightGBMError as error:
        raise ArtefactProblem(f"LightGBM cannot read the booster of {artefact.manifest.version}: {error}") from None
    if booster.num_feature() != len(artefact.manifest.features):
        raise ArtefactProblem(
            f"model {artefact.manifest.version}: its booster takes {booster.num_feature()} features and its manifest "
            f"names {len(artefact.manifest.features)}"
        )
    return booster
