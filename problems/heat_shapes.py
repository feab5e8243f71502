"""Steady heat conduction in plates of several shapes, each with its own mixture of boundary conditions

    −∇·(k ∇u) = f                         in Ω (with the default values u is in °C)
    u = hot,  u = cold                    on hot edges, on cold edges
    −k ∂u/∂n = 0,  −k ∂u/∂n = −flux       on insulated edges, on heated edges
    −k ∂u/∂n = h (u − ambient)            on cooled edges (convection)

where Ω is, by `shape`, one of these, with all other edges insulated, and hot and cold ones never side by side:
    lshape    an L, 2 wide and 2 high: bottom hot, top cold, left edge heated, the upper edge of the notch cooled
    tee       a T, 2 wide and 1.8 high: foot hot, ends of the bar cold and heated, top cooled
    ushape    a U, 3 wide and 2 high: one tip heated, the other one and the bottom cooled
    holes     2 × 1.4 with two holes, a hot hexagon and a cooled pentagon: left edge cold, right edge heated
    sector    120° of a ring of radii 0.5 and 1, as chords of 12°: inner arc heated, outer arc cooled, one end cold
    random_N  6 to 9 vertices about the origin, 0.5 to 1 away, with conditions edge by edge; N is the seed
"""

import numpy as np

from pinnkit import BadInput, Polygon, Problem, dirichlet, div, grad, neumann, pde, robin


def problem(
    shape: str = "tee",
    conductivity: float = 1.0,
    source: float = 0.0,
    hot: float = 80.0,
    cold: float = 20.0,
    ambient: float = 20.0,
    transfer: float = 2.0,
    flux: float = 40.0,
) -> Problem:
    k, f = conductivity, source
    kind, _, seed = shape.partition("_")
    if shape not in SHAPES and not (kind == "random" and seed.isdecimal()):
        remedy = f"choose from {', '.join(SHAPES)}, or random_N with a seed N"
        raise BadInput("problem.shape", f"unknown shape {shape!r}", remedy)

    def heat(u, x, y):
        return -div(k * grad(u, x, y), x, y) - f

    conditions = {
        "hot": dirichlet("hot", hot),
        "cold": dirichlet("cold", cold),
        "insulated": neumann("insulated", 0.0, conductivity=k),
        "heated": neumann("heated", -flux, conductivity=k),
        "cooled": robin("cooled", transfer, ambient, conductivity=k),
    }
    domain = plate(*(SHAPES[shape] if shape in SHAPES else irregular(int(seed))))
    return Problem(domain, {"heat": pde(heat)} | {role: conditions[role] for role in domain.named_groups})


def plate(roles, vertices, *holes):
    """The polygon whose edges, and then holes, have these roles."""
    pieces = [f"edge_{i}" for i in range(len(vertices))] + [f"hole_{j}" for j in range(len(holes))]
    pairs = list(zip(roles.split(), pieces, strict=True))
    return Polygon(vertices, holes, {role: [piece for its, piece in pairs if its == role] for role, _ in pairs})


def polar(radius, degrees, x=0.0, y=0.0):
    angle = np.radians(degrees)
    return np.column_stack([x + radius * np.cos(angle), y + radius * np.sin(angle)])


def irregular(seed):
    """Roles and vertices, drawn until angles are above 40°, edges longer than 0.2, and the roles go together."""
    rng = np.random.default_rng(seed)
    while True:
        n = rng.integers(6, 10)
        vertices = polar(rng.uniform(0.5, 1, n), 360 / n * (np.arange(n) + rng.uniform(-0.3, 0.3, n)))
        roles = " ".join(rng.choice(["hot", "cold", "insulated", "heated", "cooled"], n))
        edges = (np.roll(vertices, -1, axis=0) - vertices) @ (1, 1j)
        angles = np.angle(-np.roll(edges, 1) / edges, deg=True) % 360
        if angles.min() > 40 and np.abs(edges).min() > 0.2 and go_together(roles):
            return roles, vertices


def go_together(roles):
    """Three kinds or more, hence one that keeps the level of u, and one that warms; hot and cold apart."""
    around = f"{roles} {roles}"
    varied = len(set(roles.split())) > 2 and ("hot" in roles or "heated" in roles)
    return varied and "hot cold" not in around and "cold hot" not in around


ARC = np.linspace(30, 150, 11)
HEXAGON = polar(0.2, np.arange(0, 360, 60), 0.6, 0.7)
PENTAGON = polar(0.2, np.arange(90, 450, 72), 1.4, 0.7)
SHAPES = {  # roles of edges and holes, vertices, vertices of holes
    "lshape": ("hot insulated cooled insulated cold heated", [(0, 0), (2, 0), (2, 1), (1, 1), (1, 2), (0, 2)]),
    "tee": (
        "hot insulated insulated cold cooled heated insulated insulated",
        [(-0.3, 0), (0.3, 0), (0.3, 1.2), (1, 1.2), (1, 1.8), (-1, 1.8), (-1, 1.2), (-0.3, 1.2)],
    ),
    "ushape": (
        "cooled insulated cooled insulated insulated insulated heated insulated",
        [(2, 1), (5, 1), (5, 3), (4.2, 3), (4.2, 1.6), (2.8, 1.6), (2.8, 3), (2, 3)],
    ),
    "holes": ("insulated heated insulated cold hot cooled", [(0, 0), (2, 0), (2, 1.4), (0, 1.4)], HEXAGON, PENTAGON),
    "sector": (10 * "cooled " + "insulated " + 10 * "heated " + "cold", [*polar(1, ARC), *polar(0.5, ARC[::-1])]),
}
