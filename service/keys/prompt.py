"""Keys of what an account asks the model."""

from __future__ import annotations


def template(prefix_hash: int) -> str | None:
    """The normalised leading part of a prompt, as the caller's 64-bit hash of it; None for the hash 0.

    Honest sharing: everyone who uses the same framework or the same public prompt. A template that only a few
    accounts use, all of them new, is one program behind many accounts.
    """
    return f"{prefix_hash & 0xFFFF_FFFF_FFFF_FFFF:016x}" if prefix_hash else None


KEYS = (template,)
