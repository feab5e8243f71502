"""Figures of a committee show its members, its bands, and what truths say of them, on every kind of domain."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from answers import (
    ANSWERS,
    Array,
    KnownAnswer,
    bar_in_time,
    box,
    interval,
    l_shape,
    l_shape_in_time,
    plate_with_holes,
    rectangle,
)
from committees import OFFSETS, committee, noise_of, size_of
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection, PolyCollection, QuadMesh, TriMesh
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from pinnkit.committee_figures import figures, section_of
from pinnkit.export import mesh_of


def curves(ax: Axes) -> dict[str, Array]:
    return {str(line.get_label()): np.asarray(line.get_xydata()) for line in ax.get_lines()}


def maps(figure: Figure) -> list[TriMesh]:
    return [c for ax in figure.axes for c in ax.collections if isinstance(c, TriMesh)]


def values(trimesh: TriMesh) -> Array:
    return np.asarray(trimesh.get_array())


def band(ax: Axes) -> list[Array]:
    """The vertices of the shaded areas."""
    areas = [c for c in ax.collections if isinstance(c, PolyCollection)]
    return [np.asarray(path.vertices) for area in areas for path in area.get_paths()]


@pytest.mark.parametrize("name", ANSWERS)
def test_every_kind_of_domain_gets_its_figures(name: str):
    drawn = figures(committee(ANSWERS[name]()))
    assert set(drawn) == {"band", "spread", "calibration"}
    for figure in drawn.values():
        FigureCanvasAgg(figure).draw()


def test_what_is_no_committee_has_none():
    assert figures(interval()) == {}


# --- along a section --------------------------------------------------------------------------------------------------


def test_an_interval_has_mean_members_truth_and_band():
    answer = committee(interval())
    top, below = figures(answer)["band"].axes
    drawn, (area,) = curves(top), band(top)
    assert set(drawn) == {"members", "_member 1", "_member 2", "mean of 3", "reference (fem)"}
    x = np.linspace(0, 1, 600)[:, None]
    truth, mean = np.sin(np.pi * x)[:, 0], (np.sin(np.pi * x) + noise_of(x))[:, 0]
    assert drawn["reference (fem)"][:, 1] == pytest.approx(truth)
    assert drawn["mean of 3"][:, 1] == pytest.approx(mean)
    assert drawn["members"][:, 1] == pytest.approx(mean + OFFSETS[0] * size_of(x)[:, 0])
    half = answer.solution.half_width(size_of(x), 0.9)[:, 0]
    assert (area[:, 1].min(), area[:, 1].max()) == pytest.approx(((mean - half).min(), (mean + half).max()))
    assert curves(below)["mean of 3"][:, 1] == pytest.approx(0, abs=1e-15)
    assert curves(below)["reference"][:, 1] == pytest.approx(truth - mean)
    (area,) = band(below)
    assert area[:, 1].max() == pytest.approx(half.max()) and area[:, 1].min() == pytest.approx(-half.max())


def test_the_legend_names_the_band():
    for kind, name in (("reference", "90 % band, calibrated"), ("none", "90 % band, raw")):
        (legend,) = figures(committee(interval(), kind))["band"].legends
        assert [text.get_text() for text in legend.get_texts()] == [
            "members", name, "mean of 3", "reference (fem)",
        ]  # fmt: skip


def test_raw_bands_are_those_of_one_more_member():
    """Student's t with two degrees of freedom at 0.95 is 2.92, times √(4/3)."""
    (area,) = band(figures(committee(interval(), "none"))["band"].axes[1])
    assert area[:, 1].max() == pytest.approx(0.1 * 2.919986 * np.sqrt(4 / 3), rel=1e-6)


def test_a_plane_is_cut_where_members_disagree_most():
    """On the L-shape the spread grows with x; the longest chord with large x is vertical in its right half."""
    answer = committee(l_shape())
    section = section_of(answer)
    assert section.axis == 1 and section.points[0, 0] == pytest.approx(0.9)
    assert section.words == "$x = 0.9$, where members disagree most"
    assert answer.problem.domain.contains(section.points[section.inside]).all()
    top, below = figures(answer)["band"].axes
    assert below.get_xlabel() == "$y$" and top.get_title(loc="left") == section.words
    mean = curves(top)["mean of 3"]
    assert np.isnan(mean[mean[:, 0] < -0.01, 1]).all() and np.isfinite(mean[mean[:, 0] > 0.01, 1]).all()


