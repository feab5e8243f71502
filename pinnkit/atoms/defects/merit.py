"""How well representations tell defects apart: by the nearest neighbours of views that were never seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from pinnkit.atoms.defects.contrastive import Learned, nearest, nearest_other
from pinnkit.atoms.defects.environments import Environments, Index
from pinnkit.atoms.structure import Array

REPRESENTATIONS = {
    "contrastive": "contrastive",
    "descriptors": "descriptors",
    "coordinates": "coordinates",
    "trained_coordinates": "coordinates, trained",
}


Described = tuple[Tensor, Tensor]  # views by their invariants and by their coordinates, each (n, count)


@dataclass(frozen=True, eq=False)
class Represented:
    """Four representations of the same views: learned from invariants, these themselves, and of coordinates as well."""

    invariant: Learned
    naive: Learned

    def described(self, seen: Environments) -> Described:
        """The features of both."""
        return self.invariant.features(seen), self.naive.features(seen)

    def __call__(self, described: Described) -> dict[str, Array]:
        """Each (n, its dimension), by the names in REPRESENTATIONS."""
        descriptors, coordinates = described
        return {
            "contrastive": self.invariant.of(descriptors),
            "descriptors": np.asarray(self.invariant.scale(descriptors)),
            "coordinates": np.asarray(coordinates),
            "trained_coordinates": self.naive.of(coordinates),
        }


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Views of defects (n,). By representation: of which defect the nearest other view is (n,), and a map (n, 2)."""

    labels: Index
    nearest: Mapping[str, Index]
    maps: Mapping[str, Array]

    @classmethod
    def of(cls, represented: Mapping[str, Array], labels: Index) -> "HeldOut":
        """Of representations (n, d) of views that were not trained with."""
        found = {name: labels[nearest_other(points)] for name, points in represented.items()}
        return cls(labels, found, {name: principal(points) for name, points in represented.items()})

    def accuracy(self, name: str) -> float:
        """The share of views whose nearest neighbour shows the same defect."""
        return float(np.mean(self.nearest[name] == self.labels))

    def confusion(self, name: str, count: int) -> Array:
        """Shares (count, count): of views of the defect i, those with a nearest neighbour of the defect j."""
        table = np.zeros((count, count))
        np.add.at(table, (self.labels, self.nearest[name]), 1.0)
        return table / np.maximum(table.sum(1, keepdims=True), 1)

    def to_plain(self) -> dict[str, Any]:
        """For a checkpoint."""
        plain = {key: {name: v.tolist() for name, v in getattr(self, key).items()} for key in ("nearest", "maps")}
        return {"labels": self.labels.tolist(), **plain}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "HeldOut":
        """What `to_plain` was given."""
        found = {name: np.array(v, dtype=np.int64) for name, v in plain["nearest"].items()}
        maps = {name: np.array(v, dtype=float) for name, v in plain["maps"].items()}
        return cls(np.array(plain["labels"], dtype=np.int64), found, maps)


def principal(points: Array, count: int = 2) -> Array:
    """Coordinates (n, count) along the directions in which points (n, d) vary most."""
    centred = points - points.mean(0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    return np.asarray(centred @ directions[:count].T)


def agreement(
    represented: Represented, known: Mapping[str, Array], labels: Index, queries: Sequence[tuple[Described, Index]]
) -> dict[str, list[float]]:
    """By representation, for each set of views with their defects: how often the nearest known view shows the same."""
    found: dict[str, list[float]] = {name: [] for name in known}
    for described, truth in queries:
        for name, points in represented(described).items():
            found[name].append(float(np.mean(labels[nearest(points, known[name])] == truth)))
    return found
