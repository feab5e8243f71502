"""References derived from a problem's own residuals, against closed forms; kept on disk, solved again if damaged."""

import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import cos, exp, sin

from pinnkit import catalogue
from pinnkit.errors import BadInput
from pinnkit.geometry import Interval, LShape, Polygon, Rectangle
from pinnkit.operators import derivative, div, grad, laplacian
from pinnkit.problem import Problem, dirichlet, initial, neumann, pde, robin
from pinnkit.reference import derived
from pinnkit.reference.derived import Exact, FiniteElements, default_cache, reference_for


def manufactured(strength: float = 1.0) -> Problem:
    """−∇·(k∇u) + u_x + 2u = f, k = 1 + strength·xy, on a rectangle with all kinds of conditions; u = eˣ cos y + x."""

    def exact(x, y):
        return exp(x) * cos(y) + x

    def k(x, y):
        return 1 + strength * x * y

    def heat(u, x, y):
        e = exp(x)
        source = -strength * (y * (e * cos(y) + 1) - x * e * sin(y)) + (e * cos(y) + 1) + 2 * exact(x, y)
        return -div(k(x, y) * grad(u, x, y), x, y) + derivative(u, x) + 2 * u - source

    conditions = {
        "heat": pde(heat),
        "fixed": dirichlet(("left", "bottom"), exact),
        "flux": neumann("right", lambda x, y: -k(x, y) * (exp(x) * cos(y) + 1), k),
        "air": robin("top", 2.0, lambda x, y: exact(x, y) - k(x, y) * exp(x) * sin(y) / 2, k),
    }
    return Problem(Rectangle((0, 0), (1.5, 1)), conditions, exact=exact)


def transient() -> Problem:
    """u_t = Δu on the unit square: u = exp(−2π²t) sin πx sin πy + 1."""

    def exact(x, y, t):
        return 1 + exp(-2 * math.pi**2 * t) * sin(math.pi * x) * sin(math.pi * y)

    conditions = {
        "heat": pde(lambda u, x, y, t: derivative(u, t) - laplacian(u, x, y)),
        "wall": dirichlet("boundary", 1.0),
        "start": initial(lambda x, y: 1 + sin(math.pi * x) * sin(math.pi * y)),
    }
    return Problem(Rectangle() * (0.0, 0.05), conditions, exact=exact)


def relative_error(problem: Problem, reference) -> float:
    points = problem.domain.sample(4000, "uniform", np.random.default_rng(5))
    truth = Exact(problem).value(points)
    return float(np.linalg.norm(reference.value(points) - truth) / np.linalg.norm(truth))


@pytest.mark.parametrize(
    ("make", "tolerance"),
    [(manufactured, 1e-3), (manufactured, 1e-6), (transient, 1e-3)],
    ids=lambda value: getattr(value, "__name__", repr(value)),
)
def test_finite_elements_are_right_within_their_own_estimate(make: Callable[[], Problem], tolerance: float) -> None:
    problem = make()
    reference = reference_for(problem, "fem", tolerance, None)
    assert reference.kind == "fem" and reference.seconds > 0
    assert reference.error_estimate <= tolerance
    assert relative_error(problem, reference) <= reference.error_estimate


def test_the_corner_of_an_l_shape() -> None:
    """u = r^(2/3) sin(2θ/3), zero on the notch, with θ from the positive x axis."""
    def exact(x, y):
        r, angle = (x**2 + y**2).sqrt(), y.atan2(x)
        angle = angle + 2 * math.pi * (angle < -1e-12)
        return r ** (2 / 3) * sin(2 * angle / 3)

    problem = Problem(LShape(), {
        "heat": pde(lambda u, x, y: -laplacian(u, x, y)), "notch": dirichlet(("notch_vertical", "notch_horizontal")),
        "walls": dirichlet(("left", "right", "top", "bottom"), exact)}, exact=exact)  # fmt: skip
    reference = FiniteElements(problem, 1e-5, None)
    assert relative_error(problem, reference) <= reference.error_estimate <= 1e-5


