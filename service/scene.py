"""``make run``: starts the service, plays a short scene against it from another process, and keeps serving.

The scene: a dozen honest signups, a burst of linked ones, some early usage, an analyst who confirms three of the burst
as fraud, and everybody scored again. Its accounts are new each time, so that it can be played as often as one likes.
"""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import grpc
from gatehouse.risk.v1 import (
    facts_pb2,
    labels_pb2,
    labels_pb2_grpc,
    scoring_pb2,
    scoring_pb2_grpc,
    signals_pb2,
    signals_pb2_grpc,
)
from google.protobuf.timestamp_pb2 import Timestamp
from rich.console import Console
from rich.table import Table

LISTEN = "127.0.0.1:50051"
METRICS = "127.0.0.1:9464"
PLAY = "--play"
DEADLINE_S = 20.0

WORDS = "amber birch cedar delta ember fjord grove haven inlet jetty knoll lagoon meadow north orchard prairie".split()
# Prefixes of access networks, so that the address tables know where they are.
HOMES = (
    ("DE", "84.56", "+4915112", "de-DE,de;q=0.9"),
    ("FR", "90.54", "+3361234", "fr-FR,fr;q=0.9"),
    ("GB", "86.140", "+4474001", "en-GB,en;q=0.9"),
    ("US", "73.162", "+1415555", "en-US,en;q=0.9"),
    ("JP", "126.78", "+8190123", "ja-JP,ja;q=0.9"),
    ("BR", "177.32", "+5511987", "pt-BR,pt;q=0.9"),
)
BROWSERS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0",
)
SHOWN_KEYS = ("device", "card", "mail_domain", "template", "phone", "mailbox", "ip")
PROVIDERS = ("gmail.com", "outlook.com", "icloud.com", "gmx.de", "proton.me")


@dataclass(frozen=True, slots=True)
class Actor:
    """One account of the scene."""

    account_id: str
    role: str
    signup: facts_pb2.Signup
    card: str
    template: int


def main(arguments: Sequence[str]) -> int:
    """Serves and plays, or, in the client process, plays; returns the exit code."""
    if len(arguments) == 2 and arguments[0] == PLAY:
        play(arguments[1])
        return 0
    return serve_and_play(arguments)


def serve_and_play(arguments: Sequence[str]) -> int:
    """Starts ``gatehouse serve`` with ``arguments``, plays the scene from a second process, and serves until Ctrl-C."""
    started = time.monotonic()
    serve = (sys.executable, "-m", "service.cli", "serve")
    command = [*serve, "--listen", _free(LISTEN), "--metrics-listen", _free(METRICS)]
    server = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)  # noqa: S603  our own command
    try:
        address = _ready(server)
        if address is None:
            return server.wait() or 1
        scene = subprocess.run([sys.executable, "-m", "service.scene", PLAY, address], check=False)  # noqa: S603
        if scene.returncode:
            return scene.returncode
        print(_how_to_call(address, time.monotonic() - started), flush=True)
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        _stop(server)


def play(address: str) -> None:
    """The client's side: sends the scene to ``address`` and prints what came back."""
    rng = random.Random(time.time_ns())  # noqa: S311  no secret hangs on it; every scene has new people
    honest, burst = list(_honest(rng)), list(_burst(rng))
    actors = [*honest, *burst]
    run = f"{rng.getrandbits(32):08x}"
    # an environment's proxy is not for calls to this machine
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        scoring = scoring_pb2_grpc.ScoringServiceStub(channel)
        first = [_score(scoring, actor, f"{run}-signup", with_signup=True) for actor in actors]
        signals_pb2_grpc.SignalServiceStub(channel).RecordSignals(_usage(actors, rng), timeout=DEADLINE_S)
        labels_pb2_grpc.LabelServiceStub(channel).RecordLabels(_verdicts(burst[:3]), timeout=DEADLINE_S)
        second = [_score(scoring, actor, f"{run}-again", with_signup=False) for actor in actors]
    Console(width=None if sys.stdout.isatty() else 160).print(_table(actors, first, second))


