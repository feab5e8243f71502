"""Settings: strict conversion, bounds, round trips."""

import json
import math
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pinnkit.conversion import LARGEST_SEED, nearest
from pinnkit.errors import BadInput
from pinnkit.settings import (
    OPTIMIZERS,
    STRATEGIES,
    TASKS,
    Adam,
    Auto,
    Frozen,
    LoRA,
    Near,
    Network,
    Pretrain,
    ProblemChoice,
    Sampling,
    Settings,
    Solve,
    Training,
    Transfer,
    _check_cuda,
    all_keys,
    check_device,
)

CHOICES = {"optimizer": OPTIMIZERS, "task": TASKS, "task.strategy": STRATEGIES}
PROBLEM = {"name": "heat_lshape", "conductivity": 2.0}


def settings(**mapping: Any) -> Settings:
    return Settings.from_mapping({"problem": PROBLEM, **mapping})


def adam(**parameters: Any) -> dict[str, Any]:
    return {"optimizer": {"name": "adam", **parameters}}


def transfer(**parameters: Any) -> dict[str, Any]:
    return {"task": {"name": "transfer", **parameters}}


def pretrain(**parameters: Any) -> dict[str, Any]:
    return {"task": {"name": "pretrain", **parameters}}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_to_mapping_and_back(name):
    made = settings(optimizer={"name": name}, network={"layers": [8, 9]}, seed=LARGEST_SEED, tolerance=1e-6)
    plain = json.loads(json.dumps(made.to_mapping()))
    assert Settings.from_mapping(plain) == made
    assert plain == made.to_mapping()
    assert plain["problem"] == {"name": "heat_lshape", "file": None, "conductivity": 2.0}
    assert plain["optimizer"]["name"] == name


@pytest.mark.parametrize("name", TASKS)
def test_tasks_to_mapping_and_back(name):
    made = settings(task=name)
    plain = json.loads(json.dumps(made.to_mapping()))
    assert made.task == TASKS[name]() and Settings.from_mapping(plain) == made
    assert plain == made.to_mapping() and plain["task"]["name"] == name


@pytest.mark.parametrize("strategy", [*(cls() for cls in STRATEGIES.values()), Frozen(3), LoRA(2), Near(0.5)])
def test_strategies_to_mapping_and_back(strategy):
    made = settings(task=Transfer("mine", strategy, missing=("left", "right"), data="a.csv", guard="off"))
    plain = json.loads(json.dumps(made.to_mapping()))
    assert Settings.from_mapping(plain) == made and Settings.from_mapping(plain).task.strategy == strategy
    assert plain["task"]["strategy"]["name"] == strategy.name


def test_variations_to_mapping_and_back():
    made = settings(task={"name": "pretrain", "variations": [{"width": 2.0}, {"shape": [1, 2]}]})
    assert made.task == Pretrain(variations=({"width": 2.0}, {"shape": [1, 2]}))
    assert Settings.from_mapping(json.loads(json.dumps(made.to_mapping()))) == made


@pytest.mark.parametrize("told", ["lora", {"name": "lora"}, LoRA()])
def test_a_strategy_is_a_name_a_mapping_or_a_record(told):
    assert settings(task={"name": "transfer", "strategy": told}).task == Transfer(strategy=LoRA())


def test_values_are_converted_to_their_types():
    made = settings(network={"layers": [8, 9]}, optimizer={"name": "adam", "half_life": 5})
    assert made.network.layers == (8, 9)
    assert made.optimizer == Adam(half_life=5.0)
    assert isinstance(made.optimizer.half_life, float)


def test_settings_cannot_change():
    with pytest.raises(FrozenInstanceError):
        settings().seed = 3


