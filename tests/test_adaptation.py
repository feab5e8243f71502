"""Features in the service of another problem: where they are used, what is trained, and that nothing else changes."""

from copy import deepcopy

import numpy as np
import pytest
import torch
from helpers import generator, laplace, randn
from hypothesis import given
from hypothesis import strategies as st
from runs import TINY
from test_networks import jets_of_points, multi_indices
from torch import nn
from torch.testing import assert_close

from pinnkit import Interval, Problem, Rectangle, catalogue, dirichlet, laplacian, pde, solve
from pinnkit.adaptation import adapted, bounds_for, fitted_bounds, hold, is_merged, layers_of, merged, moved
from pinnkit.assembly import in_time
from pinnkit.errors import BadInput
from pinnkit.networks import MLP, FeatureMap, FourierMLP, Reduced, Wide
from pinnkit.polynomials import ChebyshevProducts, InTime
from pinnkit.result import Solution
from pinnkit.settings import STRATEGIES, Frozen, Full, Head, LoRA, Near, Strategy

# --- where they are used ----------------------------------------------------------------------------------------------

sizes = st.floats(1e-3, 1e3)
boxes = st.tuples(st.floats(-10, 10), st.floats(-10, 10), sizes, sizes).map(
    lambda b: np.array([[b[0], b[1]], [b[0] + b[2], b[1] + b[3]]])
)


@given(boxes, boxes)
def test_fitted_bounds_are_the_smallest_of_the_sources_proportions_about_the_target(target, source) -> None:
    found = fitted_bounds(target, source, ("x", "y"))
    factors = np.ptp(found, axis=0) / np.ptp(source, axis=0)
    assert factors[0] == pytest.approx(factors[1], rel=1e-9)  # a similarity: what is harmonic stays harmonic
    size = np.ptp(target, axis=0).max()
    np.testing.assert_allclose(found.mean(0), target.mean(0), rtol=0, atol=1e-9 * size + 1e-12)
    assert (found[0] <= target[0] + 1e-9 * size).all() and (found[1] >= target[1] - 1e-9 * size).all()
    assert (np.ptp(found, axis=0) / np.ptp(target, axis=0)).min() == pytest.approx(1, rel=1e-9)  # it touches


@given(boxes, boxes, boxes)
def test_time_is_mapped_on_its_own(target, source, times) -> None:
    """The interval of time becomes that of the source, and has no say in space."""
    with_time = [np.column_stack([box, times[:, i]]) for i, box in enumerate((target, source))]
    found = fitted_bounds(*with_time, ("x", "y", "t"))
    np.testing.assert_allclose(found[:, 2], times[:, 0], rtol=1e-9, atol=1e-9 * np.ptp(times[:, 0]))
    np.testing.assert_allclose(found[:, :2], fitted_bounds(target, source, ("x", "y")), rtol=1e-12, atol=1e-12)


def test_bounds_that_fit_stay_as_they_are_and_arguments_too() -> None:
    box = np.array([[0.0, -1.0], [2.0, 3.0]])
    kept = box.copy()
    np.testing.assert_allclose(fitted_bounds(box, 5 * box + 1, ("x", "y")), box, atol=1e-14)
    np.testing.assert_array_equal(box, kept)


@pytest.fixture(scope="module")
def plates() -> dict[str, Solution]:
    small = {**TINY, "reference": {"kind": "none"}, "optimizer": "least_squares",
             "network": {"layers": [8], "polynomials": 10, "corners": True}}  # fmt: skip
    return {name: solve(name, **small).solution for name in ("heat_lshape", "heat_lshape_transient", "heat_rod")}


@pytest.mark.parametrize(("name", "scales", "parameters"),
                         [("heat_lshape", (3.0, 3.0), {"size": 3.0}),
                          ("heat_lshape_transient", (3.0, 3.0, 0.5), {"size": 3.0, "duration": 0.5}),
                          ("heat_rod", (1.0, 2.0), {"duration": 2.0})])  # fmt: skip
def test_a_solution_is_moved_as_a_whole(plates, name: str, scales, parameters: dict[str, float]) -> None:
    """u'(s x) = u(x), singular functions and time included."""
    source, problem = plates[name], catalogue.load(name).build(**parameters)
    trial = moved(source.trial, problem, bounds_for(source, problem))
    here = catalogue.load(name).build().domain.sample(50, "uniform", np.random.default_rng(0))
    there = torch.from_numpy(here * np.array(scales))
    assert problem.domain.contains(there.numpy()).all()
    found = trial(there).detach().numpy()
    np.testing.assert_allclose(found, source.predict(here), rtol=1e-9, atol=1e-9 * np.abs(found).max())
    assert trial is not source.trial and trial.features is not source.trial.features


