"""Norms of errors, and when an answer is trusted."""

import numpy as np
import pytest

from pinnkit.evaluation import compare, errors, relative_l2, verdict, worst_field


class Line:
    """The field (x, −2x), known without error."""

    kind, error_estimate, seconds = "exact", 0.0, 0.0

    def value(self, points: np.ndarray) -> np.ndarray:
        return points[:, :1] * np.array([1.0, -2.0])


def test_errors_by_hand() -> None:
    truth = np.array([[3.0, 0.0], [4.0, 1.0]])
    found = truth + np.array([[0.0, 0.1], [-0.5, 0.0]])
    result = errors(found, truth, ("u", "v"))
    assert result.relative_l2 == pytest.approx(np.sqrt(0.26 / 26))
    assert result.max_error == pytest.approx(0.5)
    assert result.fields["u"] == pytest.approx({"relative_l2": 0.1, "max_error": 0.5})
    assert result.fields["v"] == pytest.approx({"relative_l2": 0.1, "max_error": 0.1})


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_the_relative_error_has_no_unit(scale: float) -> None:
    truth = np.random.default_rng(0).standard_normal((50, 1))
    assert relative_l2(scale * truth * (1 + 1e-3), scale * truth) == pytest.approx(1e-3)


def test_a_vanishing_truth_has_an_absolute_error_per_point() -> None:
    assert relative_l2(np.full((7, 1), 0.25), np.zeros((7, 1))) == pytest.approx(0.25)
    assert relative_l2(np.zeros(3), np.zeros(3)) == 0.0


def test_comparing_evaluates_both_at_the_points() -> None:
    points = np.linspace(1, 2, 11)[:, None]
    found = compare(lambda p: np.hstack([1.1 * p, -2 * p]), Line(), points, ("u", "v"))
    assert found.fields["u"]["relative_l2"] == pytest.approx(0.1)
    assert found.fields["v"] == {"relative_l2": 0.0, "max_error": 0.0}
    assert found.relative_l2 == pytest.approx(0.1 / 5**0.5)
    assert found.max_error == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("relative", "of_reference", "said"),
    [
        (4e-4, 5e-4, "trusted"),
        (0.0, 1e-3, "trusted"),
        (2e-3, 1e-9, "untrusted: the error is 2.0e-03 of the variation of the solution, above 1.0e-03"),
        (6e-4, 6e-4, "untrusted: the error is 6.0e-04 of the variation of the solution, above 1.0e-03"),
        (1e-9, 2e-3, "untrusted: the reference's own error is 2.0e-03, above 1.0e-03"),
        (np.nan, 1e-9, "untrusted: the solution is not finite"),
        (np.inf, 1e-9, "untrusted: the solution is not finite"),
        (None, None, "untrusted: there is no reference to compare with"),
        (1e-9, None, "untrusted: there is no reference to compare with"),
    ],
)
def test_an_answer_is_trusted_only_within_the_tolerance(relative, of_reference, said: str) -> None:
    assert verdict(relative, of_reference, 1e-3) == said


def test_a_reference_of_unknown_error_is_no_reference() -> None:
    assert verdict(1e-9, np.nan, 1e-3).startswith("untrusted")


def test_the_verdict_looks_at_the_worst_field_without_its_mean() -> None:
    """An error of 1 K is all of a temperature that varies by 1 K about 300 K, and a large field hides no small one."""
    wave = np.sin(np.linspace(0, 2 * np.pi, 1001))
    kelvin = np.stack([300 + wave], 1)
    error, larger = worst_field(np.full_like(kelvin, 300.0), kelvin)
    assert error == pytest.approx(1.0, rel=1e-3)
    assert larger == pytest.approx(300 / np.sqrt(0.5), rel=1e-3)
    two = np.stack([1e4 * wave, wave], 1)
    assert worst_field(two * [1.0, 1.5], two)[0] == pytest.approx(0.5)
    constant = np.full((5, 1), 7.0)
    assert worst_field(constant * 1.01, constant) == (pytest.approx(0.01), 1.0)
