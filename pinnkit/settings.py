"""Settings: what a run may be told, with types, defaults and bounds.

Every group of keys is a frozen record whose annotations say what is allowed; making one with anything else
raises `BadInput` with the key as it is written on the command line. None of this needs torch.
"""

import math
import re
from abc import ABC
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from itertools import pairwise
from types import NoneType
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, cast, get_type_hints

from pinnkit.conversion import LARGEST_SEED, Between, convert, nearest
from pinnkit.errors import BadInput

WHOLE = ("task.instances",)  # mappings with keys of the user's own
MOST_POINTS = 10**8
MOST_WEIGHTS = 10**8

Positive = Annotated[float, Between(0, above=True)]
Count = Annotated[int, Between(1, 1e9)]
Whole = Annotated[int, Between(0, 1e9)]
Width = Annotated[int, Between(1, 8192)]


@dataclass(frozen=True)
class Group(ABC):
    """A record of settings, checked against its annotations when made; the command line calls it `key`."""

    key: ClassVar[str]

    def __post_init__(self) -> None:
        for name, kind in _hints(type(self)).items():
            object.__setattr__(self, name, convert(kind, getattr(self, name), f"{self.key}.{name}"))

    @classmethod
    def options(cls) -> list[str]:
        """The keys of the group as the command line writes them."""
        return [f"{cls.key}.{name}" for name in _hints(cls)]

    @classmethod
    def from_mapping(cls, mapping: Any) -> Self:
        """The group from a plain mapping; keys left out keep their defaults. Raises BadInput."""
        values = _mapping(mapping, cls.key, cls.options())
        for name in values:
            if f"{cls.key}.{name}" not in cls.options():
                raise unknown_key(f"{cls.key}.{name}", cls.options())
        return cls(**values)


def _hints(cls: type) -> dict[str, Any]:
    hints = get_type_hints(cls, include_extras=True)
    return {f.name: hints[f.name] for f in fields(cls)}


_KINDS = {bool: "truth value", int: "number", float: "number", str: "text", NoneType: "blank"}


def _mapping(value: Any, key: str, known: Iterable[str]) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        kind = _KINDS.get(type(value), "list")
        raise BadInput(key, f"it is a group of keys, not a {kind}", f"set one of {', '.join(known)}")
    return dict(value)


@dataclass(frozen=True)
class Network(Group):
    """The feature map: layers, with Chebyshev polynomials beside them, and a linear head.

    The `head` starts solved for, or drawn at random; where data decide what conditions leave open, it can be a sample
    of its posterior.

    `slope` scales the first layer (None: automatic). `polynomials` is how many there are; None: as many as resolve the
    solution where the head alone is solved for, none where everything is trained. Likewise `peaks` are places where
    local functions stand: centre, then widths, in coordinates scaled to [−1, 1]. `draw` counts draws of the layers
    from one seed; None: the first, and others where training gets stuck. `reduced` is how many combinations of the
    polynomials are used in their place, as pretraining finds them. With `in_time` the features are those of space,
    times as many polynomials in time.
    """

    key: ClassVar[str] = "network"
    name: Literal["mlp", "fourier"] = "mlp"
    layers: tuple[Width, ...] = (100,)
    polynomials: Annotated[int, Between(0, 8192)] | None = None
    reduced: Width | None = None
    in_time: Width | None = None
    peaks: tuple[tuple[float, ...], ...] | None = None
    draw: Whole | None = None
    activation: Literal["tanh", "sin", "gelu", "silu", "softplus"] = "sin"
    slope: Positive | None = None
    frequencies: Width | None = None  # Fourier features, only of the network "fourier"
    corners: bool = True  # add the singular functions of the domain's corners
    boundary: Literal["soft", "hard"] = "soft"  # Dirichlet data in the residual, or exactly in the trial function
    head: Literal["solved", "random", "sampled"] = "solved"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.layers:
            raise BadInput("network.layers", "at least one layer is needed", "write it like [256] or [64,64]")
        weights = sum(a * b for a, b in pairwise(self.layers))
        if weights > MOST_WEIGHTS:
            what = f"{weights:.1e} weights need about {weights * 8 / 2**30:.0f} GiB for one copy"
            raise BadInput("network.layers", what, f"choose smaller layers, at most {MOST_WEIGHTS:g} weights")
        if self.reduced is not None and not (self.polynomials and self.reduced <= self.polynomials):
            what = f"{self.reduced} combinations of {self.polynomials or 0} polynomials"
            raise BadInput("network.reduced", what, "there cannot be more combinations than polynomials")
        if (self.name == "fourier") != (self.frequencies is not None):
            what = "it is needed by the network 'fourier', and by no other"
            raise BadInput("network.frequencies", what, "write network=fourier, or leave it out")


