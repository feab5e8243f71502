"""The task `solve`: its run folder, its metrics, and that it is reproducible and leaves no trace elsewhere."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from runs import FILES, REACTION, SMALL, grid, left_in

from pinnkit import Problem, Rectangle, Unknown, catalogue, dirichlet, laplacian, measured, pde, solve
from pinnkit.errors import BadInput
from pinnkit.evaluation import relative_l2
from pinnkit.result import Result
from pinnkit.settings import ProblemChoice, Settings
from pinnkit.tasks import prepare, summary

NUMBER = (int, float)
METRICS: dict[str, Any] = {
    "schema": int,
    "problem": str,
    "task": str,
    "optimizer": str,
    "seed": int,
    "device": str,
    "dtype": str,
    "parameters": int,
    "points": int,
    "relative_l2": NUMBER,
    "max_error": NUMBER,
    "fields": {"u": {"relative_l2": NUMBER, "max_error": NUMBER}},
    "reference": {"kind": str, "error_estimate": NUMBER},
    "seconds": {"train": NUMBER, "reference": NUMBER, "total": NUMBER},
    "stop_reason": str,
    "verdict": str,
}
NO_ERRORS = {"relative_l2": None, "max_error": None}


def conforms(value: Any, schema: Any) -> bool:
    """Whether the keys are exactly those of the schema, with values of its types."""
    if isinstance(schema, dict):
        return value.keys() == schema.keys() and all(conforms(value[key], schema[key]) for key in schema)
    return isinstance(value, schema) and not isinstance(value, bool)


def theta(result: Result) -> torch.Tensor:
    return torch.cat([p.detach().reshape(-1) for p in result.solution.trial.parameters()])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    folder = tmp_path_factory.mktemp("run")
    more = {"optimizer": "gauss_newton", "training": {"max_steps": 12, "evaluate_every": 5}}
    return solve("inverse_heat", folder=folder, **{**SMALL, **more}), folder


# --- the run folder ---------------------------------------------------------------------------------------------------


def test_a_run_leaves_exactly_these_files(run):
    assert left_in(run[1]) == FILES


def test_metrics_have_the_documented_keys_and_types(run):
    metrics = json.loads((run[1] / "metrics.json").read_text())
    unknowns = {"k": {"value": NUMBER, "true": NUMBER, "relative_deviation": NUMBER}}
    assert conforms(metrics, METRICS | {"unknowns": unknowns})
    assert metrics == run[0].metrics
    told = ("schema", "problem", "task", "optimizer", "seed", "device", "dtype")
    assert [metrics[key] for key in told] == [1, "inverse_heat", "solve", "gauss_newton", 0, "cpu", "float64"]
    assert metrics["parameters"] == len(theta(run[0])) == 2 * 32 + 32 + 32 + 1 + 1
    assert metrics["points"] == 200 + 80 + 50
    assert metrics["reference"] == {"kind": "exact", "error_estimate": 1e-15}
    assert 0 < metrics["seconds"]["train"] <= metrics["seconds"]["total"]


def test_metrics_without_unknowns_and_without_a_reference():
    assert conforms(dict(solve("poisson_square", **SMALL).metrics), METRICS)
    metrics = solve("poisson_square", reference={"kind": "none"}, **SMALL).metrics
    assert metrics.keys() == METRICS.keys()
    assert (metrics["relative_l2"], metrics["max_error"], metrics["fields"]) == (None, None, {"u": NO_ERRORS})
    assert metrics["reference"] == {"kind": "none", "error_estimate": None}
    assert metrics["verdict"].startswith("untrusted: ")


def test_history_has_its_columns(run):
    with open(run[1] / "history.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    terms = [f"{kind}/{name}" for kind in ("loss", "weight") for name in ("heat", "wall", "sensors")]
    assert set(rows[0]) == {"step", "seconds", "loss", "relative_l2", *terms}
    assert [int(row["step"]) for row in rows if row["step"] != "0"] == list(range(1, 13))
    evaluated = [int(row["step"]) for row in rows if row["relative_l2"]]
    assert 1 in evaluated and [step for step in evaluated if step >= 5] == [5, 10, 12]
    assert all(float(row["loss"]) > 0 for row in rows)


def test_the_status_is_done(run):
    assert json.loads((run[1] / "status.json").read_text()) == {"status": "done", "error": None}


def test_fields_are_kept_as_plain_arrays(run):
    result, folder = run
    with np.load(folder / "solution.npz", allow_pickle=False) as arrays:
        kept = dict(arrays)
    assert kept.keys() == {"points", "fields", "values", "reference", "error"}
    assert kept["fields"].tolist() == ["u"]
    assert result.problem.domain.contains(kept["points"]).all()
    assert np.allclose(kept["values"], result.predict(kept["points"]), rtol=1e-9)
    assert np.array_equal(kept["error"], kept["values"] - kept["reference"])
    assert relative_l2(kept["values"], kept["reference"]) == pytest.approx(result.metrics["relative_l2"], rel=0.3)


def test_figures_and_report_are_there_to_be_seen(run):
    assert all((run[1] / name).stat().st_size > 5000 for name in FILES if name.endswith(".png"))
    page = (run[1] / "report.html").read_text(encoding="utf-8")
    assert "Finding a conductivity from noisy temperature sensors" in page and "data:image/png;base64," in page
    assert (run[1] / "solution.vtu").read_text(encoding="utf-8").startswith("<?xml")


def test_python_leaves_nothing_without_a_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    solve("poisson_square", **SMALL)
    assert not list(tmp_path.iterdir())
    assert capsys.readouterr() == ("", "")


def test_a_summary_tells_what_was_found(run):
    text = summary(run[0])
    assert text.startswith(f"inverse_heat: {run[0].metrics['verdict']}\n")
    for words in (f"{run[0].metrics['relative_l2']:.2e}", "reference: exact", "(true: 2.5)", "all steps are done"):
        assert words in text
    assert "relative L2" not in summary(solve("poisson_square", reference={"kind": "none"}, **SMALL))


# --- what can be solved -----------------------------------------------------------------------------------------------


def test_a_problem_by_name_by_object_and_by_file_is_the_same(tmp_path):
    file = tmp_path / "poisson_square.py"
    file.write_text(catalogue.load("poisson_square").path.read_text())
    by_name, by_file = solve("poisson_square", **SMALL), solve(str(file), **SMALL)
    by_object = solve(catalogue.load("poisson_square").build(), **SMALL)
    assert torch.equal(theta(by_name), theta(by_file)) and torch.equal(theta(by_name), theta(by_object))
    assert by_name.metrics["problem"] == by_file.metrics["problem"] == by_object.metrics["problem"] == "poisson_square"


def test_a_problem_of_ones_own_takes_parameters(tmp_path):
    (tmp_path / "mine.py").write_text(REACTION)
    result = solve(str(tmp_path / "mine.py"), problem={"k": 3.0}, **SMALL)
    assert result.settings.problem.parameters == {"k": 3.0}
    assert result.metrics["relative_l2"] < 0.2


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"optimiser": "adam"}, "optimiser: there is no such key; did you mean optimizer"),
        ({"optimizer": "sgd"}, "optimizer.name: unknown choice 'sgd'"),
        ({"optimizer": "lbfgs", "sampling": {"resample": 5}}, "quasi-Newton methods need points that stay"),
        ({"optimizer": "ssbroyden", "sampling": {"resample": 5}}, "sampling.resample: "),
        ({"optimizer": "adam_lbfgs", "sampling": {"resample": 5}}, "sampling.resample: "),
        ({"training": {"max_step": 3}}, "did you mean training.max_steps"),
        ({"device": "cuda:99"}, "device: "),
    ],
)
def test_bad_settings_are_refused_before_anything_is_made(tmp_path, settings, words):
    with pytest.raises(BadInput) as refusal:
        solve("poisson_square", folder=tmp_path / "run", **{**SMALL, **settings})
    assert words in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_an_exact_solution_that_is_not_there_cannot_be_asked_for():
    with pytest.raises(BadInput, match=r"reference\.kind: the problem has no exact solution"):
        prepare(Settings.from_mapping({"problem": {"name": "heat_lshape"}, "reference": {"kind": "exact"}}))


def test_preparing_gives_the_problem():
    problem = prepare(Settings(ProblemChoice("heat_lshape", parameters={"size": 2.0})))
    assert isinstance(problem, Problem) and problem.domain.measure == pytest.approx(12.0)


# --- trust ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_error_is_that_of_dense_points_of_the_whole_domain(dtype):
    result = solve("poisson_square", dtype=dtype, **SMALL)
    truth = np.prod(np.sin(np.pi * grid(60)), axis=1)[:, None]
    assert result.metrics["relative_l2"] == pytest.approx(relative_l2(result.predict(grid(60)), truth), rel=0.1)
    assert result.metrics["dtype"] == dtype
    assert all(p.dtype == getattr(torch, dtype) for p in result.solution.trial.parameters())


def test_single_precision_reaches_its_own_accuracy():
    network = {"layers": [100], "polynomials": 0, "corners": False}
    error = solve("poisson_square", dtype="float32", **{**SMALL, "network": network}).metrics["relative_l2"]
    assert error < 1e-3


def test_fourier_features_at_their_defaults():
    fourier = {"name": "fourier", "frequencies": 64, "polynomials": 0}
    metrics = solve("poisson_square", network=fourier, optimizer="least_squares").metrics
    assert metrics["relative_l2"] < 1e-3


@pytest.mark.parametrize(("tolerance", "missed"), [(0.5, False), (1e-9, True)])
def test_an_accuracy_asked_for_decides_the_verdict(tolerance, missed):
    result = solve("poisson_square", tolerance=tolerance, **SMALL)
    assert result.missed_tolerance is missed
    wanted = "untrusted: the error is" if missed else "trusted"
    assert result.metrics["verdict"].startswith(wanted)


def test_without_a_reference_no_accuracy_is_ever_reached():
    result = solve("poisson_square", tolerance=0.5, reference={"kind": "none"}, **SMALL)
    assert result.missed_tolerance and "no reference" in result.metrics["verdict"]


def test_a_reference_that_is_not_good_enough_backs_nothing():
    small = {**SMALL, "network": {"layers": [64], "polynomials": 0}}
    result = solve("heat_lshape", tolerance=1e-7, reference={"kind": "fem", "tolerance": 1e-4}, **small)
    assert result.metrics["verdict"].startswith("untrusted: the reference's own error is")


# --- reproducible, and without a trace --------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", ["least_squares", "gauss_newton", "adam", "lbfgs"])
def test_the_same_seed_gives_the_same_bits(optimizer):
    results = []
    for attempt in range(4):
        _ = [torch.full((33 + i,), 7, dtype=torch.int32) for i in range(attempt)]  # memory is never the same twice
        results.append(solve("poisson_square", training={"max_steps": 6}, **{**SMALL, "optimizer": optimizer}))
    assert all(torch.equal(theta(result), theta(results[0])) for result in results)
    assert len({result.metrics["relative_l2"] for result in results}) == 1


def test_another_seed_gives_another_network_and_other_points():
    one, other = (solve("poisson_square", seed=seed, **SMALL) for seed in (1, 2))
    assert not torch.equal(theta(one), theta(other))
    assert not np.array_equal(one.collocation["poisson"].points, other.collocation["poisson"].points)


@pytest.mark.parametrize("optimizer", ["gauss_newton", "adam"])
def test_solving_leaves_the_state_of_the_process_alone(optimizer):
    def state() -> tuple[Any, ...]:
        numpy_state = np.random.get_state()[1].tobytes()
        return torch.get_default_dtype(), torch.get_num_threads(), torch.get_rng_state().numpy().tobytes(), numpy_state

    before = state()
    solve("heat_lshape", training={"max_steps": 3}, dtype="float32", seed=5, **{**SMALL, "optimizer": optimizer})
    assert state() == before
    assert torch.is_grad_enabled()


def test_data_that_do_not_determine_an_unknown_are_not_trusted():
    """u = xy solves ∇·(k∇u) = 0 for every k."""
    points = np.random.default_rng(0).random((20, 2))
    problem = Problem(
        Rectangle(),
        {
            "heat": pde(lambda u, x, y, k: -k * laplacian(u, x, y)),
            "wall": dirichlet("boundary", lambda x, y: x * y),
            "sensors": measured(points, points.prod(1)),
        },
        unknowns={"k": Unknown(7.0, positive=True)},
        exact=lambda x, y: x * y,
    )
    metrics = solve(problem, network={"layers": [100], "polynomials": 0}, optimizer="least_squares").metrics
    assert metrics["relative_l2"] < 1e-3
    assert metrics["verdict"] == "untrusted: the data do not determine k"


def test_the_deviation_of_an_unknown_is_of_the_size_of_its_error():
    """Over several draws of 1 % noise the conductivity is off by about as much as is told."""
    runs = [solve("inverse_heat", problem={"noise_seed": seed}, **SMALL).metrics["unknowns"]["k"] for seed in range(6)]
    off = np.sqrt(np.mean([(run["value"] / run["true"] - 1) ** 2 for run in runs]))
    told = np.mean([run["relative_deviation"] for run in runs])
    assert 0.1 * off < told < 10 * off
