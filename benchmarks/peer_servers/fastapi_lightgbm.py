"""A booster behind FastAPI, as one would write it: a row of features in, its score out; no features, nothing stored.

python fastapi_lightgbm.py BOOSTER_FILE PORT
"""

from __future__ import annotations

import sys

import lightgbm
import numpy as np
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Prepared(BaseModel):
    """One row of prepared features."""

    features: list[float]


class Scored(BaseModel):
    """The booster's probability for it."""

    score: float


def serve(booster_file: str, port: int) -> None:
    """Serves until it is ended. One thread predicts: with more, a single row waits for busy cores."""
    booster = lightgbm.Booster(model_file=booster_file)
    app = FastAPI()

    async def score(row: Prepared) -> Scored:
        matrix = np.array([row.features], np.float32)
        return Scored(score=float(np.asarray(booster.predict(matrix, num_threads=1))[0]))

    app.post("/score")(score)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
