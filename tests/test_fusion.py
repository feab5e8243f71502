"""Fused fidelities: the published case, what is written and read again, and what is refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from pinnkit import Fidelities, Fidelity, catalogue, fuse, load, solve, transfer
from pinnkit.errors import BadInput
from pinnkit.fusion import Fused
from pinnkit.fusion_figures import figures
from pinnkit.tasks import summary

X = np.linspace(0, 1, 101)[:, None]


@pytest.fixture(scope="module")
def forrester(tmp_path_factory: pytest.TempPathFactory) -> tuple[Fused, Path]:
    folder = tmp_path_factory.mktemp("forrester")
    return fuse("forrester", folder=folder), folder


def test_the_published_error_and_factor_are_reached(forrester: tuple[Fused, Path]) -> None:
    """0.055 and 2.00 (Forrester, Sóbester & Keane 2007); alone, four values say nothing of the curve."""
    m = forrester[0].metrics
    assert m["rmse"] <= 0.056 and m["rho"][0] == pytest.approx(2.0, rel=0.01)
    assert min(m["alone"].values()) > 50 * m["rmse"]
    assert m["cost"] == {"level 0": 11.0, "level 1": 40.0} and m["points"] == 15


def test_a_level_between_helps(forrester: tuple[Fused, Path]) -> None:
    three = fuse("forrester_three_levels").metrics
    assert three["rmse"] < 0.1 * forrester[0].metrics["rmse"] and three["verdict"] == "trusted"
    assert three["rho"] == pytest.approx([1.5, 4 / 3], rel=0.01)  # by the formulas of the problem


def test_the_nonlinear_model_has_no_factor() -> None:
    found = fuse("forrester", task={"model": "nonlinear"})
    assert found.metrics["rho"] == [] and found.metrics["rmse"] < 0.1 * found.metrics["alone"]["high_only"]


def test_a_run_leaves_its_files(forrester: tuple[Fused, Path]) -> None:
    found, folder = forrester
    left = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert left == {"checkpoints/last.pt", "metrics.json", "report.html", "solution.npz", "status.json",
                    "plots/solution.png", "plots/truth.png", "plots/levels.png"}  # fmt: skip
    assert json.loads((folder / "metrics.json").read_text()) == found.metrics
    assert json.loads((folder / "status.json").read_text()) == {"status": "done", "error": None}
    with np.load(folder / "solution.npz") as arrays:
        assert_array_equal(arrays["values"], found.predict(arrays["points"]))
    assert "A curve from four dear values" in (folder / "report.html").read_text()


def test_what_is_loaded_is_what_was_found(forrester: tuple[Fused, Path]) -> None:
    found, folder = forrester
    again = load(folder)
    assert isinstance(again, Fused) and again.metrics == found.metrics
    assert_array_equal(again.predict(X), found.predict(X))
    assert_array_equal(again.spread(X), found.spread(X))


def test_bands_are_as_wide_as_their_level(forrester: tuple[Fused, Path]) -> None:
    found = forrester[0]
    lower, upper = found.band(X, 0.6827)
    np.testing.assert_allclose(upper - lower, 2 * found.spread(X), rtol=1e-4)
    np.testing.assert_allclose((upper + lower) / 2, found.predict(X), rtol=1e-12)


def test_the_summary_and_the_figures_tell_the_factor(forrester: tuple[Fused, Path]) -> None:
    found = forrester[0]
    assert "rho                2 ±" in summary(found) or "rho                1.9999" in summary(found)
    drawn = figures(found)
    assert drawn.keys() == {"solution", "truth", "levels"}
    (ax,) = drawn["levels"].axes
    assert ax.get_title(loc="left").startswith(r"$\rho_{1}$ = ")
    (curve,) = (line for line in drawn["solution"].axes[0].get_lines() if str(line.get_label()).startswith("fused"))
    x, y = np.asarray(curve.get_xydata()).T
    np.testing.assert_allclose(y, found.predict(x[:, None])[:, 0])


def plane() -> Fidelities:
    rng = np.random.default_rng(0)
    low, high = rng.random((40, 2)), rng.random((10, 2))

    def exact(x, y):
        return np.sin(3 * x) + y**2

    levels = (Fidelity(low, 0.5 * exact(*low.T) + 1), Fidelity(high, exact(*high.T)))
    return Fidelities(levels, [[0, 0], [1, 1]], ("x", "y"), exact)


def test_fidelities_of_two_coordinates(tmp_path: Path) -> None:
    found = fuse(plane(), folder=tmp_path, evaluation={"points": 500})
    assert found.metrics["rho"] == pytest.approx([2.0], rel=0.01)
    assert found.metrics["rmse"] < 0.1 * found.metrics["alone"]["high_only"]
    assert (tmp_path / "plots" / "solution.png").exists()


def test_without_truth_nothing_is_trusted() -> None:
    metrics = fuse(replace(plane(), exact=None)).metrics
    assert metrics["rmse"] is None and metrics["coverage"]["raw"] is None
    assert metrics["verdict"] == "untrusted: there is no reference to compare with"


def test_data_from_files_say_the_same(forrester: tuple[Fused, Path], tmp_path: Path) -> None:
    paths = []
    for k, level in enumerate(forrester[0].problem.levels):
        rows = [f"{x!r},{y!r}" for x, y in zip(level.x[:, 0].tolist(), level.y.tolist(), strict=True)]
        paths.append(str(tmp_path / f"{k}.csv"))
        Path(paths[-1]).write_text("\n".join(["x,value", *rows]))
    found = fuse("forrester", problem={"data": paths})
    assert_array_equal(found.predict(X), forrester[0].predict(X))
    assert found.metrics["rmse"] is None


def level(points: object, values: object, **more: object) -> Fidelity:
    return Fidelity(np.array(points, dtype=float), np.array(values, dtype=float), **more)  # type: ignore[arg-type]


FINE = level([0, 0.3, 0.7, 1], [1, 2, 0, 1])


@pytest.mark.parametrize(
    ("coarse", "fine"),
    [
        (level([0, 0, 1], [1, 2, 3]), FINE),
        (level([0.5], [1]), FINE),
        (FINE, level([0.5], [1])),
        (level([0, 1, np.nan], [1, 2, 3]), FINE),
        (level([0, 1, 2], [1, np.inf, 3]), FINE),
        (level([0, 1, 2], [1, 2]), FINE),
        (level(np.ones((4, 2)), np.ones(4)), FINE),
        (level([], []), FINE),
    ],
    ids=["contradictions", "one point", "one dear point", "nan", "infinite", "lengths", "dimensions", "nothing"],
)
def test_data_that_say_nothing_are_refused_in_one_line(coarse: Fidelity, fine: Fidelity) -> None:
    with pytest.raises(BadInput) as refused:
        fuse(Fidelities((coarse, fine), [0, 1]))
    assert "\n" not in str(refused.value) and str(refused.value).count("; ") >= 1


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Fidelity(["a", "b"], [1, 2]),
        lambda: Fidelity([0, 1], [1, 2], cost=-1),
        lambda: Fidelities(FINE, [0, 1]),
        lambda: Fidelities(((0, 1), (1, 2)), [0, 1]),
        lambda: fuse(FINE),
        lambda: fuse("forrester").band(X, 95),
    ],
    ids=["texts", "cost", "one", "pairs", "a level", "a percentage"],
)
def test_what_is_no_fidelity_is_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(BadInput):
        wrong()


@pytest.mark.parametrize("size", [1e-12, 1e12])
def test_units_do_not_matter(size: float, forrester: tuple[Fused, Path]) -> None:
    levels = [replace(level, points=size * level.x, values=level.y / size) for level in forrester[0].problem.levels]
    found = fuse(Fidelities(tuple(levels), [0, size]))
    assert found.metrics["rho"] == pytest.approx(forrester[0].metrics["rho"], rel=1e-3)
    np.testing.assert_allclose(size * found.predict(size * X), forrester[0].predict(X), rtol=0, atol=0.02)


def test_equations_and_observations_are_told_apart() -> None:
    with pytest.raises(BadInput, match="is one equation"):
        solve("poisson_square", task="multifidelity")
    with pytest.raises(BadInput, match="data and no equation"):
        transfer("heat", "forrester")
    with pytest.raises(BadInput, match="data and no equation"):
        solve("forrester", task="committee")
    with pytest.raises(BadInput, match="is an equation"):
        fuse("poisson_square")
    with pytest.raises(BadInput, match="give at least two"):
        Fidelities((FINE,), [0, 1])
    assert isinstance(catalogue.load("forrester").build(), Fidelities)


def test_solving_it_is_fusing_it(forrester: tuple[Fused, Path]) -> None:
    assert_array_equal(solve("forrester").predict(X), forrester[0].predict(X))
