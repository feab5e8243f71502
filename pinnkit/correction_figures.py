"""Figures of a corrected low fidelity: ρ w, δ and the errors of all on maps, and predicted against true values."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pinnkit.drawing import (
    COLOURS,
    GREY,
    Panel,
    Row,
    blank,
    draw,
    field_scale,
    legend_beside,
    log_scale,
    math_label,
    plane_of,
    signed_scale,
    tidy,
)
from pinnkit.export import Answer, mesh_of

Array = NDArray[np.float64]
SHOWN = 400
NAMES = {
    "fused": "fused", "low_only": "low fidelity alone", "high_only": "data alone",
    "high_and_equations": "data and equations",
}  # fmt: skip


def figures(result: Answer) -> dict[str, Figure]:
    """The figures by name: levels of a steady planar problem, and truth where there is a reference."""
    if result.corrected is None:
        return {}
    steady = plane_of(result.problem.domain) is not None and result.problem.domain.dimension == 2
    drawn = {"levels": _levels(result)} if steady else {}
    return drawn | ({"truth": _against_truth(result)} if result.reference is not None else {})


def _levels(result: Answer) -> Figure:
    """u_L, ρ w and δ of the first field, and below them how far all are from the truth, on one logarithmic scale."""
    done, problem = result.corrected, result.problem
    mesh = mesh_of(problem.domain)
    scaled, whole = done.scaled(mesh.points)[:, 0], result.predict(mesh.points)[:, 0]
    field = problem.fields[0]
    low = done.alone["low_only"].predict(mesh.points)[:, 0]
    rho = rf"$\rho\,w$, $\rho$ = {done.rho[0, 0]:.4g} ± {done.rho_deviation[0, 0]:.1g}"
    first = [Panel("low fidelity", mesh, low), Panel(rho, mesh, scaled)]
    gaps = {r"$\delta$, less its mean": whole - scaled, "fused less low fidelity, less its mean": whole - low}
    second = [Panel(title, mesh, gap - gap.mean()) for title, gap in gaps.items()]
    rows = [
        Row(math_label(field), first, *field_scale(field, problem.name, first), isolines=True),
        Row("difference", second, "RdBu_r", signed_scale(second, 100), isolines=False),
    ]
    if result.reference is not None:
        truth = result.reference.value(mesh.points)[:, 0]
        errors = [Panel(NAMES[name], mesh, np.abs(u - truth)) for name, u in _values(result, mesh.points).items()]
        pairs = [errors[k : k + 2] for k in range(0, len(errors) - 1, 2)]
        rows += [Row("distance from the truth", pair, "viridis", log_scale(errors), isolines=False) for pair in pairs]
    return draw(problem.domain, rows)


def _values(result: Answer, points: Array) -> dict[str, Array]:
    """The first field (n,) of all ways to it."""
    alone = {name: one.predict(points)[:, 0] for name, one in result.corrected.alone.items()}
    return {"fused": result.predict(points)[:, 0], **alone}


def _against_truth(result: Answer) -> Figure:
    """Predicted against true values of the first field."""
    points = result.problem.domain.sample(SHOWN, "uniform", np.random.default_rng([result.settings.seed, 6]))
    assert result.reference is not None
    truth = result.reference.value(points)[:, 0]
    figure = blank(6.2, 4.0)
    ax = figure.subplots()
    tidy(ax, "true value", "predicted value")
    ends = [truth.min(), truth.max()]
    ax.plot(ends, ends, color=GREY, lw=0.8)
    styles: list[dict[str, Any]] = [{"color": colour} for colour in COLOURS]
    for style, (name, values) in reversed(list(zip(styles, _values(result, points).items(), strict=False))):
        ax.plot(truth, values, "o", ms=3, alpha=0.7, mew=0, label=NAMES[name], **style)
    legend_beside(ax)
    return figure
