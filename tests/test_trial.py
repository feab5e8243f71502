"""The trial function: offset + amplitude · (features · W + enrichment · C + b) and its derivatives."""

from math import pi

import pytest
import torch
from helpers import PROBLEMS, Plain, coordinates, generator, randn, trial_of
from torch.testing import assert_close

from pinnkit.boundary import exact_boundary
from pinnkit.corners import corner_functions
from pinnkit.geometry import Interval, Rectangle
from pinnkit.networks import MLP, FeatureMap
from pinnkit.operators import derivative
from pinnkit.problem import Problem, Unknown
from pinnkit.trial import Trial
from pinnkit.vanishing import vanishing


class Powers(FeatureMap):
    """x̂, x̂ŷ of scaled coordinates: derivatives up to order 2 are known by heart."""

    width = 2

    def jets(self, points, indices):
        x, dx = points[0], points
        first = torch.stack([dx[i, :, 0] for i in range(len(indices))])
        rows = {(): x[:, 0] * x[:, 1]}
        for i, index in enumerate(indices):
            if len(index) == 1:
                rows[index] = dx[i, :, 0] * x[:, 1] + x[:, 0] * dx[i, :, 1]
            if len(index) == 2:
                a, b = (dx[indices.index((part,))] for part in index)
                rows[index] = a[:, 0] * b[:, 1] + a[:, 1] * b[:, 0]
        return torch.stack([first, torch.stack([rows[index] for index in indices])], -1)


class Waves:
    """Known functions sin(kx) cos(y), k = 1, 2, 3, with derivatives up to order 2."""

    count = 3

    def jets(self, coordinates, indices):
        k = torch.arange(1, 4, dtype=torch.float64)
        x, y = (c[:, None] for c in coordinates)
        along_x = (torch.sin(k * x), k * torch.cos(k * x), -(k**2) * torch.sin(k * x))
        along_y = (torch.cos(y), -torch.sin(y), -torch.cos(y))
        return torch.stack([along_x[index.count(0)] * along_y[index.count(1)] for index in indices])


def randomised(trial: Trial) -> Trial:
    with torch.no_grad():
        trial.weight.copy_(randn(*trial.weight.shape, seed=1))
        trial.bias.copy_(randn(*trial.bias.shape, seed=2))
        trial.offset.copy_(randn(*trial.offset.shape, seed=3))
        trial.amplitude.copy_(randn(*trial.amplitude.shape, seed=4).exp())
    return trial


INDICES = [(), (0,), (1,), (0, 0), (0, 1), (1, 1)]


def test_the_formula_by_heart() -> None:
    """On (2, 6) × (0, 2): x̂ = (x − 4)/2, ŷ = y − 1."""
    trial = trial_of(Problem(Rectangle((2, 0), (6, 2)), {}), Powers())
    with torch.no_grad():
        trial.weight.copy_(torch.tensor([[2.0, 3.0]]))
        trial.bias.fill_(0.5)
        trial.offset.fill_(20.0)
        trial.amplitude.fill_(10.0)
    x, y = torch.tensor([3.0, 5.5], dtype=torch.float64), torch.tensor([0.25, 1.75], dtype=torch.float64)
    a, b = (x - 4) / 2, y - 1
    zero, one = torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    expected = torch.stack(
        [20 + 10 * (2 * a + 3 * a * b + 0.5), 10 * (1 + 1.5 * b), 30 * a, zero, 15 * one, zero]
    )
    prepared = trial.prepare(torch.stack([x, y], 1), INDICES)
    assert prepared.indices == INDICES
    assert_close(trial(prepared)[..., 0], expected)
    assert_close(trial(torch.stack([x, y], 1))[:, 0], expected[0])


@pytest.mark.parametrize("enrichment", [None, Waves()])
@pytest.mark.parametrize("plain", [False, True])
def test_jets_are_the_derivatives_of_the_values(plain: bool, enrichment) -> None:
    problem = Problem(Rectangle((-3, 1), (1, 1.5)), {}, fields=("u", "v"))
    features = MLP(2, (6, 5), "tanh", 1.5, generator())
    trial = randomised(trial_of(problem, features, enrichment))
    values = randomised(trial_of(problem, Plain(features), enrichment)) if plain else trial
    coords = coordinates(2)
    jets = trial(trial.prepare(torch.stack(coords, 1).detach(), INDICES))
    assert jets.shape == (len(INDICES), 7, 2)
    out = values(torch.stack(coords, 1))
    for i, index in enumerate(INDICES):
        for m in range(2):
            expected = derivative(out[:, m], *(coords[j] for j in index))
            assert_close(jets[i, :, m], expected, rtol=1e-10, atol=1e-10)


