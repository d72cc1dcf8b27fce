"""Joining prompts that are near duplicates: all at once, and one per cent of new ones, beside a brute-force search.

    python -m benchmarks.near_duplicates [--words 1000000 5000000 10000000] [--sampled 400]

Two thirds of the words are like no other; the rest are prompts in several wordings, up to four bits from the first one,
in sizes from two to some thousands. The peer compares a sample of words with every word there is, bit by bit: it is
what an index has to beat, and it tells which near words were missed. The same search by brute force for all words is
extrapolated from the sample.
"""

from __future__ import annotations

import argparse
import gc
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from service.linking.prompts import NEAR_BITS, NO_PROMPTS, PromptIds, extend
from service.linking.words import Words, distinct

Answer = TypeVar("Answer")

SINGLE = 2 / 3  # of all words
LARGEST = 3_000  # wordings of one prompt
LATER = 0.01  # share of words that come last
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Timed:
    """Seconds on the clock and of processors."""

    wall: float
    busy: float

    def __str__(self) -> str:
        """As a line of the table shows it."""
        return f"{self.wall:8.1f} s {self.busy:8.1f} s"


def timed(work: Callable[[], Answer]) -> tuple[Answer, Timed]:
    """What ``work`` gives, and how long it took."""
    gc.collect()
    wall, busy = time.perf_counter(), time.process_time()
    answer = work()
    return answer, Timed(time.perf_counter() - wall, time.process_time() - busy)


def world(rng: np.random.Generator, count: int) -> Words:
    """About so many distinct words in random order."""
    single = rng.integers(0, 2**64, int(count * SINGLE), dtype=np.uint64)
    left = count - len(single)
    sizes = np.minimum(rng.zipf(1.8, left // 2) + 1, LARGEST)
    sizes = sizes[: np.searchsorted(np.cumsum(sizes), left) + 1]
    worded = np.repeat(rng.integers(0, 2**64, len(sizes), dtype=np.uint64), sizes)[:left]
    bits = rng.integers(0, NEAR_BITS + 1, len(worded))
    for turned in range(NEAR_BITS):  # the same bit twice is none
        flip = np.uint64(1) << rng.integers(0, 64, len(worded), dtype=np.uint64)
        worded ^= np.where(turned < bits, flip, np.uint64(0))
    return rng.permutation(distinct(np.concatenate([single, worded])))


def near_by_force(words: Words, sampled: Words) -> Iterator[Words]:
    """For each sampled word all words within NEAR_BITS, itself among them."""
    for word in sampled:
        blocks = (words[low : low + _BLOCK] for low in range(0, len(words), _BLOCK))
        yield np.concatenate([block[np.bitwise_count(block ^ word) <= NEAR_BITS] for block in blocks])


def missed(ids: PromptIds, sampled: Words, near: list[Words]) -> tuple[int, int]:
    """How many sampled words have near ones, and how many of those have a near one of another prompt id."""
    others = [words[words != word] for word, words in zip(sampled, near, strict=True)]
    apart = [(ids.of(words) != ids.of(np.array([word]))).any() for word, words in zip(sampled, others, strict=True)]
    return sum(len(words) > 0 for words in others), int(sum(apart))


def measure(count: int, sample: int) -> None:
    """Prints the figures of one size."""
    rng = np.random.default_rng(count)
    words = world(rng, count)
    later = round(len(words) * LATER)
    new, old = np.sort(words[:later]), np.sort(words[later:])
    every = np.sort(words)
    none = np.empty(0, np.uint64)
    ids, first = timed(lambda: extend(NO_PROMPTS, none, every))
    known = extend(NO_PROMPTS, none, old)
    grown, then = timed(lambda: extend(known, old, new))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    # Half of the sample are words of prompts with several wordings: the others have nothing to miss.
    some = np.concatenate([rng.choice(ids.word, sample // 2), rng.choice(every, sample - sample // 2)])
    near, forced = timed(lambda: list(near_by_force(every, some)))
    having, lost = missed(ids, some, near)
    _, lost_later = missed(grown, some, near)
    print(f"{len(every):,} words, {len(ids.word):,} of them in prompts with several wordings   (wall, processor)")
    print(f"  all at once                          {first}")
    print(f"  the last {later:>9,} beside the others  {then}")
    print(f"  {sample:,} words by brute force            {forced}; for all,", end=" ")
    print(f"each pair once, {forced.busy / sample * len(every) / 7200:,.1f} h")
    print(f"  of the sample, have near words       {having:,}; lost one at once {lost:,}, in two steps {lost_later:,}")
    print(f"  ids that differ between the two      {np.mean(ids.of(every) != grown.of(every)):.4%}")
    print(f"  peak of this process so far          {peak:,.0f} MiB", flush=True)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.near_duplicates")
    parser.add_argument("--words", type=int, nargs="+", default=[1_000_000, 5_000_000, 10_000_000])
    parser.add_argument("--sampled", type=int, default=400)
    options = parser.parse_args()
    for count in options.words:
        measure(count, options.sampled)


if __name__ == "__main__":
    main()
