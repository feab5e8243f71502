"""Spectral references for Poisson's equation on polygons: the poles that a wanted accuracy needs."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from operator import itemgetter
from typing import Any, Self

import numpy as np

from pinnkit.reference.certificate import Misfit, certify
from pinnkit.reference.lightning import BLOCK, Fit, Jumps, Lightning, Resolution
from pinnkit.reference.poisson import Frame, PoissonProblem
from pinnkit.reference.rational import Array, Basis, Complex
from pinnkit.reference.source import particular

AIM = 1e-11  # relative L2 error
ROUND_OFF = 1e-14  # error that no bound is to fall below
FIRST_POLES, FIRST_DEGREE = 16, 20
MOST_WORK = 5e9  # unknowns³ in all fits: one or two seconds
FASTEST = 2.0  # growth of any resolution in one step
MOST_CONFIDENT = 0.1  # error from which growth is predicted at most
AHEAD = 3.0  # factor by which a part of the misfit is to fall below its share
GAIN = 0.5  # factor by which a finer fit has to be better, for still finer ones to be tried


@dataclass(frozen=True)
class HarmonicSolution:
    """u in closed form, and a bound of its relative L2 error."""

    frame: Frame
    source: Complex
    jumps: Jumps
    basis: Basis
    coefficients: Array  # (N,)
    error_estimate: float
    seconds: float

    @property
    def dofs(self) -> int:
        return len(self.coefficients)

    def value(self, points: Array) -> Array:
        """u at points (n, 2) of the domain: (n,)."""
        z = self._beside_corners(self.frame.inside(points))
        return np.concatenate([self._value(part) for part in np.array_split(z, 1 + len(z) // BLOCK)])

    def _value(self, z: Complex) -> Array:
        known = particular(self.source, z).values + self.jumps.columns(z).values
        return (known + self.basis.combined(z, self.coefficients[:, None]).values)[:, 0]

    def _beside_corners(self, z: Complex) -> Complex:
        """z (n,) but for points in a corner, where singular terms have no slope: they go inside by a round-off."""
        starts, ends = np.concatenate([self.basis.cuts, [self.jumps.start, self.jumps.end]], axis=1)
        for start, end in zip(starts, ends, strict=True):
            z = np.where(np.abs(z - start) < 1e-15, start - 1e-15 * (end - start) / abs(end - start), z)
        return z

    def to_arrays(self) -> dict[str, Array]:
        """All that there is to know, for an .npz file."""
        parts = {"frame": vars(self.frame), "jumps": self.jumps._asdict(), "basis": vars(self.basis)}
        inner = {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}
        own = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in parts}
        return {name: np.asarray(value) for name, value in (inner | own).items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Self:
        """The solution that `to_arrays` took apart."""
        return cls(
            Frame(complex(arrays["frame.centre"]), float(arrays["frame.scale"])),
            np.asarray(arrays["source"]),
            Jumps(**{name: arrays[f"jumps.{name}"] for name in Jumps._fields}),
            Basis(**{field.name: arrays[f"basis.{field.name}"] for field in fields(Basis)}),
            np.asarray(arrays["coefficients"]),
            float(arrays["error_estimate"]),
            float(arrays["seconds"]),
        )


def solve_harmonic(problem: PoissonProblem, aim: float = AIM) -> HarmonicSolution:
    """Solve with more and more poles where the misfit is, until the bound is at the aim or hardly falls.

    Raises NotHarmonic.
    """
    start = time.perf_counter()
    lightning = Lightning(problem)
    fit, bound = min(_finer_and_finer(lightning, aim), key=itemgetter(1))
    return HarmonicSolution(
        problem.frame,
        problem.source,
        lightning.jumps,
        fit.basis,
        fit.coefficients[:, 0],
        max(bound, ROUND_OFF),
        time.perf_counter() - start,
    )


def _finer_and_finer(lightning: Lightning, aim: float) -> Iterator[tuple[Fit, float]]:
    """Fits and the bounds of their errors."""
    resolution = Resolution(np.full(len(lightning.corners.vertex), FIRST_POLES), FIRST_DEGREE)
    before, work = np.inf, 0.0
    while True:
        fit = lightning.fit(resolution)
        misfit = certify(lightning, fit, resolution)
        yield fit, misfit.bound
        finer, size = refined(resolution, misfit, aim), len(fit.coefficients)
        work += size**3
        more = size * (finer.poles.sum() + finer.degree) / (resolution.poles.sum() + resolution.degree)
        if misfit.bound <= aim or not misfit.bound < GAIN * before or work + more**3 > MOST_WORK:
            return
        resolution, before = finer, misfit.bound


def refined(resolution: Resolution, misfit: Misfit, aim: float) -> Resolution:
    """What should bring every part of the misfit to its share in the aim.

    Errors fall like exp(−c √n) with the number of poles at a corner, and like exp(−c n) with the degree.
    """
    share = aim / (2 * np.sqrt(len(misfit.parts)))
    missing = np.log(share / AHEAD) / np.log(np.clip(misfit.parts, share / AHEAD, MOST_CONFIDENT))
    missing = np.where(misfit.parts > share, missing, 1)
    poles = np.ceil(resolution.poles * np.minimum(missing[:-1] ** 2, FASTEST))
    return Resolution(poles.astype(int), int(np.ceil(resolution.degree * min(missing[-1], FASTEST))))
