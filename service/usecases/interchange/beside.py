"""The chunks of a directory's files, made by a process beside the one that keeps them.

Reading, checking and hashing take a third of an import, and hold Python's lock for most of it; so does what hands rows
to the database. One process reads the files in their order, takes every row through the door and makes tiles; it is
ahead by AHEAD chunks at the most, which is about what it makes while the other writes the end of a file and commits it.
The other keeps what it is handed, so order, row numbers and transactions are as they are without.
"""

from __future__ import annotations

import socket
import traceback
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from service.domain.errors import GatehouseError
from service.storage.readyusage import ready
from service.usecases.interchange.handing import receive, send
from service.usecases.interchange.loading import Admitted, admitted
from service.usecases.interchange.ports import Door
from service.usecases.interchange.problems import FileProblem
from service.usecases.interchange.schemas import LABELS, USAGE, Table
from service.usecases.interchange.sources import Source

AHEAD = 8  # chunks made that nobody has taken yet, 45 MB each: storing has bursts
_TAKEN = b"."
_ALL = ""  # in place of a file's name


class ReadingStopped(GatehouseError):
    """The process that reads has ended before it was done; nothing of the file at hand is kept."""


@dataclass(frozen=True, slots=True)
class _Failed:
    """What went wrong there that nobody foresaw."""

    trace: str


_Told = Admitted | GatehouseError | _Failed | None  # None: the file's end


def hand_over(peer: socket.socket, files: Sequence[Source], door: Door, now: int, *, originals: bool) -> None:
    """Makes the chunks of ``files`` and hands them to ``peer``, until all are taken or it has ended.

    ``originals``: with the rows as the files say them, for those that will be put aside.
    """
    out = _Out(peer)
    with suppress(_Gone):  # the other side has ended, and says why itself
        for source in files:
            end: _Told = None
            try:
                for each in admitted(source, door, now):
                    out.tell(source.name, _lightened(source.table, each, originals=originals))
            except FileProblem as problem:
                end = problem
            except _Gone:
                raise
            except Exception:  # noqa: BLE001  whatever it is, the process that reports errors is the other one
                end = _Failed(traceback.format_exc())
            out.tell(source.name, end)
        out.close()


def give_up(peer: socket.socket, problem: GatehouseError) -> None:
    """Tells ``peer`` why nothing can be read."""
    with suppress(_Gone):
        out = _Out(peer)
        out.tell(_ALL, problem)
        out.close()


class _Gone(Exception):
    """Nobody listens any more."""


class _Out:
    """What is told to the other side. Raises _Gone where that has ended."""

    def __init__(self, peer: socket.socket) -> None:
        self._peer = peer
        self._waiting = 0  # told and not taken yet

    def tell(self, name: str, told: _Told) -> None:
        """Something of the file ``name``, as soon as there is room for it."""
        while self._waiting >= AHEAD:
            self._wait()
        try:
            send(self._peer, (name, told))
        except ConnectionError:
            raise _Gone from None
        self._waiting += 1

    def close(self) -> None:
        """Waits until all is taken: who ends with something unread takes along what was on its way."""
        while self._waiting:
            self._wait()

    def _wait(self) -> None:
        try:
            taken = self._peer.recv(AHEAD)
        except ConnectionError:
            taken = b""
        if not taken:
            raise _Gone
        self._waiting -= len(taken)


def _lightened(table: Table, each: Admitted, *, originals: bool) -> Admitted:
    """Without what the keeping side does not look at: the rows themselves are a third of all."""
    chunk = replace(each.chunk, problems=())
    facts = ready(each.facts) if table is USAGE else each.facts
    if not originals:
        chunk = replace(chunk, original=_not_kept)
        if table is not LABELS:
            chunk = replace(chunk, batch=pa.RecordBatch.from_pylist([], table.schema))
    return replace(each, chunk=chunk, facts=facts)


def _not_kept(place: int) -> dict[str, Any]:
    raise LookupError(f"row at {place} was not handed over")


class Beside:
    """The other process, as the one that keeps sees it."""

    def __init__(self, peer: socket.socket, how_it_ended: Callable[[], str]) -> None:
        """``how_it_ended`` is asked once it has: ``exit code 1``, ``SIGKILL``."""
        self._peer = peer
        self._how_it_ended = how_it_ended

    def chunks(self, source: Source) -> Generator[Admitted, None, None]:
        """Those of ``source``; files must be asked for in their order, and any may be left out, or left before its end.

        Raises FileProblem, ReadingStopped.
        """
        while (told := self._next(source.name)) is not None:
            if isinstance(told, GatehouseError):
                raise told
            if isinstance(told, _Failed):
                raise RuntimeError(f"in the process that reads:\n{told.trace}")  # noqa: TRY004  no type is at fault
            yield told

    def _next(self, name: str) -> _Told:
        """The next that is told of the file ``name``; what is still told of those before it is dropped.

        Raises ReadingStopped, and what kept the other side from reading anything.
        """
        while True:
            try:
                about, told = receive(self._peer)
                self._peer.sendall(_TAKEN)
            except (EOFError, ConnectionError):
                raise ReadingStopped(
                    f"{name}: the process that read it has ended ({self._how_it_ended()}); nothing of this file was "
                    "kept, the files before it were; run the same command again to go on (SIGKILL mostly means that "
                    "memory was short)"
                ) from None
            if about == _ALL and isinstance(told, GatehouseError):
                raise told
            if about == name:
                known: _Told = told
                return known
