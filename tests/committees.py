"""Committees of known functions, to be drawn, reported and exported without training anything."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from answers import Array, Function, KnownAnswer

from pinnkit.calibration import Calibration, calibrate, coverage, reliability, students_half_width
from pinnkit.committee import Judgement

OFFSETS = np.array([-1.0, 0.0, 1.0])  # of three members, times the spread: of standard deviation 1
POINTS = 4000


@dataclass(frozen=True)
class KnownCommittee:
    """Members at truth + shift + OFFSETS · size."""

    truth: Function
    shift: Function
    size: Function
    calibrations: tuple[Calibration, ...] = ()

    def values(self, points: Array) -> Array:
        mean = self.truth(points) + self.shift(points)
        return np.stack([mean + offset * self.size(points) for offset in OFFSETS])

    def half_width(self, spread: Array, level: float) -> Array:
        if not self.calibrations:
            return students_half_width(spread, len(OFFSETS), level)
        return np.stack([c.half_width(s, level) for c, s in zip(self.calibrations, spread.T, strict=True)], 1)


def size_of(points: Array) -> Array:
    """A spread that grows along the first coordinate from 0.01 to 0.1 over a unit."""
    return 0.01 * 10 ** points[:, :1]


def noise_of(points: Array) -> Array:
    return 0.7 * size_of(points) * np.sin(40 * points.sum(1, keepdims=True))


def committee(answer: KnownAnswer, kind: str = "reference", level: float = 0.9) -> KnownAnswer:
    """The answer as that of a committee of three, calibrated by truths of that kind."""
    domain, fields = answer.problem.domain, len(answer.problem.fields)
    seen = domain.sample(500, rng=np.random.default_rng(6))
    used = seen[: 500 if kind == "reference" else 0]
    own = KnownCommittee(answer.solution, noise_of, lambda p: size_of(p) * np.ones(fields))
    if kind != "none":
        calibration = calibrate(np.abs(noise_of(seen))[:, 0], size_of(seen)[:, 0], level)
        own = replace(own, calibrations=(calibration,) * fields)
    points = domain.sample(POINTS, "uniform", np.random.default_rng(5))
    spreads = own.values(points).std(0, ddof=1)
    half, known = own.half_width(spreads, level), answer.reference is not None
    errors = np.abs(noise_of(points)) * np.ones(fields)
    curve = reliability(own.calibrations[0], errors[:, 0], spreads[:, 0], 3) if own.calibrations and known else None
    judgement = Judgement(
        kind, level, used, *((errors.ravel(), spreads.ravel()) if known else (np.empty(0), np.empty(0))), half.ravel(),
        coverage(errors, students_half_width(spreads, 3, level)) if known else None,
        coverage(errors, half) if known and own.calibrations else None, curve, 0.7 if known else None,
        0.2 if known and kind == "reference" else None,
    )  # fmt: skip
    told: dict[str, Any] = {**answer.metrics, **judgement.metrics(), "members": members(known), "next_points": []}
    return _Answer(**{**vars(answer), "solution": own, "judgement": judgement, "metrics": told})


def members(known: bool = True) -> list[dict[str, Any]]:
    return [
        {"seed": 10 + k, "loss": 10.0**-k, "from_mean": 0.1 * k, "relative_l2": 0.01 * k if known else None,
         "k": 2.0 + k, "seconds": 1.5}
        for k in range(3)
    ]  # fmt: skip


class _Answer(KnownAnswer):
    """An answer that is the committee's mean."""

    def predict(self, points: Array) -> Array:
        return self.solution.values(points).mean(0)
