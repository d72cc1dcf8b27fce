"""The project's own promises: locks, imports, contracts and packaging agree with one another."""

import ast
import importlib.metadata
import importlib.util
import re
import sys
import tomllib
import zipfile
from pathlib import Path
from subprocess import run
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = ("build", "serving", "training", "dev")
OURS = {"service", "training", "benchmarks", "tests", "gatehouse", "buf"}


def locked(name: str) -> dict[str, str]:
    """Every package of a lock with its block of text: the pin, its marker and its hashes."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)
    return {str(canonicalize_name(re.split(r"[\[=]", block)[0])): block for block in blocks if block.strip()}


def version(block: str) -> str:
    return block.split("==")[1].split(maxsplit=1)[0]


@pytest.mark.parametrize("name", LOCKS)
def test_every_line_of_a_lock_is_an_exact_version_with_hashes_and_no_address(name: str) -> None:
    packages = locked(name)
    assert packages
    for package, block in packages.items():
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?==[0-9][^\s;]*", block), package
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), package
    text = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    options = [line for line in text.splitlines() if re.match(r"-|.*://|.* @ ", line)]
    assert options == []


@pytest.mark.parametrize(("smaller", "larger"), [("build", "dev"), ("serving", "training"), ("training", "dev")])
def test_a_package_has_one_version_in_all_locks(smaller: str, larger: str) -> None:
    wide = {package: version(block) for package, block in locked(larger).items()}
    for package, block in locked(smaller).items():
        assert wide.get(package) == version(block), package


def requirements_of(name: str) -> list[Requirement]:
    project = PYPROJECT["project"]
    extra = project["optional-dependencies"]["training"]
    groups = PYPROJECT["dependency-groups"]
    tools = [line for line in groups["dev"] if isinstance(line, str)]
    lines = {
        "build": groups["build"],
        "serving": project["dependencies"],
        "training": project["dependencies"] + extra,
        "dev": project["dependencies"] + extra + groups["build"] + tools,
    }
    return [Requirement(line) for line in lines[name]]


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_holds_what_pyproject_asks_for(name: str) -> None:
    packages = locked(name)
    for requirement in requirements_of(name):
        block = packages.get(str(canonicalize_name(requirement.name)))
        assert block is not None, f"{requirement.name} is not in requirements/{name}.txt: run make lock"
        assert requirement.specifier.contains(version(block)), f"{requirement} against {version(block)}: run make lock"


def imports_of(folder: str) -> dict[str, set[str]]:
    """Outside packages imported anywhere below a folder, each with the files that do so."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / folder).rglob("*.py")):
        if path.parent.name == "peer_servers":  # runs in the peers' environment, whose pins are beside it
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names = [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                found.setdefault(name, set()).add(path.relative_to(ROOT).as_posix())
    return {name: files for name, files in found.items() if name.split(".")[0] not in OURS | sys.stdlib_module_names}


# `google` is shared by several distributions, which top-level names cannot tell apart.
GOOGLE = {"google.protobuf": "protobuf", "google.rpc": "googleapis-common-protos"}


@pytest.mark.parametrize(
    ("folder", "lock"), [("service", "serving"), ("training", "training"), ("tests", "dev"), ("benchmarks", "dev")]
)
def test_whatever_is_imported_is_declared(folder: str, lock: str) -> None:
    declared = {str(canonicalize_name(requirement.name)) for requirement in requirements_of(lock)}
    owners = importlib.metadata.packages_distributions()
    undeclared = {}
    for name, files in imports_of(folder).items():
        by_prefix = {owner for prefix, owner in GOOGLE.items() if (name + ".").startswith(prefix + ".")}
        if name.split(".")[0] == "google" and not by_prefix:
            continue  # `from google import ...` is seen again with the full name
        distributions = by_prefix or {canonicalize_name(owner) for owner in owners.get(name.split(".")[0], ["?"])}
        if not declared & distributions:
            undeclared[name] = sorted(files)
    assert undeclared == {}


def contracts(kind: str) -> list[dict[str, object]]:
    return [contract for contract in PYPROJECT["tool"]["importlinter"]["contracts"] if contract["type"] == kind]


def test_every_room_of_the_service_stands_on_one_floor() -> None:
    (floors,) = contracts("layers")
    assert floors["exhaustive"] is True
    assert isinstance(floors["layers"], list)
    assert isinstance(floors["exhaustive_ignores"], list)
    named = [room.strip(" ()") for layer in floors["layers"] for room in re.split(r"[|:]", layer)]
    assert len(named) == len(set(named))
    rooms = {
        path.stem
        for path in (ROOT / "service").iterdir()
        if path.stem != "__init__" and (path.suffix == ".py" or any(path.glob("*.py")))
    }
    assert rooms - set(floors["exhaustive_ignores"]) <= set(named)


def test_rules_and_records_know_no_wire_no_database_and_no_log() -> None:
    pure = {
        f"service.{room}" for room in ("domain", "features", "linking", "policy") if (ROOT / "service" / room).is_dir()
    }
    held = [
        contract
        for contract in contracts("forbidden")
        if pure <= set(contract["source_modules"])  # type: ignore[call-overload] # a list in the file
        and {"grpc", "sqlalchemy", "structlog"} <= set(contract["forbidden_modules"])  # type: ignore[call-overload] # the same
    ]
    assert held, f"no contract keeps {sorted(pure)} clean"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Names of the files in a wheel built from this tree with the pinned backend."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(out)]
    built = run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (path,) = out.glob("gatehouse-*.whl")
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def test_the_wheel_carries_generated_code_under_its_wire_name_only(wheel: set[str]) -> None:
    generated = {
        path.relative_to(ROOT / "service" / "pb").as_posix() for path in (ROOT / "service/pb").rglob("*_pb2.py")
    }
    assert "gatehouse/risk/v1/scoring_pb2.py" in generated
    assert generated <= wheel
    assert not {name for name in wheel if name.startswith("service/pb/") and name.endswith("_pb2.py")}


def test_the_wheel_carries_every_tracked_file_of_service_and_training_and_nothing_else(wheel: set[str]) -> None:
    listing = run(["git", "ls-files", "service", "training"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listing.returncode != 0:
        pytest.skip("not a git clone, so there is no list of tracked files")
    tracked = {
        re.sub(r"^service/pb/(?=gatehouse/|buf/)", "", name)
        for name in listing.stdout.splitlines()
        if (ROOT / name).exists()
    }
    assert tracked <= wheel
    assert {name.split("/")[0] for name in wheel if ".dist-info/" not in name} <= OURS - {"benchmarks", "tests"}


def licence_check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check_licences", ROOT / ".ci" / "check_licences.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("MIT", True),
        ("MIT License; Apache Software License", True),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", True),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only", False),
        ("MIT AND AGPL-3.0-only", False),
        ("MIT; GNU General Public License v3 (GPLv3)", False),
        ("(MIT OR Apache-2.0) AND (GPL-2.0-only)", False),
        ("(MIT", False),
        ("UNKNOWN", False),
        ("", False),
    ],
)
def test_a_licence_expression_passes_only_if_all_that_binds_us_is_on_the_list(text: str, *, allowed: bool) -> None:
    assert licence_check().is_allowed(text) is allowed


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("model = '/" + "home/somebody/model.txt'", True),
        ("--index-url https://py" + "pi.org/simple", True),
        ("see service/home/page.py and $HOME/x", False),
        ("sqlite:///var/gatehouse.db", False),
    ],
)
def test_a_machines_path_or_a_registrys_host_is_refused(tmp_path: Path, line: str, *, found: bool) -> None:
    (tmp_path / ".ci").mkdir()
    script = tmp_path / ".ci" / "check-text"
    script.write_bytes((ROOT / ".ci" / "check-text").read_bytes())
    (tmp_path / "file.txt").write_text(line + "\n", encoding="utf-8")
    answer = run(["bash", str(script)], capture_output=True, text=True, check=False)
    assert (answer.returncode == 1) is found, answer.stderr
    assert ("file.txt:1:" in answer.stderr) is found