def test_the_exact_solution_is_preferred() -> None:
    problem = manufactured()
    for kind in ("auto", "exact"):
        reference = reference_for(problem, kind, 1e-4, None)
        assert isinstance(reference, Exact) and reference.kind == "exact"
        assert 0 < reference.error_estimate < 1e-12 and relative_error(problem, reference) == 0
    points = np.array([[0.5, 0.25]])
    assert reference.value(points)[0, 0] == pytest.approx(math.exp(0.5) * math.cos(0.25) + 0.5, rel=1e-15)


def nonlinear() -> Problem:
    return Problem(Rectangle(), {"heat": pde(lambda u, x, y: -laplacian(u, x, y) + u**3), "w": dirichlet("boundary")})


def interval() -> Problem:
    return Problem(Interval(), {"heat": pde(lambda u, x: -laplacian(u, x)), "w": dirichlet("boundary")})


def unfinished() -> Problem:
    return Problem(Rectangle(), {"heat": pde(lambda u, x, y: -laplacian(u, x, y)), "w": dirichlet("left")})


@pytest.mark.parametrize(
    ("make", "reason"), [(nonlinear, "not linear"), (interval, "planar"), (unfinished, "no condition")]
)
def test_where_there_can_be_no_finite_elements(make, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(BadInput, match=rf"reference\.kind: no finite elements: .*{reason}.*; use auto or none"):
        reference_for(make(), "fem", 1e-4, None)
    assert reference_for(make(), "auto", 1e-4, None) is None
    assert [r.levelname for r in caplog.records] == ["WARNING"] and reason in caplog.text


def test_no_reference_and_no_exact_solution() -> None:
    assert reference_for(manufactured(), "none", 1e-4, None) is None
    with pytest.raises(BadInput, match=r"reference\.kind: the problem has no exact solution; use auto, fem or none"):
        reference_for(nonlinear(), "exact", 1e-4, None)


# --- the cache ------------------------------------------------------------------------------------------------------

POINTS = np.random.default_rng(0).uniform(0.1, 0.9, (50, 2))


@pytest.fixture(scope="module")
def solutions() -> dict[bool, Any]:
    """One solution of a steady and one of a transient problem: solving takes a second, and is not what is tested."""
    problems = {False: manufactured(), True: transient()}
    return {
        in_time: derived._solve(problem, problem.domain.space if in_time else problem.domain, 1e-2)
        for in_time, problem in problems.items()
    }


@pytest.fixture
def solves(monkeypatch: pytest.MonkeyPatch, solutions: dict[bool, Any]) -> list[Problem]:
    """The problems that would have been solved."""
    seen: list[Problem] = []

    def solve(problem: Problem, *more: Any) -> Any:
        seen.append(problem)
        return solutions[problem.transient]

    monkeypatch.setattr(derived, "_solve", solve)
    return seen


def files(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.npz"))


@pytest.mark.parametrize("make", [manufactured, transient], ids=lambda f: f.__name__)
def test_a_second_call_reads_the_file(make: Callable[[], Problem], tmp_path: Path, solves: list[Problem]) -> None:
    first, second = FiniteElements(make(), 1e-3, tmp_path), FiniteElements(make(), 1e-3, tmp_path)
    assert len(solves) == 1 and len(files(tmp_path)) == 1
    points = np.column_stack([POINTS, np.full(50, 0.02)]) if make is transient else POINTS
    np.testing.assert_array_equal(first.value(points), second.value(points))
    assert (first.error_estimate, first.dofs) == (second.error_estimate, second.dofs)


def test_reading_is_faster_than_solving(tmp_path: Path) -> None:
    first, second = FiniteElements(manufactured(), 1e-5, tmp_path), FiniteElements(manufactured(), 1e-5, tmp_path)
    assert second.seconds < first.seconds / 2


def test_anything_that_changes_the_solution_makes_another_file(tmp_path: Path, solves: list[Problem]) -> None:
    def problem(k: float = 1.0, hot: float = 1.0, flux: float = 0.0, width: float = 1.0) -> Problem:
        return Problem(Rectangle((0, 0), (width, 1)), {
            "heat": pde(lambda u, x, y: -div(k * grad(u, x, y), x, y) - 1), "hot": dirichlet("left", hot),
            "flux": neumann(("right", "top", "bottom"), flux, k)})  # fmt: skip

    changed = [problem(), problem(k=1.001), problem(hot=1.001), problem(flux=0.001), problem(width=1.001)]
    for one in changed:
        FiniteElements(one, 1e-3, tmp_path)
    FiniteElements(problem(), 2e-3, tmp_path)
    assert len(files(tmp_path)) == len(solves) == len(changed) + 1


def test_a_hole_makes_another_file(tmp_path: Path, solves: list[Problem]) -> None:
    square, hole = [(0, 0), (1, 0), (1, 1), (0, 1)], [(0.4, 0.4), (0.6, 0.4), (0.5, 0.6)]
    for domain in (Polygon(square), Polygon(square, [hole])):
        conditions = {"heat": pde(lambda u, x, y: -laplacian(u, x, y) - 1), "wall": dirichlet("boundary")}
        FiniteElements(Problem(domain, conditions), 1e-2, tmp_path)
    assert len(files(tmp_path)) == 2


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "text": lambda data: b"not an archive",
    "half": lambda data: data[: len(data) // 2],
    "one byte missing": lambda data: data[:-1],
    "a flipped byte": lambda data: data[:200] + bytes([data[200] ^ 255]) + data[201:],
    "flipped bytes inside": lambda data: data[: len(data) // 2] + b"\x00\xff\x00\xff" + data[len(data) // 2 + 4 :],
    "pickle": lambda data: b"\x80\x04K\x01.",
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_file_is_solved_again(name: str, tmp_path: Path, solves: list[Problem]) -> None:
    good = FiniteElements(manufactured(), 1e-2, tmp_path)
    path = files(tmp_path)[0]
    path.write_bytes(DAMAGE[name](path.read_bytes()))
    again = FiniteElements(manufactured(), 1e-2, tmp_path)
    assert len(solves) == 2
    np.testing.assert_allclose(again.value(POINTS), good.value(POINTS), rtol=1e-12)
    FiniteElements(manufactured(), 1e-2, tmp_path)
    assert len(solves) == 2 and files(tmp_path) == [path]


def test_an_archive_of_something_else_is_solved_again(tmp_path: Path, solves: list[Problem]) -> None:
    FiniteElements(manufactured(), 1e-2, tmp_path)
    np.savez(files(tmp_path)[0], other=np.zeros(3))
    FiniteElements(manufactured(), 1e-2, tmp_path)
    assert len(solves) == 2


def test_a_cache_that_cannot_be_written_only_warns(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    reference = FiniteElements(manufactured(), 1e-2, tmp_path / "file")
    assert [r.levelno for r in caplog.records] == [logging.WARNING] and "not kept" in caplog.text
    assert relative_error(manufactured(), reference) < 1e-2


def test_where_references_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PINNKIT_CACHE", str(tmp_path / "mine"))
    assert default_cache() == tmp_path / "mine"
    monkeypatch.delenv("PINNKIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "pinnkit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache() == tmp_path / ".cache" / "pinnkit"


@pytest.mark.parametrize("name", ["poisson_square", "inverse_heat"])
def test_our_problems_agree_with_their_exact_solutions(name: str) -> None:
    """inverse_heat is solved with its true conductivity."""
    problem = catalogue.load(name).build()
    reference = FiniteElements(problem, 1e-4, None)
    assert relative_error(problem, reference) <= reference.error_estimate


def test_a_boundary_value_that_pulses_is_not_taken_for_steady() -> None:
    """The wall is at 1, but for a pulse to 2 that lasts a twentieth of the time."""
    conditions = {
        "heat": pde(lambda u, x, y, t: derivative(u, t) - laplacian(u, x, y)),
        "wall": dirichlet("boundary", lambda t: 1 + exp(-(((t - 0.55) / 0.02) ** 2))),
        "start": initial(1.0),
    }
    reference = reference_for(Problem(Rectangle() * (0.0, 1.0), conditions), "fem", 5e-2, None)
    assert reference is not None
    assert reference.value(np.array([[0.0, 0.5, 0.55]])) == pytest.approx(2.0, abs=0.1)