def test_curves_and_bands_have_gaps_in_holes():
    answer = committee(plate_with_holes())
    middle = replace(answer.solution, size=lambda p: np.exp(-100 * (p[:, 1:2] - 0.5) ** 2))
    (top, _) = figures(replace(answer, solution=middle))["band"].axes
    inside = np.isfinite(curves(top)["mean of 3"][:, 1]).astype(int)
    pieces = int((np.diff(inside, prepend=0) == 1).sum())
    assert pieces == 3 and len(band(top)) == pieces


def test_time_is_shown_at_its_end():
    answer = committee(l_shape_in_time())
    section = section_of(answer)
    assert (section.points[:, 2] == 1).all() and "$t = 1$" in section.words
    section = section_of(committee(bar_in_time()))
    assert (section.points[:, 1] == 2).all() and section.words == "$t = 2$"


def test_a_box_is_cut_through_its_middle():
    section = section_of(committee(box()))
    assert np.ptp(section.points[:, 0]) == 2 and (section.points[:, 1:] == [0, 0.5, 0.5]).all()
    assert section.words == "through the middle of the other coordinates"


def test_each_field_has_its_own_curves():
    axes = figures(committee(rectangle()))["band"].axes
    assert len(axes) == 4 and [ax.get_ylabel() for ax in axes[:2]] == ["$u$", "$v$"]
    assert not np.allclose(curves(axes[0])["mean of 3"], curves(axes[1])["mean of 3"])


def test_an_infinite_band_is_not_drawn():
    answer = committee(interval())
    few = replace(answer.solution.calibrations[0], scores=np.ones(3))
    spoilt = replace(answer, solution=replace(answer.solution, calibrations=(few,)))
    axes = figures(spoilt)["band"].axes
    assert [band(ax) for ax in axes] == [[], []] and np.isfinite(axes[1].get_ylim()).all()


def test_without_a_reference_there_is_no_truth():
    drawn = figures(committee(replace(interval(), reference=None), "none"))
    assert set(drawn) == {"band", "spread"}
    assert set(curves(drawn["band"].axes[0])) == {"members", "_member 1", "_member 2", "mean of 3"}


# --- where members disagree -------------------------------------------------------------------------------------------


def test_spread_and_error_share_one_scale():
    answer = committee(l_shape())
    drawn = figures(answer)["spread"]
    spread, error = maps(drawn)
    points = mesh_of(answer.problem.domain).points
    assert values(spread) == pytest.approx(size_of(points)[:, 0], rel=1e-9)
    assert values(error) == pytest.approx(np.abs(noise_of(points))[:, 0], abs=1e-12)
    assert spread.norm is error.norm and isinstance(spread.norm, LogNorm)
    assert [ax.get_title() for ax in drawn.axes[:2]] == ["spread of the members", "|mean − reference|"]


def test_a_single_large_error_does_not_set_the_scale():
    answer = committee(l_shape())
    peak = mesh_of(answer.problem.domain).points[7]
    truth = answer.solution.truth

    def wrong(p: Array) -> Array:
        return truth(p) + 1e6 * (np.abs(p - peak).max(1) < 1e-9)[:, None]

    drawn = maps(figures(replace(answer, reference=replace(answer.reference, value=wrong)))["spread"])
    assert values(drawn[1]).max() > 1e5 and drawn[0].norm.vmax < 1


def test_the_transient_spread_is_that_at_the_end():
    answer = committee(l_shape_in_time())
    late = replace(answer.solution, size=lambda p: size_of(p) * p[:, 2:])
    figure = figures(replace(answer, solution=late))["spread"]
    points = mesh_of(answer.problem.domain.space).points
    assert values(maps(figure)[0]) == pytest.approx(size_of(points)[:, 0], rel=1e-9)
    assert "at $t = 1$" in figure.axes[-1].get_ylabel()


def test_sensors_are_crosses_and_next_points_circles():
    answer = committee(plate_with_holes())
    following = [[0.1, 0.9], [1.9, 0.1]]
    told = replace(answer, metrics={**answer.metrics, "next_points": following})
    for ax in figures(told)["spread"].axes[:2]:
        crosses, circles = [c for c in ax.collections if isinstance(c, PathCollection)]
        assert np.asarray(crosses.get_offsets()).tolist() == [[0.1, 0.1], [1.0, 0.5], [1.9, 0.9]]
        assert np.asarray(circles.get_offsets()).tolist() == following


