"""The energy of a solid over its volume, from eleven energies and from what is known at equilibrium

    min over E(V; w)   Σ ((E(Vᵢ) − Eᵢ)/σ)² + λ_d (dE/dV)²|V₀ + λ_b (V₀ d²E/dV² − B₀)²|V₀ + λ_s ⟨(d⁴E/df⁴)²⟩

per atom, in eV and Å³; pressures P = −dE/dV and bulk moduli in GPa. f = ½ [(V₀/V)^(2/3) − 1] is Eulerian strain, in
which compressed solids are nearly cubic (Birch 1947): `departure` is how large the term of fourth order may be.

Data follow a `truth`, birch_murnaghan or vinet, with `e0` and `b0p` of copper and its `v0` and `b0` where these are not
given, at `count` volumes within ± `spread` · V₀, with `noise` (eV). `pressures` adds P at the same volumes, with
`pressure_noise` (GPa). V₀ and B₀ are `known`, if nobody says otherwise, with these relative accuracies. The curve is
made between the volumes `reach` · V₀.

`data` is a CSV file with columns volume, energy and, where there are any, sigma, pressure, pressure_sigma (else
`pressure_noise`), of any one number of atoms; then V₀ and B₀ are known if `v0` and `b0` are given.
"""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from pinnkit import BadInput, Between
from pinnkit.atoms import BirchMurnaghan, CohesiveEnergy, Known, Vinet

Positive = Annotated[float, Between(1e-2, 1e5)]
Accuracy = Annotated[float, Between(1e-9, 1)]
REPLACED = {"data": ("truth", "e0", "b0p", "spread", "count", "noise", "noise_seed", "pressures", "known")}
EXACT = 1e-6  # eV, the deviation of energies without noise


def problem(
    truth: Literal["birch_murnaghan", "vinet"] = "birch_murnaghan", e0: Annotated[float, Between(-1e9, 1e9)] = -3.5,
    v0: Positive | None = None, b0: Positive | None = None, b0p: Annotated[float, Between(1, 30, above=True)] = 5.2,
    spread: Annotated[float, Between(0.01, 0.8)] = 0.2, count: Annotated[int, Between(5, 10_000)] = 11,
    noise: Annotated[float, Between(0, 1)] = 1e-3, noise_seed: Annotated[int, Between(0, 2**63 - 1)] = 0,
    pressures: bool = False, pressure_noise: Positive = 0.1, known: bool | None = None, v0_accuracy: Accuracy = 1e-4,
    b0_accuracy: Accuracy = 1e-3, departure: Positive = 1.5, reach: tuple[float, ...] | float = (0.7, 1.4),
    data: str | None = None,
) -> CohesiveEnergy:  # fmt: skip
    if data:
        if (v0 is None) != (b0 is None):
            raise BadInput("v0" if v0 is None else "b0", "it is not given", "give both V₀ and B₀, or neither")
        at_v0 = Known(v0, b0, v0_accuracy, b0_accuracy) if v0 and b0 else None
        told = {"pressure_sigma": pressure_noise, "known": at_v0, "reach": reach, "departure": departure}
        return CohesiveEnergy.from_csv(data, title=f"Energy over volume, from {Path(data).name}", **told)
    v0, b0 = v0 or 11.8, b0 or 137.0
    exact = (Vinet if truth == "vinet" else BirchMurnaghan)(e0, v0, b0, b0p)
    volumes, rng = v0 * np.linspace(1 - spread, 1 + spread, count), np.random.default_rng(noise_seed)
    energies = exact.energy(volumes) + noise * rng.normal(size=count)
    measured = exact.pressure(volumes) + pressure_noise * rng.normal(size=count) if pressures else None
    at_v0 = None if known is False else Known(v0, b0, v0_accuracy, b0_accuracy)
    return CohesiveEnergy(
        volumes, energies, max(noise, EXACT), measured, pressure_noise, at_v0, reach, departure, exact
    )  # fmt: skip
