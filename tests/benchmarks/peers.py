"""pinnkit at its defaults against other toolkits on PyTorch, alternately in one run.

    DDE_BACKEND=pytorch python tests/benchmarks/peers.py [--cases NAME …] [--peers NAME …] [--seconds S]

prints a Markdown table; `pip install -c constraints.txt -e '.[benchmark]'` brings DeepXDE and PINA (pina-mathlab), both
of which run beside torch 2.13; one that is missing is said to be. The peers train what is usual with DeepXDE, and what
its example of the L-shape trains: 4 × 50 tanh, 1200 + 120 points, weights of 1, Adam at 1e-3, then L-BFGS with 100
corrections, here in float64 and with a quarter of the seconds for Adam. The L is a mirror image of DeepXDE's.

Errors are relative L2 at the same 20,000 uniform points, against the exact solution or the spectral reference, whose
own error is certified; no error counts as smaller than that. Seconds are of the wall clock. Sampling, assembly and
compiling count; imports, the reference and, for the peers, the measuring of errors do not. Peers are judged by the
best error they ever had, as if one knew when to stop. pinnkit's time to an error is that of a whole solve which ends
there (training.max_steps), the median of three: the seconds of its history leave assembly out.
"""

import argparse
import logging
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from importlib.metadata import PackageNotFoundError, version
from math import inf, pi
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pinnkit import Result, catalogue, solve
from pinnkit.evaluation import relative_l2
from pinnkit.reference.derived import reference_for
from pinnkit.settings import ProblemChoice

Array = NDArray[np.float64]
POINTS = 20_000  # at which errors are measured
INTERIOR, BOUNDARY, LAYERS = 1200, 120, [50] * 4
ADAM_SHARE = 0.25  # of the peers' seconds
CHUNK = 50  # steps of L-BFGS between two looks at the clock
INTERVAL = 0.5  # seconds between measurements of an error
REPEATS = 3
PACKAGES = ("torch", "numpy", "scipy", "scikit-fem", "deepxde", "pina-mathlab")


def machine() -> str:
    """The CPU, the threads used and the versions, as one line."""
    info = Path("/proc/cpuinfo")
    models = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    model = models[0].partition(":")[2].strip() if models else platform.processor()
    found = ", ".join(f"{name} {installed(name)}" for name in PACKAGES if installed(name))
    return f"{model}, {torch.get_num_threads()} of {os.cpu_count()} cores; Python {platform.python_version()}, {found}"


def installed(package: str) -> str:
    """The version of a package, or nothing."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


class Case:
    """A problem that comes with pinnkit, its truth, and pinnkit's own way to it."""

    def __init__(self, name: str) -> None:
        self.name, self.problem = name, catalogue.build(ProblemChoice(name))
        kind = "exact" if self.problem.exact is not None else "spectral"
        self.reference = reference_for(self.problem, kind, 1e-10, None)
        self.points = self.problem.domain.sample(POINTS, "uniform", np.random.default_rng(1))
        self.truth = self.reference.value(self.points)
        self.run(max_steps=1)  # late imports, and the reference that pinnkit keeps

    def error(self, values: Array) -> float:
        """Relative L2 of values (n,) or (n, 1) at the points; not below what the truth is known to."""
        return max(relative_l2(np.reshape(values, (-1, 1)), self.truth), self.reference.error_estimate)

    def run(self, **training: Any) -> tuple[float, Result]:
        """One solve at the defaults and its seconds, without those of the reference."""
        start = time.perf_counter()
        result = solve(self.name, training=training)
        return time.perf_counter() - start - result.metrics["seconds"]["reference"], result

    def seconds_to(self, error: float, result: Result) -> float:
        """Seconds of a whole solve that ends as soon as the error is reached; infinite where `result` missed it."""
        for entry in result.history[1:]:
            if float(entry["relative_l2"] or inf) <= error:
                return median(self.run(max_steps=entry["step"])[0] for _ in range(REPEATS))
        return inf


class Watch:
    """The errors of a training run over its seconds; measuring them takes none."""

    def __init__(self, case: Case, seconds: float) -> None:
        self.case, self.seconds = case, seconds
        self.curve: list[tuple[float, float]] = []
        self._start = time.perf_counter()

    @property
    def spent(self) -> float:
        return time.perf_counter() - self._start

    def look(self, predict: Callable[[Array], Array]) -> None:
        """Measure the error, if it is time to."""
        now = self.spent
        if not self.curve or now - self.curve[-1][0] >= INTERVAL or now >= self.seconds:
            self.curve.append((now, self.case.error(predict(self.case.points))))
            self._start += self.spent - now

    def best(self, until: float = inf) -> tuple[float, float]:
        """The smallest error up to a time, and when it was reached."""
        return min((error, seconds) for seconds, error in self.curve if seconds <= max(until, self.curve[0][0]))