@dataclass(frozen=True)
class Sampling(Group):
    """Training points: how many (None: automatic), how laid out, drawn anew every `resample` steps."""

    key: ClassVar[str] = "sampling"
    method: Literal["sobol", "halton", "latin_hypercube", "uniform", "grid"] = "sobol"
    interior: Annotated[int, Between(1)] | None = None
    boundary: Annotated[int, Between(1)] | None = None
    corner: Annotated[int, Between(0)] | None = None
    resample: Whole = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("interior", "boundary", "corner"):
            points = getattr(self, name) or 0
            if points > MOST_POINTS:
                need = points * 256 * 8 / 2**30  # GiB of float64
                what = f"{points} points with 256 features need about {need:.0f} GiB"
                raise BadInput(f"sampling.{name}", what, f"choose at most {MOST_POINTS:g}")


@dataclass(frozen=True)
class Optimizer(Group):
    """The parameters of one optimizer; `name` is what the command line calls it."""

    key: ClassVar[str] = "optimizer"
    name: ClassVar[str]


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam; the learning rate halves every `half_life` steps."""

    name: ClassVar[str] = "adam"
    learning_rate: Positive = 3e-3
    half_life: Positive = 2000.0


@dataclass(frozen=True)
class LBFGS(Optimizer):
    """L-BFGS that remembers `history` pairs."""

    name: ClassVar[str] = "lbfgs"
    history: Annotated[int, Between(1, 1000)] = 50


@dataclass(frozen=True)
class AdamLBFGS(Optimizer):
    """`adam_steps` steps of Adam, then L-BFGS."""

    name: ClassVar[str] = "adam_lbfgs"
    learning_rate: Positive = 3e-3
    half_life: Positive = 2000.0
    adam_steps: Count = 1000
    history: Annotated[int, Between(1, 1000)] = 50


@dataclass(frozen=True)
class GaussNewton(Optimizer):
    """Levenberg–Marquardt that starts from `damping`, with geodesic acceleration.

    With `projection`, its steps are in the features alone, and the head is solved for at each of them.
    """

    name: ClassVar[str] = "gauss_newton"
    damping: Positive = 1e-3
    acceleration: bool = True
    projection: bool = True


@dataclass(frozen=True)
class Auto(Optimizer):
    """Least squares for the head with features that grow; if that stalls, Gauss–Newton for everything."""

    name: ClassVar[str] = "auto"


@dataclass(frozen=True)
class LeastSquares(Optimizer):
    """The linear head by linear least squares, by Newton steps where the residual is not affine in it."""

    name: ClassVar[str] = "least_squares"


@dataclass(frozen=True)
class SSBroyden(Optimizer):
    """Quasi-Newton with a dense inverse Hessian: self-scaled Broyden, or one of its simpler relatives."""

    name: ClassVar[str] = "ssbroyden"
    update: Literal["ssbroyden", "ssbfgs", "bfgs"] = "ssbroyden"


@dataclass(frozen=True)
class SOAP(Optimizer):
    """Adam in the eigenbasis of Shampoo's preconditioner, which is renewed every `refresh` steps."""

    name: ClassVar[str] = "soap"
    learning_rate: Positive = 3e-3
    half_life: Positive = 2000.0
    refresh: Count = 2


