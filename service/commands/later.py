"""Commands of the contract that this version does not do yet. They say so and do nothing."""

from __future__ import annotations

import click

from service.domain.errors import NotAvailableYet


def _later(name: str, what: str) -> click.Command:
    @click.command(
        name,
        help=f"Not in this version yet: {what}.",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": ["--help"]},
    )
    @click.argument("words", nargs=-1, type=click.UNPROCESSED)
    def command(words: tuple[str, ...]) -> None:  # noqa: ARG001  whatever was asked, the answer is the same
        raise NotAvailableYet(f"`gatehouse {name}` is not in this version yet: {what}")

    return command


backtest_command = _later("backtest", "replaying history comes with the learning loop")
