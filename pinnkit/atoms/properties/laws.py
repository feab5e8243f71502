"""Which models of a property its columns allow: laws that physics suggests, and models that know none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pinnkit.atoms.properties.models import (
    InLogarithms,
    LeastSquares,
    Model,
    Process,
    network,
    nothing,
    only,
    quadratic,
    straight,
)

MOST_OF_A_PROCESS = 100  # rows: it factorises (n, n) matrices some hundred times in each of some fifty fits


@dataclass(frozen=True)
class Law:
    """target = C Π x_c^exponents[c] Π x_f^(fitted), over columns c of known exponents and f in `free`; C is fitted."""

    label: str
    exponents: Mapping[str, float]
    free: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return (*self.exponents, *self.free)

    def model(self, columns: Sequence[str], positive: tuple[bool, ...], corrected: bool = False) -> Model:
        """The law over those columns, or the law times a learned factor."""
        known = tuple(float(self.exponents.get(name, 0.0)) for name in columns)
        fitted = only([columns.index(name) for name in self.free]) if self.free else nothing
        return InLogarithms(network() if corrected else LeastSquares((fitted,)), positive, known)

    def to_plain(self) -> dict[str, Any]:
        """What makes it again as `Law(**plain)`."""
        return {"label": self.label, "exponents": dict(self.exponents), "free": tuple(self.free)}


class Candidate(NamedTuple):
    """A model, and what figures call it."""

    label: str
    model: Model


@dataclass(frozen=True)
class Candidates:
    """The models that can be fitted, from the simplest to the most flexible, and why others cannot."""

    models: Mapping[str, Candidate]
    left_out: Mapping[str, str] = field(default_factory=dict)


def candidates(
    columns: Sequence[str], positive: tuple[bool, ...], rows: int, law: Law | None, rivals: Mapping[str, Law],
    no_logarithms: str | None,
) -> Candidates:  # fmt: skip
    """Those for a table with so many rows; `positive` says which columns are.

    `no_logarithms` is why there are none of the target. Order: laws by the number of free exponents, as many of them
    as there are descriptors, then what has more coefficients than these.
    """
    laws = ({} if law is None else {"law": law}) | dict(rivals)
    found, left_out = {}, {}
    for name, one in sorted(laws.items(), key=lambda item: len(item[1].free)):
        why = no_logarithms or _missing(one, columns)
        if why:
            left_out[name] = why
        else:
            found[name] = Candidate(one.label, one.model(columns, positive))
    found["linear"] = Candidate("linear, ridge", LeastSquares((straight,), penalised=True))
    if no_logarithms:
        left_out |= {"power_law": no_logarithms, "network_of_logarithms": no_logarithms}
    else:
        found["power_law"] = Candidate("power law", InLogarithms(LeastSquares((straight,)), positive))
    found["quadratic"] = Candidate("quadratic, ridge", LeastSquares((quadratic,), penalised=True))
    if law is not None and "law" in found:
        found["law_and_network"] = Candidate(f"{law.label} × network", law.model(columns, positive, corrected=True))
    elif law is not None:
        left_out["law_and_network"] = left_out["law"]
    if not no_logarithms:
        found["network_of_logarithms"] = Candidate("network of logarithms", InLogarithms(network(), positive))
    found["network"] = Candidate("network", network())
    processes = {"gaussian_process": Candidate("Gaussian process", Process())}
    if not no_logarithms:
        label = "process of logarithms"
        processes["process_of_logarithms"] = Candidate(label, InLogarithms(Process(), positive))
    if rows > MOST_OF_A_PROCESS:
        left_out |= dict.fromkeys(processes, f"more than {MOST_OF_A_PROCESS} rows take it too long")
        processes = {}
    return Candidates(found | processes, left_out)


def _missing(law: Law, columns: Sequence[str]) -> str | None:
    missing = [name for name in law.columns if name not in columns]
    return f"there is no column {missing[0]!r}" if missing else None
