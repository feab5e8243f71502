"""The public names of pinnkit."""

import ast
from pathlib import Path

import pytest

import pinnkit
from pinnkit.home import folder


@pytest.mark.parametrize("name", pinnkit.__all__)
def test_every_public_name_is_there_and_says_what_it_is(name):
    assert getattr(pinnkit, name).__doc__


def test_what_is_offered_is_what_is_listed():
    assert set(pinnkit.__all__) <= set(dir(pinnkit))
    assert {"solve", "load", "Problem", "pde", "dirichlet", "grad"} <= set(pinnkit.__all__)


def test_other_names_are_refused_as_python_does():
    with pytest.raises(AttributeError, match="no attribute 'nosuch'"):
        _ = pinnkit.nosuch
    assert not hasattr(pinnkit, "torch")


@pytest.mark.parametrize("path", sorted(folder("problems").glob("*.py")), ids=lambda path: path.stem)
def test_problem_files_need_public_names_only(path: Path):
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in nodes if (node.module or "").startswith("pinnkit")]
    assert ours and all(node.module == "pinnkit" for node in ours)
    assert {alias.name for node in ours for alias in node.names} <= set(pinnkit.__all__)
