"""Where a request's time goes, room by room, for batches of 1, 32 and 128, in the process itself.

    python -m benchmarks.request [--accounts 20000] [--batches 1,32,128] [--rounds 40] [--full] [--out FILE]

The messages are those of ``benchmarks.scoring``, and a batch walks the whole street: bytes to message, message to
record, door, history, overlay, columns, features, model, policy, record (SQLite, synchronous FULL), message to bytes.
Every room is an existing function that is watched from outside; what a function calls in another room counts there, and
what is left of ``ScoreAccounts`` itself is ``assemble``. All rooms but ``record`` run on the caller's thread and are
told in microseconds of a processor, so that a neighbour's load does not count; ``record`` is another thread's work and
a disk's, and is told by the clock. Figures are medians of batches, divided by the batch's size. ``explain`` is what
exact contributions add to a request that asks for reasons.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gatehouse.risk.v1 import scoring_pb2 as pb

from benchmarks.measured import Measured, Table, hand_over
from benchmarks.scoring import prepared, request
from service.app import App
from service.domain.records import Assessment
from service.domain.requests import ScoreRequest
from service.log import configure
from service.model.scorer import Scorer
from service.rpc.convert.scoring import assessment_to_wire, score_request_from_wire
from service.rpc.decoding import decode
from service.settings import Settings
from service.signals.door import Door
from service.storage.store import Store
from service.storage.writer import Writer
from service.usecases import score_accounts
from service.usecases.champion import Serving
from service.usecases.score_accounts import Begun, ScoreAccounts

KINDS = ("signup", "known", "explained")
ROOMS = (
    *("decode", "convert", "door", "read", "overlay", "columns", "features", "model", "policy"),
    *("assemble", "record", "explain", "encode"),
)
OURS = ("door", "read", "overlay", "columns", "features", "model", "policy", "assemble")  # a batch without its edges
WARM = 5  # batches before any is counted
SEEN = 1_000  # accounts scored before: whoever has been serving for a second has met most mail domains and browsers


class Watch:
    """Seconds by room; a room entered from another stops the other's watch."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(ROOMS, 0.0)
        self._inside: list[tuple[str, float]] = []

    @contextmanager
    def room(self, name: str) -> Iterator[None]:
        """What is done in the block counts for ``name``."""
        self._stop()
        self._inside.append((name, _now(name)))
        try:
            yield
        finally:
            self._stop()
            self._inside.pop()
            if self._inside:
                outer, _ = self._inside[-1]
                self._inside[-1] = outer, _now(outer)

    def _stop(self) -> None:
        if self._inside:
            name, since = self._inside[-1]
            self.seconds[name] += _now(name) - since

    def over(self, owner: Any, name: str, room: str) -> None:
        """Counts all calls of the function ``name`` of a class or module for ``room``."""
        inner: Callable[..., Any] = getattr(owner, name)

        def watched(*arguments: Any, **named: Any) -> Any:
            with self.room(room):
                return inner(*arguments, **named)

        setattr(owner, name, watched)


def _now(room: str) -> float:
    return time.perf_counter() if room == "record" else time.thread_time()


def watched() -> Watch:
    """A watch over the rooms of the street."""
    watch = Watch()
    for owner, names, room in (
        (Door, ("signups", "payments", "links", "signals"), "door"),
        (Store, ("history", "known_events"), "read"),
        (score_accounts, ("overlay",), "overlay"),
        (Serving, ("columns",), "columns"),
        (Serving, ("matrix", "ruled_matrix"), "features"),
        (Scorer, ("score",), "model"),
        (Serving, ("decide",), "policy"),
        (Writer, ("begin",), "record"),
        (Begun, ("wait",), "record"),
        (score_accounts, ("with_reasons",), "explain"),
    ):
        for name in names:
            watch.over(owner, name, room)
    return watch


def measure(
    score: Callable[..., Sequence[object]], watch: Watch, kind: str, size: int, first: int, rounds: int
) -> dict[str, float]:
    """Microseconds of one request by room, the median of ``rounds`` batches of ``size``."""
    by_room: dict[str, list[float]] = {room: [] for room in (*ROOMS, "ours")}
    for batch in range(WARM + rounds):
        start = first + batch * size
        said = [request(i, kind).SerializeToString() for i in range(start, start + size)]
        watch.seconds = dict.fromkeys(ROOMS, 0.0)
        with watch.room("decode"):
            messages = [decode(each, pb.ScoreAccountRequest) for each in said]
        with watch.room("convert"):
            asked: list[ScoreRequest] = [score_request_from_wire(message) for message in messages]
        with watch.room("assemble"):
            answers = score(asked, now=time.time_ns() // 1000, timeout_s=30.0)
        with watch.room("encode"):
            for answer in answers:
                if not isinstance(answer, Assessment):
                    raise TypeError(f"{kind}: {answer!r}")
                pb.ScoreAccountResponse(assessment=assessment_to_wire(answer)).SerializeToString()
        if batch >= WARM:
            for room in ROOMS:
                by_room[room].append(watch.seconds[room] / size * 1e6)
            by_room["ours"].append(sum(watch.seconds[room] for room in OURS) / size * 1e6)
    return {room: statistics.median(values) for room, values in by_room.items()}


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--batches", default="1,32,128", help="sizes of batches, joined by commas")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--kinds", default=",".join(KINDS), help="kinds of request, joined by commas")
    parser.add_argument("--home", type=Path, help="where the database is made, and kept for another run")
    parser.add_argument("--full", action="store_true", help="a database of 100,000 accounts at least, and 200 rounds")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    if options.full:
        options.accounts, options.rounds = max(options.accounts, 100_000), max(options.rounds, 200)
    with tempfile.TemporaryDirectory() as folder:
        by_kind = _measured(options.home or Path(folder), options)
    sizes = options.batches.split(",")
    found = Measured(
        tables=tuple(
            Table(
                f"One request by room, {kind}, {options.accounts:,} accounts, us (ours: {', '.join(OURS)})",
                ("room", *(f"batch of {size}" for size in sizes)),
                tuple((room, *(by_size[size][room] for size in sizes)) for room in (*ROOMS, "ours")),
            )
            for kind, by_size in by_kind.items()
        )
    )
    hand_over(found, options.out)
    return 0


def _measured(home: Path, options: argparse.Namespace) -> dict[str, dict[str, dict[str, float]]]:
    """Figures by kind, size of batch and room."""
    database = f"sqlite:///{home / 'g.db'}"
    home.mkdir(parents=True, exist_ok=True)
    if not (home / "g.db").exists():
        prepared(home, database, options.accounts)
    os.environ |= {"GATEHOUSE_DATABASE_URL": database, "GATEHOUSE_DATA_DIR": str(home)}

    settings = Settings()
    configure("error")
    watch = watched()
    with App.open(settings, upgrade=True) as app:
        app.load_model()
        score = ScoreAccounts(app.store, app.writer, app.door, app.models)
        table: dict[str, dict[str, dict[str, float]]] = {}
        first = time.time_ns() % 1_000_000  # so that a kept database is asked about other accounts
        for kind in options.kinds.split(","):
            seen = [score_request_from_wire(request(i, kind)) for i in range(first, first + SEEN)]
            score(seen, now=time.time_ns() // 1000, timeout_s=60.0)
            first += SEEN
            for size in map(int, options.batches.split(",")):
                table.setdefault(kind, {})[str(size)] = measure(score, watch, kind, size, first, options.rounds)
                first += (WARM + options.rounds) * size
    return table


if __name__ == "__main__":
    raise SystemExit(main())
