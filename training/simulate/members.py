"""Who follows the group in what: the one place where a group's common draw replaces its members' own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.simulate.cohesion import Cohesion, cohesions
from training.simulate.population import Group, Population
from training.simulate.rng import Bools, Floats, Ints, generator, zipf


@dataclass(frozen=True, slots=True)
class Crowd:
    """A population with each group's cohesion; ``tight`` is false for rows without a group and for loose members."""

    seed: int
    population: Population
    cohesion: tuple[Cohesion, ...]
    tight: Bools

    @property
    def groups(self) -> tuple[tuple[Group, Cohesion], ...]:
        """Each group with its cohesion."""
        return tuple(zip(self.population.groups, self.cohesion, strict=True))

    def share(self, name: str) -> Floats:
        """The named cohesion of each row's group, 0 for rows that are not tight."""
        table = np.array([float(getattr(one, name)) for one in self.cohesion] + [0.0])
        return np.where(self.tight, table[self.population.group], 0.0)

    def followers(self, name: str, purpose: str = "") -> Bools:
        """Rows that take their group's common value of the named cohesion."""
        draws = generator(self.seed, f"follow-{name}-{purpose}").random(self.population.size)
        return draws < self.share(name)

    def follow(self, name: str, own: Ints, common: Ints, purpose: str = "") -> Ints:
        """``own`` with followers' values replaced by ``common`` (one element per group)."""
        if not len(common):
            return own
        return np.where(self.followers(name, purpose), common[self.population.group], own)

    def pull(self, name: str, own: Floats, common: Floats) -> Floats:
        """Standard normal draws pulled towards the group's; over all groups they stay standard normal."""
        if not len(common):
            return own
        weight = self.share(name)
        return np.sqrt(weight) * common[self.population.group] + np.sqrt(1 - weight) * own

    def pooled(self, name: str, per_member: str, purpose: str = "") -> Ints:
        """For each row the number of the shared card, device or domain that it uses, unique over all groups, or -1."""
        rng = generator(self.seed, f"pool-{name}-{purpose}")
        item = np.full(self.population.size, -1, dtype=np.int64)
        used = 0
        for group, cohesion in self.groups:
            count = max(1, round(len(group.members) * float(getattr(cohesion, per_member))))
            item[group.members] = used + zipf(rng, count, len(group.members), 0.5)
            used += count
        return np.where(self.followers(name, purpose), item, -1)


def gather(seed: int, population: Population) -> Crowd:
    """Draw cohesions, and who in each group has nothing in common with the others."""
    drawn = cohesions(seed, population.groups)
    loose = np.array([one.loose for one in drawn] + [1.0])[population.group]
    tight = generator(seed, "loose").random(population.size) >= loose
    return Crowd(seed, population, drawn, tight)
