"""Differential operators against closed forms, in named coordinates."""

from itertools import permutations

import pytest
import torch
from helpers import coordinates
from torch import cos, exp, sin
from torch.testing import assert_close

from pinnkit.operators import Jet, derivative, diffusion, div, dot, grad, laplacian, normal_derivative

# ∂^names of sin(2x) e^(3y) + x³ y²
CLOSED_FORMS = {
    "x": lambda x, y: 2 * cos(2 * x) * exp(3 * y) + 3 * x**2 * y**2,
    "y": lambda x, y: 3 * sin(2 * x) * exp(3 * y) + 2 * x**3 * y,
    "xx": lambda x, y: -4 * sin(2 * x) * exp(3 * y) + 6 * x * y**2,
    "xy": lambda x, y: 6 * cos(2 * x) * exp(3 * y) + 6 * x**2 * y,
    "yy": lambda x, y: 9 * sin(2 * x) * exp(3 * y) + 2 * x**3,
    "xxx": lambda x, y: -8 * cos(2 * x) * exp(3 * y) + 6 * y**2,
    "xxy": lambda x, y: -12 * sin(2 * x) * exp(3 * y) + 12 * x * y,
    "xyy": lambda x, y: 18 * cos(2 * x) * exp(3 * y) + 6 * x**2,
    "xxxx": lambda x, y: 16 * sin(2 * x) * exp(3 * y),
    "xxyy": lambda x, y: -36 * sin(2 * x) * exp(3 * y) + 12 * x,
    "xyyy": lambda x, y: 54 * cos(2 * x) * exp(3 * y),
    "yyyy": lambda x, y: 81 * sin(2 * x) * exp(3 * y),
}


def smooth(x, y):
    return sin(2 * x) * exp(3 * y) + x**3 * y**2


@pytest.mark.parametrize("names", CLOSED_FORMS)
def test_partial_derivatives_in_any_order_of_differentiation(names: str) -> None:
    x, y = coordinates(2)
    for order in set(permutations(names)):
        found = derivative(smooth(x, y), *({"x": x, "y": y}[name] for name in order))
        assert_close(found, CLOSED_FORMS[names](x, y), rtol=1e-12, atol=1e-12)


def test_the_derivative_by_no_coordinate_is_the_field_itself() -> None:
    x, y = coordinates(2)
    assert_close(derivative(smooth(x, y)), smooth(x, y), rtol=0, atol=0)


def test_gradient_and_laplacian_have_components_first() -> None:
    x, y = coordinates(2, n=5)
    gradient = grad(smooth(x, y), x, y)
    assert gradient.shape == (2, 5)
    assert_close(gradient, torch.stack([CLOSED_FORMS["x"](x, y), CLOSED_FORMS["y"](x, y)]))
    assert_close(laplacian(smooth(x, y), x, y), CLOSED_FORMS["xx"](x, y) + CLOSED_FORMS["yy"](x, y))
    assert_close(laplacian(smooth(x, y), y), CLOSED_FORMS["yy"](x, y))


def test_coordinates_are_named_not_numbered() -> None:
    x, y = coordinates(2)
    assert_close(grad(smooth(x, y), y, x), grad(smooth(x, y), x, y).flip(0))


def test_divergence_of_components_and_of_a_stack() -> None:
    x, y, z = coordinates(3)
    components = (x**2 * y, sin(y * z), exp(x * z))
    expected = 2 * x * y + z * cos(y * z) + x * exp(x * z)
    assert_close(div(components, x, y, z), expected)
    assert_close(div(torch.stack(components), x, y, z), expected)


def test_divergence_refuses_a_wrong_number_of_components() -> None:
    x, y = coordinates(2)
    with pytest.raises(ValueError, match="3 components against 2 coordinates"):
        div((x, y, x), x, y)


