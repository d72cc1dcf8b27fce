"""How the C library hands out memory in a job that makes and drops arrays of a megabyte by the thousand."""

from __future__ import annotations

import ctypes
import os

# Arrow has an allocator of its own, which gives back what is freed, and is chosen when it is loaded: this module comes
# before. With the C library's, writing a segment takes half as long.
os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

# Of glibc's malloc.h; other C libraries have no ``mallopt`` or know none of these.
_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1
_SETTINGS = {_ARENA_MAX: 1, _MMAP_THRESHOLD: 1 << 28, _TRIM_THRESHOLD: 1 << 30}


def keep_memory() -> None:
    """What is freed stays with the process and is used again, whichever thread asks next.

    By default each thread has a heap of its own, and large arrays go back to the kernel, which clears their pages when
    it gives them out again. An import spent a tenth of its time on that, and held no less memory for it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for setting, value in _SETTINGS.items():
            mallopt(setting, value)
