"""A model as a directory: the booster's text and a manifest that says what it is. No pickles: a model is data.

Both files are checked before use. The manifest carries the booster's SHA-256 and a seal over itself, so that a
directory copied by hand is checked, too; the registry keeps the manifest file's SHA-256 besides.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

from service.domain.errors import ArtefactProblem

BOOSTER_FILE = "booster.txt"
MANIFEST_FILE = "manifest.json"
FORMAT = 1
LONGEST_FILE = 512 * 1024 * 1024  # bytes; a file beyond this is not one of ours, and would not fit a server either

Json = Mapping[str, object]

_MEND = "train again, or restore the directory from where it was copied"
_TEXTS = (
    "version",
    "created_at",
    "origin",
    "code_version",
    "feature_fingerprint",
    "data_fingerprint",
    "booster_sha256",
)
_OBJECTS = ("training", "lightgbm", "calibration", "policy", "metrics", "gain")
_LATER_OBJECTS = ("reference",)  # manifests from before these were there lack them, and are as good as ever


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a model is, where it came from and how it did."""

    version: str
    created_at: str  # RFC 3339
    origin: str  # ``starter`` or ``trained``
    code_version: str
    features: tuple[str, ...]  # in the matrix's order
    feature_fingerprint: str
    data_fingerprint: str
    training: Json  # as_of, seed, friction budget, counts of rows, accounts, positives and campaigns
    lightgbm: Json  # version, parameters, rounds
    calibration: Json  # see ``Calibration``
    policy: Json  # thresholds, rules and limits; see ``service.policy``
    metrics: Json
    gain: Mapping[str, float]  # total gain of each feature in the booster; one that was never split on has 0
    booster_sha256: str = ""  # filled when written
    reference: Json = field(default_factory=dict)  # what it learned from, see ``stability``; empty: it does not say

    def text(self) -> str:
        """The manifest file's text: sorted JSON with a seal, ending in a newline."""
        body = self._body()
        return json.dumps({**body, "seal": _seal(body)}, indent=2, sort_keys=True, allow_nan=False) + "\n"

    def _body(self) -> dict[str, object]:
        body: dict[str, object] = {"format": FORMAT, "features": list(self.features)}
        body.update({name: getattr(self, name) for name in _TEXTS})
        body.update({name: dict(getattr(self, name)) for name in _OBJECTS})
        body.update({name: dict(getattr(self, name)) for name in _LATER_OBJECTS if getattr(self, name)})
        return body

    @classmethod
    def parse(cls, text: str, where: str = MANIFEST_FILE) -> Manifest:
        """The manifest in ``text``; raises ArtefactProblem naming ``where`` if it is truncated, altered or foreign."""
        try:
            body = json.loads(text)
        except ValueError as error:
            raise ArtefactProblem(f"{where} is truncated or not JSON ({error}); {_MEND}") from None
        if not isinstance(body, dict) or "seal" not in body or "format" not in body:
            raise ArtefactProblem(f"{where} is not a manifest of ours; {_MEND}")
        if body["format"] != FORMAT:
            raise ArtefactProblem(
                f"{where} has format {body['format']!r} and this version reads {FORMAT}; train again with this version"
            )
        seal = body.pop("seal")
        if seal != _seal(body):
            raise ArtefactProblem(f"{where} was altered after it was written (its seal does not match); {_MEND}")
        for name in _TEXTS:
            if not isinstance(body.get(name), str):
                raise ArtefactProblem(f"{where} lacks {name!r}; {_MEND}")
        later = {name: body.get(name, {}) for name in _LATER_OBJECTS}
        for name, value in [*((name, body.get(name)) for name in _OBJECTS), *later.items()]:
            if not isinstance(value, dict):
                raise ArtefactProblem(f"{where} lacks {name!r}; {_MEND}")
        features = body.get("features")
        if not isinstance(features, list) or not all(isinstance(name, str) for name in features):
            raise ArtefactProblem(f"{where} lacks its list of features; {_MEND}")
        known = {name: body[name] for name in (*_TEXTS, *_OBJECTS)}
        return cls(features=tuple(features), **known, **later)


