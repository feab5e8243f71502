"""Problems: a domain and a named dict of conditions, each saying on which points which residual must vanish.

A residual is a function that asks for what it needs by name: fields (`u`), coordinates (`x`, `y`, `t`), the outward
unit `normal` (d, n), `space` (the tuple of spatial coordinates), unknown coefficients, and the values that belong to
its points:

    def heat(u, x, y):                       # −∇·(k ∇u) = f
        return -div(k(x, y) * grad(u, x, y), x, y) - f(x, y)

One sign convention holds for fluxes: **outward**. The heat that leaves the domain per area and time is −k ∂u/∂n;
`neumann` prescribes it and `robin` sets it to h (u − ambient).
"""

import inspect
import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pinnkit.errors import BadInput
from pinnkit.geometry import Domain, SpaceTime
from pinnkit.operators import normal_derivative
from pinnkit.trial import Enrichment

Environment = dict[str, Any]
Residual = Callable[..., Tensor | tuple[Tensor, ...]]
Value = float | str | Callable[..., Any]  # a number, the name of an unknown or a datum, or a function asking by name

INTERIOR = "interior"
EIGENVALUE = "eigenvalue"


def call_by_name(function: Callable[..., Any], environment: Environment, owner: str) -> Any:
    """Call a function with the arguments it names, taken from the environment.

    Raises BadInput when it asks for a name that is not there.
    """
    parameters = inspect.signature(function).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return _blaming(function, environment, owner)
    required = [p.name for p in parameters if p.default is p.empty]
    missing = [name for name in required if name not in environment]
    if missing:
        known = ", ".join(environment)
        raise BadInput(owner, f"it asks for {missing[0]!r}, which does not exist here", f"names to use are {known}")
    return _blaming(function, {p.name: environment[p.name] for p in parameters if p.name in environment}, owner)


def _blaming(function: Callable[..., Any], arguments: Environment, owner: str) -> Any:
    """Call a function of the problem; its mistakes are the problem's, and are named with their line."""
    try:
        return function(**arguments)
    except (ArithmeticError, AttributeError, LookupError, NameError, RuntimeError, TypeError, ValueError) as error:
        code = function.__code__ if inspect.isfunction(function) else None
        frames = traceback.extract_tb(error.__traceback__)
        lines = [f"{Path(f.filename).name}:{f.lineno}: " for f in frames if code and f.filename == code.co_filename]
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise BadInput(owner, f"{lines[-1] if lines else ''}{reason}", "correct the problem") from error


def evaluate(value: Value, environment: Environment, owner: str) -> Any:
    """A coefficient or datum at the points of the environment."""
    if isinstance(value, str):
        if value not in environment:
            raise BadInput(owner, f"there is no {value!r}", f"names to use are {', '.join(environment)}")
        return environment[value]
    return call_by_name(value, environment, owner) if callable(value) else value


@dataclass(frozen=True)
class Condition:
    """`residual` = 0 `on` part of the domain, with a relative `weight` in the loss.

    `on` is "interior", or one or several names of boundary pieces or groups; with `points` (n, d) it is where data were
    measured, and `values` are further named arguments (n,) of the residual. With `partner`, the boundary piece `on` is
    paired with another one, point by point, and every field `u` is also known there as `u_partner`. `noise` is the
    standard deviation of measured data, relative to how much they vary if they do, where it is known.
    """

    residual: Residual
    on: str | tuple[str, ...] = INTERIOR
    weight: float = 1.0
    points: NDArray[np.float64] | None = None
    values: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    partner: str | None = None
    noise: float | None = None

    @property
    def deviation(self) -> float:
        """The standard deviation of measured data in their own unit; 0 where it is not known."""
        return self.noise * (float(np.std(self.values["measured"])) or 1.0) if self.noise else 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.weight) and self.weight > 0):
            raise BadInput("weight", f"it is {self.weight}", "it must be finite and > 0; leave out a condition instead")
        for name, values in self.values.items():
            if self.points is None or np.shape(values) != (len(self.points),):
                raise BadInput(
                    f"data {name!r}", f"its shape is {np.shape(values)}", "give one number per measured point"
                )


def pde(residual: Residual, weight: float = 1.0) -> Condition:
    """A partial differential equation: residual(…) = 0 in the interior."""
    return Condition(residual, INTERIOR, weight)


def dirichlet(on: str | Sequence[str], value: Value = 0.0, field: str = "u", weight: float = 1.0) -> Condition:
    """u = value on pieces of the boundary."""
    owner = f"dirichlet on {on}"

    def residual(**env: Any) -> Tensor:
        return evaluate(field, env, owner) - evaluate(value, env, owner)

    return Condition(residual, _names(on), weight)