@dataclass(frozen=True)
class MatrixFree(Optimizer):
    """Levenberg–Marquardt without a Jacobian: each step by at most `inner` iterations of conjugate gradients."""

    name: ClassVar[str] = "matrix_free"
    damping: Positive = 1e-3
    inner: Count = 100


@dataclass(frozen=True)
class Spring(Optimizer):
    """Natural-gradient steps for points drawn anew (sampling.resample=1), with `momentum` of the former one."""

    name: ClassVar[str] = "spring"
    learning_rate: Positive = 1.0
    half_life: Positive = 100.0
    damping: Positive = 1e-8
    momentum: Annotated[float, Between(0, 1)] = 0.6
    longest: Positive = 1.0


OPTIMIZERS: dict[str, type[Optimizer]] = {
    cls.name: cls
    for cls in (Adam, LBFGS, AdamLBFGS, GaussNewton, SSBroyden, SOAP, MatrixFree, Spring, LeastSquares, Auto)
}


@dataclass(frozen=True)
class Strategy(Group):
    """What of transferred features is trained on the new problem; the head always is."""

    key: ClassVar[str] = "task.strategy"
    name: ClassVar[str]


@dataclass(frozen=True)
class Full(Strategy):
    """All parameters of the features."""

    name: ClassVar[str] = "full"


@dataclass(frozen=True)
class Frozen(Strategy):
    """All but the first `layers` layers."""

    name: ClassVar[str] = "frozen"
    layers: Count = 1


@dataclass(frozen=True)
class Head(Strategy):
    """Nothing: the features stay as they are."""

    name: ClassVar[str] = "head"


@dataclass(frozen=True)
class LoRA(Strategy):
    """A correction of low `rank` to each matrix between features (Hu et al. 2021)."""

    name: ClassVar[str] = "lora"
    rank: Width = 4


@dataclass(frozen=True)
class Near(Strategy):
    """All parameters, held near those of the source by `strength` times their relative distance (Li et al. 2018)."""

    name: ClassVar[str] = "l2"
    strength: Positive = 1e-3


STRATEGIES: dict[str, type[Strategy]] = {cls.name: cls for cls in (Full, Frozen, Head, LoRA, Near)}


@dataclass(frozen=True)
class Task(Group):
    """What is asked for."""

    key: ClassVar[str] = "task"
    name: ClassVar[str]


@dataclass(frozen=True)
class Solve(Task):
    """The solution of the problem."""

    name: ClassVar[str] = "solve"


