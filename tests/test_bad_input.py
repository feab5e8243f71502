"""Bad input on the command line: exit code 2, one line that names the key and a remedy, and no folder."""

from pathlib import Path

import pytest

GOOD, ADAM = "problem=heat_rectangle", "optimizer=adam"
TRANSFER, PRETRAIN, COMMITTEE = "task=transfer", "task=pretrain", "task=committee"

def assert_refused(done, *words: str, code: int = 2) -> None:
    """One line `error: key: what; remedy` with these words, and nothing left behind."""
    assert done.code == code, done.err
    assert ": " in done.error and "; " in done.error
    assert "Traceback" not in done.err
    for word in words:
        assert word in done.error
    assert done.out == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["problem=nosuch"], ["problem: ", "unknown problem 'nosuch'", "choose from ", "gaussian_peak, heat_lshape"]),
        (["problem=heat_lshap"], ["did you mean heat_lshape"]),
        (["problem="], ["problem: ", "choose from"]),
        (["problem=3"], ["problem: ", "choose from"]),
        ([], ["problem: it is required; choose from ", "gaussian_peak, heat_lshape"]),
        (["seed=1"], ["problem: it is required"]),
        ([GOOD, "training.max_step=3"], ["training.max_step: ", "did you mean training.max_steps"]),
        ([GOOD, "trainig.max_steps=3"], ["did you mean training"]),
        ([GOOD, "training.max_steps=abc"], ["training.max_steps: ", "whole number", "'abc'"]),
        ([GOOD, "training.max_steps=1.5"], ["whole number", "1.5"]),
        ([GOOD, "training.max_steps=1e9"], ["whole number", "1000000000"]),
        ([GOOD, "training.max_steps=0"], [">= 1"]),
        ([GOOD, "training.max_steps=-5"], [">= 1"]),
        ([GOOD, "training.max_steps=99999999999999999999"], ["1e+09"]),
        ([GOOD, ADAM, "optimizer.learning_rate=nan"], ["optimizer.learning_rate: ", "finite and > 0"]),
        ([GOOD, ADAM, "optimizer.learning_rate=inf"], ["finite and > 0"]),
        ([GOOD, ADAM, "optimizer.learning_rate=1e400"], ["finite and > 0"]),
        ([GOOD, ADAM, "optimizer.learning_rate=-1"], ["> 0"]),
        ([GOOD, ADAM, "optimizer.learning_rate=0"], ["> 0"]),
        ([GOOD, ADAM, "optimizer.learning_rate="], ["a number is wanted, got ''"]),
        ([GOOD, ADAM, "optimizer.learning_rate=[1"], ["cannot be read", "quote"]),
        ([GOOD, ADAM, "optimizer.learning_rate='\"1e-3'"], ["a number is wanted"]),
        ([GOOD, "optimizer.learning_rate=1e-3"], ["belongs to adam and adam_lbfgs", "optimizer=adam"]),
        ([GOOD, "++training.new=1"], ["training.new: there is no such key"]),
        ([GOOD, "+training.new=1"], ["training.new: there is no such key"]),
        ([GOOD, "+seed=1"], ["seed: ", "leave the + out"]),
        ([GOOD, "training=3"], ["training: it is a group of keys, not a number"]),
        ([GOOD, "optimizer=3"], ["optimizer: ", "choose from adam"]),
        ([GOOD, "optimizer=sgd"], ["optimizer: unknown optimizer 'sgd'; choose from adam"]),
        ([GOOD, "network={a: 1}"], ["network.a: there is no such key"]),
        ([GOOD, "seed"], ["seed: it has no value; write seed=VALUE"]),
        ([GOOD, "=3"], ["command line: "]),
        ([GOOD, "~nosuch"], ["nosuch: "]),
        ([GOOD, "seed=0,1"], ["seed: ", "write -m"]),
        ([GOOD, "seed=range(3)"], ["seed: ", "write -m"]),
        ([GOOD, "--cfg", "job", "-m"], ["command line: "]),
        ([GOOD, "-m", "optimizer.damping=interval(1,2)"], ["command line: "]),
        ([GOOD, "device=tpu"], ["device: ", "auto, cpu, cuda, cuda:N, mps"]),
        ([GOOD, "device=CUDA"], ["auto, cpu"]),
        ([GOOD, "device=cuda:99"], ["device: cuda:99 ", "; "]),
        ([GOOD, "device=mps"], ["device: mps "]),
        ([GOOD, "dtype=float16"], ["dtype: ", "float64, float32"]),
        ([GOOD, "seed=${a}"], ["seed: ", "'a' not found"]),
        ([GOOD, "seed=${seed}"], ["seed: ", "Recursive"]),
        ([GOOD, "seed=???"], ["seed: "]),
        ([GOOD, "seed=${oc.env:NO_SUCH_VARIABLE}"], ["seed: ", "NO_SUCH_VARIABLE"]),
        ([GOOD, "hydra.run.dir=${nosuch}"], ["hydra.run.dir: "]),
        ([GOOD, "hydra.nosuch=1"], ["hydra.nosuch: "]),
        ([GOOD, "--config-name", "nosuch"], ["--config-name: unknown configuration 'nosuch'"]),
        ([GOOD, "--config-dir", "nosuch"], ["--config-dir: "]),
        ([GOOD, "sampling.interior=0"], ["sampling.interior: ", ">= 1"]),
        ([GOOD, "sampling.interior=1000000000000"], ["sampling.interior: ", "GiB"]),
        ([GOOD, "network.layers=[]"], ["network.layers: "]),
        ([GOOD, "network.layers=[10000000]"], ["network.layers[0]: ", "8192"]),
        ([GOOD, "seed=-1"], ["seed: ", "2^63-1"]),
        ([GOOD, "seed=1.5"], ["seed: "]),
        ([GOOD, "seed=36893488147419103232"], ["seed: ", "2^63-1"]),
        ([GOOD, "problem.conductivity=abc"], ["problem.conductivity: a number is wanted, got 'abc'"]),
        ([GOOD, "problem.conductivity=nan"], ["problem.conductivity: "]),
        ([GOOD, "problem.nosuch=1"], ["problem.nosuch: there is no such key; choose from", "problem.width"]),
        ([GOOD, "+problem.nosuch=1"], ["problem.nosuch: there is no such key"]),
        ([GOOD, "problem.width=-1"], ["; "]),
        ([GOOD, "problem.width=0"], ["; "]),
        ([GOOD, "task=nosuch"], ["task: unknown task 'nosuch'; choose from", "transfer"]),
        ([GOOD, "task=3"], ["task: ", "choose from"]),
        ([GOOD, "task.sensors=3"], ["task.sensors: it belongs to transfer only; write task=transfer too"]),
        ([GOOD, "task.heads=3"], ["task.heads: it belongs to pretrain only; write task=pretrain too"]),
        ([GOOD, TRANSFER, "task.heads=3"], ["task.heads: it belongs to pretrain only; write task=pretrain too"]),
        ([GOOD, PRETRAIN, "task.sensors=3"], ["task.sensors: it belongs to transfer only"]),
        ([GOOD, PRETRAIN, "task.strategy.rank=3"], ["task.strategy: it belongs to transfer only"]),
        ([GOOD, "task="], ["task: a name is wanted; choose from committee, ", "pretrain, solve, transfer"]),
        ([GOOD, TRANSFER, "task.sensor=3"], ["task.sensor: ", "did you mean task.sensors"]),
        ([GOOD, TRANSFER, "task.sensors=-1"], ["task.sensors: it must be >= 0"]),
        ([GOOD, TRANSFER, "task.sensors=1.5"], ["task.sensors: a whole number is wanted"]),
        ([GOOD, TRANSFER, "task.noise=nan"], ["task.noise: it must be finite and >= 0, got nan"]),
        ([GOOD, TRANSFER, "task.noise=-1"], ["task.noise: ", ">= 0"]),
        ([GOOD, TRANSFER, "task.source="], ["task.source: a text is wanted"]),
        ([GOOD, TRANSFER, "task.missing=[nosuch]"], ["task.missing: there is no condition 'nosuch'", "insulated"]),
        ([GOOD, TRANSFER, "task.missing=[ho]"], ["task.missing: ", "did you mean hot"]),
        ([GOOD, TRANSFER, "task.missing=[heat]"], ["task.missing: 'heat' is an equation"]),
        ([GOOD, TRANSFER, "task.missing=hot"], ["task.missing: a list is wanted", "write task.missing=[hot]"]),
        ([GOOD, TRANSFER, "task/strategy=nosuch"], ["task/strategy: unknown task/strategy 'nosuch'", "lora"]),
        ([GOOD, TRANSFER, "task.strategy=nosuch"], ["task.strategy: ", "choose from full, frozen, head, lora, l2"]),
        ([GOOD, "task/strategy=lora"], ["task/strategy"]),
        ([GOOD, TRANSFER, "task.strategy.rank=4"], ["task.strategy.rank: it belongs to lora only; ", "=lora too"]),
        ([GOOD, TRANSFER, "task/strategy=lora", "task.strategy.rank=0"], ["task.strategy.rank: ", ">= 1"]),
        ([GOOD, TRANSFER, "task/strategy=frozen", "task.strategy.layers=0"], ["task.strategy.layers: ", ">= 1"]),
        ([GOOD, TRANSFER, "task/strategy=l2", "task.strategy.strength=-1"], ["task.strategy.strength: ", "> 0"]),
        ([GOOD, TRANSFER, "task.guard=maybe"], ["task.guard: ", "choose from fallback, warn, off"]),
        ([GOOD, TRANSFER, "task.data_weight=0"], ["task.data_weight: ", "> 0"]),
        ([GOOD, PRETRAIN, "task.heads=0"], ["task.heads: ", ">= 1"]),
        ([GOOD, PRETRAIN, "task.frequency=-1"], ["task.frequency: ", "> 0"]),
        ([GOOD, PRETRAIN, "task.variations=3"], ["task.variations: a list is wanted"]),
        ([GOOD, PRETRAIN, "task.polynomials=40", "task.features=50"], ["task.features: 50 combinations of 40"]),
        ([GOOD, PRETRAIN, "task.variations=[3]"], ["task.variations: ", "not a number"]),
        ([GOOD, PRETRAIN, "task.variations=[{widht: 2}]"], ["problem.widht: ", "did you mean problem.width"]),
        (["problem=membrane_lshape", TRANSFER], ["task: eigenvalue problems are not transferred to"]),
        ([GOOD, TRANSFER, "task.source=nosuch"], ["task.source: 'nosuch' is no file", "choose from heat, heat_family"]),
        ([GOOD, TRANSFER, "task.source=haet"], ["task.source: ", "did you mean heat"]),
        ([GOOD, TRANSFER, "task.data=missing.csv"], ["task.data: missing.csv: it cannot be read"]),
        ([GOOD, TRANSFER, "task/strategy=frozen", "task.strategy.layers=9"], ["task.strategy.layers: 9 of "]),
        ([GOOD, TRANSFER, "task.source=./nosuch.pt"], ["task.source: './nosuch.pt' is no file", "choose from heat"]),
        ([GOOD, TRANSFER, "task.missing=[hot,hot]"], ["task.missing: 'hot' is named 2 times; name it once"]),
        ([GOOD, COMMITTEE, "task.members=1"], ["task.members: it must be >= 2"]),
        ([GOOD, COMMITTEE, "task.members=2.5"], ["task.members: a whole number is wanted"]),
        ([GOOD, COMMITTEE, "task.workers=0"], ["task.workers: it must be >= 1"]),
        ([GOOD, COMMITTEE, "task.level=1.5"], ["task.level: ", "<= 1, got 1.5"]),
        ([GOOD, COMMITTEE, "task.level=1"], ["task.level: it is 1; it must be between 0 and 1"]),
        ([GOOD, COMMITTEE, "task.level=nan"], ["task.level: ", "<= 1, got nan"]),
        ([GOOD, COMMITTEE, "task.held_out=0"], ["task.held_out: it must be >= 1"]),
        ([GOOD, COMMITTEE, "task.acquire=-1"], ["task.acquire: it must be >= 0"]),
        ([GOOD, COMMITTEE, "task.bootstrap=maybe"], ["task.bootstrap: ", "'maybe'"]),
        ([GOOD, COMMITTEE, "task.calibration=nosuch"], ["task.calibration: ", "reference, data, instances, none"]),
        ([GOOD, COMMITTEE, "task.calibration=data"], ["task.calibration: the problem has no measured data; "]),
        ([GOOD, COMMITTEE, "task.member=3"], ["task.member: ", "did you mean task.members"]),
        ([GOOD, COMMITTEE, "task.heads=3"], ["task.heads: it belongs to pretrain only"]),
        ([GOOD, "task.members=3"], ["task.members: it belongs to committee only; write task=committee too"]),
        (["problem=membrane_lshape", COMMITTEE, "task.calibration=data"], ["task.calibration: the problem has no"]),
        (["problem=hidden_edge", COMMITTEE, "task.calibration=data", "task.bootstrap=false"],
         ["task.calibration: without task.bootstrap", "write task.bootstrap=true"]),
        (["problem=poisson_nd", TRANSFER], ["task.source: its features are functions of x, y", "choose another"]),
    ],
)
def test_refused_in_one_line_and_without_a_folder(pinn, tmp_path, arguments, words):
    assert_refused(pinn(*arguments), *words)
    assert not list(tmp_path.iterdir())


