"""How long two models take for the same rows: processor time of one thread, in turns, the median of several rounds."""

from __future__ import annotations

import time

import lightgbm
import numpy as np
from numpy.typing import NDArray

from training.compare import Speed

ROUNDS = 7
ROWS = 256


def measure(*models: tuple[str, NDArray[np.float32]]) -> tuple[Speed, ...]:
    """The speed of each booster (its text) on its own matrix of the same accounts, at most ``ROWS`` of them.

    Processor time, not time on the wall: what else runs on the machine takes turns, and is not counted.
    """
    loaded = [(lightgbm.Booster(model_str=text), np.ascontiguousarray(rows[:ROWS])) for text, rows in models]
    took: list[list[float]] = [[] for _ in loaded]
    for turn in range(ROUNDS + 1):
        for (booster, rows), times in zip(loaded, took, strict=True):
            start = time.thread_time_ns()
            booster.predict(rows, raw_score=True, num_threads=1)
            if turn:  # the first warms up
                times.append((time.thread_time_ns() - start) / 1_000 / max(len(rows), 1))
    return tuple(
        Speed(float(np.median(times)), _leaves(booster)) for (booster, _), times in zip(loaded, took, strict=True)
    )


def _leaves(booster: lightgbm.Booster) -> int:
    """Of all trees; a booster without any has none."""
    return sum(tree["num_leaves"] for tree in booster.dump_model()["tree_info"])