@pytest.mark.parametrize(
    ("mapping", "key", "words"),
    [
        ({"training": {"max_step": 3}}, "training.max_step", "did you mean training.max_steps"),
        ({"max_steps": 3}, "max_steps", "did you mean training.max_steps"),
        ({"trainig": {}}, "trainig", "did you mean training"),
        ({"xyz": 1}, "xyz", "choose from"),
        ({"training": 3}, "training", "a group of keys, not a number"),
        ({"training": [3]}, "training", "not a list"),
        ({"training": None}, "training", "not a blank"),
        ({"training": True}, "training", "not a truth value"),
        ({"training": {"max_steps": "abc"}}, "training.max_steps", "whole number is wanted, got 'abc'"),
        ({"training": {"max_steps": 1.5}}, "training.max_steps", "got 1.5"),
        ({"training": {"max_steps": 1e9}}, "training.max_steps", "like 1000000000"),
        ({"training": {"max_steps": True}}, "training.max_steps", "got True"),
        ({"training": {"max_steps": 0}}, "training.max_steps", ">= 1"),
        ({"training": {"max_steps": -5}}, "training.max_steps", ">= 1"),
        ({"training": {"max_steps": 99999999999999999999}}, "training.max_steps", "<= 1e+09"),
        ({"training": {"max_seconds": 0}}, "training.max_seconds", "> 0"),
        ({"training": {"tolerance": None}}, "training.tolerance", "a number is wanted"),
        (adam(learning_rate=math.nan), "optimizer.learning_rate", "finite and > 0"),
        (adam(learning_rate=math.inf), "optimizer.learning_rate", "finite and > 0"),
        (adam(learning_rate=10**400), "optimizer.learning_rate", "finite and > 0"),
        (adam(learning_rate=-1), "optimizer.learning_rate", "> 0"),
        (adam(learning_rate="1e-3"), "optimizer.learning_rate", "a number is wanted"),
        ({"optimizer": {"name": "sgd"}}, "optimizer.name", "choose from adam"),
        ({"optimizer": {"learning_rate": 1.0}}, "optimizer.learning_rate", "belongs to adam and adam_lbfgs"),
        ({"optimizer": {"name": ["adam"]}}, "optimizer.name", "unknown choice"),
        ({"network": {"layers": []}}, "network.layers", "at least one"),
        ({"network": {"layers": 64}}, "network.layers", "write network.layers=[64]"),
        ({"network": {"layers": [64, 0]}}, "network.layers[1]", ">= 1 and <= 8192"),
        ({"network": {"layers": [-3]}}, "network.layers[0]", ">= 1"),
        ({"network": {"layers": [10**7]}}, "network.layers[0]", "<= 8192"),
        ({"network": {"layers": [8192] * 9}}, "network.layers", "GiB"),
        ({"network": {"activation": "relu"}}, "network.activation", "choose from tanh"),
        ({"network": {"frequencies": 8}}, "network.frequencies", "fourier"),
        ({"network": {"name": "fourier"}}, "network.frequencies", "fourier"),
        ({"network": {"corners": 1}}, "network.corners", "true or false"),
        ({"sampling": {"interior": 0}}, "sampling.interior", ">= 1"),
        ({"sampling": {"boundary": -1}}, "sampling.boundary", ">= 1"),
        ({"sampling": {"interior": 10**12}}, "sampling.interior", "GiB"),
        ({"evaluation": {"points": 10**12}}, "evaluation.points", "<= 1e+08"),
        ({"seed": -1}, "seed", "<= 2^63-1"),
        ({"seed": 2**63}, "seed", "<= 2^63-1"),
        ({"seed": 1.5}, "seed", "whole number"),
        ({"device": "tpu"}, "device", "auto, cpu, cuda, cuda:N, mps"),
        ({"device": "CUDA"}, "device", "auto, cpu"),
        ({"dtype": "float16"}, "dtype", "float64, float32"),
        ({"dtype": "int32"}, "dtype", "float64, float32"),
        ({"task": "solv"}, "task", "did you mean solve"),
        ({"task": 3}, "task", "a group of keys, not a number"),
        ({"task": {"name": ["solve"]}}, "task.name", "unknown choice"),
        ({"task": {"heads": 3}}, "task.heads", "belongs to pretrain only; write task=pretrain too"),
        ({"task": {"name": "transfer", "heads": 3}}, "task.heads", "belongs to pretrain only"),
        ({"task": {"name": "pretrain", "strategy": "lora"}}, "task.strategy", "belongs to transfer only"),
        ({"task": {"name": "transfer", "sensor": 3}}, "task.sensor", "did you mean task.sensors"),
        (transfer(sensors=-1), "task.sensors", ">= 0"),
        (transfer(sensors=1.5), "task.sensors", "whole number"),
        (transfer(noise=math.nan), "task.noise", "finite and >= 0"),
        (transfer(noise=math.inf), "task.noise", "finite and >= 0"),
        (transfer(noise=-0.1), "task.noise", ">= 0"),
        (transfer(source=None), "task.source", "a text is wanted"),
        (transfer(source=""), "task.source", "a text is wanted"),
        (transfer(data=3), "task.data", "a text is wanted"),
        (transfer(missing="left"), "task.missing", "write task.missing=[left]"),
        (transfer(missing=[3]), "task.missing[0]", "a text is wanted"),
        (transfer(data_weight=0), "task.data_weight", "> 0"),
        (transfer(physics_weight=-1), "task.physics_weight", "> 0"),
        (transfer(physics_weight=None), "task.physics_weight", "a number is wanted"),
        (transfer(guard="maybe"), "task.guard", "choose from fallback, warn, off"),
        (transfer(guard=False), "task.guard", "choose from fallback, warn, off"),
        (transfer(strategy="lor"), "task.strategy", "did you mean lora"),
        (transfer(strategy=3), "task.strategy", "a group of keys, not a number"),
        (transfer(strategy={"name": "nosuch"}), "task.strategy.name", "choose from full, frozen, head, lora, l2"),
        (transfer(strategy={"rank": 4}), "task.strategy.rank", "belongs to lora only; write task/strategy=lora too"),
        (transfer(strategy={"name": "lora", "rank": 0}), "task.strategy.rank", ">= 1"),
        (transfer(strategy={"name": "frozen", "layers": 0}), "task.strategy.layers", ">= 1"),
        (transfer(strategy={"name": "l2", "strength": 0}), "task.strategy.strength", "> 0"),
        (pretrain(polynomials=0), "task.polynomials", ">= 1"),
        (pretrain(features=0), "task.features", ">= 1"),
        (pretrain(heads=0), "task.heads", ">= 1"),
        (pretrain(heads=10**5), "task.heads", "<= 10000"),
        (pretrain(frequency=0), "task.frequency", "> 0"),
        (pretrain(variations={"width": 2}), "task.variations", "a list is wanted"),
        ({"network": {"polynomials": 10, "reduced": 20}}, "network.reduced", "more combinations than polynomials"),
        ({"network": {"reduced": 20}}, "network.reduced", "20 combinations of 0 polynomials"),
        ({"network": {"in_time": 0}}, "network.in_time", ">= 1"),
        ({"tolerance": 0}, "tolerance", "> 0"),
        ({"resume": ""}, "resume", "text"),
        ({"overwrite": "yes"}, "overwrite", "true or false"),
        ({"reference": {"kind": "fdm"}}, "reference.kind", "choose from auto"),
        ({"problem": "heat_lshape"}, "problem", "a group of keys, not a text"),
        ({"problem": {"k": 1}}, "problem.name", "a text is wanted"),
    ],
)
def test_bad_values_are_refused_by_key_reason_and_remedy(mapping, key, words):
    with pytest.raises(BadInput) as refused:
        settings(**mapping)
    assert refused.value.key == key
    assert str(refused.value).startswith(f"{key}: ")
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_problem_is_required():
    with pytest.raises(BadInput, match="problem: it is required"):
        Settings.from_mapping({})