def test_unknown_flags_are_refused(pinn, tmp_path):
    done = pinn("--nosuch", GOOD)
    assert done.code == 2
    assert "--nosuch" in done.err and "Traceback" not in done.err
    assert not list(tmp_path.iterdir())


# --- YAML files ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"name: mlp\nlayers:\n\t- 3\n", ["mine.yaml:3:1", "'\\t'"]),
        (b"name: mlp\nlayers: [3\n", ["mine.yaml:3:1"]),
        (b"name: mlp\nname: mlp\n", ["mine.yaml:2:1", "duplicate key name"]),
        (b"name: !!python/object:os.system x\n", ["mine.yaml:1:7", "tag"]),
        (b"", ["network: ", "is no mapping"]),
        (b"- name\n", ["network: ", "not a list"]),
        (b"3\n", ["int"]),
        (b"name: mlp\nlayers: [caf\xe9]\n", ["mine.yaml is not a UTF-8 text file"]),
        (b"name: mlp\0\n", ["mine.yaml", "special characters"]),
        (bytes(range(128, 256)), ["mine.yaml is not a UTF-8 text file"]),
        (b"name: mlp\nlayers: ???\n", ["network.layers: "]),
        (b"name: mlp\nlayer: [3]\n", ["network.layer: ", "did you mean network.layers"]),
    ],
)
def test_faulty_yaml_is_refused(pinn, tmp_path, content, words):
    (tmp_path / "conf" / "network").mkdir(parents=True)
    (tmp_path / "conf" / "network" / "mine.yaml").write_bytes(content)
    assert_refused(pinn("--config-dir", "conf", GOOD, "network=mine"), *words)
    assert [path.name for path in tmp_path.iterdir()] == ["conf"]


