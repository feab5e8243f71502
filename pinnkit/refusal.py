"""From whatever goes wrong to one line, `error: <key>: <what>; <what to do>`, and an exit code."""

import errno
import re
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import yaml
from hydra.errors import HydraException, MissingConfigException, OverrideParseException, SearchPathException
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException

from pinnkit.conversion import choose_from
from pinnkit.errors import BadInput, OutputFailed, PinnkitError
from pinnkit.settings import unknown_key


@contextmanager
def refusing() -> Iterator[None]:
    """End the program with one line and an exit code where something goes wrong inside."""
    try:
        yield
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        sys.exit(report(error))


def report(error: Exception) -> int:
    """Say on stderr what went wrong; returns the exit code. What nobody foresaw is a bug: traceback."""
    explained = explain(error)
    if explained is None:
        traceback.print_exception(error)
        print("error: this is a bug in pinnkit; please report it with the lines above", file=sys.stderr)
        return PinnkitError.exit_code
    print("error:", *str(explained).split(), file=sys.stderr)
    return explained.exit_code


def explain(error: Exception) -> PinnkitError | None:
    """The error in pinnkit's words, on one line; None for what nobody foresaw."""
    for kind, explanation in _EXPLANATIONS:
        if isinstance(error, kind):
            return explanation(error)
    if isinstance(error, OSError) and error.errno is not None:
        return _unwritten(error)
    *_, (innermost, _) = traceback.walk_tb(error.__traceback__)
    if innermost.f_globals["__name__"].partition(".")[0] in ("hydra", "omegaconf"):
        return BadInput("command line", str(error).rstrip("."), "see pinnkit --help")
    return None


def _unparsed(error: OverrideParseException) -> BadInput:
    key, equals, value = error.override.partition("=")
    if not equals:
        return BadInput(key, "it has no value", f"write {key}=VALUE")
    reason = error.message.split("\nSee ")[0].splitlines()[-1]
    remedy = f"quote the value if it holds special characters: '{key}=\"{value}\"'"
    return BadInput(key, f"{error.override!r} cannot be read ({reason})", remedy)


def _unfound(error: MissingConfigException) -> BadInput:
    group, _, name = str(error.missing_cfg_file).rpartition("/")
    remedy = choose_from(name, error.options) if error.options else "check the name"
    return BadInput(group or "--config-name", f"unknown {group or 'configuration'} {name!r}", remedy)


_HINTS = (("--multirun", "write -m to sweep over several values"), ("remove + prefix", "leave the + out"))


def _uncomposed(error: HydraException) -> BadInput:
    if isinstance(error.__cause__, OmegaConfBaseException):
        return _unresolved(error.__cause__)
    first = str(error).splitlines()[0].rstrip(".")
    key = re.search(r"'([\w.@/]+)", first)
    remedy = next((remedy for hint, remedy in _HINTS if hint in str(error)), "see pinnkit --help")
    return BadInput(key[1] if key else "command line", first, remedy)


def _unresolved(error: OmegaConfBaseException) -> BadInput:
    key = error.full_key or "command line"
    if isinstance(error, ConfigAttributeError | ConfigKeyError):
        prefix = key.rpartition(".")[0]
        siblings = error.parent_node if isinstance(error.parent_node, DictConfig) else {}
        return unknown_key(key, [f"{prefix}.{name}".lstrip(".") for name in siblings])
    return BadInput(key, str(error).splitlines()[0], "give it a value")


def _misspelt(error: yaml.YAMLError) -> BadInput:
    mark = error.problem_mark if isinstance(error, yaml.MarkedYAMLError) else None
    what = f"{mark.name}:{mark.line + 1}:{mark.column + 1}: {error.problem}" if mark else str(error)
    return BadInput("configuration", what, "correct the file")


def _undecoded(error: UnicodeDecodeError) -> BadInput:
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    where = next((f.f_locals["full_path"] for f in reversed(frames) if "full_path" in f.f_locals), "a file")
    return BadInput("configuration", f"{where} is not a UTF-8 text file", "save it as UTF-8")


def _unwritten(error: OSError) -> OutputFailed:
    if error.errno == errno.ENOSPC:
        return OutputFailed(f"output: the disk is full, {shutil.disk_usage('.').free} bytes free; make room")
    remedy = "make it accessible, or choose another hydra.run.dir=DIR"
    return OutputFailed(f"output: {error.filename}: {error.strerror}; {remedy}")


def _unsearched(error: SearchPathException) -> BadInput:
    return BadInput("--config-dir", str(error), "check the path")


def _itself(error: PinnkitError) -> PinnkitError:
    return error


_EXPLANATIONS: tuple[tuple[type[Exception], Callable[[Any], PinnkitError]], ...] = (
    (PinnkitError, _itself),
    (OverrideParseException, _unparsed),
    (MissingConfigException, _unfound),
    (SearchPathException, _unsearched),
    (HydraException, _uncomposed),
    (OmegaConfBaseException, _unresolved),
    (yaml.YAMLError, _misspelt),
    (UnicodeDecodeError, _undecoded),
)
