"""A folder that appears whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NAMES = ("accounts", "payments", "links", "signals", "labels", "truth")
OURS = frozenset({f"{name}.parquet" for name in NAMES} | {"usage"})


@contextmanager
def fresh_folder(out: Path) -> Iterator[Path]:
    """Write a whole folder.

    Yields an empty folder beside ``out`` that takes ``out``'s place at the end, and goes away when something is
    raised.

    Raises FileExistsError when ``out`` is a file, or a folder with something other than an earlier simulated world in
    it.
    """
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"{out} is a file; give a folder that does not exist yet")
    held = {entry.name for entry in out.iterdir()} if out.is_dir() else set()
    if (
        held and held != OURS
    ):  # no operator's own data has a truth.parquet and nothing else of ours is ever put beside it
        raise FileExistsError(f"{out} is not empty and holds something other than a simulated world; give a new folder")
    out.parent.mkdir(parents=True, exist_ok=True)
    aside = out.parent / f".{out.name}.being-written"
    shutil.rmtree(aside, ignore_errors=True)  # what an interrupted run left
    aside.mkdir()
    try:
        yield aside
        if out.is_dir():
            shutil.rmtree(out)
        aside.rename(out)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