# --- problem files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("def problem(:\n    pass\n", ["mine.py:1: invalid syntax"]),
        ("x = 1\ny = 1 / 0\n", ["mine.py:2: ZeroDivisionError: division by zero"]),
        ("import sys\nsys.exit(3)\n", ["mine.py:2: SystemExit"]),
        ("x = 1\n", ["mine.py has no function problem()"]),
        ("problem = 3\n", ["mine.py has no function problem()"]),
        ("def problem(k):\n    return k\n", ["mine.py: parameter 'k' has no default value"]),
        ("def problem(k=1.0):\n    return k\n", ["mine.py: problem() returned a float"]),
        ("def problem(k: float = 1.0):\n    x = k\n    return x.y\n", ["mine.py:3: AttributeError"]),
        ("def problem(k: Nosuch = 1.0):\n    return k\n", ["mine.py:1: NameError"]),
        ("def problem(k=object()):\n    return k\n", ["mine.py: parameter 'k' has a default"]),
        ("def problem(k=[object()]):\n    return k\n", ["mine.py: parameter 'k' has a default"]),
        ("x = '\0'\n", ["mine.py"]),
    ],
)
def test_faulty_problem_files_are_refused(pinn, tmp_path: Path, content, words):
    (tmp_path / "mine.py").write_text(content)
    assert_refused(pinn("problem=mine.py"), "problem", *words)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]


