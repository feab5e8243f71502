"""Figures show the values they claim to show, on every kind of domain and for damaged runs."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from answers import (
    ANSWERS,
    Array,
    KnownAnswer,
    KnownPoints,
    KnownReference,
    bar_in_time,
    box,
    interval,
    l_shape,
    l_shape_in_time,
    plate_with_holes,
    rectangle,
)
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import TriMesh
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from PIL import Image

from pinnkit.plotting import figures, math_label, save_plots


@pytest.fixture(scope="module", params=ANSWERS)
def drawn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    folder = tmp_path_factory.mktemp(request.param)
    save_plots(ANSWERS[request.param](), folder)
    return request.param, folder / "plots"


@cache
def shown(make: Callable[[], KnownAnswer]) -> dict[str, Figure]:
    return figures(make())


def limits(trimesh: TriMesh) -> tuple[float, float]:
    low, high = trimesh.get_clim()
    assert low is not None and high is not None
    return low, high


def maps(figure: Figure) -> list[TriMesh]:
    return [c for ax in figure.axes for c in ax.collections if isinstance(c, TriMesh)]


def values(trimesh: TriMesh) -> Array:
    return np.asarray(trimesh.get_array())


def pixel(figure: Figure, ax: Axes, x: float, y: float) -> tuple[int, ...]:
    """The colour shown at a point."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    column, row = ax.transData.transform((x, y))
    image = np.asarray(canvas.buffer_rgba())
    return tuple(image[image.shape[0] - 1 - round(row), round(column), :3].tolist())


def test_every_kind_of_domain_gets_its_plots(drawn: tuple[str, Path]) -> None:
    name, plots = drawn
    movie = {"solution.gif"} if name == "l_shape_in_time" else set()
    wanted = {"solution.png", "error.png", "residual.png", "loss.png", "points.png"} | movie
    assert {path.name for path in plots.iterdir()} == wanted


def test_plots_have_a_sensible_size(drawn: tuple[str, Path]) -> None:
    for path in drawn[1].glob("*.png"):
        with Image.open(path) as image:
            assert 300 < image.width < 3000 and 200 < image.height < 2500
            assert len(np.unique(np.asarray(image.convert("L")))) > 50


