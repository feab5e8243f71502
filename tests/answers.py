"""Results of known functions, to be drawn, reported and exported without training anything."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pinnkit.geometry import Box, Domain, Interval, LShape, Polygon, Rectangle, SpaceTime
from pinnkit.problem import Condition, Problem, dirichlet, initial, measured, neumann, pde
from pinnkit.settings import Adam, Network, ProblemChoice, Settings

Array = NDArray[np.float64]
Function = Callable[[Array], Array]  # points (n, d) -> (n, fields)


SETTINGS = Settings(
    ProblemChoice("heat_known", parameters={"conductivity": 2.0}),
    network=Network(layers=(64, 64)),
    optimizer=Adam(half_life=50.0),
)


@dataclass(frozen=True)
class KnownReference:
    value: Function
    kind: str = "fem"


@dataclass(frozen=True)
class KnownPoints:
    points: Array


@dataclass(frozen=True)
class KnownAnswer:
    """An answer that is `solution` + 1e-6 `ripple`."""

    problem: Problem
    solution: Function
    reference: KnownReference | None
    collocation: Mapping[str, KnownPoints]
    history: Sequence[Mapping[str, Any]]
    metrics: Mapping[str, Any]
    settings: Settings = SETTINGS
    transferred: Any = None
    judgement: Any = None
    corrected: Any = None
    captions: Mapping[str, str] = field(default_factory=dict)
    tiles: Mapping[str, Any] = field(default_factory=dict)

    def predict(self, points: Array) -> Array:
        return self.solution(points) + 1e-6 * ripple(points)[:, None]

    def residuals(self, points: Array) -> dict[str, Array]:
        inside = [name for name, condition in self.problem.conditions.items() if condition.on == "interior"]
        return {name: 1e-4 * ripple(points) for name in inside}


def ripple(points: Array) -> Array:
    return np.prod(np.cos(9 * points), axis=1)


def corner_function(points: Array) -> Array:
    """r^(2/3) sin(2θ/3), θ from the edge y = 0, x > 0: zero on the edges of the L-shape's notch."""
    x, y = points[:, 0], points[:, 1]
    angle = np.mod(np.arctan2(y, x), 2 * np.pi)
    return (np.hypot(x, y) ** (2 / 3) * np.sin(2 * angle / 3))[:, None]


def circle(x: float, y: float, radius: float, corners: int = 48) -> Array:
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.column_stack([x + radius * np.cos(angle), y + radius * np.sin(angle)])


def plate() -> Polygon:
    """A rectangle with two round holes."""
    holes = [circle(0.55, 0.5, 0.22), circle(1.45, 0.45, 0.28)]
    return Polygon([(0, 0), (2, 0), (2, 1), (0, 1)], holes, {"hot": "hole_0", "cold": "hole_1"})


def laplace(u: Any) -> Any:
    return u


def answer(
    domain: Domain,
    solution: Function,
    boundary: Mapping[str, Condition],
    fields: tuple[str, ...] = ("u",),
    name: str = "heat_known",
) -> KnownAnswer:
    conditions = {"heat": pde(laplace), **boundary}
    problem = Problem(domain, conditions, fields, name=name, description=DESCRIPTION)
    collocation = {key: KnownPoints(_points(domain, condition)) for key, condition in conditions.items()}
    reference = KnownReference(solution)
    return KnownAnswer(problem, solution, reference, collocation, history(conditions), dict(METRICS))


def _points(domain: Domain, condition: Condition) -> Array:
    if condition.points is not None:
        return condition.points
    if condition.on == "interior":
        return domain.sample(800, rng=np.random.default_rng(1))
    return domain.sample_boundary(200, condition.on, rng=np.random.default_rng(2)).points


def history(conditions: Mapping[str, Condition]) -> list[dict[str, Any]]:
    rows = []
    for step in range(0, 101):
        losses = {f"loss/{name}": 10.0 ** (-k - step / 9) for k, name in enumerate(conditions)}
        row = {"step": step, "seconds": 0.1 * step, "loss": sum(losses.values()), **losses}
        rows.append(row | ({"relative_l2": 10 ** (-step / 15)} if step % 10 == 0 else {"relative_l2": None}))
    return rows


