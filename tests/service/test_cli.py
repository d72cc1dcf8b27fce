"""The command line lists what the product does, and loads no more than what is asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from service.cli import COMMANDS_GROUP, JOINING, OURS, Elsewhere, cli

# What users were promised, by name.
PROMISED = {
    *("serve", "simulate", "import", "train", "models", "rescore", "detect", "backtest", "labels", "campaigns", "db"),
    "doctor",
}
# Each takes a tenth of a second and more to import.
HEAVY = {"numpy", "structlog", "pydantic", "sqlalchemy", "pyarrow", "scipy", "lightgbm", "stix2", "grpc", "google.rpc"}

LOADED = """
import json, sys
from service.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps(sorted(sys.modules)))
"""


def loaded(home: Path, *words: str) -> set[str]:
    """The modules that a command has imported by its end."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED, *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=home,
        env={"GATEHOUSE_DATABASE_URL": f"sqlite:///{home / 'gatehouse.db'}"},
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_help_lists_every_command_with_its_first_sentence() -> None:
    result = CliRunner().invoke(cli, ["--help"], terminal_width=120)
    assert result.exit_code == 0
    listed = {line.split()[0]: line for line in result.output.split("Commands:\n")[1].splitlines()}
    assert set(listed) >= PROMISED
    for name, _, sentence in OURS:
        assert sentence in listed[name]


def test_what_help_says_of_a_command_is_what_the_command_says_of_itself() -> None:
    context = click.Context(cli)
    of_training = {entry.name for entry in entry_points(group=COMMANDS_GROUP)}
    assert set(JOINING) == of_training
    for name in cli.list_commands(context):
        listed = cli.get_command(context, name)
        assert isinstance(listed, Elsewhere), name
        command = listed.load()
        assert command.name == name
        assert listed.get_short_help_str(1000) == command.get_short_help_str(1000)


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_saying_what_there_is_loads_none_of_it(option: str, tmp_path: Path) -> None:
    modules = loaded(tmp_path, option)
    assert not modules & HEAVY
    assert not {name for name in modules if name.startswith(("service.commands.", "training"))}


@pytest.mark.parametrize(
    ("words", "unneeded"),
    [
        ("db upgrade", {"pyarrow", "scipy", "lightgbm", "stix2", "grpc", "google.rpc"}),
        ("campaigns list", {"scipy", "lightgbm", "stix2", "grpc", "google.rpc"}),
        ("models list", {"scipy", "lightgbm", "stix2", "grpc", "google.rpc"}),
    ],
)
def test_a_command_loads_nothing_that_it_does_not_need(words: str, unneeded: set[str], tmp_path: Path) -> None:
    modules = loaded(tmp_path, *words.split())
    assert "sqlalchemy" in modules
    assert not modules & unneeded


def test_a_command_that_is_not_there_is_refused_with_what_was_meant() -> None:
    result = CliRunner().invoke(cli, ["servee"])
    assert result.exit_code == 2
    assert "Did you mean 'serve'?" in result.output