def test_a_missing_problem_file_is_refused(pinn, tmp_path):
    assert_refused(pinn("problem=./nosuch.py"), "problem: there is no file", "nosuch.py")


def test_two_problem_files_of_one_name_are_refused(pinn, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text("def problem():\n    return 1\n")
    assert_refused(pinn("-m", "problem=a/mine.py,b/mine.py"), "same name", "rename")


# --- the domain -------------------------------------------------------------------------------------------------------


def polygon(text: str) -> list[str]:
    return ["problem=heat_polygon", f"problem.polygon='{text}'"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("POLYGON ((0 0, 2 2, 2 0, 0 2, 0 0))", ["cross", "(1, 1)"]),
        ("POLYGON ((0 0, 1 1, 0 0))", ["at least 3"]),
        ("POLYGON EMPTY", ["empty"]),
        ("POLYGON ((0 0, 1 1, 2 2, 0 0))", ["area"]),
        ("POLYGON ((0 0, 1 0, nan 1, 0 0))", ["nan"]),
        ("POLYGON ((0 0, 1e300 0, 1e300 1e300, 0 0))", ["rescale"]),
        ("POLYGON ((0 0, 1e-200 0, 1e-200 1e-200, 0 0))", ["; "]),
        ("POLYGON ((0 0, 4 0, 4 4, 0 4, 0 0), (5 5, 6 5, 6 6, 5 6, 5 5))", ["hole 0"]),
        ("POLYGON ((0 0, 4 0, 4 4, 0 4, 0 0), (1 1, 3 1, 3 3, 1 3, 1 1), (2 2, 3.5 2, 3.5 3.5, 2 2))", ["hole"]),
        ("POLYGON ((0 0, 4 0, 4 4, 0 4, 0 0), (0 1, 1 1, 1 2, 0 2, 0 1))", ["hole 0"]),
        ("MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)), ((5 5, 6 5, 6 6, 5 5)))", ["2 parts", "one connected domain"]),
        ("LINESTRING (0 0, 1 0, 1 1)", ["LineString"]),
        ("POLYGON (0 0, 1 0", ["well-known text"]),
        ("nosuch.geojson", ["nosuch.geojson"]),
        ("POLYGON ((0 0, 1 0, 1 1, 0 1, 0 0))", ["no boundary piece 'channel'", "pieces are"]),
    ],
)
def test_faulty_polygons_are_refused(pinn, tmp_path, text, words):
    assert_refused(pinn(*polygon(text)), *words)
    assert not list(tmp_path.iterdir())


