"""Choosing the model by the physics: the thermal conductivity of crystals, by Slack's law and without it

    κ = A M θ³ δ / (γ² n^(2/3) T),    A = 3.1·10⁻⁶ W/(m K) per u K² Å,    T = 300 K

of non-metallic crystals (Slack 1973), where heat is carried by phonons that scatter each other: M mean atomic mass (u),
θ Debye temperature (K), δ cube root of the volume per atom (Å), γ Grüneisen parameter, n atoms in the primitive cell.

The `samples` are synthetic: M is drawn from 10 … 130 u, a force constant k from 10 … 100 N/m, both evenly in their
logarithms, hence θ = (2ħ/k_B) √(k/M) from 100 … 1190 K; δ from 1.8 … 3.4 Å and γ from 0.7 … 2.2 evenly, n from 2 … 12.
"Measured" values are κ e^(s z), z standard normal, s the `scatter`. The law leaves out point defects; those of relative
mass variance Γ (`disorder`) make κ arctan(u)/u of it, u² = 1320 Γ δ κ/θ (Klemens 1960).

Rivals: the law with θ²; dimensional analysis, by which κ T/(M (k_B θ/ħ)³ δ) is a number that depends on the numbers γ
and n, here by powers that are fitted. `data` is a CSV file, `target` its column to be predicted, `descriptors` the
others to use (all); laws are tried if the target is kappa and their columns are there. `models` are compared (all).
"""

from pathlib import Path
from typing import Annotated

import numpy as np

from pinnkit import BadInput, Between
from pinnkit.atoms import Law, PropertyRegression

FREE, NUMBERS = {"M": 1, "theta": 3, "delta": 1}, {"gamma": -2, "n": -2 / 3}
SLACK, WRONG = Law("Slack's law", FREE | NUMBERS), Law("law with θ² for θ³", FREE | {"theta": 2} | NUMBERS)
DIMENSIONAL = Law("dimensional analysis", FREE, free=("gamma", "n"))
LAWS = {"law": SLACK, "rivals": {"wrong_law": WRONG, "dimensional": DIMENSIONAL}}
REPLACED = {"data": ("samples", "scatter", "disorder", "noise_seed")}
UNITS = {"kappa": "W/(m K)", "M": "u", "theta": "K", "delta": "Å"}


def materials(count, rng):
    M, stiffness = np.exp(rng.uniform(np.log([10, 10]), np.log([130, 100]), (count, 2))).T
    theta = 2 * 7.6382e-12 * np.sqrt(stiffness / (M * 1.66054e-27))
    delta, gamma = rng.uniform([1.8, 0.7], [3.4, 2.2], (count, 2)).T
    return {"M": M, "theta": theta, "delta": delta, "gamma": gamma, "n": rng.integers(2, 13, count).astype(float)}


def problem(
    samples: int = 30, scatter: float = 0.15, disorder: float = 0.0,
    noise_seed: Annotated[int, Between(0, 2**63 - 1)] = 0, folds: int = 5, repeats: int = 4, data: str | None = None,
    target: str = "kappa", descriptors: list[str] | None = None, models: list[str] | None = None,
) -> PropertyRegression:  # fmt: skip
    choices = {"folds": folds, "repeats": repeats, "models": models} | ({} if target != "kappa" else LAWS)
    if data:
        title = f"Choosing a model of {target}, by the materials of {Path(data).name}"
        return PropertyRegression.from_csv(data, target, descriptors, title=title, **choices)
    for name, value, most in (("samples", samples, 10_000), ("scatter", scatter, 2), ("disorder", disorder, 1)):
        if not 0 <= value <= most:
            raise BadInput(f"problem.{name}", f"it is {value}", f"choose from 0 to {most}")
    if target != "kappa":
        raise BadInput("problem.target", f"synthetic crystals have no {target!r}", "give data, or leave it out")

    def kappa(M, theta, delta, gamma, n):
        pure = 3.1e-6 * M * theta**3 * delta / (gamma**2 * n ** (2 / 3) * 300)
        u = np.sqrt(1320 * disorder * delta * pure / theta)
        return pure * np.arctan(u) / u if disorder else pure

    rng = np.random.default_rng(noise_seed)
    drawn, known = materials(samples, rng), {"scatter": scatter, "exact": kappa, "population": materials}
    measured = kappa(**drawn) * np.exp(scatter * rng.normal(size=samples))
    return PropertyRegression(drawn, measured, "kappa", units=UNITS, **known, **choices).by(descriptors)