@dataclass(frozen=True)
class Pretrain(Task):
    """Features for a family: the problem with `heads` random right-hand sides, on each variation of its parameters.

    The best `features` combinations of `polynomials` Chebyshev polynomials are kept. The right-hand sides are waves of
    up to `frequency` radians per half-width of the domain.
    """

    name: ClassVar[str] = "pretrain"
    polynomials: Width = 800
    features: Width = 100
    heads: Annotated[int, Between(1, 10_000)] = 300
    frequency: Positive = 10.0
    variations: tuple[dict[str, Any], ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.features > self.polynomials:
            what = f"{self.features} combinations of {self.polynomials} polynomials"
            raise BadInput("task.features", what, "there cannot be more combinations than polynomials")
        for variation in self.variations:
            _mapping(variation, "task.variations", ["parameters of the problem, like [{width: 2}]"])


@dataclass(frozen=True)
class Transfer(Task):
    """The problem with features of a source: pretrained ones by name, a run folder, a checkpoint, or a problem's name.

    Data are `sensors` in number, drawn from the reference with a relative noise, or a CSV file. The conditions in
    `missing` are withheld from training. Weights are those of all data, and of all conditions; None: by the noise.
    Where the source does more harm than good, `guard` says what to do.
    """

    name: ClassVar[str] = "transfer"
    source: str = "heat"
    strategy: Strategy = field(default_factory=Full)
    sensors: Annotated[int, Between(0, 100_000)] = 20
    noise: Annotated[float, Between(0)] = 0.01
    data: str | None = None
    missing: tuple[str, ...] = ()
    data_weight: Positive | None = None
    physics_weight: Positive = 1.0
    guard: Literal["fallback", "warn", "off"] = "warn"


@dataclass(frozen=True)
class Committee(Task):
    """The problem solved `members` times from other draws of features and points, and of the data where there are some.

    `workers` processes share them (None: one for each core; on a GPU one, and as many as are asked for share it). Bands
    that cover the share `level` of truths come from errors at `held_out` points of a reference, from those at sensors
    that a member has not seen, from `instances` of the problem with other values of its parameters
    ({truth: [1, 2, …]}), or from none of them. `acquire` points are named at which to measure next.
    """

    name: ClassVar[str] = "committee"
    members: Annotated[int, Between(2, 10_000)] = 8
    workers: Annotated[int, Between(1, 1024)] | None = None
    bootstrap: bool = True
    calibration: Literal["auto", "reference", "data", "instances", "none"] = "auto"
    instances: dict[str, Any] | None = None
    level: Annotated[float, Between(0, 1)] = 0.95
    held_out: Annotated[int, Between(1, 1e7)] = 2000
    acquire: Whole = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        _refuse_all_or_nothing(self.level)
        _check_instances(self)


@dataclass(frozen=True)
class Multifidelity(Task):
    """Observations of several fidelities fused by Gaussian processes: f_t = ρ f_{t−1} + δ_t, or f_t = g(x, f_{t−1})."""

    name: ClassVar[str] = "multifidelity"
    model: Literal["linear", "nonlinear"] = "linear"
    kernel: Literal["squared_exponential", "matern_3_2", "matern_5_2"] = "squared_exponential"
    starts: Annotated[int, Between(1, 10_000)] = 10
    level: Annotated[float, Between(0, 1)] = 0.95

    def __post_init__(self) -> None:
        super().__post_init__()
        _refuse_all_or_nothing(self.level)


def _check_instances(task: Committee) -> None:
    key = "task.instances"
    columns = _mapping(task.instances or {}, key, ["lists of values, like {truth: [1, 2]}"])
    for name, column in columns.items():
        if not isinstance(column, list | tuple):
            raise BadInput(f"{key}.{name}", f"a list is wanted, got {column!r}", "write {truth: [1, 2, …]}")
    counts = {len(column) for column in columns.values()}
    if len(counts) > 1:
        raise BadInput(key, "its lists differ in length", "give each instance one value of each parameter")
    if not columns and task.calibration == "instances":
        raise BadInput(key, "there are none", "write task.instances={parameter: [value, value, …]}")
    if columns and task.calibration not in ("auto", "instances"):
        raise BadInput(key, f"task.calibration={task.calibration} does not use them", "leave one of them out")
    fewest = math.ceil(task.level / (1 - task.level) * (1 - 1e-12))
    if columns and min(counts) < fewest:
        raise BadInput(key, f"{min(counts)} are too few for bands of {100 * task.level:g} %", f"give at least {fewest}")


def _refuse_all_or_nothing(level: float) -> None:
    if level in (0, 1):
        raise BadInput("task.level", f"it is {level:g}", "it must be between 0 and 1")


TASKS: dict[str, type[Task]] = {cls.name: cls for cls in (Solve, Pretrain, Transfer, Committee, Multifidelity)}


@dataclass(frozen=True)
class Training(Group):
    """When to stop (None: automatic), how often to evaluate (steps) and to write a checkpoint (seconds)."""

    key: ClassVar[str] = "training"
    max_steps: Count | None = None
    max_seconds: Positive | None = None
    tolerance: Positive = 1e-12  # stop once the relative residual is below
    evaluate_every: Count = 10
    checkpoint_seconds: Positive = 60.0


@dataclass(frozen=True)
class Evaluation(Group):
    """How many fresh points of the whole domain the error is measured on."""

    key: ClassVar[str] = "evaluation"
    points: Annotated[int, Between(1, MOST_POINTS)] = 20000


@dataclass(frozen=True)
class Reference(Group):
    """What the answer is compared with, and the relative error wanted of that itself."""

    key: ClassVar[str] = "reference"
    kind: Literal["auto", "exact", "spectral", "fem", "none"] = "auto"
    tolerance: Positive | None = None  # automatic: 1e-6, transient 1e-5
    cache: bool = True


@dataclass(frozen=True)
class ProblemChoice(Group):
    """A problem by name, or from the user's own `file`, with values for some of its parameters."""

    key: ClassVar[str] = "problem"
    name: str
    file: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", convert(str, self.name, "problem.name"))
        object.__setattr__(self, "file", convert(str | None, self.file, "problem.file"))

    @classmethod
    def from_mapping(cls, mapping: Any) -> Self:
        """{name, file, parameter: value, …}: the parameters stand beside the name, as on the command line."""
        rest = _mapping(mapping, "problem", ["problem.name", "problem.file", "parameters of the problem"])
        return cls(rest.pop("name", None), rest.pop("file", None), rest)

    def to_mapping(self) -> dict[str, Any]:
        return {"name": self.name, "file": self.file, **self.parameters}


# --- the whole ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Settings:
    """All that a run is told. `tolerance` is the relative L2 error asked for (missing it: exit code 4)."""

    problem: ProblemChoice
    task: Task = field(default_factory=Solve)
    network: Network = field(default_factory=Network)
    sampling: Sampling = field(default_factory=Sampling)
    optimizer: Optimizer = field(default_factory=Auto)
    training: Training = field(default_factory=Training)
    evaluation: Evaluation = field(default_factory=Evaluation)
    reference: Reference = field(default_factory=Reference)
    seed: Annotated[int, Between(0, LARGEST_SEED)] = 0
    device: str = "auto"
    dtype: Literal["float64", "float32"] = "float64"
    tolerance: Positive | None = None
    resume: str | None = None  # "auto", or the path of a checkpoint
    overwrite: bool = False

    def __post_init__(self) -> None:
        for name, kind in _hints(Settings).items():
            if not isinstance(getattr(self, name), Group):
                object.__setattr__(self, name, convert(kind, getattr(self, name), name))
        if not re.fullmatch(r"auto|cpu|cuda(:\d+)?|mps", self.device):
            remedy = "choose from auto, cpu, cuda, cuda:N, mps"
            raise BadInput("device", f"unknown device {self.device!r}", remedy)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "Settings":
        """Settings from plain nested mappings, such as a configuration file holds. Raises BadInput."""
        for name in mapping:
            if name not in _hints(cls):
                raise unknown_key(str(name), all_keys())
        if "problem" not in mapping:
            raise BadInput("problem", "it is required", "write problem=NAME, or problem=./my_problem.py")
        return cls(**{name: _GROUPS.get(name, _same)(value) for name, value in mapping.items()})

    def to_mapping(self) -> dict[str, Any]:
        """Plain nested dictionaries, lists and numbers; `from_mapping` makes the same settings of them."""
        plain = {name: _listlike(value) for name, value in asdict(self).items()}
        return {
            **plain,
            "problem": self.problem.to_mapping(),
            "optimizer": {"name": self.optimizer.name, **plain["optimizer"]},
            "task": {"name": self.task.name, **plain["task"], **_strategy_to_mapping(self.task)},
        }

    def chosen(self, usual: "Settings | None" = None) -> dict[str, Any]:
        """Values by keys with dots that differ from the usual ones, by default those of all groups."""
        like = usual or Settings(ProblemChoice(self.problem.name), task=type(self.task)())
        known = dict(flat(like.to_mapping()))
        return {key: value for key, value in flat(self.to_mapping()) if key not in known or value != known[key]}


def flat(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested keys joined by dots."""
    for key, value in mapping.items():
        if isinstance(value, Mapping) and f"{prefix}{key}" not in WHOLE:
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _listlike(value: Any) -> Any:
    """Tuples as lists, so that JSON, YAML and checkpoints give back what they were given."""
    if isinstance(value, dict):
        return {key: _listlike(item) for key, item in value.items()}
    return [_listlike(item) for item in value] if isinstance(value, tuple) else value


def _strategy_to_mapping(task: Task) -> dict[str, Any]:
    if not isinstance(task, Transfer):
        return {}
    return {"strategy": {"name": task.strategy.name, **asdict(task.strategy)}}


def _optimizer(value: Any) -> Optimizer:
    return _named(value, OPTIMIZERS, "optimizer", Auto.name)


def _task(value: Any) -> Task:
    if isinstance(value, Mapping) and "strategy" in value:
        value = {**value, "strategy": _named(value["strategy"], STRATEGIES, Strategy.key, Full.name)}
    return _named(value, TASKS, "task", Solve.name)


G = TypeVar("G", bound=Group)


def _named(value: Any, choices: Mapping[str, type[G]], key: str, usual: str) -> G:
    """One of several groups, as it is, by its name, or as a mapping that holds its name."""
    if isinstance(value, tuple(choices.values())):
        return cast(G, value)
    values = {"name": value} if isinstance(value, str) else _mapping(value, key, [f"{key}.name"])
    name = convert(Literal[*choices], values.pop("name", usual), key if isinstance(value, str) else f"{key}.name")
    return choices[name].from_mapping(values)


def _same(value: Any) -> Any:
    return value


_GROUPS: dict[str, Callable[[Any], Any]] = {
    "problem": ProblemChoice.from_mapping,
    "network": Network.from_mapping,
    "sampling": Sampling.from_mapping,
    "optimizer": _optimizer,
    "task": _task,
    "training": Training.from_mapping,
    "evaluation": Evaluation.from_mapping,
    "reference": Reference.from_mapping,
}


_CHOICES: dict[str, Mapping[str, type[Group]]] = {
    "optimizer": OPTIMIZERS,
    "task": TASKS,
    "task/strategy": STRATEGIES,
}


def unknown_key(key: str, known: Iterable[str]) -> BadInput:
    """What to say of a key that does not exist here; a parameter of another optimizer is recognised."""
    for group, choices in _CHOICES.items():
        owners = [name for name, cls in choices.items() if key in cls.options()]
        if owners:
            return BadInput(key, f"it belongs to {' and '.join(owners)} only", f"write {group}={owners[0]} too")
    near = nearest(key, known := list(known)) or nearest(key, all_keys())
    remedy = f"did you mean {near}" if near else f"choose from {', '.join(known)}"
    return BadInput(key, "there is no such key", remedy)


def all_keys() -> list[str]:
    """Every key there is, as written on the command line, but for the parameters of problems."""
    named = [cls for choices in _CHOICES.values() for cls in choices.values()]
    groups: list[type[Group]] = [Network, Sampling, Training, Evaluation, Reference, *named]
    return list(dict.fromkeys([*_hints(Settings), *(key for group in groups for key in group.options())]))


def check_device(name: str, dtype: str) -> str:
    """The device that will be used ("auto": a GPU where there is one). Raises BadInput where it cannot be."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "mps" and dtype == "float64":
        raise BadInput("device", "mps has no float64", "write dtype=float32, or device=cpu")
    if name == "mps" and not torch.backends.mps.is_available():
        raise BadInput("device", "there is no mps device on this machine", "write device=cpu")
    if name.startswith("cuda"):
        _check_cuda(name, torch.version.cuda is not None, torch.cuda.device_count())
    return name


def _check_cuda(name: str, built: bool, devices: int) -> None:
    if devices == 0:
        reason = "no GPU or no driver was found" if built else "this build of PyTorch is for CPUs only"
        raise BadInput("device", f"{name} cannot be used: {reason}", "write device=cpu")
    if int(name.partition(":")[2] or 0) >= devices:
        what = f"{name} does not exist, GPUs here: {devices}"
        raise BadInput("device", what, f"choose up to cuda:{devices - 1}")
