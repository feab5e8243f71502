"""How far a solution is from its reference, on dense fresh points of the whole domain."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Reference(Protocol):
    """A solution to compare with, and how far it may itself be off (relative L2)."""

    kind: str
    error_estimate: float
    seconds: float

    def value(self, points: Array) -> Array:
        """Fields (n, fields) at points (n, d)."""


@dataclass(frozen=True)
class Errors:
    """relative L2 = ‖u − ref‖ / ‖ref‖ and max |u − ref|, over all fields together and for each."""

    relative_l2: float
    max_error: float
    fields: dict[str, dict[str, float]]


def compare(predict: Callable[[Array], Array], reference: Reference, points: Array, fields: Sequence[str]) -> Errors:
    """Errors of `predict` against the reference at points (n, d)."""
    return errors(predict(points), reference.value(points), fields)


def errors(found: Array, truth: Array, fields: Sequence[str]) -> Errors:
    """Errors of values (n, fields)."""
    each = {
        name: {
            "relative_l2": relative_l2(found[:, i], truth[:, i]),
            "max_error": _largest(found[:, i] - truth[:, i]),
        }
        for i, name in enumerate(fields)
    }
    return Errors(relative_l2(found, truth), _largest(found - truth), each)


def relative_l2(found: Array, truth: Array) -> float:
    """‖found − truth‖ / ‖truth‖; the absolute norm per point where the truth vanishes."""
    size = float(np.linalg.norm(truth))
    with np.errstate(over="ignore", invalid="ignore"):  # a diverging solution
        return float(np.linalg.norm(found - truth)) / (size if size > 0 else float(np.sqrt(truth.size)))


def _largest(difference: Array) -> float:
    return float(np.abs(difference).max())


def worst_field(found: Array, truth: Array) -> tuple[float, float]:
    """The largest relative L2 error of a field where its mean is left out, and how much that measure enlarges errors.

    A temperature of 300 K that varies by 1 K is not known well if its error is 1 K.
    """
    measures = []
    for u, reference in zip(found.T, truth.T, strict=True):
        variation = float(np.linalg.norm(reference - reference.mean()))
        size = float(np.linalg.norm(reference))
        larger = size / variation if variation > 1e-9 * size else 1.0
        measures.append((relative_l2(u, reference) * larger, larger))
    return max(measures)


def verdict(relative: float | None, reference_error: float | None, tolerance: float) -> str:
    """ "trusted" where the error and the reference's own error stay within the tolerance, else "untrusted: why".

    Both are relative L2 errors of the worst field, without its mean.
    """
    if relative is None or reference_error is None:
        return "untrusted: there is no reference to compare with"
    if not np.isfinite(relative):
        return "untrusted: the solution is not finite"
    if not reference_error <= tolerance:
        return f"untrusted: the reference's own error is {reference_error:.1e}, above {tolerance:.1e}"
    if relative + reference_error > tolerance:
        return f"untrusted: the error is {relative:.1e} of the variation of the solution, above {tolerance:.1e}"
    return "trusted"