def test_features_of_other_coordinates_are_refused(plates: dict[str, Solution]) -> None:
    rod = Problem(Interval(), {"p": pde(lambda u, x: -laplacian(u, x)), "ends": dirichlet("boundary")})
    transient = Problem(Interval() * (0.0, 1.0), {"p": pde(lambda u, x, t: u)})
    for source, problem, words in (
        (plates["heat_lshape"], rod, "functions of x, y, the problem is one of x;"),
        (plates["heat_lshape"], transient, "functions of x, y, the problem is one of x, t"),
        (plates["heat_lshape_transient"], laplace(), "functions of x, y, t, the problem is one of x, y"),
        (plates["heat_rod"], laplace(), "functions of x, t, the problem is one of x, y"),
    ):
        with pytest.raises(BadInput, match=words) as refused:
            bounds_for(source, problem)
        assert refused.value.key == "task.source"


def test_steady_features_see_space_by_a_similarity_and_time_as_a_whole(plates: dict[str, Solution]) -> None:
    domain = Rectangle((2, 2), (6, 4)) * (1.0, 7.0)
    problem = Problem(domain, {"p": pde(lambda u, x, y, t: u)})
    np.testing.assert_allclose(bounds_for(plates["heat_lshape"], problem), [[2, 1, 1], [6, 5, 7]])


# --- what is trained --------------------------------------------------------------------------------------------------


def layers(*widths: int, inputs: int = 2, seed: int = 0) -> MLP:
    return MLP(inputs, widths or (5, 4, 3), "sin", 2.0, generator(seed))


def wide(inputs: int = 2) -> Wide:
    beside = Reduced(ChebyshevProducts(inputs, 9), 4, generator(1))
    return Wide(layers(inputs=inputs), beside)


MAPS = {
    "layers": (layers, "", 2),
    "wide": (wide, "network.", 2),
    "in time": (lambda: in_time(layers(), 3), "features.", 3),
    "wide in time": (lambda: in_time(wide(), 3), "network.features.", 3),
    "fourier": (lambda: FourierMLP(2, 3, 1.5, (5, 4, 3), "sin", generator()), "layers.", 2),
}
ALL = {f"{kind}.{i}" for kind in ("weights", "biases") for i in range(3)}
TRAINED: dict[Strategy, set[str]] = {
    Full(): ALL,
    Near(): ALL,
    Head(): set(),
    Frozen(): ALL - {"weights.0", "biases.0"},
    Frozen(2): {"weights.2", "biases.2"},
    LoRA(2): {f"corrections.{i}.{part}" for i in (0, 1) for part in ("down", "up")},
}
CASES = [(name, strategy) for name in MAPS for strategy in TRAINED if (name, strategy.name) != ("fourier", "lora")]
each_case = pytest.mark.parametrize(("name", "strategy"), CASES, ids=lambda value: str(getattr(value, "name", value)))


def values_and_derivatives(features: FeatureMap, inputs: int) -> torch.Tensor:
    indices = multi_indices(inputs, order=2)
    x = 2 * torch.rand(20, inputs, generator=generator(3), dtype=torch.float64) - 1
    with torch.no_grad():
        return features.jets(jets_of_points(x, indices), indices)


def test_every_strategy_is_tried() -> None:
    assert {strategy.name for strategy in TRAINED} == set(STRATEGIES)


@each_case
def test_what_is_trained(name: str, strategy: Strategy) -> None:
    make, prefix, _ = MAPS[name]
    features = adapted(make(), strategy, generator())
    assert {key for key, _ in features.named_parameters()} == {prefix + part for part in TRAINED[strategy]}
    assert all(parameter.requires_grad for parameter in features.parameters())


@each_case
def test_the_function_stays_what_it_was(name: str, strategy: Strategy) -> None:
    """Values and derivatives up to the second, when adapted and when merged."""
    make, _, inputs = MAPS[name]
    expected, features = values_and_derivatives(make(), inputs), adapted(make(), strategy, generator())
    assert_close(values_and_derivatives(features, inputs), expected, rtol=1e-12, atol=1e-12)
    assert_close(values_and_derivatives(merged(features), inputs), expected, rtol=1e-12, atol=1e-12)


@each_case
def test_a_file_does_not_tell_how_it_was_trained(name: str, strategy: Strategy) -> None:
    """Names and values of what is kept are those of the features as they were: they fit into such again."""
    make, _, inputs = MAPS[name]
    plain, features = make(), changed(adapted(make(), strategy, generator()))
    assert is_merged(features) == (strategy.name != "lora")
    features = merged(features)
    assert is_merged(features) and type(features) is type(plain)
    state = features.state_dict()
    assert {key: value.shape for key, value in state.items()} == {k: v.shape for k, v in plain.state_dict().items()}
    plain.load_state_dict(state)
    assert_close(values_and_derivatives(plain, inputs), values_and_derivatives(features, inputs), rtol=0, atol=0)


