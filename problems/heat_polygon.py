"""Steady heat conduction in a plate with holes, whose polygon is read from a file

    −∇·(k ∇u) = f                         in Ω, the polygon with its holes
    u = hot                               on the channel (a square hole)
    u = cold                              on the base
    −k ∂u/∂n = h (u − ambient)            on the side, the chamfer and the top (convection)
    −k ∂u/∂n = 0                          on the back and on the bolt hole (insulated)

`polygon` is GeoJSON or WKT, as a file or as text, with the names of the boundary pieces used above.
"""

from pathlib import Path

from pinnkit import Problem, dirichlet, div, grad, neumann, pde, robin
from pinnkit import polygon as read_polygon


def problem(
    polygon: str = "plate.geojson",
    conductivity: float = 1.0,
    source: float = 0.0,
    hot: float = 80.0,
    cold: float = 20.0,
    ambient: float = 20.0,
    transfer: float = 2.0,
) -> Problem:
    k, f = conductivity, source
    beside = Path(__file__).parent / polygon

    def heat(u, x, y):
        return -div(k * grad(u, x, y), x, y) - f

    return Problem(
        domain=read_polygon(str(beside) if len(polygon) < 200 and beside.is_file() else polygon),
        conditions={
            "heat": pde(heat),
            "hot": dirichlet("channel", hot),
            "cold": dirichlet("base", cold),
            "convection": robin(("side", "chamfer", "top"), transfer, ambient, conductivity=k),
            "insulated": neumann(("back", "bolt"), 0.0, conductivity=k),
        },
    )