def deepxde(watch: Watch) -> None:
    """DeepXDE, as its examples do."""
    import deepxde as dde

    dde.config.set_default_float("float64")
    dde.config.set_random_seed(0)
    dde.optimizers.LBFGS_options.update(iter_per_step=CHUNK, fun_per_step=CHUNK * 5 // 4)

    class Looking(dde.callbacks.Callback):
        until = ADAM_SHARE * watch.seconds

        def on_epoch_end(self) -> None:
            watch.look(self.model.predict)
            self.model.stop_training = watch.spent >= self.until

    def poisson(x: Any, u: Any) -> Any:
        return -dde.grad.hessian(u, x, i=0, j=0) - dde.grad.hessian(u, x, i=1, j=1) - source(watch.case, x)

    corners = watch.case.problem.domain.rings[0].tolist()
    square = len(corners) == 4
    shape = dde.geometry.Rectangle(corners[0], corners[2]) if square else dde.geometry.Polygon(corners)
    wall = dde.icbc.DirichletBC(shape, lambda x: 0, lambda _, on_boundary: on_boundary)
    data = dde.data.PDE(shape, poisson, wall, num_domain=INTERIOR, num_boundary=BOUNDARY)
    model, looking = dde.Model(data, dde.nn.FNN([2, *LAYERS, 1], "tanh", "Glorot uniform")), Looking()
    model.compile("adam", lr=1e-3, verbose=0)
    model.train(iterations=10**9, display_every=10**9, callbacks=[looking], verbose=0)
    looking.until = watch.seconds
    model.compile("L-BFGS", verbose=0)
    model.train(callbacks=[looking], verbose=0)


def pina(watch: Watch) -> None:
    """PINA, as its tutorials do; its points are drawn by pinnkit, since it samples no edges of an L."""
    import lightning
    from pina import Condition, LabelTensor, Trainer
    from pina.domain import CartesianDomain
    from pina.equation import Equation, FixedValue
    from pina.model import FeedForward
    from pina.operator import laplacian
    from pina.optim import TorchOptimizer
    from pina.problem import SpatialProblem
    from pina.solver import PINN

    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    domain, rng = watch.case.problem.domain, np.random.default_rng(0)

    def labelled(points: Array) -> Any:
        return LabelTensor(torch.from_numpy(points), ["x", "y"])

    def poisson(x: Any, u: Any) -> Any:
        return -laplacian(u, x) - source(watch.case, x.tensor)

    class Poisson(SpatialProblem):
        output_variables = ["u"]  # noqa: RUF012
        spatial_domain = CartesianDomain({"x": [-1, 1], "y": [-1, 1]})
        conditions = {  # noqa: RUF012
            "inside": Condition(input=labelled(domain.sample(INTERIOR, "uniform", rng)), equation=Equation(poisson)),
            "wall": Condition(
                input=labelled(domain.sample_boundary(BOUNDARY, "boundary", "uniform", rng).points),
                equation=FixedValue(0.0),
            ),
        }

    class Looking(lightning.Callback):
        def __init__(self, until: float) -> None:
            self.until = until

        def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
            watch.look(predict)
            trainer.should_stop = watch.spent >= self.until

    def predict(points: Array) -> Array:
        with torch.no_grad():
            return model(labelled(points)).tensor.numpy()

    model, problem = FeedForward(2, 1, layers=LAYERS, func=torch.nn.Tanh), Poisson()
    lbfgs = {"max_iter": CHUNK, "history_size": 100, "tolerance_grad": 1e-8, "tolerance_change": 0.0}
    stages = [
        (TorchOptimizer(torch.optim.Adam, lr=1e-3), ADAM_SHARE * watch.seconds),
        (TorchOptimizer(torch.optim.LBFGS, line_search_fn="strong_wolfe", **lbfgs), watch.seconds),
    ]
    quiet = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing"), False)
    for optimizer, until in stages:
        solver = PINN(problem, model, optimizer)
        Trainer(solver, max_epochs=-1, accelerator="cpu", callbacks=[Looking(until)], **quiet).train()


def source(case: Case, x: Any) -> Any:
    """The right-hand side of −Δu = f at points (n, 2): (n, 1)."""
    if case.name == "poisson_lshape":
        return 1.0
    return 2 * pi**2 * torch.sin(pi * x[:, :1]) * torch.sin(pi * x[:, 1:])


PEERS: dict[str, tuple[str, Callable[[Watch], None]]] = {
    "DeepXDE": ("deepxde", deepxde),
    "PINA": ("pina-mathlab", pina),
}
CASES = ("poisson_square", "poisson_lshape")


def row(case: Case, name: str, seconds: float) -> str:
    """pinnkit, then the peer, then pinnkit to the peer's error."""
    package, train = PEERS[name]
    if not installed(package):
        return f"| {case.name} | {name} | is not installed |" + " |" * 7
    total, result = case.run()
    own = case.error(result.predict(case.points))
    watch = Watch(case, seconds)
    with redirect_stdout(sys.stderr):
        train(watch)
    error, reached = watch.best()
    needed, then = case.seconds_to(error, result), watch.best(total)[0]
    return (
        f"| {case.name} | {name} | {error:.1e} | {reached:.0f} | {own:.1e} | {total:.1f} | {needed:.2f} "
        f"| {reached / needed:.0f} | {then:.1e} | {then / own:.0e} |"
    )


def rows(cases: list[str], peers: list[str], seconds: float) -> Iterator[str]:
    for case in map(Case, cases):
        yield from (row(case, name, seconds) for name in peers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=CASES)
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=list(PEERS))
    parser.add_argument("--seconds", type=float, default=120.0)
    asked = parser.parse_args()
    os.environ["DDE_BACKEND"] = "pytorch"
    warnings.simplefilter("ignore")  # those of the peers
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    print(f"{machine()}; peers train for {asked.seconds:.0f} s\n")
    print("| case | peer | its best error | s to it | pinnkit's error | s | s to the peer's error | times faster "
          "| peer's error in pinnkit's s | times as large |\n|" + "---|" * 10)  # fmt: skip
    with TemporaryDirectory() as folder:
        os.environ["PINNKIT_CACHE"] = folder
        for line in rows(asked.cases, asked.peers, asked.seconds):
            print(line, flush=True)


if __name__ == "__main__":
    main()