def changed(features: FeatureMap) -> FeatureMap:
    """With other parameters, as after training."""
    with torch.no_grad():
        for k, parameter in enumerate(features.parameters()):
            parameter += 0.3 * randn(*parameter.shape, seed=k)
    return features


@each_case
def test_what_is_held_keeps_its_value_and_what_is_trained_is_merged(name: str, strategy: Strategy) -> None:
    make, prefix, inputs = MAPS[name]
    before, features = make().state_dict(), changed(adapted(make(), strategy, generator()))
    expected = values_and_derivatives(features, inputs)
    features = merged(features)
    after = features.state_dict()
    assert_close(values_and_derivatives(features, inputs), expected, rtol=1e-12, atol=1e-12)
    through = {"weights.1", "weights.2"} if strategy.name == "lora" else TRAINED[strategy]
    different = {key for key in before if not torch.equal(before[key], after[key])}
    assert different == {prefix + part for part in through}


def test_held_features_serve_as_any_others_do() -> None:
    """They move to another type and are copied, with what is held."""
    features = adapted(wide(), Frozen(1), generator())
    single = deepcopy(features).to(torch.float32)
    assert {value.dtype for value in single.state_dict().values()} == {torch.float32}
    assert {value.dtype for value in features.state_dict().values()} == {torch.float64}
    assert_close(values_and_derivatives(deepcopy(features), 2), values_and_derivatives(features, 2), rtol=0, atol=0)


def test_holding_twice_is_holding() -> None:
    features = layers()
    hold(features), hold(features)
    assert not list(features.parameters())
    assert_close(values_and_derivatives(features, 2), values_and_derivatives(layers(), 2), rtol=0, atol=0)


# --- corrections of low rank ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [1, 2, 3, 8])
def test_corrections_have_the_rank_and_the_number_of_parameters_that_they_should(rank: int) -> None:
    before = layers(7, 6, 5)
    features = changed(adapted(layers(7, 6, 5), LoRA(rank), generator()))
    assert sum(p.numel() for p in features.parameters()) == rank * (7 + 6) + rank * (6 + 5)
    after = merged(features)
    for i in (1, 2):
        change = after.weights[i] - before.weights[i].detach()
        assert int(torch.linalg.matrix_rank(change, rtol=1e-10)) == min(rank, *change.shape)
    assert torch.equal(after.weights[0], before.weights[0].detach())


def test_corrections_start_from_zero_and_can_leave_it() -> None:
    """up is zero and down is not, so that the gradient by up is not zero."""
    features = adapted(layers(), LoRA(2), generator())
    features(randn(6, 2)).sum().backward()
    for name, parameter in features.named_parameters():
        up = name.endswith("up")
        assert (not parameter.any()) if up else bool(parameter.any())
        assert bool(parameter.grad.any()) == up


def test_corrections_depend_on_the_generator_alone() -> None:
    def down(seed: int) -> torch.Tensor:
        return next(p for key, p in adapted(layers(), LoRA(2), generator(seed)).named_parameters() if "down" in key)

    assert torch.equal(down(0), down(0)) and not torch.equal(down(0), down(1))


# --- what is refused --------------------------------------------------------------------------------------------------


def one_line(refusal: BadInput, key: str) -> bool:
    return refusal.key == key and len(str(refusal).splitlines()) == 1 and str(refusal).count("; ") == 1


@pytest.mark.parametrize("make", [layers, wide, MAPS["fourier"][0], MAPS["wide in time"][0]])
@pytest.mark.parametrize("count", [3, 4, 100])
def test_too_many_frozen_layers_are_refused(make, count: int) -> None:
    with pytest.raises(BadInput, match=f"{count} of 3 layers") as refused:
        adapted(make(), Frozen(count), generator())
    assert one_line(refused.value, "task.strategy.layers")


@pytest.mark.parametrize("make", [lambda: layers(5), lambda: Wide(layers(5), ChebyshevProducts(2, 4)),
                                  lambda: InTime(layers(5), 2)])  # fmt: skip
def test_corrections_of_a_single_layer_are_refused(make) -> None:
    with pytest.raises(BadInput, match="two layers or more") as refused:
        adapted(make(), LoRA(), generator())
    assert one_line(refused.value, "task.strategy")


def test_modules_without_layers_of_ours_are_refused() -> None:
    with pytest.raises(BadInput, match="a module of your own") as refused:
        layers_of(nn.Linear(2, 3))
    assert one_line(refused.value, "task.source")
    assert layers_of(MAPS["wide in time"][0]()).width == 3