def feature(coordinates: str) -> str:
    return '{"type": "Polygon", "coordinates": ' + coordinates + "}"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (feature("[[[0, 0, 5], [1, 0, 5], [1, 1, 5], [0, 0, 5]]]"), ["two numbers"]),
        (feature("[[[0, 0], [1], [1, 1], [0, 0]]]"), ["two numbers"]),
        (feature('[[["a", "b"], [1, 0], [1, 1], [0, 0]]]'), ["two numbers"]),
        (feature("[[[0, 0], [NaN, 0], [1, 1], [0, 0]]]"), ["nan"]),
        (feature("3"), ["coordinates"]),
        ('{"type": "Point", "coordinates": [0, 0]}', ["'Point'"]),
        ("[1, 2]", ["no JSON object"]),
        ("{", ["not JSON"]),
        ("", ["not JSON"]),
    ],
)
def test_faulty_geojson_is_refused(pinn, tmp_path, content, words):
    (tmp_path / "mine.geojson").write_text(content)
    assert_refused(pinn("problem=heat_polygon", "problem.polygon=mine.geojson"), *words)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.geojson"]


# --- conditions -------------------------------------------------------------------------------------------------------

OWN = """from torch import log
from pinnkit import *


def poisson(u, x, y):
    return -laplacian(u, x, y) - 1


def heat(u, x, y, t):
    return derivative(u, t) - laplacian(u, x, y)


def problem():
    return Problem({domain}, {conditions}{more})
"""
SQUARE, EQUATION, WALL = "Rectangle((0, 0), (1, 1))", "'poisson': pde(poisson)", "'wall': dirichlet('boundary')"