def neumann(
    on: str | Sequence[str],
    flux: Value = 0.0,
    conductivity: Value = 1.0,
    field: str = "u",
    weight: float = 1.0,
) -> Condition:
    """−k ∂u/∂n = flux: the prescribed flux leaves the domain where it is positive; 0 insulates."""
    owner = f"neumann on {on}"
    _refuse_negative(conductivity, owner)

    def residual(**env: Any) -> Tensor:
        u, k, q = (evaluate(v, env, owner) for v in (field, conductivity, flux))
        return -k * normal_derivative(u, env["normal"], *env["space"]) - q

    return Condition(residual, _names(on), weight)


def robin(
    on: str | Sequence[str],
    coefficient: Value,
    ambient: Value = 0.0,
    conductivity: Value = 1.0,
    field: str = "u",
    weight: float = 1.0,
) -> Condition:
    """−k ∂u/∂n = h (u − ambient): the flux leaves the domain where it is hotter than its surroundings."""
    owner = f"robin on {on}"
    _refuse_negative(conductivity, owner)

    def residual(**env: Any) -> Tensor:
        u, k, h, outside = (evaluate(v, env, owner) for v in (field, conductivity, coefficient, ambient))
        return -k * normal_derivative(u, env["normal"], *env["space"]) - h * (u - outside)

    return Condition(residual, _names(on), weight)


def _refuse_negative(conductivity: Value, owner: str) -> None:
    if isinstance(conductivity, int | float) and not (math.isfinite(conductivity) and conductivity > 0):
        raise BadInput(owner, f"its conductivity is {conductivity}", "it must be finite and > 0")


def initial(value: Value = 0.0, field: str = "u", weight: float = 1.0) -> Condition:
    """u = value at the start of the time interval."""
    return dirichlet("initial", value, field, weight)


def periodic(on: str, partner: str, field: str = "u", weight: float = 1.0) -> Condition:
    """u and ∂u/∂n continue from one straight boundary piece to another one that is its translate."""

    def residual(**env: Any) -> tuple[Tensor, Tensor]:
        u, other = (evaluate(name, env, f"periodic on {on}") for name in (field, f"{field}_partner"))
        space, normal = env["space"], env["normal"]
        slope = normal_derivative(other, normal, *env["space_partner"])
        return u - other, normal_derivative(u, normal, *space) - slope

    return Condition(residual, on, weight, partner=partner)


def measured(
    points: NDArray[np.float64],
    values: NDArray[np.float64],
    sigma: float | NDArray[np.float64] | None = None,
    field: str = "u",
    weight: float = 1.0,
) -> Condition:
    """u = values at measured points (n, d), each row divided by its standard deviation relative to the smallest."""
    noisy, sigma = sigma is not None, 1.0 if sigma is None else sigma
    points, values = np.atleast_2d(np.asarray(points, float)), np.asarray(values, float).reshape(-1)
    if not len(values):
        raise BadInput("measured", "there are no measurements", "give at least one, or leave the condition out")
    if not (np.isfinite(sigma) & (np.asarray(sigma) > 0)).all():
        raise BadInput("sigma", "a standard deviation is not finite and > 0", "leave out sigma to weigh all data alike")
    if np.shape(sigma) not in ((), values.shape):
        raise BadInput(
            "sigma", f"{np.size(sigma)} deviations for {len(values)} values", "give one for all, or one for each"
        )
    relative = np.broadcast_to(np.asarray(sigma, float), values.shape) / np.min(sigma)

    def residual(measured: Tensor, spread: Tensor, **env: Any) -> Tensor:
        return (evaluate(field, env, "measured") - measured) / spread

    noise = float(np.min(sigma)) / (float(values.std()) or 1.0) if noisy else None
    return Condition(residual, "data", weight, points, {"measured": values, "spread": relative}, noise=noise)


def _names(on: str | Sequence[str]) -> str | tuple[str, ...]:
    return on if isinstance(on, str) else tuple(on)


@dataclass(frozen=True)
class Unknown:
    """A coefficient to be found from data, starting from `initial`; `positive` ones are searched as logarithms."""

    initial: float = 1.0
    positive: bool = False
    true: float | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.initial) or (self.positive and self.initial <= 0):
            raise BadInput(
                "unknown", f"it starts from {self.initial}", "start from a finite number, > 0 if it is positive"
            )

    def raw(self) -> float:
        """The number that is searched: the logarithm of positive coefficients."""
        return math.log(self.initial) if self.positive else self.initial

    def value(self, raw: Tensor) -> Tensor:
        return raw.exp() if self.positive else raw


