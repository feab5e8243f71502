"""Figures, report and summary of a transfer say what its arms found."""

import shlex
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import pytest
import torch
from answers import Array, KnownAnswer, bar_in_time, box, interval, l_shape, l_shape_in_time, rectangle
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection, TriMesh
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from runs import FILES, SMALL, left_in
from test_report import outline

from pinnkit import solve, transfer
from pinnkit.arms import Arm, Sensors, Transferred
from pinnkit.export import mesh_of
from pinnkit.networks import MLP, Wide
from pinnkit.polynomials import ChebyshevProducts, InTime
from pinnkit.report import command, write_report
from pinnkit.result import Result, Solution
from pinnkit.sources import Source
from pinnkit.tasks import summary
from pinnkit.transfer_figures import figures
from pinnkit.transfer_words import findings, table, text_lines
from pinnkit.trial import Trial, TrialShape

OWN = {"plots/arms.png", "plots/before_after.png", "plots/features.png"}
TINY = {
    **SMALL,
    "network": {"layers": [16], "polynomials": 20, "corners": False},
    "evaluation": {"points": 500},
    "training": {"max_seconds": 0.5, "max_steps": 5},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    """A transfer from a square to the L-shape."""
    folder = tmp_path_factory.mktemp("run")
    source = solve("heat_rectangle", problem={"width": 1.0}, **TINY)
    target = {**TINY, "optimizer": "gauss_newton"}
    return transfer(source, "heat_lshape", task={"sensors": 7}, folder=folder, **target), folder


# --- made-up transfers ------------------------------------------------------------------------------------------------


def made_up(features: torch.nn.Module, coordinates: tuple[str, ...]) -> Source:
    shape = TrialShape(coordinates, ("u",), tuple((low,) * len(coordinates) for low in (-1.0, 1.0)), {})
    return Source("made up", Solution(Trial(features, shape), l_shape().settings, {}, []))


def waves(inputs: int, width: int = 16) -> MLP:
    return MLP(inputs, [width], "sin", 2.0, torch.Generator().manual_seed(0))


def arm(name: str, answer: KnownAnswer, size: float, *rows: tuple[float, float]) -> Arm:
    """The answer, but off by `size` everywhere, with errors after some seconds."""
    start = {"step": 0, "seconds": 0.0, "loss": 1.0, "relative_l2": None}
    history = [{"step": 1, "seconds": s, "loss": e**2, "relative_l2": e} for s, e in rows]
    last = rows[-1] if rows else (0.1, size)
    return Arm(name, lambda p: answer.solution(p) + size, [start, *history] if rows else [], last[1], last[0])


def transferred(answer: KnownAnswer, source: Source | None = None, sensors: int = 0, **other: Any) -> KnownAnswer:
    """The answer as one that was transferred to, four times as fast as from scratch."""
    domain, coordinates = answer.problem.domain, answer.problem.coordinates
    source = source or made_up(Wide(waves(len(coordinates)), ChebyshevProducts(len(coordinates), 15)), coordinates)
    data = Sensors(domain.sample(sensors), np.zeros(sensors), np.ones(sensors), 0.01) if sensors else None
    arms = [
        arm("from_scratch", answer, 1e-4, (1.0, 1e-2), (4.0, 1e-4)),
        arm("source_unchanged", answer, 0.3),
        arm("data_physics" if sensors else "physics_only", answer, 2e-5, (0.5, 1e-3), (1.0, 2e-5)),
        arm("one_shot", answer, 1e-3, (0.7, 1e-3)),
    ]
    told: dict[str, Any] = {"probe": 0.02, "inputs": 0.33, "shift": {"heat": 1e-9, "hot": 1.66, "insulated": 1.3}}
    done = Transferred(source, data, domain.bounds, False, {a.name: a for a in arms}, **(told | other))
    return replace(answer, transferred=done)


def without_reference(answer: KnownAnswer) -> KnownAnswer:
    done = answer.transferred
    arms = {
        name: replace(a, relative_l2=None, history=[{**row, "relative_l2": None} for row in a.history])
        for name, a in done.arms.items()
    }
    return replace(answer, reference=None, transferred=replace(done, arms=arms))


def maps(figure: Figure) -> list[TriMesh]:
    return [c for ax in figure.axes for c in ax.collections if isinstance(c, TriMesh)]


def values(trimesh: TriMesh) -> Array:
    return np.asarray(trimesh.get_array())


def curves(ax: Axes) -> dict[str, list[list[float]]]:
    return {str(line.get_label()): np.asarray(line.get_xydata()).tolist() for line in ax.get_lines()}


def words(ax: Axes) -> list[str]:
    legend = ax.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


# --- errors over time -------------------------------------------------------------------------------------------------


def test_arms_are_shown_over_time_with_the_speed_up():
    (ax,) = figures(transferred(l_shape(), sensors=3))["arms"].axes
    assert words(ax) == ["from scratch", "source unchanged", "data and physics", "one shot"]
    drawn = curves(ax)
    assert drawn["from scratch"] == [[1.0, 1e-2], [4.0, 1e-4]]
    assert drawn["data and physics"] == [[0.5, 1e-3], [1.0, 2e-5]] and drawn["one shot"] == [[0.7, 1e-3]]
    assert [y for _, y in drawn["source unchanged"]] == [0.3, 0.3]
    assert (ax.get_xscale(), ax.get_yscale(), ax.get_ylabel()) == ("log", "log", "relative $L^2$ error")
    unnamed = [np.asarray(line.get_xydata()).tolist() for line in ax.get_lines() if str(line.get_label())[0] == "_"]
    assert [[0.0, 1e-4], [1.0, 1e-4]] in unnamed  # the error from scratch, from left to right
    assert [[1.0, 1e-4]] in unnamed  # where the transfer gets there
    assert ax.get_title(loc="left") == "speed-up 4: 1 s instead of 4 s to the error from scratch"


def test_a_transfer_that_is_never_as_good_has_no_speed_up():
    answer = transferred(l_shape())
    worse = arm("physics_only", answer, 1e-2, (1.0, 1e-2))
    answer.transferred.arms["physics_only"] = worse
    (ax,) = figures(answer)["arms"].axes
    assert not ax.texts
    assert findings(answer.transferred)[0] == "no speed-up: the error from scratch, 1.0e-04, was not reached"


def test_without_a_reference_losses_are_shown():
    drawn = figures(without_reference(transferred(l_shape())))
    (ax,) = drawn["arms"].axes
    assert set(drawn) == {"arms", "features"}
    assert ax.get_ylabel() == "loss" and words(ax) == ["from scratch", "physics only", "one shot"]
    assert curves(ax)["from scratch"] == [[1.0, 1e-4], [4.0, pytest.approx(1e-8)]]
    assert not ax.texts


def test_errors_that_hardly_differ_have_readable_ticks():
    answer = transferred(l_shape())
    answer.transferred.arms.pop("source_unchanged")
    for name in answer.transferred.arms:
        answer.transferred.arms[name] = arm(name, answer, 1e-2, (1.0, 2.2e-2), (2.0, 2.1e-2))
    figure = figures(answer)["arms"]
    assert figure.axes[0].get_ylim() == pytest.approx((1e-2, 1e-1))


# --- maps of the error ------------------------------------------------------------------------------------------------


def test_errors_before_and_after_share_one_scale():
    figure = figures(transferred(l_shape(), sensors=5))["before_after"]
    drawn = maps(figure)
    assert [ax.get_title() for ax in figure.axes[:4]] == [
        "source unchanged: 3.0e-01", "one shot: 1.0e-03", "data and physics: 2.0e-05", "from scratch: 1.0e-04",
    ]  # fmt: skip
    for shown, size in zip(drawn, (0.3, 1e-3, 2e-5, 1e-4), strict=True):
        assert values(shown) == pytest.approx(size, rel=1e-6)
        assert shown.norm is drawn[0].norm
    norm = drawn[0].norm
    assert isinstance(norm, LogNorm) and (norm.vmin, norm.vmax) == pytest.approx((1e-5, 0.3), rel=1e-6)


@pytest.mark.parametrize("count", [0, 5])
def test_sensors_are_crosses(count: int):
    answer = transferred(l_shape(), sensors=count)
    axes = figures(answer)["before_after"].axes[:4]
    crosses = [[c for c in ax.collections if isinstance(c, PathCollection)] for ax in axes]
    if not count:
        assert crosses == [[], [], [], []]
    else:
        assert all(np.array_equal(c.get_offsets(), answer.transferred.sensors.points) for (c,) in crosses)


def test_a_transient_problem_is_shown_at_its_end():
    answer = l_shape_in_time()
    late = replace(answer, solution=lambda p: answer.solution(p) + p[:, 2:])
    figure = figures(replace(transferred(late), reference=answer.reference))["before_after"]
    assert "at $t = 1$" in figure.axes[-1].get_ylabel()
    assert values(maps(figure)[1]) == pytest.approx(1 + 1e-3)


def test_a_source_of_another_kind_has_no_map_of_its_own():
    answer = transferred(l_shape())
    del answer.transferred.arms["source_unchanged"]
    assert len(maps(figures(answer)["before_after"])) == 3


# --- features ---------------------------------------------------------------------------------------------------------


def test_fixed_features_are_shown_where_they_are_seen():
    """The source sees the L-shape as [−1, 1]², which it is: x, y, and products of their Chebyshev polynomials."""
    figure = figures(transferred(l_shape()))["features"]
    drawn = maps(figure)
    assert len(drawn) == 12 and all(not ax.axison for ax in figure.axes)
    for trimesh in drawn:
        low, high = trimesh.get_clim()
        assert low == -high == pytest.approx(-np.abs(values(trimesh)).max())
    x, y = mesh_of(l_shape().problem.domain).points.T
    degrees = ChebyshevProducts(2, 15).degrees.tolist()[:12]
    for trimesh, (i, j) in zip(drawn, degrees, strict=True):
        assert values(trimesh) == pytest.approx(np.cos(i * np.arccos(x)) * np.cos(j * np.arccos(y)), abs=1e-9)


@pytest.mark.parametrize(
    ("make", "features", "coordinates", "shown"),
    [
        (l_shape, lambda: waves(2, 5), ("x", "y"), 5),
        (l_shape, lambda: torch.nn.Linear(2, 7, dtype=torch.float64), ("x", "y"), 7),
        (l_shape_in_time, lambda: waves(2), ("x", "y"), 12),
        (l_shape_in_time, lambda: waves(3), ("x", "y", "t"), 12),
        (l_shape_in_time, lambda: InTime(waves(2, 4), 3), ("x", "y", "t"), 4),
        (bar_in_time, lambda: waves(2), ("x", "t"), 12),
        (box, lambda: waves(4), ("x1", "x2", "x3", "x4"), 12),
    ],
)  # fmt: skip
def test_features_of_any_source_are_maps(
    make: Callable[[], KnownAnswer], features: Callable[[], torch.nn.Module], coordinates: tuple[str, ...], shown: int
):
    figure = figures(transferred(make(), made_up(features(), coordinates)))["features"]
    assert len(maps(figure)) == shown
    FigureCanvasAgg(figure).draw()


@pytest.mark.parametrize(("make", "coordinates"), [(interval, ("x",)), (bar_in_time, ("x",))])
def test_features_of_one_coordinate_are_curves(make: Callable[[], KnownAnswer], coordinates: tuple[str, ...]):
    drawn = figures(transferred(make(), made_up(waves(1), coordinates)))
    assert set(drawn) == {"arms", "features"}
    curve = drawn["features"].axes[0].get_lines()[-1]
    x, y = np.asarray(curve.get_data())
    feature = waves(1)(torch.from_numpy(2 * x[:, None] - 1))[:, 0].detach()
    assert y == pytest.approx(feature.numpy())


# --- in words ---------------------------------------------------------------------------------------------------------


def test_the_table_has_the_arms_that_were_run():
    lines = table(transferred(l_shape()).transferred)
    assert lines == [
        ("from scratch", 1e-4, 4.0, 4.0),
        ("source unchanged", 0.3, 0.1, None),
        ("physics only", 2e-5, 1.0, 1.0),
        ("one shot", 1e-3, 0.7, None),
    ]
    title, head, *text = text_lines(transferred(l_shape()).transferred)
    assert title.split() == ["transfer", "from", "made", "up"]
    assert head.split() == ["error", "seconds", "to", "the", "error", "from", "scratch"]
    assert text[0].split() == ["from", "scratch", "1.00e-04", "4.00", "4.00"]
    assert text[1].split() == ["source", "unchanged", "3.00e-01", "0.10", "—"]
    assert {len(line) for line in text[:4]} == {len(head)}


@pytest.mark.parametrize(
    ("told", "phrase"),
    [
        ({}, "negative transfer: no (residual early on 0.02 times, error in the end 0.2 times that from scratch)"),
        ({"probe": 3.0}, "negative transfer: yes (residual early on 3 times, error in the end 0.2 times that from "
         "scratch)"),
        ({"probe": None}, "negative transfer: no (error in the end 0.2 times that from scratch)"),
        ({}, "speed-up 4 to the error from scratch (1.00 s instead of 4.00 s)"),
        ({}, "only 33 % of the new domain lies where the source was trained, before the map; unchanged, "
             "the source leaves residuals of 1.7 on hot, 1.3 on insulated (0 would be a solution)"),
        ({"inputs": 1.0, "shift": {"heat": 0.5}}, "all of the new domain lies where the source was "
         "trained, before the map; unchanged, the source leaves a residual of 0.5 on heat (0 would be a solution)"),
        ({"inputs": 0.0, "shift": {"heat": 1e-3}}, "nothing of the new domain lies where the source "
         "was trained, before the map; unchanged, the source leaves no residual above 0.001 (0 would be a solution)"),
        ({"inputs": None, "shift": {}}, "unchanged, the source does not fit: it has other fields, or boundary values "
         "of its own"),
    ],
)  # fmt: skip
def test_what_was_found_is_said_in_words(told: dict[str, Any], phrase: str):
    assert phrase in findings(transferred(l_shape(), **told).transferred)


def test_at_most_three_residuals_are_named():
    shift = dict(zip("abcde", (0.1, 0.5, 0.3, 0.4, 0.2), strict=True))
    assert "residuals of 0.5 on b, 0.4 on d, 0.3 on c (" in findings(transferred(l_shape(), shift=shift).transferred)[2]


def test_a_source_without_time_does_not_fit_a_problem_with_it():
    source = made_up(waves(2), ("x", "y"))
    found = findings(transferred(l_shape_in_time(), source, inputs=None, shift={}).transferred)
    assert found[2] == "unchanged, the source does not fit: it is a function of x, y"


def test_nothing_is_claimed_that_is_not_known():
    blind = without_reference(transferred(rectangle(), probe=None)).transferred
    assert findings(blind)[0] == "speed-up unknown: there is no reference"
    assert findings(blind)[1].startswith("negative transfer: unknown, without a reference")
    seen = without_reference(transferred(rectangle())).transferred
    assert findings(seen)[1] == "negative transfer: no (residual early on 0.02 times that from scratch)"


# --- a true transfer --------------------------------------------------------------------------------------------------


def test_a_transfer_leaves_three_figures_more(run):
    plots = {name for name in left_in(run[1]) if name.startswith("plots/")}
    assert plots == {name for name in FILES if name.startswith("plots/")} | OWN
    assert all((run[1] / name).stat().st_size > 5000 for name in OWN)


def test_its_errors_are_those_of_its_arms(run):
    result, _ = run
    figure = figures(result)["before_after"]
    names = ("source_unchanged", "one_shot", "data_physics", "from_scratch")
    points = mesh_of(result.problem.domain).points
    for trimesh, name in zip(maps(figure), names, strict=True):
        error = np.abs(result.transferred.arms[name].predict(points) - result.reference.value(points))[:, 0]
        assert values(trimesh) == pytest.approx(np.maximum(error, 1e-300))


def test_its_report_has_a_section_of_its_own(run):
    result, folder = run
    page = (folder / "report.html").read_text(encoding="utf-8")
    met = outline(page).met
    images = [attributes["alt"] for tag, attributes in met if tag == "img"]
    assert images == ["points", "solution", "error", "residual", "loss", "arms", "before_after", "features"]
    section = unescape(page.partition("<h2>The transfer</h2>")[2].partition("<h2>")[0])
    for line in table(result.transferred):
        cells = [f"{line.error:.3g}", f"{line.seconds:.3g}", "—" if line.to_target is None else f"{line.to_target:.3g}"]
        assert f"<th>{line.label}</th><td>{'</td><td>'.join(cells)}</td>" in section
    for phrase in findings(result.transferred):
        assert f"<p>{phrase[0].upper()}{phrase[1:]}.</p>" in section
    assert "of the new domain lies where the source was trained" in section


def test_its_command_trains_the_network_from_scratch_again(run):
    result, folder = run
    settings = result.transferred.arms["from_scratch"].training.settings
    page = unescape((folder / "report.html").read_text(encoding="utf-8"))
    assert f"<pre>{command(settings)}</pre>" in page
    words = shlex.split(command(settings))
    assert {"task=transfer", "task/strategy=full", "network.layers=[16]", "task.sensors=7"} <= set(words)
    assert "<code>task.source</code>" in page  # the source is no file


def test_a_source_that_can_be_named_needs_no_remark(run, tmp_path: Path):
    result, folder = run
    copytree(folder / "plots", tmp_path / "plots")
    named = replace(result.transferred, source=replace(result.transferred.source, name="heat"))
    page = write_report(replace(result, transferred=named), tmp_path).read_text(encoding="utf-8")
    assert "The features come from heat." in page and "<code>task.source</code>" not in page


def test_its_summary_tells_of_all_arms(run):
    result, _ = run
    lines = summary(result).splitlines()
    told = [f"  {line}" for line in text_lines(result.transferred)]
    assert lines[-len(told) :] == told and len(told) == 2 + 6 + 3
    page = unescape((run[1] / "report.html").read_text(encoding="utf-8"))
    assert all(phrase.strip()[1:] in page for phrase in told[-3:])


def test_other_tasks_have_nothing_of_it(tmp_path: Path):
    result = solve("poisson_square", **SMALL)
    assert figures(result) == {} and "transfer" not in summary(result)
    page = write_report(l_shape(), tmp_path).read_text(encoding="utf-8")
    assert "The transfer" not in page
