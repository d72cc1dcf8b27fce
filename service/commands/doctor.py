"""``gatehouse doctor``: checks the installation and says what is wrong and how to mend it."""

from __future__ import annotations

import os
import platform
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version

import click

from service.app import open_keyring, open_tables
from service.commands.context import Run, command_options, now
from service.commands.database import MEND
from service.domain.errors import ArtefactProblem, GatehouseError
from service.domain.time import rfc3339
from service.features.catalogue import by_name
from service.model.stability import LATER, SCORE, SIGNUP, Drift
from service.signals.reference.tables import damaged
from service.storage.database import opened
from service.storage.schema import SchemaState, check
from service.usecases.champion import Serving

OLD_TABLE_DAYS = 365
MOST_DRIFTED = 8  # findings of their own
SHOWN_VERSIONS = (
    *("gatehouse", "grpcio", "lightgbm", "sqlalchemy", "numpy", "pyarrow"),
    *("phonenumbers", "publicsuffixlist"),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or worth knowing."""

    check: str
    severity: str  # ``error``: something does not work; ``warning``: it works, and should not stay so
    problem: str
    mend: str


@click.command("doctor")
@command_options
def doctor_command(run: Run) -> None:
    """Check the installation; exit code 1 if something is wrong."""
    findings: list[Finding] = []
    facts: dict[str, object] = {
        "python": platform.python_version(),
        "versions": {name: version(name) for name in SHOWN_VERSIONS},
        "settings": {
            name: ("set" if name == "hmac_keys" and value else str(value))
            for name, value in run.settings.model_dump(exclude_none=True).items()
            if name != "database_url"
        },
    }
    for name, look in CHECKS.items():
        try:
            findings.extend(look(run, facts))
        except GatehouseError as error:
            findings.append(Finding(name, "error", str(error), "see the message"))
    errors = [finding for finding in findings if finding.severity == "error"]
    run.done({"ok": not errors, "findings": [asdict(finding) for finding in findings], **facts})
    if not run.as_json:
        _print(facts, findings)
    if errors:
        sys.exit(1)


def _database(run: Run, facts: dict[str, object]) -> Iterator[Finding]:
    with opened(run.settings.database_url) as engine:
        state = check(engine)
    facts["schema"] = state.value
    if state is not SchemaState.OK:
        yield Finding("database", "error", f"the schema is {state.value}", MEND[state])
        return
    with run.app(upgrade=False) as app:
        newest = app.store.newest_fact()
        facts["accounts"] = app.store.count_accounts()
        facts["newest_fact"] = rfc3339(newest) if newest is not None else None


def _model(run: Run, facts: dict[str, object]) -> Iterator[Finding]:
    with opened(run.settings.database_url) as engine:
        if check(engine) is not SchemaState.OK:
            return
    with run.app(upgrade=False) as app:
        champion = app.store.champion()
        if champion is None:
            yield Finding(
                "model",
                "warning",
                "no model was promoted yet; `gatehouse serve` will use the starter model",
                "import accounts and labels, then `gatehouse train`",
            )
            return
        facts["model"] = {"version": champion.version, "origin": champion.origin, "promoted_at": champion.promoted_at}
        chances = app.store.chances(now())
        facts["exploration"] = {
            "share": run.settings.explore,
            "let_through": int(chances.let_through.sum()),
            "passed_by": int((~chances.let_through).sum()),
        }
        try:
            Serving.load(app.model_directory(champion), manifest_sha256=champion.manifest_sha256)
        except ArtefactProblem as error:
            yield Finding(
                "model", "error", str(error), "`gatehouse models rollback`, or train and promote another model"
            )
        if champion.origin == "starter":
            yield Finding(
                "model",
                "warning",
                "the starter model decides: it has seen simulated accounts only",
                "import accounts and labels, then `gatehouse train`",
            )


def _shadow(run: Run, facts: dict[str, object]) -> Iterator[Finding]:
    with opened(run.settings.database_url) as engine:
        if check(engine) is not SchemaState.OK:
            return
    with run.app(upgrade=False) as app:
        found = app.store.shadow()
        if found is None or found.until is not None:
            return
        facts["shadow"] = {"version": found.model.version, "since": rfc3339(found.since)}
        try:
            Serving.load(app.model_directory(found.model), manifest_sha256=found.model.manifest_sha256)
        except ArtefactProblem as error:
            problem = f"the model that shadows the champion scores nothing: {error}"
            yield Finding("shadow", "warning", problem, "`gatehouse models shadow --stop`, or train it again")


def _drift(run: Run, facts: dict[str, object]) -> Iterator[Finding]:
    """A starter model is left alone: that it has never seen these accounts is said already."""
    with opened(run.settings.database_url) as engine:
        if check(engine) is not SchemaState.OK:
            return
    with run.app(upgrade=False) as app:
        champion = app.store.champion()
        if champion is None:
            return
        watched = app.watch_drift(champion, now=now())
    by_side = {f"score_{one.of}": round(one.psi, 4) for one in watched.drift if one.feature == SCORE}
    facts["drift"] = {"rows": watched.rows, "alarms": len(watched.alarms), **by_side}
    if champion.origin == "starter":
        return
    for one in watched.alarms[:MOST_DRIFTED]:
        yield _drifted(one, watched.gain.get(one.feature, 0.0))
    if len(watched.alarms) > MOST_DRIFTED:
        others = ", ".join(one.feature for one in watched.alarms[MOST_DRIFTED:])
        yield Finding("drift", "warning", f"{others} drifted, too", "look at those above first")


def _drifted(one: Drift, gain: float) -> Finding:
    whose = {SIGNUP: "of signups", LATER: "of older accounts"}[one.of]
    index = f"population stability index {one.psi:.2f}, above {one.bound:.2f}, over {one.accounts:,.0f} accounts"
    if one.feature == SCORE:
        problem = f"scores {whose} in the last 7 days are not spread as they were when the model was trained ({index})"
        return Finding("drift", "warning", problem, "look at what drifted among its features; `gatehouse train`")
    problem = f"{one.feature} {whose} is not what the model learned from ({index}; {gain:.1%} of the model's gain)"
    try:
        (known,) = by_name([one.feature])
        made_from = f"what it is made from ({known.source}: {known.meaning})"
    except KeyError:  # a model for another version's features, which is a finding of its own
        made_from = "what it was made from"
    mend = f"see that {made_from} still says what it said; where it does, `gatehouse train`"
    return Finding("drift", "warning", problem, mend)


def _keys(run: Run, facts: dict[str, object]) -> Iterator[Finding]:
    path = run.settings.keyring_file()
    if run.settings.hmac_keys is None and not path.exists():
        facts["keyring"] = "none yet"
        return
    ring = open_keyring(run.settings)
    facts["keyring"] = {
        "from": "environment" if run.settings.hmac_keys else path.name,
        "keys": [secret.id for secret in ring.secrets],
        "used_now": [secret.id for secret in ring.active(now())],
    }
    if run.settings.hmac_keys is None:
        yield Finding(
            "keys",
            "warning",
            "link keys are made with a generated local key",
            "for more than one machine set GATEHOUSE_HMAC_KEYS; back the key file up",
        )
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            problem = f"{path.name} can be read by others (mode {mode:o})"
            yield Finding("keys", "error", problem, f"chmod 600 {path.name}")


def _tables(run: Run, facts: dict[str, object]) -> Iterator[Finding]:
    addresses = open_tables(run.settings)
    moment = now()
    shown = []
    for table in addresses.describe():
        dated = {"published": rfc3339(table.published)[:10]} if table.published else {}
        shown.append({**asdict(table), **dated})
        if table.old(moment):
            yield Finding(
                "tables",
                "warning",
                f"{table.name} is more than {OLD_TABLE_DAYS} days old",
                "upgrade gatehouse, or set GATEHOUSE_IP_COUNTRY_MMDB / GATEHOUSE_IP_ASN_MMDB to newer tables",
            )
    facts["tables"] = shown
    for name in damaged():
        yield Finding("tables", "error", f"{name} is damaged", "install gatehouse again")


def _files(run: Run, facts: dict[str, object]) -> Iterator[Finding]:
    home = run.settings.home()
    facts["data"] = str(home)
    place = home if home.exists() else home.parent
    if not os.access(place, os.W_OK):
        yield Finding("files", "error", f"{home} cannot be written", "make it writable, or set GATEHOUSE_DATA_DIR")


CHECKS: dict[str, Callable[[Run, dict[str, object]], Iterator[Finding]]] = {
    "database": _database,
    "model": _model,
    "shadow": _shadow,
    "drift": _drift,
    "keys": _keys,
    "tables": _tables,
    "files": _files,
}


def _print(facts: dict[str, object], findings: list[Finding]) -> None:
    for name, value in facts.items():
        if isinstance(value, list):
            for item in value:
                click.echo(f"{name:12} " + "  ".join(f"{k}={v}" for k, v in item.items() if v is not None))
        elif isinstance(value, dict):
            click.echo(f"{name:12} " + "  ".join(f"{k}={v}" for k, v in value.items()))
        else:
            click.echo(f"{name:12} {value}")
    click.echo("")
    for finding in findings:
        click.echo(f"{finding.severity.upper():8} {finding.check}: {finding.problem}\n         mend: {finding.mend}")
    click.echo("nothing is wrong" if not findings else f"{len(findings)} findings")
