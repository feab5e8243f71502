"""A low fidelity corrected under the equations: the case of the gallery, its parts, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from pinnkit import LowFidelity, Problem, Rectangle, catalogue, dirichlet, div, grad, load, measured, pde, solve
from pinnkit.errors import BadInput
from pinnkit.low_fidelity import cheap, informed, lifted, with_function
from pinnkit.result import KnownSolution, Result
from pinnkit.tasks import summary

SHAPES = ["square", "lshape", "house"]


def built(**parameters: object) -> Problem:
    return catalogue.equation(catalogue.ProblemChoice("multifidelity_heat", parameters=parameters))


def points_of(problem: Problem, n: int = 1000) -> np.ndarray:
    return problem.domain.sample(n, "uniform", np.random.default_rng(3))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    folder = tmp_path_factory.mktemp("multifidelity")
    return solve("multifidelity_heat", folder=folder), folder


@pytest.mark.parametrize("shape", SHAPES)
def test_the_truth_satisfies_the_conditions(shape: str) -> None:
    problem = built(shape=shape, noise=0.0)
    x, y = (torch.from_numpy(c.copy()).requires_grad_() for c in points_of(problem, 50).T)
    u = problem.exact(x, y)
    flux = [torch.exp(0.5 * y) * torch.autograd.grad(u.sum(), c, create_graph=True)[0] for c in (x, y)]
    each = [torch.autograd.grad(q.sum(), c, retain_graph=True)[0] for q, c in zip(flux, (x, y), strict=True)]
    assert (each[0] + each[1]).abs().max() < 1e-9 * each[0].abs().max()
    for side in problem.domain.resolve("sides"):
        at = problem.domain.sample_boundary(20, side, "uniform", np.random.default_rng(0)).points
        x, y = (torch.from_numpy(c.copy()).requires_grad_() for c in at.T)
        (slope,) = torch.autograd.grad(problem.exact(x, y).sum(), x)
        assert slope.abs().max() < 1e-9
    sensors = problem.conditions["sensors"]
    assert sensors.points.shape == (10, 2) and (sensors.points[:, 1] > 0.7).all()
    assert_allclose(sensors.values["measured"], problem.exact(*torch.from_numpy(sensors.points.T)), rtol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_ten_times_better_than_either_alone(shape: str, run: tuple[Result, Path]) -> None:
    """On any polygon; also than the data under the equations without the low fidelity."""
    m = run[0].metrics if shape == "lshape" else solve("multifidelity_heat", problem={"shape": shape}).metrics
    assert m["alone"].keys() == {"low_only", "high_only", "high_and_equations"}
    assert 10 * m["rmse"] < min(m["alone"].values())
    assert m["rho"] == pytest.approx([1.3], rel=0.05) and 1e-4 < m["rho_deviation"][0] < 0.05
    assert m["cost"] == {"low": 1.0, "high": 100.0}


def test_a_coarse_network_will_do() -> None:
    parameters = {"low": "network", "resolution": 200}
    m = solve("multifidelity_heat", problem=parameters).metrics
    assert m["low_fidelity"] == "a coarse network" and 10 * m["rmse"] < m["alone"]["low_only"]


def test_a_run_leaves_its_files(run: tuple[Result, Path]) -> None:
    result, folder = run
    assert json.loads((folder / "metrics.json").read_text()) == result.metrics
    assert result.metrics["task"] == "multifidelity" and {"low_fidelity", "rho_deviation"} <= result.metrics.keys()
    assert {"levels.png", "truth.png", "solution.png"} <= {path.name for path in (folder / "plots").iterdir()}
    assert "ρ times the cheap source" in (folder / "report.html").read_text()
    said = summary(result)
    assert "alone: low only" in said and "rho " in said


def test_what_is_loaded_is_what_was_found(run: tuple[Result, Path]) -> None:
    result, folder = run
    points = points_of(result.problem)
    assert_array_equal(load(folder).predict(points), result.predict(points))


def test_the_parts_add_up(run: tuple[Result, Path]) -> None:
    """δ = u − ρ w is smooth where w is not: the burners are in w."""
    result = run[0]
    x = np.linspace(0.01, 0.99, 200)
    edge = np.column_stack([x, np.full(200, 0.999)])
    scaled = result.corrected.scaled(edge)[:, 0]
    rest = result.predict(edge)[:, 0] - scaled
    assert np.abs(np.diff(rest, 2)).max() < 0.1 * np.abs(np.diff(scaled, 2)).max()


def test_w_agrees_with_the_low_fidelity_on_the_free_edge_and_with_the_equations() -> None:
    problem = built()
    low = cheap(problem)
    w = lifted(problem, low)
    edge = np.column_stack([np.linspace(0.05, 0.95, 50), np.ones(50)])
    assert np.abs(w.predict(edge) - low.value(edge)).max() < 0.05 * np.abs(low.value(edge)).max()
    exact = replace(problem, exact=None)
    walls = problem.domain.sample_boundary(50, "walls", "uniform", np.random.default_rng(0)).points
    assert_allclose(w.predict(walls)[:, 0], problem.exact(*torch.from_numpy(walls.T)), rtol=1e-2)
    assert informed(exact).enrichment is not None and informed(exact).low_fidelity is None


def test_a_known_solution_has_the_derivatives_of_its_values() -> None:
    w = lifted(problem := built(), cheap(problem))
    known = KnownSolution(w)
    coordinates = [torch.from_numpy(c.copy()).requires_grad_() for c in points_of(problem, 20).T]
    indices = [(), (1,), (0, 1)]
    jets = known.jets(coordinates, indices)[:, :, 0]
    (dy,) = torch.autograd.grad(jets[0].sum(), coordinates[1], create_graph=True)
    (dyx,) = torch.autograd.grad(dy.sum(), coordinates[0])
    for own, wanted in ((jets[1], dy), (jets[2], dyx)):  # large weights of many polynomials cancel
        assert (own - wanted).abs().max() < 1e-7 * wanted.abs().max()
    scaled = (w.predict(points_of(problem, 20)) - w.trial.offset.numpy()) / w.trial.amplitude.numpy()
    assert_allclose(jets[0].detach(), scaled[:, 0], rtol=1e-6, atol=1e-6)


def test_a_function_as_low_fidelity_of_a_nonlinear_problem() -> None:
    """−Δu + u³ = f with u = 1 + x y + sin(3x) e^y; what is known of the upper edge is half the wave, and too low."""

    def exact(x, y):
        return 1 + x * y + torch.sin(3 * x) * torch.exp(y)

    domain = Rectangle((0, 0), (1, 1))
    points = domain.sample(8, "halton", np.random.default_rng(0))
    problem = Problem(
        domain,
        {
            "equation": pde(lambda u, x, y: -div(grad(u, x, y), x, y) + u**3 - exact(x, y) ** 3
                            - 8 * torch.sin(3 * x) * torch.exp(y)),
            "walls": dirichlet(["left", "right", "bottom"], exact),
            "sensors": measured(points, exact(*torch.from_numpy(points.T)).numpy()),
        },
        free=("top",),
        low_fidelity=LowFidelity(lambda x, y: 0.5 * torch.sin(3 * x) * torch.exp(y) + 0.8),
        exact=exact,
    )  # fmt: skip
    m = solve(problem).metrics
    assert m["low_fidelity"] == "a function"
    assert 20 * m["rmse"] < m["alone"]["low_only"] and 2 * m["rmse"] < m["alone"]["high_only"]


def test_a_committee_spreads_about_the_corrected_field() -> None:
    task = {"name": "committee", "members": 3, "workers": 2}
    result = solve("multifidelity_heat", task=task, evaluation={"points": 2000})
    low = np.abs(built().low_fidelity.resolution)
    assert low == 8 and result.metrics["relative_l2"] < 0.02
    assert len(result.solution.members) == 3 and result.metrics["coverage"]["calibrated"] > 0.9


@pytest.mark.parametrize(
    ("change", "told", "key"),
    [
        ({"free": ()}, {}, "low_fidelity"),
        ({}, {"network": {"boundary": "hard"}}, "network.boundary"),
        ({}, {"task": {"name": "multifidelity", "model": "nonlinear"}}, "task.model"),
        ({}, {"task": "transfer"}, "task"),
        ({"low_fidelity": LowFidelity(lambda x, y: x / 0)}, {}, "low_fidelity"),
        ({"low_fidelity": LowFidelity(lambda x, y: (x, y))}, {}, "low_fidelity"),
        ({"low_fidelity": LowFidelity(lambda x, y: x.detach().numpy())}, {}, "low_fidelity"),
        ({"low_fidelity": LowFidelity(replace(built(), domain=Rectangle((5, 5), (6, 6))))}, {}, "low_fidelity"),
        ({"low_fidelity": None}, {"task": "multifidelity"}, "task"),
    ],
)
def test_bad_input(change: dict, told: dict, key: str) -> None:
    problem = replace(built(), **change)
    if change == {"free": ()}:
        problem = replace(problem, conditions={**problem.conditions, "top": dirichlet("top", 1.0)})
    with pytest.raises(BadInput, match=f"^{key}: "):
        solve(problem, **told)


def test_bad_parameters() -> None:
    for parameters, key in (({"shape": "disk"}, "shape"), ({"depth": 0.0}, "depth")):
        with pytest.raises(BadInput, match=f"problem.{key}"):
            built(**parameters)
    for wrong in ({"low": "cheap"}, {"resolution": 0}, {"sensors": 0}):
        with pytest.raises(BadInput, match=r"low_fidelity|sensors"):
            built(**wrong)
    for of in (np.ones(3), None):
        with pytest.raises(BadInput, match="low_fidelity"):
            LowFidelity(of)
    with pytest.raises(BadInput, match="low_fidelity"):
        replace(built(), low_fidelity=lambda x, y: x)
    w = lifted(built(), cheap(built()))
    assert with_function(built(), w).enrichment.count == 1