def interval() -> KnownAnswer:
    sensors = measured(np.array([[0.3], [0.6]]), np.array([0.8, 0.9]))
    boundary = {"ends": dirichlet("boundary"), "sensors": sensors}
    return answer(Interval(), lambda p: np.sin(np.pi * p), boundary)


def rectangle() -> KnownAnswer:
    """Two fields: one positive, one of both signs."""

    def solution(p: Array) -> Array:
        u = np.sin(np.pi * p[:, 0]) * np.sin(np.pi * p[:, 1])
        return np.stack([u, np.sin(2 * np.pi * p[:, 0]) * np.sin(np.pi * p[:, 1])], axis=1)

    boundary = {"walls": dirichlet(("left", "right")), "v_walls": dirichlet("boundary", field="v")}
    return answer(Rectangle(), solution, boundary, ("u", "v"), "flow")


def l_shape() -> KnownAnswer:
    boundary = {
        "notch": dirichlet(("notch_vertical", "notch_horizontal")),
        "walls": dirichlet(("bottom", "right", "top")),
        "insulated": neumann("left"),
    }
    return answer(LShape(), corner_function, boundary)


def plate_with_holes() -> KnownAnswer:
    boundary = {
        "hot": dirichlet("hot", 1.0),
        "cold": dirichlet("cold"),
        "insulated": neumann("exterior"),
        "sensors": measured(np.array([[0.1, 0.1], [1.0, 0.5], [1.9, 0.9]]), np.zeros(3)),
    }

    def solution(p: Array) -> Array:
        a, b = (np.hypot(p[:, 0] - x, p[:, 1] - y) for x, y in ((0.55, 0.5), (1.45, 0.45)))
        return (20 + 60 * np.clip(0.5 - np.log(a / b) / 3, 0, 1))[:, None]

    return answer(plate(), solution, boundary, ("T",))


def bar_in_time() -> KnownAnswer:
    boundary = {"ends": dirichlet("boundary"), "start": initial()}
    return answer(
        Interval() * (0.0, 2.0),
        lambda p: np.sin(np.pi * p[:, :1]) * np.exp(-p[:, 1:]),
        boundary,
    )


def l_shape_in_time() -> KnownAnswer:
    boundary = {"walls": dirichlet("boundary"), "start": initial()}
    return answer(SpaceTime(LShape(), 0, 1), lambda p: corner_function(p) * np.exp(-p[:, 2:]), boundary)


def box() -> KnownAnswer:
    """Positive in the section that is shown, not elsewhere."""
    domain = Box([0, -1, 0, 0], [2, 1, 1, 1])
    boundary = {"walls": dirichlet("boundary"), "lid": neumann("x4_upper")}
    return answer(domain, lambda p: (2 + p[:, :1] * p[:, 1:2]) * np.sin(np.pi * p[:, 2:]).prod(1)[:, None], boundary)


def box_in_time() -> KnownAnswer:
    boundary = {"walls": dirichlet("boundary"), "start": initial()}
    return answer(Box([0, 0], [1, 1]) * (0.0, 2.0), lambda p: p[:, :1] * np.exp(p[:, 2:]), boundary)


ANSWERS: dict[str, Callable[[], KnownAnswer]] = {
    function.__name__: function
    for function in (interval, rectangle, l_shape, plate_with_holes, bar_in_time, l_shape_in_time, box, box_in_time)
}

DESCRIPTION = r"""Heat in a known place <of no interest>.

The temperature $u$ obeys

    \nabla\cdot(k \nabla u) + f = 0   in \Omega,
    u = 0   on the walls,

with $k = x^2 + \alpha_{12}$ & f = -\Delta u.
"""

METRICS = {
    "schema": 1,
    "problem": "heat_known",
    "task": "solve",
    "optimizer": "least_squares",
    "seed": 0,
    "device": "cpu",
    "dtype": "float64",
    "parameters": 1025,
    "points": 12000,
    "relative_l2": 1.23456e-6,
    "max_error": 4e-6,
    "fields": {"u": {"relative_l2": 1.23456e-6, "max_error": 4e-6}},
    "reference": {"kind": "fem", "error_estimate": 1e-9},
    "seconds": {"train": 3.21, "reference": 0.5, "total": 4.0},
    "stop_reason": "converged",
    "verdict": "trusted",
    "unknowns": {"k": {"value": 1.999, "true": 2.0}},
}
