"""``gatehouse keys rotate``: a new secret for link keys."""

from __future__ import annotations

import click

from service.commands.context import Run, command_options, now
from service.domain.errors import UsageError
from service.signals.keyring import Keyring, local_keyring, spelled


@click.group("keys")
def keys_group() -> None:
    """Look after the secrets that link keys are made with."""


@keys_group.command("rotate")
@command_options
def rotate_command(run: Run) -> None:
    """Make a new secret the current one.

    The older one is used beside it for 30 days, so that accounts of before and after still link. Where the keys come
    from the environment, the new value of GATEHOUSE_HMAC_KEYS is printed: restart every server and job with it.
    """
    moment = now()
    if run.settings.hmac_keys is not None:
        rotated = Keyring.parse(run.settings.hmac_keys).rotated(moment)
        run.done({"current": rotated.secrets[0].id, "GATEHOUSE_HMAC_KEYS": spelled(rotated)}, spelled(rotated))
        return
    path = run.settings.keyring_file()
    if not path.exists():
        raise UsageError(f"there is no keyring at {path} yet; the first `gatehouse serve` or `import` makes one")
    keyring, _ = local_keyring(path, moment)
    rotated = keyring.rotated(moment)
    rotated.save(path)
    run.done(
        {"current": rotated.secrets[0].id, "keys": [secret.id for secret in rotated.secrets]},
        f"{rotated.secrets[0].id} is the current key; restart servers and jobs to use it",
    )
