"""conf/ agrees with the types in Settings, with the problems, and with what is packaged."""

import json
import tomllib
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from pinnkit import catalogue
from pinnkit.composition import read
from pinnkit.home import folder
from pinnkit.settings import OPTIMIZERS, STRATEGIES, TASKS, Network, ProblemChoice, Settings, Transfer

CONF = folder("conf")
ROOT = Path(__file__).resolve().parent.parent


def load(name: str) -> dict[str, object]:
    return OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))


def composed(*overrides: str) -> Settings:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return read(compose("config", list(overrides)), {})


def test_defaults_are_those_of_settings():
    made = composed("problem=poisson_square")
    assert made == Settings(ProblemChoice("poisson_square"))
    plain = made.to_mapping()
    written = load("config")
    for key in set(plain) - {"problem", "network", "optimizer", "task"}:
        assert written[key] == plain[key], key
    groups = dict(next(iter(choice.items())) for choice in written["defaults"] if choice != "_self_")
    assert groups["problem"] is None
    assert all(groups[key] == plain[key]["name"] for key in ("network", "optimizer", "task"))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_are_written_with_their_defaults(name):
    assert composed("problem=poisson_square", f"optimizer={name}").optimizer == OPTIMIZERS[name]()
    assert {f"optimizer.{key}" for key in load(f"optimizer/{name}")} == {
        "optimizer.name", *OPTIMIZERS[name].options()
    }  # fmt: skip


def test_every_optimizer_has_a_file():
    assert {path.stem for path in (CONF / "optimizer").glob("*.yaml")} == set(OPTIMIZERS)


@pytest.mark.parametrize("name", TASKS)
def test_tasks_are_written_with_their_defaults(name):
    assert composed("problem=poisson_square", f"task={name}").task == TASKS[name]()
    written = {"strategy" if key == "defaults" else key for key in load(f"task/{name}")}
    assert {f"task.{key}" for key in written} == {"task.name", *TASKS[name].options()}


@pytest.mark.parametrize("name", STRATEGIES)
def test_strategies_are_written_with_their_defaults(name):
    made = composed("problem=poisson_square", "task=transfer", f"task/strategy={name}")
    assert made.task == Transfer(strategy=STRATEGIES[name]())
    assert {f"task.strategy.{key}" for key in load(f"task/strategy/{name}")} == {
        "task.strategy.name", *STRATEGIES[name].options()
    }  # fmt: skip


@pytest.mark.parametrize(("group", "known"), [("task", TASKS), ("task/strategy", STRATEGIES)])
def test_every_task_and_strategy_has_a_file(group, known):
    assert {path.stem for path in (CONF / group).glob("*.yaml")} == set(known)


def test_networks_are_written_with_their_defaults():
    assert {f"network.{key}" for key in load("network/mlp")} == set(Network.options())
    assert composed("problem=poisson_square", "network=fourier").network == Network("fourier", frequencies=64)


def test_every_problem_has_a_file():
    assert {path.stem for path in (CONF / "problem").glob("*.yaml")} == set(catalogue.names())


@pytest.mark.parametrize("name", catalogue.names())
def test_problems_are_written_with_the_defaults_of_their_signature(name):
    written = json.loads(json.dumps(catalogue.load(name).parameters))  # YAML knows lists, but no tuples
    assert load(f"problem/{name}") == {"name": name, **written}


@pytest.mark.parametrize("name", catalogue.names())
def test_problems_state_their_mathematics(name):
    file = catalogue.load(name)
    assert len(file.description.splitlines()) > 2
    assert file.build().description == file.description


@pytest.mark.parametrize("path", sorted(CONF.rglob("*.yaml")), ids=lambda path: path.stem)
def test_files_are_plain_yaml(path):
    assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict)


def test_every_package_is_packaged():
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    code = {path.parent.relative_to(ROOT) for path in ROOT.glob("pinnkit/**/*.py")}
    data = {"pinnkit" / path.parent.relative_to(ROOT) for path in ROOT.glob("conf/**/*.yaml")}
    found = {".".join(path.parts) for path in code | data} | {"pinnkit.problems"}
    assert set(setuptools["packages"]) == found