def test_diffusion_is_in_divergence_form() -> None:
    """∇·(k∇u) for u = x² y, k a number, k(x, y), k(u), a matrix."""
    x, y = coordinates(2)
    u = x**2 * y
    assert_close(diffusion(3.0, u, x, y), 6 * y)
    assert_close(diffusion(x * y, u, x, y), 2 * y * x * y + x * y * 2 * y + x * x**2)
    assert_close(diffusion(u, u, x, y), u * 2 * y + (2 * x * y) ** 2 + x**4)
    matrix = torch.tensor([[2.0, 0.5], [0.5, 1.0]], dtype=torch.float64)
    assert_close(diffusion(matrix, u, x, y), 2 * 2 * y + 2 * 0.5 * 2 * x)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_diffusion_takes_k_for_points_even_when_there_are_as_many_as_coordinates(n: int) -> None:
    x, y = coordinates(2, n=n)
    assert_close(diffusion(1 + x, x**2 * y, x, y), 2 * y * (1 + x) + 2 * x * y)


def test_what_is_independent_of_a_coordinate_has_derivative_zero() -> None:
    x, y = coordinates(2)
    zero = torch.zeros_like(x)
    for u in (sin(x), 3 * x, torch.full_like(x, 5.0).detach()):
        assert_close(derivative(u, y), zero, rtol=0, atol=0)
        assert_close(derivative(u, x, y), zero, rtol=0, atol=0)
    assert_close(derivative(3 * x + y, x, x, y), zero, rtol=0, atol=0)
    assert_close(laplacian(x - y, x, y), zero, rtol=0, atol=0)


def test_normal_derivative_grows_outwards() -> None:
    """u = r² on the unit circle: ∂u/∂n = 2."""
    angle = torch.linspace(0, 6, 9, dtype=torch.float64)
    normal = torch.stack([cos(angle), sin(angle)])
    x, y = (c.clone().requires_grad_() for c in normal)
    assert_close(normal_derivative(x**2 + y**2, normal, x, y), torch.full_like(angle, 2.0))


def test_dot_product_of_two_vector_fields() -> None:
    x, y = coordinates(2)
    assert_close(dot(torch.stack([x, y]), torch.stack([y, y])), x * y + y**2)


class Wave:
    """u = sin(2x + 3t) with all derivatives known; remembers which were asked for."""

    def __init__(self, x, t) -> None:
        self.phase, self.asked = (2 * x + 3 * t).detach(), set()
        self.u = Jet((x, t), self.table).field()

    def table(self, index):
        self.asked.add(index)
        waves = (sin, cos, lambda p: -sin(p), lambda p: -cos(p))
        return 2 ** index.count(0) * 3 ** index.count(1) * waves[len(index) % 4](self.phase)


@pytest.mark.parametrize(
    ("names", "factor", "wave", "asked"),
    [
        ("x", 2, cos, {(), (0,)}),
        ("t", 3, cos, {(), (1,)}),
        ("xx", -4, sin, {(), (0,), (0, 0)}),
        ("tt", -9, sin, {(), (1,), (1, 1)}),
        ("xxx", -8, cos, {(), (0,), (0, 0), (0, 0, 0)}),
        ("xt", -6, sin, {(), (0,), (0, 1)}),
        ("tx", -6, sin, {(), (1,), (0, 1)}),
        ("xttx", 36, sin, {(), (0,), (0, 1), (0, 1, 1), (0, 0, 1, 1)}),
    ],
)
def test_a_jet_answers_from_its_table_and_asks_for_nothing_else(names, factor, wave, asked) -> None:
    x, t = coordinates(2)
    known = Wave(x, t)
    found = derivative(known.u, *({"x": x, "t": t}[name] for name in names))
    assert_close(found, factor * wave(known.phase), rtol=1e-14, atol=1e-14)
    assert known.asked == asked


def test_a_jet_obeys_product_and_chain_rule() -> None:
    x, t = coordinates(2)
    u, s = Wave(x, t).u, sin(2 * x + 3 * t)
    for f in (lambda u: (1 + x * t) * u, lambda u: exp(u) * x**2, lambda u: u**3 + derivative(u, x) ** 2 * t):
        for by in ((x,), (t,), (x, x), (x, t)):
            assert_close(derivative(f(u), *by), derivative(f(s), *by), rtol=1e-11, atol=1e-11)