@dataclass(frozen=True, eq=False)
class LowFidelity:
    """A cheap approximation of a problem's fields: another problem on its domain, solved coarsely, or a function.

    A problem is solved `by` quartic finite elements, triangles at most the longer side of the domain / `resolution`
    long, or by a network of `resolution` polynomials. A function gives the fields from coordinates by name, like
    `Problem.exact`. One value of the problem itself costs `cost`, in units of one solution of the cheap one.
    """

    of: "Problem | Callable[..., Any]"
    by: Literal["elements", "network"] = "elements"
    resolution: int = 4
    cost: float = 1.0

    def __post_init__(self) -> None:
        if self.by not in ("elements", "network"):
            raise BadInput("low_fidelity", f"it is solved by {self.by!r}", "choose from elements, network")
        if not isinstance(self.resolution, int) or self.resolution < 1:
            raise BadInput("low_fidelity", f"its resolution is {self.resolution}", "it must be a whole number ≥ 1")
        if not (isinstance(self.of, Problem) or callable(self.of)):
            what = f"it is of a {type(self.of).__name__}"
            raise BadInput("low_fidelity", what, "give another Problem, or a function of coordinates by name")


@dataclass(frozen=True, eq=False)
class Problem:
    """What is to be solved: conditions on the fields over a domain.

    `exact` gives the fields from coordinates by name (a tensor, or a tuple in the order of `fields`); `free` names
    pieces of the boundary where no condition is known, or where the equation itself needs none (outflow).

    With `modes`, the problem is homogeneous, and wanted are as many of the smallest numbers `eigenvalue` that admit
    a solution other than zero, each with its solution; residuals ask for `eigenvalue`.

    Where pieces are free and data were measured, `low_fidelity` may say roughly what happens there: the fields are then
    u = ρ w + δ, where w agrees with it on the free pieces. Functions in `enrichment` join the features of any network.
    """

    domain: Domain
    conditions: Mapping[str, Condition]
    fields: tuple[str, ...] = ("u",)
    unknowns: Mapping[str, Unknown] = field(default_factory=dict)
    exact: Callable[..., Any] | None = None
    free: tuple[str, ...] = ()
    modes: int = 0
    low_fidelity: LowFidelity | None = None
    enrichment: Enrichment | None = None
    name: str = "problem"
    description: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.low_fidelity, LowFidelity | None):
            what = f"it is a {type(self.low_fidelity).__name__}"
            raise BadInput("low_fidelity", what, "write LowFidelity(…)")
        if self.modes:
            object.__setattr__(self, "unknowns", {**self.unknowns, EIGENVALUE: Unknown()})

    @property
    def coordinates(self) -> tuple[str, ...]:
        return self.domain.coordinates

    @property
    def measured(self) -> tuple[str, ...]:
        """The conditions on measured data."""
        return tuple(name for name, condition in self.conditions.items() if condition.points is not None)

    @property
    def open(self) -> bool:
        """Whether measured data decide what the other conditions leave open."""
        return bool(self.free and self.measured)

    @property
    def transient(self) -> bool:
        return isinstance(self.domain, SpaceTime)

    @property
    def space_dimension(self) -> int:
        return self.domain.dimension - self.transient

    def environment(self, coordinates: Sequence[Tensor], fields: Mapping[str, Tensor], **more: Any) -> Environment:
        """The names a residual may ask for at given points."""
        named = dict(zip(self.coordinates, coordinates, strict=True))
        space = tuple(c for name, c in named.items() if name != "t")
        return {**named, **fields, "space": space, **more}

    def residual(self, name: str, environment: Environment) -> Tensor:
        """The residual of one condition, (equations, n). Any other shape is refused: (n,) broadcasts against (n, 1)."""
        rows = call_by_name(self.conditions[name].residual, environment, f"condition {name!r}")
        rows = rows if isinstance(rows, tuple) else (rows,)
        n = len(environment[self.coordinates[0]])
        for row in rows:
            if not isinstance(row, Tensor) or row.shape != (n,):
                shape = tuple(row.shape) if isinstance(row, Tensor) else type(row).__name__
                raise BadInput(
                    f"condition {name!r}", f"its residual has shape {shape}, wanted ({n},)",
                    "return one number per point (a tuple of such for several equations)",
                )  # fmt: skip
        return torch.stack(rows)

    def exact_values(self, points: Tensor) -> Tensor:
        """The exact fields, (n, fields), at points (n, d)."""
        assert self.exact is not None
        return self.values_of(self.exact, points, "exact")

    def values_of(self, function: Callable[..., Any], points: Tensor, owner: str) -> Tensor:
        """What a function of coordinates by name gives for the fields, (n, fields), at points (n, d).

        Raises BadInput where that is another number of fields.
        """
        out = call_by_name(function, self.environment(points.unbind(-1), {}), owner)
        rows = out if isinstance(out, tuple) else (out,)
        if len(rows) != len(self.fields):
            raise BadInput(owner, f"it gives {len(rows)} fields", f"give {', '.join(self.fields)}")
        if not all(isinstance(row, Tensor | float | int) for row in rows):
            what = f"it gives a {type(rows[0]).__name__}"
            raise BadInput(owner, what, "compute with torch, as in residuals, or give a number")
        return torch.stack([row + torch.zeros_like(points[:, 0]) for row in rows], -1)
