"""pinnkit: physics-informed neural networks that solve partial differential equations, and say how well."""

import importlib
from typing import Any

# where each public name lives; looked up when it is first used, because torch takes seconds to import
_HOMES = {
    "pinnkit.geometry": ("Box", "Interval", "LShape", "Polygon", "Rectangle", "SpaceTime", "polygon"),
    "pinnkit.operators": ("derivative", "diffusion", "div", "dot", "grad", "laplacian", "normal_derivative"),
    "pinnkit.problem": (
        "Condition", "LowFidelity", "Problem", "Unknown",
        "dirichlet", "initial", "measured", "neumann", "pde", "periodic", "robin",
    ),
    "pinnkit.conversion": ("Between",),
    "pinnkit.errors": ("BadInput",),
    "pinnkit.fidelities": ("Fidelity",),
    "pinnkit.fusion": ("Fidelities",),
    "pinnkit.measurements": ("read_csv",),
    "pinnkit.result": ("Committee", "Result", "Solution"),
    "pinnkit.tasks": ("fuse", "load", "solve", "transfer"),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'pinnkit' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