@pytest.mark.parametrize(
    ("domain", "conditions", "words"),
    [
        ("Interval(1, 0)", f"{EQUATION}, {WALL}", ["lower < upper"]),
        ("Interval(0, 0)", f"{EQUATION}, {WALL}", ["lower < upper"]),
        (f"{SQUARE} * (1, 0)", f"{EQUATION}, {WALL}", ["time from 1 to 0", "lower < upper"]),
        ("Rectangle((0, 0), (0, 1))", f"{EQUATION}, {WALL}", ["rectangle in x"]),
        (SQUARE, f"{EQUATION}, 'wall': dirichlet('botom')", ["'wall'", "did you mean 'bottom'", "pieces are"]),
        (SQUARE, f"{EQUATION}, 'wall': dirichlet(('left', 'right', 'top'))", ["'bottom' has none", "insulates"]),
        (SQUARE, f"{EQUATION}, {WALL}, 'more': dirichlet('left', 1.0)", ["'wall' and 'more'", "'left'"]),
        (SQUARE, f"{EQUATION}, 'wall': neumann('boundary', 0.25)", ["unique up to a constant", "prescribe the value"]),
        (f"{SQUARE} * (0, 1)", f"'heat': pde(heat), {WALL}", ["initial state", "add initial(value)"]),
        (SQUARE, f"{WALL}", ["no equation", "add pde"]),
        (SQUARE, f"{EQUATION}, {WALL}, 'sensors': measured([[2, 2]], [1])", ["'sensors'", "outside"]),
        (SQUARE, f"'p': pde(lambda u, x, y: -div((x - 0.5) * grad(u, x, y), x, y)), {WALL}", ["'p'", "positive"]),
        (SQUARE, f"'p': pde(lambda u, x, y: -laplacian(u, x, y) - log(x - 2)), {WALL}", ["'p'", "not finite at x = "]),
        (SQUARE, f"'p': pde(lambda u, x, z: -laplacian(u, x, z)), {WALL}", ["'p'", "'z'", "x, y"]),
        (SQUARE, f"'p': pde(lambda u, x, y: u[:, None] - x), {WALL}", ["'p'", "shape"]),
        (SQUARE, f"'p': pde(lambda u, x, y: 3), {WALL}", ["'p'"]),
        (SQUARE, f"{EQUATION}, 'wall': dirichlet('boundary', float('nan'))", ["'wall'", "not finite"]),
        (SQUARE, f"{EQUATION}, 'wall': dirichlet('boundary', field='T')", ["there is no 'T'", "names to use are"]),
        (SQUARE, f"'poisson': pde(poisson, weight=-1), {WALL}", ["weight: ", "finite and > 0"]),
        (SQUARE, f"'poisson': pde(poisson, weight=float('nan')), {WALL}", ["weight: ", "finite and > 0"]),
        (SQUARE, "'poisson': pde(poisson, weight=0), 'wall': dirichlet('boundary', weight=0)", ["weight: "]),
    ],
)
def test_problems_that_cannot_be_solved_are_refused(pinn, tmp_path, domain, conditions, words):
    (tmp_path / "mine.py").write_text(OWN.format(domain=domain, conditions="{" + conditions + "}", more=""))
    assert_refused(pinn("problem=mine.py"), *words)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.py"]


@pytest.mark.parametrize("value", ["0", "-1"])
def test_a_conductivity_that_is_not_positive_is_refused(pinn, tmp_path, value):
    assert_refused(pinn(GOOD, f"problem.conductivity={value}"), "conductivity is", "> 0")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("method", ["lbfgs", "adam_lbfgs"])
def test_line_searches_need_points_that_stay(pinn, tmp_path, method):
    done = pinn(GOOD, f"optimizer={method}", "sampling.resample=10")
    assert_refused(done, "sampling.resample: quasi-Newton methods need points that stay")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x,y,value\n0.5,0.5\n", ["data.csv:2", "value"]),
        ("x,y,value\n0.5,0.5,nan\n", ["data.csv:2", "value", "'nan'"]),
        ("x,y\n0.5,0.5\n", ["'value'", "columns are"]),
        ("x,y,value\n", ["no rows"]),
        ("x,y,value\n5,5,1\n", ["outside"]),
    ],
)
def test_faulty_measurements_are_refused(pinn, tmp_path, text, words):
    (tmp_path / "data.csv").write_text(text)
    assert_refused(pinn("problem=inverse_heat", "problem.data=data.csv"), *words)
    assert [path.name for path in tmp_path.iterdir()] == ["data.csv"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x,y,u\n0.5,0.5\n", ["data.csv:2", "u is None"]),
        ("x,y,u,sigma\n0.5,0.5,1,nan\n", ["task.data: data.csv:2", "sigma is 'nan'"]),
        ("x,y,u,sigma\n0.5,0.5,1,1\n0.5,0.6,1,0\n", ["task.data: ", "measurement 2", "sigma that is not > 0"]),
        ("x,y\n0.5,0.5\n", ["task.data: ", "columns 'u'"]),
        ("x,y,u\n0.5,0.5,1\n5,5,1\n", ["task.data: ", "measurement 2", "outside"]),
    ],
)
def test_faulty_data_for_a_transfer_are_refused(pinn, tmp_path, text, words):
    (tmp_path / "data.csv").write_text(text)
    assert_refused(pinn(GOOD, TRANSFER, "task.data=data.csv"), *words)
    assert [path.name for path in tmp_path.iterdir()] == ["data.csv"]


# --- folders ------------------------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_made_is_an_output_failure(pinn):
    assert_refused(pinn(GOOD, "hydra.run.dir=/dev/null/x"), "/dev/null/x", "hydra.run.dir", code=6)


def test_a_file_in_the_place_of_the_folder_is_an_output_failure(pinn, tmp_path):
    (tmp_path / "taken").write_text("mine")
    assert_refused(pinn(GOOD, "hydra.run.dir=taken"), "taken", code=6)
    assert (tmp_path / "taken").read_text() == "mine"