@pytest.mark.parametrize("drawn", ["l_shape_in_time"], indirect=True)
def test_the_movie_is_short_and_light(drawn: tuple[str, Path]) -> None:
    path = drawn[1] / "solution.gif"
    with Image.open(path) as image:
        frames = getattr(image, "n_frames", 1)
        first = np.asarray(image.convert("RGB"), dtype=int)
        image.seek(frames - 1)
        last = np.asarray(image.convert("RGB"), dtype=int)
    assert 10 < frames <= 40 and path.stat().st_size <= 2 * 2**20
    height, width = first.shape[0], first.shape[1] // 2
    inner = (slice(height // 4, height // 2), slice(width // 2, width))
    assert last[inner].mean() < first[inner].mean() / 1.3  # it cools down by e


@pytest.mark.parametrize("make", [rectangle, l_shape, plate_with_holes, bar_in_time])
def test_prediction_and_reference_share_one_scale(make: Any) -> None:
    pairs = np.array(maps(shown(make)["solution"])).reshape(-1, 2)
    assert len(pairs) == len(make().problem.fields)
    for prediction, reference in pairs:
        both = np.concatenate([values(prediction), values(reference)])
        assert prediction.norm is reference.norm
        low, high = limits(prediction)
        assert low <= both.min() and both.max() <= high
        assert np.abs(values(prediction) - values(reference)).max() == pytest.approx(1e-6, rel=0.05)


def test_a_transient_planar_problem_gets_a_row_of_snapshots() -> None:
    drawn = maps(shown(l_shape_in_time)["solution"])
    highest = [values(trimesh).max() for trimesh in drawn[:4]]
    assert len(drawn) == 8
    assert np.allclose(highest[1:], highest[0] * np.exp([-1 / 3, -2 / 3, -1]), rtol=1e-4)


def test_the_error_is_a_magnitude_on_a_logarithmic_scale() -> None:
    (error,) = maps(shown(l_shape)["error"])
    low, high = limits(error)
    assert isinstance(error.norm, LogNorm) and (values(error) > 0).all()
    assert low == pytest.approx(1e-8) and high == pytest.approx(1e-6, rel=1e-2)


def test_the_residual_is_signed_on_a_symmetric_scale() -> None:
    (residual,) = maps(shown(rectangle)["residual"])
    assert limits(residual) == pytest.approx((-1e-4, 1e-4), rel=0.05)
    assert values(residual).min() < -0.9e-4 < 0.9e-4 < values(residual).max()


def test_holes_are_holes() -> None:
    figure = shown(plate_with_holes)["solution"]
    white, ax = (255, 255, 255), figure.axes[0]
    assert pixel(figure, ax, 0.55, 0.5) == white and pixel(figure, ax, 1.45, 0.45) == white
    assert pixel(figure, ax, 1.03, 0.22) != white


def test_the_notch_is_left_out_and_lengths_are_equal() -> None:
    figure = shown(l_shape)["solution"]
    ax = figure.axes[0]
    assert pixel(figure, ax, 0.45, -0.45) == (255, 255, 255)
    assert pixel(figure, ax, -0.45, 0.55) != (255, 255, 255)
    width, height = ax.transData.transform((1, 1)) - ax.transData.transform((-1, -1))
    assert width == pytest.approx(height, rel=1e-9)


def test_of_a_box_the_section_through_the_middle_is_shown() -> None:
    """u = 2 + x1 x2 where x3 = x4 = 1/2, on (0, 2) × (−1, 1)."""
    figure = shown(box)["solution"]
    prediction, reference = maps(figure)
    assert "section through the middle" in figure.get_suptitle()
    assert values(reference).min() == pytest.approx(0.0, abs=1e-12) and values(reference).max() == pytest.approx(4.0)
    assert 0 < np.abs(values(prediction) - values(reference)).max() < 1.05e-6
    assert figure.axes[0].get_xlim() == (0, 2) and figure.axes[0].get_ylim() == (-1, 1)


def test_an_interval_gets_curves() -> None:
    (ax,) = shown(interval)["solution"].axes
    prediction, reference = ax.get_lines()
    x, u = np.asarray(reference.get_data())
    assert np.allclose(u, np.sin(np.pi * x)) and np.ptp(x) == 1
    assert np.allclose(np.asarray(prediction.get_ydata()), u, atol=1.1e-6)


def test_colour_maps_say_what_is_shown() -> None:
    u, _, v, _ = maps(shown(rectangle)["solution"])
    (temperature, _) = maps(shown(plate_with_holes)["solution"])
    assert [u.cmap.name, v.cmap.name, temperature.cmap.name] == ["viridis", "RdBu_r", "inferno"]
    assert limits(v) == pytest.approx((-1, 1), abs=1e-3)


def test_the_conditions_are_named_with_their_points() -> None:
    legend = shown(plate_with_holes)["points"].axes[0].get_legend()
    assert legend is not None
    named = [text.get_text() for text in legend.get_texts()]
    assert named == ["heat (800)", "hot (200)", "cold (200)", "insulated (200)", "sensors (3)"]


def test_what_was_imposed_is_shown_not_what_was_withheld() -> None:
    result = l_shape()
    points = {name: at for name, at in result.collocation.items() if name != "walls"}
    points["data"] = KnownPoints(np.array([[-0.5, 0.5], [0.5, 0.5]]))
    rows = [{"step": step, "loss": 2.0, "loss/notch": 1.5, "loss/data": 0.5} for step in (0, 1)]
    drawn = figures(replace(result, collocation=points, history=rows))
    legend = drawn["points"].axes[0].get_legend()
    assert legend is not None
    named = [text.get_text() for text in legend.get_texts()]
    assert named == ["heat (800)", "notch (200)", "insulated (200)", "data (2)"]
    assert [line.get_label() for line in drawn["loss"].axes[0].get_lines()] == ["total", "notch", "data"]


def test_without_a_reference_there_is_no_error_to_show() -> None:
    alone = figures(replace(l_shape(), reference=None))
    assert set(alone) == {"solution", "residual", "loss", "points"} and len(maps(alone["solution"])) == 1


def test_without_an_equation_there_is_no_residual_to_show() -> None:
    result = interval()
    data = {name: result.problem.conditions[name] for name in ("ends", "sensors")}
    fitted = figures(replace(result, problem=replace(result.problem, conditions=data)))
    assert set(fitted) == {"solution", "error", "loss", "points"}


def series(result: KnownAnswer) -> dict[str, Array]:
    axes = figures(result)["loss"].axes
    return {str(line.get_label()): np.asarray(line.get_xydata()) for ax in axes for line in ax.get_lines()}


def test_the_history_is_shown_without_what_no_logarithm_can_show() -> None:
    rows: list[dict[str, Any]] = [
        {"step": 0, "loss": 1.0, "loss/heat": math.nan, "relative_l2": None},
        {},
        {"step": 1, "loss": math.inf, "loss/heat": 0.5, "relative_l2": 1e-2},
        {"step": 2, "loss": 0.0, "loss/heat": 0.25},
        {"step": 3, "loss": 0.125, "loss/heat": "nan"},
    ]
    curves = {label: line.tolist() for label, line in series(replace(interval(), history=rows)).items()}
    assert curves["total"] == [[0, 1], [3, 0.125]]
    assert curves["heat"] == [[1, 0.5], [2, 0.25]]
    assert curves["relative $L^2$ error"] == [[1, 1e-2]]


def test_errors_that_hardly_change_have_whole_powers_of_ten_about_them() -> None:
    rows = [{"step": step, "loss": 1.0, "relative_l2": 1.7e-11 - 1e-12 * step} for step in (1, 2)]
    _, right = figures(replace(interval(), history=rows))["loss"].axes
    assert right.get_ylim() == pytest.approx((1e-11, 1e-10))


@pytest.mark.parametrize("rows", [[], [{"step": 0, "loss": math.nan}], [{"step": 5, "loss": 1e-20}]])
def test_a_short_history_is_no_fault(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    figure = figures(replace(interval(), history=rows))["loss"]
    figure.savefig(tmp_path / "loss.png")
    assert (tmp_path / "loss.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("make", "wrong"),
    [(interval, np.nan), (interval, -3.0), (l_shape, np.inf), (bar_in_time, 1e300)],
)
def test_a_spoilt_answer_is_still_drawn(make: Any, wrong: float, tmp_path: Path) -> None:
    class Spoilt(KnownAnswer):
        def predict(self, points: Array) -> Array:
            return np.full((len(points), 1), wrong)

        def residuals(self, points: Array) -> dict[str, Array]:
            return {"heat": np.full(len(points), wrong)}

    save_plots(Spoilt(**vars(make())), tmp_path)
    assert len(list((tmp_path / "plots").iterdir())) == 5


def test_an_exact_answer_is_drawn(tmp_path: Path) -> None:
    result = l_shape()
    figure = figures(replace(result, reference=KnownReference(result.predict)))["error"]
    assert (values(maps(figure)[0]) < 1e-17).all()
    figure.savefig(tmp_path / "error.png")


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("u", "$u$"),
        ("u_x", "$u_{x}$"),
        ("T_wall", r"$T_{\mathrm{wall}}$"),
        ("phi", r"$\phi$"),
        ("pressure", "pressure"),
        ("cost$", r"cost\$"),
    ],
)
def test_names_become_mathematics(name: str, label: str) -> None:
    assert math_label(name) == label
    figure = Figure()
    figure.text(0, 0, label)
    FigureCanvasAgg(figure).draw()


def test_nothing_of_matplotlib_is_changed() -> None:
    before = dict(matplotlib.rcParams)
    figures(interval())
    assert dict(matplotlib.rcParams) == before
