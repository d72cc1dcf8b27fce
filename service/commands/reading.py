"""The process that reads the files of a large import: how it is started, and what it does.

A new process from its first instruction on, as workers are: the one that imports has threads, an open database and
Arrow's pools, none of which survives a fork. It is started before that one has loaded anything, so that both load at
the same time. It is told what to do over its standard input, a socket, secrets included; it is given none of our
environment's.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from service.commands.allocation import keep_memory
from service.domain.errors import GatehouseError
from service.loading import loading
from service.usecases.interchange.handing import receive, send

# Names of types only: this is loaded, and the process started, before all that an import needs is.
if TYPE_CHECKING:
    from service.settings import Settings
    from service.signals.keyring import Keyring
    from service.usecases.interchange.beside import Beside

LARGE_BYTES = 48 << 20  # of files: 1.4 million exchanges in Parquet
ENDS_S = 10.0
_SUFFIXES = (".parquet", ".csv", ".jsonl")
_MAIN = "from service.commands.reading import main; main()"


@dataclass(frozen=True, slots=True)
class Job:
    """What the process is to read, and what its door needs."""

    directory: Path
    now: int
    originals: bool  # see ``hand_over``
    keyring: Keyring
    tables: tuple[Path | None, Path | None]  # the operator's own of countries and of networks


def worth_it(directory: Path) -> bool:
    """Whether a second process brings an import of ``directory`` forward: enough to read, and a core to do it on.

    It reads on while the end of a file is written and committed, so it pays from the second file on. On two cores one
    file of 0.5 or of 1.1 million exchanges took as long with it as without; two of 1.9 million together took 0.94 of
    the time, five of 6 million 0.84. Loading what it needs takes it 0.25 s of a processor, and handing over 0.17 us of
    one for an exchange. Two such processes took longer than one.
    """
    if not hasattr(os, "memfd_create") or len(os.sched_getaffinity(0)) < 2:
        return False
    files = [path for pattern in ("*", "*/*") for path in directory.glob(pattern) if path.suffix in _SUFFIXES]
    return sum(path.stat().st_size for path in files if path.is_file()) >= LARGE_BYTES


class Reader:
    """The process, started and waiting for its job."""

    def __init__(self) -> None:
        """Raises OSError where there can be no other process."""
        self._peer, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603  ourselves
                [sys.executable, "-c", _MAIN],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env={name: value for name, value in os.environ.items() if not name.startswith("GATEHOUSE_")},
                start_new_session=True,  # Ctrl-C at a terminal is for the one that keeps, who then ends this one
            )
        self._told = False

    def begin(self, settings: Settings, keyring: Keyring, directory: Path, now: int, *, originals: bool) -> None:
        """Tells it what to do; a second time does nothing. Whether it could hear it shows when it is asked."""
        if self._told:
            return
        self._told = True
        tables = (settings.ip_country_mmdb, settings.ip_asn_mmdb)
        with suppress(ConnectionError):  # it has ended, which shows as soon as it is asked for something
            send(self._peer, Job(directory, now, originals, keyring, tables))

    def beside(self) -> Beside:
        """What it reads."""
        from service.usecases.interchange.beside import Beside  # noqa: PLC0415

        return Beside(self._peer, self._how_it_ended)

    def close(self) -> None:
        """Ends it: it notices that nobody listens any more."""
        self._peer.close()
        try:
            self._process.wait(ENDS_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _how_it_ended(self) -> str:
        try:
            code = self._process.wait(ENDS_S)
        except subprocess.TimeoutExpired:
            return "it answers no more"
        return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


@contextmanager
def reader(directory: Path) -> Iterator[Reader | None]:
    """The process, where it is worth it and can be had; ended at the block's end."""
    if not worth_it(directory):
        yield None
        return
    try:
        started = Reader()
    except OSError as error:
        import structlog  # noqa: PLC0415

        structlog.get_logger(__name__).warning("reader_not_started", why=str(error), then="this process reads itself")
        yield None
        return
    try:
        yield started
    finally:
        started.close()


def main() -> None:
    """What the process does."""
    keep_memory()
    with loading():
        from service.signals.door import Door  # noqa: PLC0415
        from service.signals.reference.tables import AddressTables  # noqa: PLC0415
        from service.usecases.interchange.beside import give_up, hand_over  # noqa: PLC0415
        from service.usecases.interchange.sources import sources  # noqa: PLC0415
    peer = socket.socket(fileno=sys.stdin.fileno())
    try:
        job: Job = receive(peer)
    except EOFError:
        return
    try:
        door = Door(job.keyring, AddressTables(*job.tables))
        files = sources(job.directory)
    except GatehouseError as problem:
        give_up(peer, problem)
    else:
        hand_over(peer, files, door, job.now, originals=job.originals)
    os._exit(0)  # nothing is left to be written, and hundreds of megabytes need not be tidied up first
