"""Warnings about necks thinner than the spacing of the points."""

import re

import pytest

from pinnkit.geometry import LShape, Planar, Polygon, Rectangle, neck_warning

DUMBBELL = Polygon(
    [
        (0, 0),
        (1, 0),
        (1, 0.45),
        (2, 0.45),
        (2, 0),
        (3, 0),
        (3, 1),
        (2, 1),
        (2, 0.55),
        (1, 0.55),
        (1, 1),
        (0, 1),
    ]
)
RIM = Rectangle() - Rectangle((0.1, 0.1), (0.98, 0.9))


@pytest.mark.parametrize(("domain", "width"), [(DUMBBELL, 0.1), (RIM, 0.02)])
def test_the_number_of_points_that_a_neck_needs(domain: Planar, width: float) -> None:
    needed = domain.measure / width**2
    warning = neck_warning(domain, int(0.9 * needed))
    assert warning is not None
    found = re.search(r"neck of width (\S+) .* take n >= (\d+)", warning)
    assert found is not None
    assert float(found[1]) == pytest.approx(width, rel=1e-2)
    assert int(found[2]) == pytest.approx(needed, rel=1e-2)
    assert neck_warning(domain, int(1.1 * needed)) is None


@pytest.mark.parametrize("domain", [Rectangle(), LShape()])
def test_no_warning_without_a_neck(domain: Planar) -> None:
    assert neck_warning(domain, 100) is None
