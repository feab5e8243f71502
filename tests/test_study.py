"""What all studies have in common: which tasks and settings they take, their titles, parameters that others replace."""

import importlib.util
from pathlib import Path

import pytest

from pinnkit import catalogue
from pinnkit.errors import BadInput
from pinnkit.report import write_report
from pinnkit.settings import ProblemChoice, Settings, Solve, all_keys
from pinnkit.study import Study
from pinnkit.tasks import solve

NAMES = ("forrester", "cohesive_energy", "lj_potential", "copper_potential", "crystal_defects", "property_regression")
SOMEWHERE = {"optimizer": "lbfgs", "network.layers": [7], "training.max_steps": 3, "evaluation.points": 50}
NOWHERE = {"dtype": "float32", "sampling.interior": 10, "reference.kind": "none", "network.peaks": [[0]]}  # equations'


@pytest.fixture(params=NAMES)
def study(request: pytest.FixtureRequest) -> Study:
    if request.param == "copper_potential" and importlib.util.find_spec("ase") is None:
        pytest.skip("ASE is not installed")
    built = catalogue.build(ProblemChoice(request.param))
    assert isinstance(built, Study)
    return built


def told(study: Study, **more: object) -> Settings:
    return Settings.from_mapping({"problem": {"name": study.name}, **more})


def test_the_settings_it_uses_exist(study: Study) -> None:
    known = all_keys()
    for key in study.uses:
        assert key in known or any(name.startswith(f"{key}.") for name in known), key


def test_the_usual_settings_are_taken(study: Study) -> None:
    study.check(told(study))
    study.check(told(study, device="cpu", seed=3, tolerance=0.5, resume="auto", overwrite=True))


@pytest.mark.parametrize("task", ["pretrain", "transfer", "committee", "multifidelity"])
def test_tasks_are_taken_or_refused(study: Study, task: str) -> None:
    chosen = told(study, task=task)
    if isinstance(chosen.task, study.tasks):
        study.check(chosen)
        return
    with pytest.raises(BadInput, match=f"^task: {study.name} has data and no equation; "):
        study.check(chosen)


@pytest.mark.parametrize("key", [*SOMEWHERE, *NOWHERE])
def test_what_would_change_nothing_is_refused(study: Study, key: str) -> None:
    group, _, name = key.partition(".")
    value = (SOMEWHERE | NOWHERE)[key]
    chosen = told(study, **{group: {name: value} if name else value})
    if key in SOMEWHERE and key.startswith(study.uses):
        study.check(chosen)
        return
    with pytest.raises(BadInput, match=rf"^{key}: {study.name} does not use it; leave it out"):
        study.check(chosen)


def test_a_task_that_is_taken_need_not_be_named(study: Study) -> None:
    assert Solve in study.tasks


OWN = '''"""Values of a generator

    y = x
"""

from typing import Annotated

from pinnkit import Between, Fidelities, Fidelity

REPLACED = {"data": ("count",)}


def problem(data: str | None = None, count: Annotated[int, Between(2, 9)] = 5) -> Fidelities:
    points = [[k / count] for k in range(count)]
    low = Fidelity(points, [x for x, in points])
    title = f"Values of {data}" if data else ""
    return Fidelities((low, low), [[0.0], [1.0]], ("x",), title=title)
'''


@pytest.fixture
def own(tmp_path: Path) -> str:
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return str(path)


def test_a_parameter_is_not_given_with_what_replaces_it(own: str) -> None:
    problem = catalogue.load(own)
    assert problem.build(data="a.csv", count=5).description.startswith("Values of a.csv\n")
    with pytest.raises(BadInput, match=r"^problem.count: problem.data takes its place; leave one of them out"):
        problem.build(data="a.csv", count=6)
    with pytest.raises(BadInput, match=r"^problem.count: it must be >= 2 and <= 9"):
        problem.build(count=1)


def test_what_is_replaced_must_exist(own: str) -> None:
    path = Path(own)
    path.write_text(OWN.replace('("count",)', '("cuont",)'))
    with pytest.raises(BadInput, match=r"REPLACED names 'cuont', which is no parameter; .*did you mean count"):
        catalogue.load(own)


def test_a_title_takes_the_place_of_the_first_line(own: str, tmp_path: Path) -> None:
    """In the report; the rest of the description stays."""
    for data, title in ((None, "Values of a generator"), ("a.csv", "Values of a.csv")):
        found = solve(own, problem={"data": data}, folder=tmp_path / title)
        page = write_report(found, tmp_path / title).read_text()
        assert f"<h1>{title}</h1>" in page and "y = x" in page
