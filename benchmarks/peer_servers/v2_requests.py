"""Rows of features as messages of the V2 inference protocol, made by MLServer's own classes.

    python v2_requests.py MODEL ROWS.npy OUT

``OUT`` gets, for each row, the length of its message (4 bytes, little endian) and the message. The row travels in
``fp32_contents``: of the protocol's two forms it is the one that MLServer decodes faster.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path

import numpy as np
from mlserver.grpc import dataplane_pb2 as v2


def write(model: str, rows: Path, out: Path) -> None:
    """Writes the messages, one after the other."""
    with out.open("wb") as file:
        for row in np.load(rows):
            message = v2.ModelInferRequest(model_name=model)
            tensor = message.inputs.add(name="rows", datatype="FP32", shape=[1, len(row)])
            tensor.contents.fp32_contents.extend(row.tolist())
            body = message.SerializeToString()
            file.write(struct.pack("<I", len(body)) + body)


if __name__ == "__main__":
    write(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
