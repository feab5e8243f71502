"""Problems that cannot be solved as they stand are refused with a reason; those of ours are not."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import PROBLEMS, heat
from torch import log

from pinnkit import catalogue
from pinnkit.errors import BadInput
from pinnkit.geometry import Interval, LShape, Rectangle
from pinnkit.operators import derivative, diffusion, laplacian
from pinnkit.problem import Condition, Problem, Unknown, dirichlet, initial, measured, neumann, pde, periodic, robin
from pinnkit.wellposed import check

LAPLACE = heat(lambda u, x, y: 1.0)


def square(equation: Condition = LAPLACE, wall: Condition | None = None, **conditions: Condition) -> Problem:
    return Problem(Rectangle((-1, -1), (1, 1)), {"heat": equation, "wall": wall or dirichlet("boundary"), **conditions})


def bar(sign: float = 1.0, **conditions: Condition) -> Problem:
    def residual(u, x, t):
        return sign * derivative(u, t) - derivative(u, x, x)

    return Problem(Interval() * (0.0, 1.0), {"heat": pde(residual), **conditions})


def matrix(a: float, b: float) -> Condition:
    entries = torch.tensor([[a, b], [b, 1.0]], dtype=torch.float64)
    return pde(lambda u, x, y: -diffusion(entries, u, x, y))


CENTRE = np.array([[0.5, 0.5]])

REFUSED = {
    "no such piece": (
        square(wall=dirichlet("lefft")),
        ["condition 'wall'", "no boundary piece 'lefft'", "did you mean 'left'", "pieces are bottom"],
    ),
    "no such partner": (square(seam=periodic("left", "east")), ["condition 'seam'", "no boundary piece 'east'"]),
    "piece without condition": (
        square(wall=dirichlet(("left", "top", "right"))),
        ["'bottom' has none", "neumann(piece, 0)"],
    ),
    "no equation": (Problem(Rectangle(), {"wall": dirichlet("boundary")}), ["no equation for the interior"]),
    "two values on one edge": (square(hot=dirichlet("left", 1.0)), ["'wall' and 'hot' both fix the value on 'left'"]),
    "only fluxes": (square(wall=neumann("boundary")), ["unique up to a constant", "prescribe the value"]),
    "only fluxes, out of balance": (  # source 4, outflow 8 · 1.5
        square(heat(lambda u, x, y: 1.0, source=1.0), neumann("boundary", 1.5)),
        ["unique up to a constant", "≈ -8"],
    ),
    "no initial state": (bar(ends=dirichlet("boundary")), ["initial state", "add initial(value)"]),
    "no ends in time": (bar(start=initial()), ["'left' has none"]),
    "backwards in time": (
        bar(-1.0, start=initial(), ends=dirichlet("boundary")),
        ["not well posed forwards in time"],
    ),
    "heat flows in where it is hot": (
        square(wall=robin("boundary", -2.0)),
        ["'wall'", "make its coefficient positive"],
    ),
    "conductivity negative somewhere": (
        square(heat(lambda u, x, y: 0.9 + x)),
        ["'heat'", "conductivity is not positive at x = "],
    ),
    "no conductivity": (square(heat(lambda u, x, y: 0.0)), ["'heat'", "conductivity"]),
    "no conductivity on one half": (square(heat(lambda u, x, y: x.clamp_min(0.0))), ["conductivity is not positive"]),
    "conductivity of no number": (square(heat(lambda u, x, y: x / 0 * 0)), ["'heat'", "not finite at x = "]),
    "matrix not definite": (square(matrix(1.0, 2.0)), ["'heat'", "conductivity is not positive", "(definite)"]),
    "source of no number": (
        square(pde(lambda u, x, y: -laplacian(u, x, y) - log(x))),
        ["'heat'", "not finite at x = -"],
    ),
    "pole on the boundary": (
        square(wall=dirichlet("boundary", lambda x, y: 1 / (1 + x))),
        ["'wall'", "not finite at x = -1"],
    ),
    "conductivity of no number on an edge": (
        square(wall=robin("boundary", 1.0, 0.0, lambda x: log(x))),
        ["'wall'", "not finite"],
    ),
    "data outside": (
        square(data=measured(np.array([[0.5, 0.5], [3.0, 0.5]]), np.zeros(2))),
        ["'data'", "1 of its points", "[3.0, 0.5]"],
    ),
    "data of another dimension": (
        square(data=measured(np.zeros((4, 3)), np.zeros(4))),
        ["'data'", "3 coordinates", "2"],
    ),
    "data of no number": (
        square(data=measured(CENTRE, np.array([np.nan]))),
        ["'data'", "not finite at x = 0.5, y = 0.5"],
    ),
    "a name that is not there": (square(pde(lambda u, x, z: u)), ["'heat'", "'z'"]),
    "several equations in one shape": (square(pde(lambda u, x, y: torch.stack([u, u]))), ["'heat'", "shape"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_line_with_a_reason_and_a_remedy(name: str) -> None:
    problem, words = REFUSED[name]
    with pytest.raises(BadInput) as refused:
        check(problem)
    text = str(refused.value)
    assert "\n" not in text and ": " in text and "; " in text
    for word in words:
        assert word in text


ACCEPTED = {
    "robin alone": square(wall=robin("boundary", 1.0)),
    "fluxes with reaction": square(pde(lambda u, x, y: -laplacian(u, x, y) + u), neumann("boundary")),
    "fluxes with a measured point": square(wall=neumann("boundary"), data=measured(CENTRE, np.array([1.0]))),
    "one fixed edge": square(wall=neumann(("left", "top", "bottom")), cold=dirichlet("right")),
    "outflow": replace(square(wall=dirichlet(("left", "top", "bottom"))), free=("right",)),
    "definite matrix": square(matrix(2.0, 1.0)),
    "written with the other sign": square(pde(lambda u, x, y: laplacian(u, x, y) + 1)),
    "fluxes in time": bar(start=initial(), ends=neumann("boundary")),
    "data on the boundary": square(data=measured(np.array([[1.0, 1.0]]), np.zeros(1))),
    "unknown coefficient": replace(
        square(pde(lambda u, x, y, k: -k * laplacian(u, x, y))), unknowns={"k": Unknown(1.0)}
    ),
    "equal values in two corners": square(
        wall=dirichlet(("left", "bottom"), 3.0), other=dirichlet(("right", "top"), 3.0)
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_sound_problems_pass_without_a_word(name: str, caplog: pytest.LogCaptureFixture) -> None:
    check(ACCEPTED[name])
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_problems_of_these_tests_are_well_posed(name: str) -> None:
    check(PROBLEMS[name]())


@pytest.mark.parametrize("name", catalogue.names())
def test_our_problems_are_well_posed(name: str) -> None:
    built = catalogue.load(name).build()
    if isinstance(built, Problem):
        check(built)


def test_clashing_values_at_a_corner_are_told(caplog: pytest.LogCaptureFixture) -> None:
    """u = x on the left and bottom, 5 on the right and top: jumps by 4 at (1, −1) and by 6 at (−1, 1)."""
    check(square(wall=dirichlet(("left", "bottom"), lambda x: x), other=dirichlet(("right", "top"), 5.0)))
    told = sorted(r.getMessage() for r in caplog.records if r.levelno == logging.WARNING)
    assert len(told) == 2
    assert "differ by 4 at the corner [1.0, -1.0]" in told[0] and "differ by 6 at the corner [-1.0, 1.0]" in told[1]


def test_scaled_values_are_compared_as_values(caplog: pytest.LogCaptureFixture) -> None:
    """2 u = 6 and u = 3 agree."""
    twice = Condition(lambda u: 2 * u - 6, ("left", "bottom"))
    check(square(wall=twice, other=dirichlet(("right", "top"), 3.0)))
    assert not caplog.records


def test_a_reentrant_corner_with_smooth_data_is_no_clash(caplog: pytest.LogCaptureFixture) -> None:
    check(Problem(LShape(), {"heat": LAPLACE, "wall": dirichlet("boundary", lambda x, y: x * y)}))
    assert not caplog.records