def test_corner_functions_are_differentiated_like_features() -> None:
    problem = PROBLEMS["l_shape_in_time"]()
    trial = randomised(trial_of(problem, None, corner_functions(problem)))
    x, y, t = coordinates(3)
    out = trial(torch.stack([x, y, t], 1))[:, 0]
    indices = [(), (0,), (2,), (0, 0), (0, 1), (1, 2), (1, 1)]
    prepared = trial.prepare(torch.stack([x, y, t], 1).detach(), indices)
    jets = trial(prepared)
    for index in indices:
        expected = derivative(out, *((x, y, t)[i] for i in index))
        assert_close(jets[prepared.indices.index(index), :, 0], expected, rtol=1e-9, atol=1e-9)


def test_preparing_carries_the_sub_indices() -> None:
    trial = trial_of(PROBLEMS["poisson"]())
    assert trial.prepare(randn(3, 2), [(0, 1)]).indices == [(), (0,), (1,), (0, 1)]


def test_it_starts_as_zero_with_one_row_of_the_head_for_each_field() -> None:
    problem = Problem(Rectangle(), {}, fields=("u", "v", "p"))
    trial = trial_of(problem, enrichment=Waves())
    assert trial.weight.shape == (3, 4 + 3) and trial.bias.shape == (3,)
    assert not trial(randn(4, 2)).any()


def test_features_see_the_bounds_as_the_unit_cube() -> None:
    class Identity(torch.nn.Module):
        def forward(self, x):
            return x

    trial = trial_of(Problem(Interval(200, 1000) * (0.0, 1e-3), {}), Identity())
    with torch.no_grad():
        trial.weight.copy_(torch.tensor([[1.0, 10.0]]))
    ends = torch.tensor([[200, 0], [1000, 1e-3], [600, 5e-4]], dtype=torch.float64)
    assert_close(trial(ends)[:, 0], torch.tensor([-11.0, 11.0, 0.0], dtype=torch.float64), rtol=0, atol=1e-12)


def test_the_width_of_any_module_is_asked_for() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(2, 9, dtype=torch.float64), torch.nn.Tanh())
    trial = trial_of(PROBLEMS["poisson"](), module)
    assert trial.width == 9 and not trial.knows_its_derivatives
    assert trial_of(PROBLEMS["poisson"]()).knows_its_derivatives


def test_unknown_coefficients_are_parameters() -> None:
    problem = Problem(Rectangle(), {}, unknowns={"k": Unknown(pi, positive=True), "c": Unknown(-2.0)})
    trial = trial_of(problem)
    raw = {name: p.item() for name, p in trial.named_parameters() if name.startswith("unknowns.")}
    assert raw == pytest.approx({"unknowns.k": 1.1447298858494002, "unknowns.c": -2.0}, rel=1e-15)
    assert all(p.dtype == torch.float64 for p in trial.parameters())


def exact_trial(problem: Problem, features: torch.nn.Module | None = None) -> Trial:
    exact = exact_boundary(problem)
    trial = trial_of(problem, features, vanishing(corner_functions(problem), problem, exact))
    trial.exact = exact
    return randomised(trial)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("name", ["variable", "transient", "l_shape", "l_shape_in_time"])
def test_jets_with_exact_data_are_the_derivatives_of_the_values(name: str, plain: bool) -> None:
    problem = PROBLEMS[name]()
    d = len(problem.coordinates)
    features = MLP(d, (6, 5), "tanh", 1.5, generator())
    trial, values = exact_trial(problem, features), exact_trial(problem, Plain(features) if plain else features)
    coords = tuple(torch.tensor(c, requires_grad=True) for c in problem.domain.sample(5).T)
    indices = [(), (0,), (1,), (0, 0), (0, 1), (1, 1)] + ([(2,), (0, 2)] if d == 3 else [])
    prepared = trial.prepare(torch.stack(coords, 1).detach(), indices)
    jets, out = trial(prepared)[..., 0], values(torch.stack(coords, 1))[:, 0]
    for index in indices:
        truth = derivative(out, *(coords[i] for i in index))
        size = float(1 + truth.detach().abs().max())
        assert_close(jets[prepared.indices.index(index)], truth, rtol=1e-9, atol=1e-9 * size)


@pytest.mark.parametrize("name", ["poisson", "variable", "transient", "l_shape", "l_shape_in_time"])
def test_exact_data_hold_for_random_parameters(name: str) -> None:
    problem = PROBLEMS[name]()
    trial = exact_trial(problem)
    assert trial.exact is not None
    for condition in trial.exact.conditions:
        on = problem.domain.sample_boundary(100, problem.conditions[condition].on).points
        coords = torch.tensor(on).unbind(-1)
        with torch.no_grad():
            fields = {"u": trial(torch.tensor(on))[:, 0]}
        residual = problem.residual(condition, problem.environment(coords, fields))
        assert residual.abs().max() < 1e-12
