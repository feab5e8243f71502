"""The next points to measure at: where members disagree, and not next to each other."""

import numpy as np
import pytest

from pinnkit.acquisition import most_informative


def members(*modes: np.ndarray, count: int = 400) -> np.ndarray:
    """Random combinations of the modes (n,)."""
    weights = np.random.default_rng(0).normal(size=(count, len(modes)))
    return weights @ np.array(modes)


X = np.linspace(0, 1, 201)


def test_the_first_point_is_where_members_disagree_most() -> None:
    values = members(np.exp(-(((X - 0.3) / 0.1) ** 2)))
    assert X[most_informative(values, 1)[0]] == pytest.approx(0.3)


def test_what_a_point_tells_is_not_asked_again() -> None:
    """Two bumps need two points, one on each, though the whole of the larger one is above the smaller one."""
    large, small = (np.exp(-(((X - x) / 0.1) ** 2)) for x in (0.2, 0.8))
    chosen = X[most_informative(members(5 * large, small), 2)]
    np.testing.assert_allclose(chosen, [0.2, 0.8], atol=0.01)


def test_nothing_is_asked_once_members_agree() -> None:
    assert len(most_informative(members(np.sin(X)), 5)) == 1
    assert len(most_informative(np.ones((4, 9)), 3)) == 0
    assert len(most_informative(members(X), 0)) == 0


def conditioned(values: np.ndarray, chosen: list[int], noise: float) -> np.ndarray:
    """Variances after measurements, by the dense formula."""
    covariance = np.cov(values.T)
    block = covariance[np.ix_(chosen, chosen)] + noise**2 * np.eye(len(chosen))
    gain = covariance[:, chosen] @ np.linalg.inv(block)
    return np.diag(covariance - gain @ covariance[chosen])


@pytest.mark.parametrize("noise", [1e-6, 0.3, 2.0])
def test_each_point_has_the_largest_variance_given_those_before(noise: float) -> None:
    modes = [np.cos(k * np.pi * X) / k for k in range(1, 6)]
    values = members(*modes)
    chosen = most_informative(values, 4, noise).tolist()
    for k in range(1, len(chosen)):
        left = conditioned(values, chosen[:k], noise)
        assert left[chosen[k]] == pytest.approx(left.max(), rel=1e-6)
    assert len(chosen) == 4 and (noise > 1 or len(set(chosen)) == 4)
