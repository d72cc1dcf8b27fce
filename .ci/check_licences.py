"""Holds the licence of every runtime dependency against the list of those that allow closed and commercial use.

What counts is what requirements/training.txt installs (the serving image is a subset): tools of development are not
passed on to anybody. An SPDX expression passes if each side of an AND passes and one side of an OR does.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).parent.parent / "requirements" / "training.txt"

ALLOWED = {
    # Permissive.
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "PSF-2.0",
    "Unlicense",
    "Zlib",
    # Copyleft that stays inside the library's own files; we install these unchanged and link at run time.
    "LGPL-3.0-only",
    "MPL-2.0",
}

# What older metadata says, in SPDX's words.
SPOKEN = {
    "3-Clause BSD License": "BSD-3-Clause",
    "Apache 2.0": "Apache-2.0",
    "Apache License 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "BSD": "BSD-3-Clause",  # antlr4-python3-runtime says no more; its files' headers name the 3-clause licence
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "The Unlicense (Unlicense)": "Unlicense",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}


def is_allowed(text: str) -> bool:
    """Whether a licence field allows our use; several classifiers (joined by `;`) must all do."""
    return all(_expression(SPOKEN.get(part.strip(), part.strip())) for part in text.split(";"))


def _expression(text: str) -> bool:
    tokens: list[str] = re.findall(r"\(|\)|[^\s()]+", text)
    position = 0

    def peek() -> str | None:
        return tokens[position] if position < len(tokens) else None

    def take() -> str:
        nonlocal position
        position += 1
        return tokens[position - 1]

    def either() -> bool:
        allowed = both()
        while peek() == "OR":
            take()
            allowed = both() or allowed
        return allowed

    def both() -> bool:
        allowed = single()
        while peek() == "AND":
            take()
            allowed = single() and allowed
        return allowed

    def single() -> bool:
        word = take() if peek() else ""
        if word != "(":
            return word in ALLOWED
        allowed = either()
        return peek() == ")" and take() == ")" and allowed

    return either() and position == len(tokens)


def main() -> int:
    """Prints what is not allowed, or one line; returns the exit code."""
    packages = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    command = [
        str(Path(sys.executable).with_name("pip-licenses")),
        f"--python={sys.executable}",
        "--from=mixed",
        "--format=json",
        "--with-system",
        "--packages",
        *packages,
    ]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - our own tool, no shell
    rows = json.loads(answer.stdout)
    refused = [row for row in rows if not is_allowed(row["License"])]
    for row in refused:
        print(f"licence not on the list: {row['Name']} {row['Version']}: {row['License']}")
    if not refused:
        print(f"licences: {len(rows)} runtime dependencies, all on the list")
    return 1 if refused or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