def _score(
    stub: scoring_pb2_grpc.ScoringServiceStub, actor: Actor, run: str, *, with_signup: bool
) -> scoring_pb2.Assessment:
    request = scoring_pb2.ScoreAccountRequest(
        request_id=f"{run}-{actor.account_id}",
        account_id=actor.account_id,
        purpose=scoring_pb2.PURPOSE_SIGNUP if with_signup else scoring_pb2.PURPOSE_MANUAL,
        explain=True,
    )
    if with_signup:
        request.signup.CopyFrom(actor.signup)
        request.payments.append(
            facts_pb2.Payment(
                event_id=f"{actor.account_id}-card",
                happened_at=_now(),
                kind=facts_pb2.PAYMENT_KIND_METHOD_ADDED,
                method=facts_pb2.PAYMENT_METHOD_CARD,
                card_fingerprint=actor.card,
                card_bin="453211",
                card_country=actor.signup.country,
                card_funding=facts_pb2.CARD_FUNDING_DEBIT,
            )
        )
    return stub.ScoreAccount(request, timeout=DEADLINE_S).assessment


def _honest(rng: random.Random) -> Iterator[Actor]:
    for i in range(12):
        country, prefix, phone, language = HOMES[i % len(HOMES)]
        first, last = rng.sample(WORDS, 2)
        yield Actor(
            account_id=f"acc-{rng.getrandbits(40):010x}",
            role="honest",
            signup=facts_pb2.Signup(
                created_at=_now(),
                email=f"{first}.{last}{rng.randrange(100, 9999)}@{rng.choice(PROVIDERS)}",
                full_name=f"{first} {last}".title(),
                phone=f"{phone}{rng.randrange(10_000, 99_999)}",
                country=country,
                ip=f"{prefix}.{rng.randrange(1, 255)}.{rng.randrange(1, 255)}",
                user_agent=rng.choice(BROWSERS),
                device_id=f"device-{rng.getrandbits(64):016x}",
                accept_language=language,
                plan="pro",
                signup_source="web",
                form_seconds=rng.uniform(25, 120),
                email_verified=True,
                phone_verified=True,
            ),
            card=f"card-{rng.getrandbits(64):016x}",
            template=rng.getrandbits(63) | 1,
        )


def _burst(rng: random.Random) -> Iterator[Actor]:
    domain = f"{rng.choice(WORDS)}{rng.choice(WORDS)}{rng.randrange(10, 99)}.xyz"
    network = f"167.99.{rng.randrange(1, 255)}"
    device, template = f"device-{rng.getrandbits(64):016x}", rng.getrandbits(63) | 1
    cards = [f"card-{rng.getrandbits(64):016x}" for _ in range(2)]
    for i in range(8):
        yield Actor(
            account_id=f"acc-{rng.getrandbits(40):010x}",
            role="burst",
            signup=facts_pb2.Signup(
                created_at=_now(),
                email=f"{rng.choice('bcdfghklmn')}{rng.getrandbits(32):08x}@{domain}",
                full_name=" ".join(rng.sample(WORDS, 2)),
                country="US",
                ip=f"{network}.{rng.randrange(1, 255)}",
                user_agent="python-requests/2.32.5",
                device_id=device,
                accept_language="en",
                plan="free",
                signup_source="api",
                form_seconds=rng.uniform(0.8, 2.5),
                email_verified=True,
            ),
            card=cards[i % 2],
            template=template,
        )


def _usage(actors: Sequence[Actor], rng: random.Random) -> Iterator[signals_pb2.RecordSignalsRequest]:
    for actor in actors:
        prompt = rng.getrandbits(63)
        for i in range(10):
            near = prompt ^ (1 << rng.randrange(63)) if actor.role == "burst" else rng.getrandbits(63)
            yield signals_pb2.RecordSignalsRequest(
                event_id=f"{actor.account_id}-use-{i}",
                account_id=actor.account_id,
                happened_at=_now(),
                usage=facts_pb2.Usage(
                    ip=actor.signup.ip,
                    client="python-sdk",
                    model="large",
                    input_tokens=rng.randrange(200, 4000),
                    output_tokens=rng.randrange(50, 1500),
                    status=facts_pb2.USAGE_STATUS_OK,
                    prompt_prefix_hash=actor.template,
                    prompt_simhash=near,
                ),
            )