def test_the_section_is_marked_on_the_map():
    answer = committee(l_shape())
    for ax in figures(answer)["spread"].axes[:2]:
        (line,) = ax.get_lines()
        x, y = np.asarray(line.get_data())
        assert np.nanmin(x) == np.nanmax(x) == pytest.approx(0.9)
        assert np.nanmin(y) >= 0


def test_a_section_of_a_box_has_no_marks():
    answer = committee(box())
    told = replace(answer, metrics={**answer.metrics, "next_points": [[1.0, 0.0, 0.5, 0.5]]})
    axes = figures(told)["spread"].axes
    assert not any(isinstance(c, PathCollection) for ax in axes for c in ax.collections)
    assert not any(ax.get_lines() for ax in axes[:2])


# --- what the spread is worth -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [interval, rectangle])
def test_reliability_is_that_of_the_judgement(make: Callable[[], KnownAnswer]):
    answer = committee(make())
    left, _ = figures(answer)["calibration"].axes
    drawn, told = curves(left), answer.judgement.reliability
    assert drawn["raw"].tolist() == np.column_stack([told.levels, told.raw]).tolist()
    assert drawn["calibrated"].tolist() == np.column_stack([told.levels, told.calibrated]).tolist()
    assert np.abs(drawn["calibrated"][:, 1] - told.levels).max() < 0.05
    assert drawn["_diagonal"].tolist() == [[0, 0], [1, 1]] and drawn["_level"][0, 0] == 0.9


def test_what_is_not_calibrated_has_a_raw_curve_alone():
    answer = committee(interval(), "none")
    drawn = curves(figures(answer)["calibration"].axes[0])
    assert "calibrated" not in drawn
    (shown,) = drawn["raw"][np.isclose(drawn["raw"][:, 0], 0.9), 1]
    assert shown == answer.judgement.raw


def test_errors_against_spreads_are_counted():
    answer = committee(interval())
    _, right = figures(answer)["calibration"].axes
    (counts,) = [c for c in right.collections if isinstance(c, QuadMesh)]
    shown = np.ma.asarray(counts.get_array())
    judgement = answer.judgement
    assert 0.99 * len(judgement.errors) < shown.sum() <= len(judgement.errors)
    assert (right.get_xscale(), right.get_yscale()) == ("log", "log")
    assert right.get_title(loc="left") == "rank correlation 0.70"


def test_the_half_width_is_drawn_over_the_spread():
    """Errors below it are those inside the band."""
    answer = committee(rectangle())
    _, right = figures(answer)["calibration"].axes
    drawn, judgement = curves(right), answer.judgement
    order = np.argsort(judgement.spreads[::2])
    wanted = np.column_stack([judgement.spreads[::2], judgement.half_widths[::2]])[order]
    assert drawn["half width, 90 % band, calibrated"].tolist() == wanted.tolist()
    assert "_half width" in drawn


@pytest.mark.parametrize(
    "told",
    [
        {"errors": np.zeros(50), "spreads": np.ones(50), "half_widths": np.ones(50), "rank_correlation": None},
        {"errors": np.ones(50), "spreads": np.zeros(50), "half_widths": np.ones(50), "rank_correlation": None},
        {"errors": np.ones(50), "spreads": np.ones(50), "half_widths": np.full(50, np.inf)},
    ],
)
def test_odd_truths_are_still_drawn(told: dict[str, Any]):
    answer = committee(interval())
    odd = replace(answer, judgement=replace(answer.judgement, **told))
    figure = figures(odd)["calibration"]
    FigureCanvasAgg(figure).draw()
    assert len(figure.axes) >= 2 and "raw" in curves(figure.axes[0])


def test_members_that_agree_are_still_drawn():
    answer = committee(l_shape(), "none")
    same = replace(answer.solution, size=lambda p: np.zeros((len(p), 1)))
    drawn = figures(replace(answer, solution=same))
    assert {"band", "spread"} <= drawn.keys()
    for figure in drawn.values():
        FigureCanvasAgg(figure).draw()
