"""The public names of pinnkit."""

import ast
from pathlib import Path
from types import ModuleType

import pytest

import pinnkit
import pinnkit.atoms
from pinnkit.home import folder

PUBLIC = {"pinnkit": pinnkit, "pinnkit.atoms": pinnkit.atoms}


@pytest.mark.parametrize(("module", "name"), [(key, name) for key, module in PUBLIC.items() for name in module.__all__])
def test_every_public_name_is_there_and_says_what_it_is(module, name):
    found = getattr(PUBLIC[module], name)
    assert found.__doc__ and not isinstance(found, ModuleType)


def test_what_is_offered_is_what_is_listed():
    assert all(set(module.__all__) <= set(dir(module)) for module in PUBLIC.values())
    assert {"solve", "load", "Problem", "pde", "dirichlet", "grad"} <= set(pinnkit.__all__)


def test_other_names_are_refused_as_python_does():
    for module in PUBLIC.values():
        with pytest.raises(AttributeError, match="no attribute 'nosuch'"):
            _ = module.nosuch
        assert not hasattr(module, "torch")


@pytest.mark.parametrize("path", sorted(folder("problems").glob("*.py")), ids=lambda path: path.stem)
def test_problem_files_need_public_names_only(path: Path):
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in nodes if (node.module or "").startswith("pinnkit")]
    assert ours and {node.module for node in ours} <= PUBLIC.keys()
    for node in ours:
        assert {alias.name for alias in node.names} <= set(PUBLIC[node.module].__all__)
