"""The energy of a solid over its volume, from eleven energies and from what is known at equilibrium

    min over E(V; w)   Σ ((E(Vᵢ) − Eᵢ)/σ)² + λ_d (dE/dV)²|V₀ + λ_b (V₀ d²E/dV² − B₀)²|V₀ + λ_s ⟨(d⁴E/df⁴)²⟩

per atom, in eV and Å³; pressures P = −dE/dV and bulk moduli in GPa. f = ½ [(V₀/V)^(2/3) − 1] is Eulerian strain, in
which compressed solids are nearly cubic (Birch 1947): `departure` is how large the term of fourth order may be.

Data follow a `truth`, birch_murnaghan or vinet, with `e0`, `v0`, `b0` and `b0p` of copper, at `count` volumes within
± `spread` · V₀, with `noise` (eV). `pressures` adds P at the same volumes, with `pressure_noise` (GPa). Whether V₀ and
B₀ are `known`, as from an experiment, with these relative accuracies: null, of generated data yes, of a file no. The
curve is made between the volumes `reach` · V₀. `data` is a CSV file with columns volume, energy and, where there are
any, sigma, pressure, pressure_sigma, of any one number of atoms; then `v0` and `b0` are what is known.
"""

from typing import Literal

import numpy as np

from pinnkit.atoms import BirchMurnaghan, CohesiveEnergy, Known, Vinet


def problem(
    truth: Literal["birch_murnaghan", "vinet"] = "birch_murnaghan", e0: float = -3.5, v0: float = 11.8,
    b0: float = 137.0, b0p: float = 5.2, spread: float = 0.2, count: int = 11, noise: float = 1e-3, noise_seed: int = 0,
    pressures: bool = False, pressure_noise: float = 0.1, known: bool | None = None, v0_accuracy: float = 1e-4,
    b0_accuracy: float = 1e-3, departure: float = 1.5, reach: tuple[float, ...] = (0.7, 1.4), data: str | None = None,
) -> CohesiveEnergy:  # fmt: skip
    at_v0 = Known(v0, b0, v0_accuracy, b0_accuracy)
    if data:
        return CohesiveEnergy.from_csv(data, known=at_v0 if known else None, reach=reach, departure=departure)
    exact = (Vinet if truth == "vinet" else BirchMurnaghan)(e0, v0, b0, b0p)
    volumes, rng = v0 * np.linspace(1 - spread, 1 + spread, count), np.random.default_rng(noise_seed)
    energies = exact.energy(volumes) + noise * rng.normal(size=count)
    measured = exact.pressure(volumes) + pressure_noise * rng.normal(size=count) if pressures else None
    return CohesiveEnergy(
        volumes, energies, noise or None, measured, pressure_noise, None if known is False else at_v0, reach, departure,
        exact,
    )  # fmt: skip
