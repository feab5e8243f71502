"""Bands from spreads: split conformal prediction, and how often bands cover the truth.

The score of a held-out truth is |error| / (spread + floor). The band |u − mean| ≤ q (spread + floor), with q the
⌈(n + 1) level⌉-th smallest of n scores, covers a further truth that is exchangeable with them with a probability of at
least `level`, and of at most level + 1/(n + 1) where scores do not tie, whatever the distribution (Papadopoulos et al.
2002; Lei et al. 2018, *Distribution-free predictive inference for regression*). The floor makes bands of one width
where the spread says nothing; it is the one of a few that gives the least mean width on these truths, at a price in
coverage of the order of √(log(floors)/n) (Yang & Kuchibhotla 2021, *Finite-sample efficient conformal prediction*).

Truths may come in groups, equally many from each of k instances of a problem, which are exchangeable with the one at
hand while the truths of one instance are exchangeable with each other. Then q is the ⌈n level (k + 1)/k⌉-th smallest of
the n scores, and a truth of the instance at hand is covered with a probability of at least `level` over instances
(Lee, Barber & Willett 2023, *Distribution-free inference with hierarchical data*).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from pinnkit.errors import BadInput

Array = NDArray[np.float64]
FLOORS = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, math.inf)  # relative to the mean spread; infinite: one width everywhere
FEWEST_TO_CHOOSE = 100  # held-out truths from which on they choose the floor; of few it is the mean spread
ROUND_OFF = 1e-14  # a product that is a whole number is not to be rounded up to the next
LEVELS = np.linspace(0.05, 0.95, 19)


@dataclass(frozen=True)
class Calibration:
    """Sorted scores (n,) of held-out truths, and the floor that they were found with; infinite for |error| itself.

    `groups` is the number of instances that the truths are of, where they are not of the instance at hand.
    """

    scores: Array
    floor: float
    groups: int | None = None

    def half_width(self, spread: Array, level: float) -> Array:
        """Of the band around the mean, where the spread is (n,); infinite where there are too few scores for it."""
        q = quantile(self.scores, level, self.groups)
        return np.full_like(spread, q) if math.isinf(self.floor) or math.isinf(q) else q * (spread + self.floor)

    def to_plain(self) -> dict[str, Any]:
        return {"scores": self.scores.tolist(), "floor": self.floor, "groups": self.groups}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "Calibration":
        return cls(np.array(plain["scores"], dtype=float), float(plain["floor"]), plain.get("groups"))


def quantile(scores: Array, level: float, groups: int | None = None) -> float:
    """The ⌈(n + 1) level⌉-th smallest of n scores; infinite where they are too few. Raises BadInput.

    Of scores in k groups of one size the ⌈n level (k + 1)/k⌉-th.
    """
    _check(level)
    k, n = groups or len(scores), len(scores)
    rank = math.ceil(n * level * (k + 1) / k * (1 - ROUND_OFF)) if n else 1
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else math.inf


def _check(level: float) -> None:
    if not 0 < level < 1:
        raise BadInput("level", f"it is {level}", "it must be between 0 and 1")


def calibrate(errors: Array, spreads: Array, level: float, groups: int | None = None) -> Calibration:
    """From errors (n,) and spreads (n,) at held-out truths, maybe in groups of one size.

    The floor is the one of a few with the narrowest bands.
    """
    size = float(spreads.mean())
    if size == 0:
        floors = [math.inf]
    else:
        floors = [part * size for part in FLOORS] if (groups or len(errors)) >= FEWEST_TO_CHOOSE else [size]
    found = [Calibration(np.sort(_scores(errors, spreads, floor)), floor, groups) for floor in floors]
    return min(found, key=lambda one: float(one.half_width(spreads, level).mean()))


def _scores(errors: Array, spreads: Array, floor: float) -> Array:
    if math.isinf(floor):
        return np.abs(errors)
    width = spreads + floor
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(errors == 0, 0.0, np.abs(errors) / width)


def coverage(errors: Array, half_widths: Array) -> float:
    """The share of truths inside the bands."""
    return float((np.abs(errors) <= half_widths).mean())


def students_half_width(spread: Array, members: int, level: float) -> Array:
    """Of the band in which one more member would lie, were the members normally distributed: not calibrated.

    Raises BadInput.
    """
    _check(level)
    return float(special.stdtrit(members - 1, (1 + level) / 2)) * math.sqrt(1 + 1 / members) * spread


def normal_half_width(deviation: Array, level: float) -> Array:
    """Of the band in which a normal variable of that deviation lies."""
    _check(level)
    return float(special.ndtri((1 + level) / 2)) * deviation


def rank_correlation(errors: Array, spreads: Array) -> float | None:
    """Spearman's, of |errors| (n,) and spreads (n,); None where one of them is the same everywhere."""
    if np.ptp(errors) == 0 or np.ptp(spreads) == 0:
        return None
    ranks = [np.argsort(np.argsort(values)).astype(float) for values in (errors, spreads)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


@dataclass(frozen=True)
class Reliability:
    """Shares of truths inside raw and calibrated bands, by nominal level (k,)."""

    levels: Array
    raw: Array
    calibrated: Array


def reliability(calibration: Calibration, errors: Array, spreads: Array, members: int) -> Reliability:
    """On truths that the calibration has not seen."""
    raw = [coverage(errors, students_half_width(spreads, members, level)) for level in LEVELS]
    calibrated = [coverage(errors, calibration.half_width(spreads, level)) for level in LEVELS]
    return Reliability(LEVELS, np.array(raw), np.array(calibrated))
