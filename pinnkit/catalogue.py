"""The problems there are, and a problem built from its file.

A problem file is Python: a docstring that states the mathematics, and a function

    def problem(conductivity: float = 1.0, …) -> Problem:

whose signature is the only place where its parameters, their types and their defaults are written down.
"""

import inspect
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, get_type_hints

from pinnkit.conversion import choose_from, convert
from pinnkit.errors import BadInput, PinnkitError
from pinnkit.home import folder
from pinnkit.settings import ProblemChoice, unknown_key
from pinnkit.study import Study

if TYPE_CHECKING:
    from pinnkit.problem import Problem


@dataclass(frozen=True)
class ProblemFile:
    """A problem before its parameters are chosen."""

    name: str
    path: Path
    description: str
    function: "Callable[..., Problem | Study]"

    @property
    def parameters(self) -> dict[str, Any]:
        """Name → default value."""
        return {name: p.default for name, p in inspect.signature(self.function).parameters.items()}

    def build(self, **parameters: Any) -> "Problem | Study":
        """The problem with some of its parameters chosen. Raises BadInput."""
        from pinnkit.problem import Problem  # torch takes seconds, and naming problems does not need it

        built = _blaming(self.path, self.function, **self._checked(parameters))
        if not isinstance(built, Problem | Study):
            what = f"{self.path.name}: problem() returned a {type(built).__name__}"
            raise BadInput("problem", what, "return a pinnkit.Problem, or pinnkit.Fidelities")
        return replace(built, name=self.name, description=built.description or self._description(built))

    def _description(self, built: "Problem | Study") -> str:
        """The docstring, under a title of the problem's own if it has one."""
        first, end, rest = self.description.partition("\n")
        return f"{getattr(built, 'title', '') or first}{end}{rest}"

    def _checked(self, parameters: dict[str, Any]) -> dict[str, Any]:
        hints = _blaming(self.path, get_type_hints, self.function, include_extras=True)
        known = [f"problem.{name}" for name in self.parameters]
        for name in parameters:
            if name not in self.parameters:
                raise unknown_key(f"problem.{name}", known)
        return {k: convert(hints.get(k, Any), value, f"problem.{k}") for k, value in parameters.items()}


def names() -> tuple[str, ...]:
    """The problems that come with pinnkit."""
    return tuple(sorted(path.stem for path in folder("problems").glob("[!_]*.py")))


def load(name: str) -> ProblemFile:
    """A problem of ours by its name, or the user's own by the path of its file. Raises BadInput."""
    own = name.endswith(".py")
    if not own and name not in names():
        raise BadInput("problem", f"unknown problem {name!r}", choose_from(name, names()))
    path = Path(name) if own else folder("problems") / f"{name}.py"
    module = _module(path.absolute())
    return ProblemFile(path.stem, path.absolute(), inspect.getdoc(module) or "", _function(module, path))


def build(choice: ProblemChoice) -> "Problem | Study":
    """The problem that the settings ask for. Raises BadInput."""
    return replace(load(choice.file or choice.name).build(**choice.parameters), name=choice.name)


def equation(choice: ProblemChoice) -> "Problem":
    """Likewise, where an equation is wanted."""
    built = build(choice)
    if isinstance(built, Study):
        raise BadInput("problem", f"{choice.name} has data and no equation", "choose another one")
    return built


def _module(path: Path) -> ModuleType:
    if not path.is_file():
        raise BadInput("problem", f"there is no file {path}", "check the path")
    module = ModuleType(f"_problem_{path.stem}")
    module.__file__ = str(path)
    sys.modules[module.__name__] = module  # where dataclasses look up the names in their annotations
    code = _blaming(path, compile, path.read_bytes(), str(path), "exec")
    _blaming(path, exec, code, vars(module))
    return module


def _function(module: ModuleType, path: Path) -> "Callable[..., Problem | Study]":
    function = getattr(module, "problem", None)
    if not callable(function):
        raise BadInput("problem", f"{path.name} has no function problem()", "define problem(…) -> Problem")
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.default is parameter.empty:
            raise BadInput("problem", f"{path.name}: parameter {name!r} has no default value", "give it one")
        if not _plain(parameter.default):
            what = f"{path.name}: parameter {name!r} has a default that cannot be written on a command line"
            raise BadInput("problem", what, "use numbers, texts, truth values or lists of them")
    return function


def _plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _blaming(path: Path, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Call code of a problem file; what it raises becomes one line that names the line of the file."""
    try:
        return function(*arguments, **named)
    except PinnkitError:
        raise
    except SyntaxError as error:
        where = f"{Path(error.filename or path).name}:{error.lineno}"
        raise BadInput("problem", f"{where}: {error.msg}", "correct the file") from error
    except (Exception, SystemExit) as error:
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
        where = f"{path.name}:{lines[-1]}" if lines else path.name
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise BadInput("problem", f"{where}: {reason}", "correct the file or its parameters") from error
