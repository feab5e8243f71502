"""Necks: parts of a planar domain too thin for the points that are to resolve them."""

import math

import shapely

from pinnkit.geometry.polygon import Planar
from pinnkit.geometry.sampling import check_count


def neck_warning(domain: Planar, n: int) -> str | None:
    """A warning if n points inside lie too far apart to see the thinnest neck, with the n that would do.

    The spacing is √(area / n). A neck is thinner if shrinking the domain by half the spacing cuts it in parts
    or opens a hole to the outside.
    """
    check_count(n)
    spacing = math.sqrt(domain.measure / n)
    if _keeps_shape(domain.polygon, spacing / 2):
        return None
    thin, wide = 0.0, spacing
    for _ in range(20):
        width = (thin + wide) / 2
        thin, wide = (width, wide) if _keeps_shape(domain.polygon, width / 2) else (thin, width)
    if not thin:
        return f"a neck is far thinner than the spacing {spacing:.3g} of {n} points"
    needed = math.ceil(domain.measure / thin**2)
    what = f"a neck of width {thin:.3g} is thinner than the spacing {spacing:.3g} of {n} points"
    return f"{what}; take n >= {needed}"


def _keeps_shape(shape: shapely.Polygon, margin: float) -> bool:
    """Whether the polygon, shrunk by `margin`, still is one part with as many holes."""
    core = shape.buffer(-margin)
    same_parts = isinstance(core, shapely.Polygon) and not core.is_empty
    return same_parts and len(core.interiors) == len(shape.interiors)
