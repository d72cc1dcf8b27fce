"""Which template and which prompt each exchange carries, as the two hashes that reach the product.

A prompt is a number; its SimHash is that number scrambled, with at most two bits turned over when the prompt was
reworded a little, so that two rewordings of one prompt differ in at most four bits, as ``sketch`` promises for near
duplicates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.simulate.habits import FRAMEWORKS, Habits
from training.simulate.members import Crowd
from training.simulate.population import CAMPAIGN
from training.simulate.rng import Bools, Floats, Ints, Words, generator, mix, pair, salt

COMMON_PROMPTS = 300  # greetings, tests and examples that anybody sends
OWN, GROUP, PUBLIC, FRESH = (np.uint64(n << 60) for n in (1, 2, 3, 4))


@dataclass(frozen=True, slots=True)
class PromptLaw:
    """Per account: shares of exchanges from the group's list and template; per group: list and template counts."""

    prompt: Floats
    template: Floats
    group: Ints
    list_size: Ints
    skew: Floats  # 1: every prompt of the list alike; above: some are everybody's favourites
    templates: Ints
    public_base: Ints  # a framework that the group builds on, -1 for an own template
    reworded: Floats  # chance that a list's prompt is sent slightly changed
    salt: int

    def hashes(self, habits: Habits, row: Ints, rng: np.random.Generator) -> tuple[Words, Words]:
        """Template and prompt hashes of exchanges by accounts ``row`` (one element per exchange)."""
        size = len(row)
        listed = rng.random(size) < self.prompt[row]
        through = listed | (rng.random(size) < self.template[row])
        return self._templates(habits, row, rng, through), self._prompts(habits, row, rng, listed)

    def _templates(self, habits: Habits, row: Ints, rng: np.random.Generator, through: Bools) -> Words:
        group = self.group[row]
        own = pair(OWN + row.astype(np.uint64), _skewed(rng, habits.templates[row]), self.salt)
        public = mix(PUBLIC + habits.framework[row].astype(np.uint64), self.salt)
        if not len(self.list_size):
            return np.where(rng.random(len(row)) < habits.public[row], public, own)
        shared = pair(GROUP + group.astype(np.uint64), _skewed(rng, self.templates[group]), self.salt)
        base = self.public_base[group]
        shared = np.where(base >= 0, mix(PUBLIC + np.maximum(base, 0).astype(np.uint64), self.salt), shared)
        return np.where(through, shared, np.where(rng.random(len(row)) < habits.public[row], public, own))

    def _prompts(self, habits: Habits, row: Ints, rng: np.random.Generator, listed: Bools) -> Words:
        size = len(row)
        group = self.group[row]
        common = rng.random(size) < 0.02
        fresh = rng.random(size) < habits.fresh[row]
        repeated = pair(OWN + row.astype(np.uint64), _skewed(rng, habits.prompts[row]), self.salt + 1)
        prompt = np.where(fresh, rng.integers(0, 2**63, size).astype(np.uint64) ^ FRESH, repeated)
        prompt = np.where(common, mix(PUBLIC + _skewed(rng, np.full(size, COMMON_PROMPTS)), self.salt + 1), prompt)
        reworded = rng.random(size) < np.where(common, 0.1, 0.35)
        if len(self.list_size):
            item = (rng.random(size) ** self.skew[group] * self.list_size[group]).astype(np.uint64)
            prompt = np.where(listed, pair(GROUP + group.astype(np.uint64), item, self.salt + 1), prompt)
            reworded = np.where(listed, rng.random(size) < self.reworded[group], reworded)
        return np.where(reworded, flip(prompt, rng), prompt)


def flip(words: Words, rng: np.random.Generator) -> Words:
    """Turn over one or two bits of each word (the same bit twice leaves it as it was)."""
    for _ in range(2):
        words = words ^ (np.uint64(1) << rng.integers(0, 64, len(words)).astype(np.uint64))
    return words


def prompt_law(crowd: Crowd) -> PromptLaw:
    """Draw each group's list and templates."""
    rng = generator(crowd.seed, "prompt-law")
    count = len(crowd.groups)
    campaign = np.array([group.kind == CAMPAIGN for group, _ in crowd.groups], bool)
    work = np.array([len(group.members) * one.prompts_per_member * 8 for group, one in crowd.groups])
    # People share by copying: exercises, snippets that went round. Only a pipeline deals thousands of prompts out.
    handed = (
        np.exp(rng.uniform(np.log(5), np.log(150), count)) * np.array([len(g.members) for g, _ in crowd.groups]) ** 0.1
    )
    sizes = np.where(campaign, work, handed)
    personal = rng.uniform(0.3, 1.7, crowd.population.size)  # members differ in how much of the group's work they carry
    return PromptLaw(
        prompt=np.minimum(_work(crowd) * personal, 0.95),
        template=np.minimum(crowd.share("template") * personal, 0.95),
        group=crowd.population.group,
        list_size=np.maximum(sizes, 5).astype(np.int64),
        skew=np.where(campaign, 1.0, rng.uniform(1.5, 3.0, count)),
        templates=rng.integers(1, 6, count),
        public_base=np.where(rng.random(count) < 0.3, rng.integers(0, FRAMEWORKS, count), -1),
        reworded=rng.uniform(0.1, 0.9, count),
        salt=salt(crowd.seed, "prompts"),
    )


def _work(crowd: Crowd) -> Floats:
    """Share of each account's exchanges from its group's list.

    All of a campaign's accounts take part in its work: one that shares neither an identity nor work is not of it.
    """
    table = np.array([one.prompt if group.kind == CAMPAIGN else 0.0 for group, one in crowd.groups] + [0.0])
    work: Floats = np.maximum(crowd.share("prompt"), table[crowd.population.group])
    return work


def _skewed(rng: np.random.Generator, count: Ints) -> Words:
    """A number below each ``count``, the small ones more often."""
    return (rng.random(len(count)) ** 2 * count).astype(np.uint64)
