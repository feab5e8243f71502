"""What a domain is: sampling inside and on named boundary pieces, exact normals, corners, set algebra."""

from pinnkit.geometry.box import Box
from pinnkit.geometry.domain import BoundarySample, Corner, Domain, SpaceTime
from pinnkit.geometry.interval import Interval
from pinnkit.geometry.necks import neck_warning
from pinnkit.geometry.polygon import Planar, Polygon, polygon
from pinnkit.geometry.sampling import METHODS, unit
from pinnkit.geometry.shapes import LShape, Rectangle

__all__ = [
    "METHODS",
    "BoundarySample",
    "Box",
    "Corner",
    "Domain",
    "Interval",
    "LShape",
    "Planar",
    "Polygon",
    "Rectangle",
    "SpaceTime",
    "neck_warning",
    "polygon",
    "unit",
]