@pytest.mark.parametrize(
    "make",
    [
        lambda: Network(layers=()),
        lambda: Sampling(interior=0),
        lambda: Adam(learning_rate=-1.0),
        lambda: Training(max_steps=0),
        lambda: ProblemChoice(""),
        lambda: Settings(ProblemChoice("a"), seed=-1),
    ],
)
def test_records_made_in_python_are_checked_too(make):
    with pytest.raises(BadInput):
        make()


_leaf = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
_value = st.recursive(_leaf, lambda inner: st.lists(inner, max_size=3), max_leaves=4)


def nested(key: str, value: Any) -> dict[str, Any]:
    """A mapping that holds one key, and beside it the names of the choices it belongs to."""
    *groups, last = key.split(".")
    inner = {last: value}
    for depth in range(len(groups), 0, -1):
        choices = CHOICES.get(".".join(groups[:depth]), {})
        owner = next((name for name, cls in choices.items() if key in cls.options()), None)
        owner = "transfer" if key.startswith("task.strategy.") and depth == 1 else owner
        inner = {groups[depth - 1]: {"name": owner, **inner} if owner else inner}
    return inner


@given(st.sampled_from(all_keys()), _value)
def test_any_value_of_any_key_is_taken_or_refused_by_name(key, value):
    try:
        made = settings(**nested(key, value))
    except BadInput as refused:
        assert refused.key.startswith(key)
    else:
        assert Settings.from_mapping(made.to_mapping()) == made


def test_nearest_prefers_what_comes_first():
    assert nearest("tolerence", ["training.tolerance", "reference.tolerance"]) == "training.tolerance"
    assert nearest("xyz", ["training.tolerance"]) is None


def test_the_default_optimizer_is_chosen_automatically():
    assert settings().optimizer == Auto()


def test_the_default_task_is_to_solve():
    assert settings().task == Solve()


# --- devices ------------------------------------------------------------------------------------------------


def test_devices_that_do_not_exist_are_refused():
    with pytest.raises(BadInput, match=r"CPUs only.*device=cpu"):
        _check_cuda("cuda", built=False, devices=0)
    with pytest.raises(BadInput, match=r"no driver.*device=cpu"):
        _check_cuda("cuda", built=True, devices=0)
    with pytest.raises(BadInput, match="cuda:7 does not exist, GPUs here: 1; choose up to cuda:0"):
        _check_cuda("cuda:7", built=True, devices=1)
    with pytest.raises(BadInput, match="mps has no float64"):
        check_device("mps", "float64")


def test_devices_that_exist_are_used():
    _check_cuda("cuda", built=True, devices=1)
    _check_cuda("cuda:1", built=True, devices=2)
    assert check_device("cpu", "float64") == "cpu"
    assert check_device("auto", "float64") in ("cpu", "cuda")


def test_pretraining_needs_enough_polynomials_and_mappings_of_parameters():
    with pytest.raises(BadInput, match=r"task\.features: 100 combinations of 20 polynomials"):
        settings(task={"name": "pretrain", "polynomials": 20})
    with pytest.raises(BadInput, match=r"task\.variations: it is a group of keys, not a number"):
        settings(task={"name": "pretrain", "variations": [1]})