def _verdicts(confirmed: Sequence[Actor]) -> labels_pb2.RecordLabelsRequest:
    return labels_pb2.RecordLabelsRequest(
        labels=[
            labels_pb2.Label(
                account_id=actor.account_id,
                verdict=labels_pb2.VERDICT_FRAUD,
                decided_at=_now(),
                analyst="scene",
                evidence="one device and two cards for eight accounts within a minute",
            )
            for actor in confirmed
        ]
    )


def _table(
    actors: Sequence[Actor], first: Sequence[scoring_pb2.Assessment], second: Sequence[scoring_pb2.Assessment]
) -> Table:
    table = Table(title=f"{len(actors)} signups, scored at once, and again after usage and three confirmed frauds")
    for name, justify in (("account", "left"), ("who", "left"), ("at signup", "left"), ("score", "right")):
        table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]  # both are rich's words
    table.add_column("decision", no_wrap=True)
    table.add_column("top reasons")
    table.add_column("linked accounts")
    for actor, before, after in zip(actors, first, second, strict=True):
        reasons = [reason.code for reason in after.reasons if reason.direction == scoring_pb2.DIRECTION_RAISES_RISK]
        links = [
            f"{link.key_type} {link.linked_accounts}{_confirmed(link)}"
            for link in sorted(after.links, key=lambda link: (-link.confirmed_accounts, link.linked_accounts))
            if link.key_type in SHOWN_KEYS
        ]
        table.add_row(
            actor.account_id,
            actor.role,
            f"{before.score:.3f} {_word(before)}",
            f"{after.score:.3f}",
            _word(after),
            ", ".join(reasons[:3]) or "-",
            ", ".join(links[:3]) or "-",
        )
    return table


def _confirmed(link: scoring_pb2.LinkSummary) -> str:
    return f" ({link.confirmed_accounts} confirmed)" if link.confirmed_accounts else ""


def _word(assessment: scoring_pb2.Assessment) -> str:
    return scoring_pb2.Decision.Name(assessment.decision).removeprefix("DECISION_").lower()


def _how_to_call(address: str, seconds: float) -> str:
    return (
        f"\nGatehouse serves on {address} ({seconds:.0f} s from start to scene). Try it from another terminal:\n"
        f"  .venv/bin/buf curl --http2-prior-knowledge --protocol grpc \\\n"
        f'    -d \'{{"account_id": "...", "page_size": 5}}\' \\\n'
        f"    http://{address}/gatehouse.risk.v1.ScoringService/ListAssessments   # `make dev` installs buf\n"
        f"  grpcurl -plaintext {address} list\n"
        f"  .venv/bin/gatehouse models list;  .venv/bin/gatehouse features list;  .venv/bin/gatehouse doctor\n"
        f"Ctrl-C ends it.\n"
    )


def _ready(server: subprocess.Popen[str]) -> str | None:
    """Waits for the line that says where the server listens; None: it ended first, and has said why."""
    for line in server.stdout or ():
        words = line.split()
        if words[:1] == ["ready"]:
            return next(word.removeprefix("grpc=") for word in words if word.startswith("grpc="))
    return None


def _free(address: str) -> str:
    """``address``, or the same host with port 0 where the port is taken."""
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError:
            return f"{host}:0"
    return address


def _stop(server: subprocess.Popen[str]) -> None:
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(timeout=15)
        except subprocess.TimeoutExpired:
            server.kill()


def _now() -> Timestamp:
    at = Timestamp()
    at.GetCurrentTime()
    return at


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
