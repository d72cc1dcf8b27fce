"""64 clients at once, and every answer beside what a batch says of the same account at the same moment.

    python -m benchmarks.at_once [--requests 3200] [--full] [--out FILE]

Each client is a thread with a connection of its own that asks again as soon as it is answered; all begin together.
Three requests in four are about an account that was known before (families of five share a device, an address and a
mail domain), one is a signup. Afterwards the server is ended, its database opened, and all accounts are scored in
batches of thousands, each as of the moment of its answer. Score, decision, features, links and rules have to be the
same to the last bit: what was answered, what was recorded, and what the batch says.
"""

from __future__ import annotations

import argparse
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import numpy as np
from gatehouse.risk.v1 import scoring_pb2, scoring_pb2_grpc

from benchmarks.measured import Check, Measured, hand_over, progress
from benchmarks.processes import GATEHOUSE, SERVE, ran, server
from benchmarks.scoring import ALONE, APART, request
from service.app import App
from service.domain.codes import hash64
from service.domain.enums import Purpose
from service.domain.records import Assessment
from service.log import configure
from service.settings import Settings
from service.usecases.assess import Asked, assess

CLIENTS = 64
KNOWN = 2_000
TIMEOUT_S = 120.0


def asked(number: int) -> scoring_pb2.ScoreAccountRequest:
    """The requests, each with an id of its own; signups share their keys with nobody else who comes now.

    Two signups that share a key and come in one instant may each be answered before the other is known, and a batch
    that knows both would say something else: that is not what is compared here.
    """
    if number % 4:
        made = scoring_pb2.ScoreAccountRequest(account_id=f"known-{number * 7 % KNOWN}")
        made.purpose = scoring_pb2.PURPOSE_MANUAL
    else:
        made = request(number, "signup")
        made.signup.email = f"lone{number}@shop{number}.example"
        made.signup.full_name = "Cedar " + "".join("abcdefghij"[int(digit)] for digit in str(number))
        made.signup.phone = f"+49151{20_000_000 + number}"
        made.signup.ip = f"91.{number % 200}.{number // 200 % 250}.{1 + number // 50_000}"
    made.request_id = f"at-once-{number}"
    return made


def answers(address: str, requests: int) -> list[scoring_pb2.Assessment]:
    """What all clients got, by the request's number."""
    together = threading.Barrier(CLIENTS)

    def client(number: int) -> list[tuple[int, scoring_pb2.Assessment]]:
        own = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(address, options=own) as channel:
            grpc.channel_ready_future(channel).result(TIMEOUT_S)
            stub = scoring_pb2_grpc.ScoringServiceStub(channel)
            mine = [(place, asked(place)) for place in range(number, requests, CLIENTS)]
            together.wait(TIMEOUT_S)
            return [(place, stub.ScoreAccount(one, timeout=TIMEOUT_S).assessment) for place, one in mine]

    with ThreadPoolExecutor(CLIENTS) as clients:
        got = dict(pair for mine in clients.map(client, range(CLIENTS)) for pair in mine)
    return [got[place] for place in range(requests)]


def in_batches(app: App, kept: Sequence[Assessment]) -> list[Assessment | None]:
    """What a batch says of each account at the moment of its answer; a batch is what storage reads at once."""
    account = np.array([hash64(each.account_id) for each in kept], np.int64)
    moment = np.array([each.assessed_at for each in kept], np.int64)
    said: list[Assessment | None] = [None] * len(kept)
    for history in app.store.histories(accounts=np.unique(account)):
        places = np.flatnonzero(np.isin(account, history.account)).tolist()
        again = [Asked(kept[place].account_id, Purpose.MANUAL, kept[place].request_id) for place in places]
        for place, answer in zip(places, assess(app.models.current(), history, again, moment[places]), strict=True):
            said[place] = answer
    return said


def differs(number: int, answer: scoring_pb2.Assessment, kept: Assessment, batch: Assessment | None) -> bool:
    """Whether the answer, its record and the batch's answer are not all the same."""
    said = scoring_pb2.Decision.Name(answer.decision).removeprefix("DECISION_").lower()
    mine = (answer.request_id, answer.account_id, answer.score, said)
    theirs = (f"at-once-{number}", asked(number).account_id, kept.score, kept.decision.value)
    if mine != theirs or batch is None:
        return True
    names = ("score", "decision", "features", "links", "rules")
    return any(getattr(kept, name) != getattr(batch, name) for name in names)


def measured(home: Path, requests: int, arguments: tuple[str, ...], said: str) -> Measured:
    """The comparison, on a new database below ``home``."""
    world = home / "world"
    world.mkdir(parents=True)
    with (world / "accounts.csv").open("w", encoding="utf-8") as file:
        file.write("account_id,created_at,email,country,ip,device_id\n")
        for i in range(KNOWN):
            house = f"person{i}@house{i // 5}.example,DE,84.56.{i // 5 % 250}.{9 + i // 1_250},tablet-{i // 5}"
            file.write(f"known-{i},2026-10-{1 + i % 28:02d}T10:00:00Z,{house}\n")
    url = f"sqlite:///{home / 'g.db'}"
    environment = {"GATEHOUSE_DATABASE_URL": url, "GATEHOUSE_DATA_DIR": str(home), "GATEHOUSE_LOG_LEVEL": "error"}
    environment["GATEHOUSE_EXPLORE"] = "0"  # a slice that is let through to learn from is dealt by the request's id
    ran(*GATEHOUSE, "import", str(world), environment=environment)
    with server(*SERVE, *arguments, environment=environment) as ours:
        progress(f"{CLIENTS} clients ask {requests:,} times")
        got = answers(ours.grpc, requests)
    configure("error")
    with App.open(Settings(database_url=url, data_dir=home, explore=0), upgrade=False) as app:
        app.load_model()
        kept = [app.store.assessment(answer.assessment_id) for answer in got]
        batch = in_batches(app, kept)
    wrong = sum(differs(i, *each) for i, each in enumerate(zip(got, kept, batch, strict=True)))
    wrong += requests - len({answer.assessment_id for answer in got})
    different = len({each.features for each in kept})
    note = f"{different:,} different rows of features among them"
    title = f"{CLIENTS} clients at once{said}, answers beside a batch's"
    return Measured(checks=(Check("c", title, requests, wrong, note),))


def main() -> int:
    """Prints the counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=50 * CLIENTS)
    parser.add_argument("--full", action="store_true", help="64,000 requests")
    parser.add_argument("--out", type=Path, help="also write the figures as JSON")
    options = parser.parse_args()
    requests = 1_000 * CLIENTS if options.full else options.requests
    with TemporaryDirectory() as folder:
        found = Measured()
        for said, arguments in (ALONE, APART):
            found += measured(Path(folder) / f"way{said}", requests, arguments, said)
    hand_over(found, options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
