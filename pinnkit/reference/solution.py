"""What solutions by finite elements have in common: a mesh, an error estimate and a form to be kept in files."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Self

import numpy as np

from pinnkit.reference.elements import Elements
from pinnkit.reference.mesh import Array, Index


@dataclass(frozen=True)
class Solution(ABC):
    """A continuous piecewise quartic on triangles, and an estimate of its relative L2 error."""

    corners: Array  # (m, 3, 2)
    cell_dofs: Index  # (m, 15)
    error_estimate: float
    seconds: float

    @property
    @abstractmethod
    def dofs(self) -> int:
        """The number of degrees of freedom in space, N."""

    @abstractmethod
    def value(self, points: Array) -> Array:
        """u (n,) at points (n, d). Points outside take the nearest triangle's polynomial."""

    @cached_property
    def elements(self) -> Elements:
        return Elements(self.corners, self.cell_dofs)

    def to_arrays(self) -> dict[str, Array]:
        """All that there is to know, for an .npz file."""
        return {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Self:
        """The solution that `to_arrays` took apart; arrays without axes become numbers."""
        found = {field.name: np.asarray(arrays[field.name]) for field in fields(cls)}
        values: dict[str, Any] = {name: array if array.ndim else array.item() for name, array in found.items()}
        return cls(**values)