@dataclass(frozen=True, slots=True)
class Artefact:
    """A manifest and its booster, both checked."""

    manifest: Manifest
    booster: str
    manifest_text: str

    @property
    def manifest_sha256(self) -> str:
        """SHA-256 of the manifest file, as the registry keeps it."""
        return sha256(self.manifest_text.encode()).hexdigest()


def make_artefact(manifest: Manifest, booster: str) -> Artefact:
    """The artefact of ``manifest`` with the booster's hash filled in."""
    sealed = replace(manifest, booster_sha256=sha256(booster.encode()).hexdigest())
    return Artefact(sealed, booster, sealed.text())


def write_artefact(artefact: Artefact, directory: Path) -> None:
    """Writes ``directory`` whole or not at all: into a neighbour, synced, then renamed into place.

    The same artefact again changes nothing; another one in its place raises ArtefactProblem.
    """
    if directory.exists():
        if read_artefact(directory).manifest_text == artefact.manifest_text:
            return
        raise ArtefactProblem(f"{directory} holds another model already; choose another directory or remove it")
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    except OSError as error:
        raise ArtefactProblem(f"cannot write into {directory.parent}: {error.strerror}; make it writable") from None
    try:
        for name, text in ((BOOSTER_FILE, artefact.booster), (MANIFEST_FILE, artefact.manifest_text)):
            with (beside / name).open("xb") as file:
                file.write(text.encode())
                file.flush()
                os.fsync(file.fileno())
        beside.chmod(0o755)
        beside.rename(directory)
        _sync_directory(directory.parent)
    except OSError as error:
        raise ArtefactProblem(f"cannot write the model {directory}: {error.strerror or error}") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def read_artefact(directory: Path, *, manifest_sha256: str | None = None) -> Artefact:
    """The model in ``directory``; ``manifest_sha256`` is what the registry has (None: not registered).

    Raises ArtefactProblem, naming the file and the mend, where one is missing, truncated or altered.
    """
    if not directory.is_dir():
        raise ArtefactProblem(f"there is no model directory {directory}; {_MEND}, or promote another model")
    path = directory / MANIFEST_FILE
    text = _read(path)
    if manifest_sha256 is not None and sha256(text.encode()).hexdigest() != manifest_sha256:
        raise ArtefactProblem(f"{path} is not the manifest that was registered (SHA-256 differs); {_MEND}")
    manifest = Manifest.parse(text, str(path))
    booster_path = directory / BOOSTER_FILE
    booster = _read(booster_path)
    actual = sha256(booster.encode()).hexdigest()
    if actual != manifest.booster_sha256:
        raise ArtefactProblem(
            f"{booster_path} is truncated or altered: its SHA-256 is {actual[:12]}, the manifest says "
            f"{manifest.booster_sha256[:12]}; {_MEND}"
        )
    return Artefact(manifest, booster, text)


def check_fingerprint(manifest: Manifest, fingerprint: str) -> None:
    """Raises ArtefactProblem, with both fingerprints, if the model was made for other features than the service has."""
    if manifest.feature_fingerprint != fingerprint:
        raise ArtefactProblem(
            f"model {manifest.version} was made for features with fingerprint {manifest.feature_fingerprint}, and this "
            f"service computes features with fingerprint {fingerprint}; train again with this version"
        )


def _seal(body: Json) -> str:
    return sha256(json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()).hexdigest()


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > LONGEST_FILE:
            raise ArtefactProblem(f"{path} is larger than {LONGEST_FILE} bytes, which no model of ours is; {_MEND}")
        return path.read_bytes().decode()
    except FileNotFoundError:
        raise ArtefactProblem(f"{path} is missing; {_MEND}") from None
    except OSError as error:
        raise ArtefactProblem(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ArtefactProblem(f"{path} is not text; {_MEND}") from None


def _sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
