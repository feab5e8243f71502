"""A file imports only from rooms above its own, and importing pinnkit does nothing."""

import ast
import os
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "pinnkit"

ROOMS = (
    "errors", "home", "conversion", "settings", "study", "acquisition", "calibration", "measurements", "fidelity",
    "fidelities", "progress", "signals",
    "files", "chebyshev", "geometry", "forms", "linear_algebra", "operators", "networks", "polynomials", "hermite",
    "taylor", "lift", "trial", "optimizers", "problem", "coefficients", "wellposed", "corners", "boundary",
    "vanishing", "residuals", "prior", "posterior", "collocation", "evaluation", "reference", "catalogue",
    "checkpoint", "assembly", "training", "peaks", "growth", "modes",
    "transfer_words", "committee_words", "export", "drawing", "transfer_figures", "committee_figures", "fusion_figures",
    "correction_figures", "plotting", "report",
    "result", "bounds", "merit", "run_folder", "solving", "low_fidelity", "correction", "adaptation", "pretraining",
    "sources", "sensors",
    "arms", "members", "instances", "committee", "finding", "fusion", "atoms", "tasks",
    "refusal", "composition", "sweep", "__main__",
)  # fmt: skip


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}


def imports(path: Path) -> set[str]:
    """The modules of pinnkit that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (inner & MODULES.keys()) or {str(node.module)}
    return found & MODULES.keys()


def room(module: str) -> str:
    return module.split(".")[1]


INSIDE = [name for name in MODULES if name != "pinnkit"]


def test_every_room_has_its_place():
    assert {room(module) for module in INSIDE} <= set(ROOMS)


@pytest.mark.parametrize("module", INSIDE)
def test_imports_go_one_way(module):
    place = ROOMS.index(room(module))
    for other in imports(MODULES[module]):
        assert other != "pinnkit", f"{module} imports the whole of pinnkit"
        assert ROOMS.index(room(other)) <= place, f"{module} imports {other}, which stands below it"


def test_imports_close_no_circle():
    order = list(TopologicalSorter({name: imports(path) for name, path in MODULES.items()}).static_order())
    assert order[0] == "pinnkit.errors" or not imports(MODULES[order[0]])


SILENT = """
import os, sys, torch
def state():
    random = torch.get_rng_state().sum().item()
    return torch.get_default_dtype(), torch.get_num_threads(), random, set(os.environ)
import numpy as np
before, numpy_before = state(), np.random.get_state()[1].sum()
import pinnkit
for name in pinnkit.__all__:
    getattr(pinnkit, name)
assert state() == before
assert np.random.get_state()[1].sum() == numpy_before
"""


def test_importing_pinnkit_does_nothing(tmp_path):
    home = {"HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(PACKAGE.parent)}
    command = [sys.executable, "-c", SILENT]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ | home, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(tmp_path.iterdir())
