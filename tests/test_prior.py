"""What is known beforehand: distances relative to what parameters are, and a head as small as data ask for."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import generator, laplace, randn, residuals_of, two_fields

from pinnkit.networks import MLP
from pinnkit.prior import OPEN, STRENGTHS, head_prior, lean_on_data, nearness
from pinnkit.problem import Problem, measured
from pinnkit.residuals import Anchor, Residuals

TRUTH = laplace().exact


def features() -> MLP:
    return MLP(2, (40,), "sin", 2.0, generator())


@pytest.mark.parametrize("each", [False, True])
def test_distances_are_relative_to_the_size_of_each_tensor(each: bool) -> None:
    """All entries away by a tenth of the root mean square of their tensor: rows of norm strength/10 for each tensor."""
    residuals = residuals_of(laplace(), MLP(2, (7, 5), "sin", 3.0, generator()))
    strength, theta = nearness(residuals, 2.0, each), residuals.theta
    for name in residuals.shapes:
        places = residuals.places([name])
        if not name.startswith("features."):
            assert not strength[places].any()
            continue
        away = 0.1 * theta[places].square().mean().sqrt()
        rows = strength[places] * away
        assert float(rows.norm()) == pytest.approx(0.2 * (len(places) ** 0.5 if each else 1), rel=1e-12)


def test_tensors_that_are_zero_are_held_all_the_same() -> None:
    residuals = residuals_of(laplace())
    with torch.no_grad():
        residuals.trial.features.biases[1].zero_()
    strength = nearness(residuals, 1.0)
    assert torch.isfinite(strength).all() and strength[residuals.places(["features.biases.1"])].min() > 1e6


# --- how data weigh, and what is drawn --------------------------------------------------------------------------------


def weighed(noise: float | None, sensors: int = 30, weight: float = 3.0) -> Residuals:
    """Data of that noise, relative to how much they vary, beside the equation and all conditions but one."""
    residuals = with_data(0.1, sensors=sensors, physics=True)
    data = replace(residuals.problem.conditions["data"], noise=noise, weight=weight)
    conditions = {**residuals.problem.conditions, "data": data}
    return residuals_of(replace(residuals.problem, conditions=conditions), features())


@pytest.mark.parametrize(("noise", "factor"), [(None, 1), (0.0, 1), (1e-4, 1), (OPEN, 1), (0.01, 0.01), (0.1, 1e-4)])
def test_data_weigh_by_their_noise_and_conditions_do_not(noise: float | None, factor: float) -> None:
    residuals = weighed(noise)
    lean_on_data(residuals)
    assert residuals.weights == pytest.approx({"laplace": 1, "rest": 1, "data": 3 * factor})


def test_without_a_sample_the_head_is_drawn_to_where_it_is() -> None:
    residuals = weighed(0.01)
    lean_on_data(residuals)
    assert torch.equal(residuals.anchor.centre, residuals.theta)
    assert torch.equal(residuals.anchor.strength, head_prior(weighted := _like(residuals))[0])
    assert weighted.weights == residuals.weights


def _like(residuals: Residuals) -> Residuals:
    again = weighed(0.01)
    again.weights = dict(residuals.weights)
    return again


def test_what_is_drawn_depends_on_the_generator_alone() -> None:
    def centre(seed: int) -> torch.Tensor:
        residuals = weighed(0.01)
        lean_on_data(residuals, generator(seed))
        return residuals.anchor.centre

    assert torch.equal(centre(1), centre(1)) and not torch.equal(centre(1), centre(2))


@pytest.mark.parametrize("noise", [0.05, None])
def test_samples_of_the_head_have_mean_and_covariance_of_its_posterior(noise: float | None) -> None:
    """Data alone, perturbed by the noise of their rows, beside a prior that is drawn: s² (BᵀB + Λ²)⁻¹ and its mean.

    Where the noise is not known, s is the error of prediction.
    """
    n, few = 12, 6
    points = np.random.default_rng(0).uniform(0, 1, (n, 2))
    values = TRUTH(*torch.from_numpy(points.T)).numpy()
    sigma = None if noise is None else noise * values.std()
    problem = replace(laplace(), conditions={"data": measured(points, values, sigma)})
    residuals = residuals_of(problem, MLP(2, (few,), "sin", 2.0, generator()))
    with torch.no_grad():
        residuals.trial.weight.copy_(0.3 * torch.randn(1, few, generator=generator(8), dtype=torch.float64))
    lean_on_data(residuals)
    weight, theta, linear = residuals.weights["data"], residuals.theta, residuals.linear
    residuals.anchor = None
    strength, missed = head_prior(residuals)
    r, matrix = residuals.linear_jacobian(theta)
    prior = strength[linear]
    precision = matrix.mT @ matrix + torch.diag(prior**2)
    mean = theta[linear] - torch.linalg.solve(precision, matrix.mT @ r)
    rows = missed if noise is None else float(residuals.factor(residuals.blocks[0])) * noise * values.std()
    covariance = rows**2 * torch.linalg.inv(precision)

    draws, found, source = 600, [], generator(3)
    for _ in range(draws):
        residuals.weights["data"], residuals.anchor = problem.conditions["data"].weight, None
        lean_on_data(residuals, source)
        assert residuals.weights["data"] == weight
        perturbed = r + rows * torch.randn(len(r), generator=source, dtype=torch.float64)
        pull = prior**2 * (theta - residuals.anchor.centre)[linear]
        found.append(theta[linear] - torch.linalg.solve(precision, matrix.mT @ perturbed + pull))
    off = (torch.stack(found) - mean).mT
    whitened = torch.linalg.solve_triangular(torch.linalg.cholesky(covariance), off, upper=False)
    assert whitened.mean(1).abs().max() < 4 / draws**0.5
    off = torch.cov(whitened) - torch.eye(len(linear), dtype=torch.float64)
    assert off.abs().max() < 4 * (2 / draws) ** 0.5


# --- the head ---------------------------------------------------------------------------------------------------------


def with_data(noise: float, size: float = 1.0, sensors: int = 30, physics: bool = False) -> Residuals:
    """Noisy values of `size` times the solution, alone or beside the equation and all conditions but one."""
    points = np.random.default_rng(0).uniform(0, 1, (sensors, 2))
    values = size * (TRUTH(*torch.from_numpy(points.T)).numpy() + noise * np.random.default_rng(1).normal(size=sensors))
    problem = laplace()
    kept = {name: problem.conditions[name] for name in ("laplace", "rest")} if physics else {}
    return residuals_of(replace(problem, conditions={**kept, "data": measured(points, values)}), features())


def strength(residuals: Residuals) -> float:
    """Of the head, where all features count alike."""
    (found,) = set(head_prior(residuals)[0][residuals.places(["weight"])].tolist())
    return found


def test_only_weights_and_features_are_drawn() -> None:
    residuals = with_data(0.1)
    prior = head_prior(residuals)[0]
    assert float(prior[residuals.places(["bias"])].abs().max()) == 0.0
    head = float(prior[residuals.places(["weight"])][0])
    assert head > 0
    weights = residuals.theta[residuals.places(["features.weights.0"])]
    expected = head / float(weights.square().mean().sqrt())
    assert prior[residuals.places(["features.weights.0"])].tolist() == pytest.approx([expected] * len(weights))


@pytest.mark.parametrize("physics", [False, True])
def test_more_noise_asks_for_a_stronger_prior(physics: bool) -> None:
    found = [strength(with_data(noise, physics=physics)) for noise in (0.0, 0.01, 1.0, 30.0)]
    assert found == sorted(found) and found[-1] > 10 * found[0]


@pytest.mark.parametrize("size", [1e-6, 1e6])
def test_units_of_the_data_do_not_matter(size: float) -> None:
    assert strength(with_data(0.1, size)) == pytest.approx(strength(with_data(0.1)), rel=1e-12)


def error(residuals: Residuals, strength: torch.Tensor) -> float:
    """Relative error of the fit of the head that is drawn towards zero so strongly."""
    theta, linear = residuals.theta, residuals.linear
    residuals.anchor = Anchor(strength, theta)
    r, matrix = residuals.linear_jacobian(theta)
    theta[linear] -= torch.linalg.lstsq(matrix, r[:, None], driver="gelsd").solution[:, 0]
    residuals.assign(theta)
    points = torch.rand(500, 2, generator=generator(5), dtype=torch.float64)
    truth = TRUTH(*points.T)
    return float((residuals.trial(points).detach()[:, 0] - truth).norm() / truth.norm())


@pytest.mark.parametrize("noise", [0.1, 0.5])
def test_the_strength_predicts_nearly_as_well_as_the_best_that_there_is(noise: float) -> None:
    """And far better than the weakest or the strongest."""
    prior = head_prior(with_data(noise))[0]
    weakest = prior / strength(with_data(noise))  # of strength 1
    errors = {s: error(with_data(noise), s * weakest) for s in STRENGTHS}
    chosen = error(with_data(noise), prior)
    assert chosen < 2 * min(errors.values())
    assert chosen < 0.5 * errors[STRENGTHS[0]] and chosen < 0.5 * errors[STRENGTHS[-1]]


def test_singular_functions_count_by_their_size() -> None:
    class Huge:
        """Two functions, of size 1e-3 and 1e3."""

        count = 2

        def jets(self, coordinates, indices):
            x = coordinates[0]
            ones = torch.stack([1e-3 * torch.ones_like(x), 1e3 * torch.ones_like(x)], -1)
            return torch.stack([ones if index == () else torch.zeros_like(ones) for index in indices])

    problem = with_data(0.1).problem
    residuals = residuals_of(problem, features(), Huge())
    weights = head_prior(residuals)[0][residuals.places(["weight"])]
    assert (weights[40:] / weights[0]).tolist() == pytest.approx([1e-3, 1e3])


def test_every_field_has_a_head_of_its_own() -> None:
    points = np.random.default_rng(0).uniform(0, 1, (20, 2))
    two = two_fields()
    data = {**two.conditions, "data": measured(points, randn(20).numpy())}
    residuals = residuals_of(Problem(two.domain, data, fields=two.fields), features())
    weights = head_prior(residuals)[0][residuals.places(["weight"])]
    assert len(weights) == 80 and len(set(weights.tolist())) == 1
