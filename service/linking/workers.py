"""Two pieces of work at a time: numpy and scipy let others work while they do, and a look is long enough to share."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

AT_A_TIME = 2


def shared_out(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """What ``work`` makes of each item, in the order of the items; hardly more of it is held than AT_A_TIME.

    ``work`` must not change anything that is shared. What it raises is raised here.
    """
    with ThreadPoolExecutor(AT_A_TIME, thread_name_prefix="linking") as pool:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > AT_A_TIME:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
