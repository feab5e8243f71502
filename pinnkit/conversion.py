"""Typed conversion: what YAML or a checkpoint holds becomes what an annotation asks for, or is refused."""

import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pinnkit.errors import BadInput

LARGEST_SEED = 2**63 - 1
LARGEST_FLOAT = sys.float_info.max


@dataclass(frozen=True)
class Between:
    """low ≤ value ≤ high; with `above` low < value."""

    low: float
    high: float = LARGEST_FLOAT
    above: bool = False

    def __contains__(self, value: float) -> bool:
        return (self.low < value if self.above else self.low <= value) and value <= self.high

    def __str__(self) -> str:
        lower = f"{'>' if self.above else '>='} {self.low:g}"
        if self.high == LARGEST_FLOAT:
            return f"finite and {lower}"
        return f"{lower} and <= {'2^63-1' if self.high == LARGEST_SEED else format(self.high, 'g')}"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like this one, of dotted keys by their last part; None if none is like it."""
    by_last = {_last(key): key for key in reversed(list(known))}
    near = get_close_matches(_last(word), by_last, n=1, cutoff=0.7)
    return by_last[near[0]] if near else None


def choose_from(word: str, known: Iterable[str]) -> str:
    """A remedy for an unknown word: all the known ones, and the nearest."""
    near = nearest(word, known := list(known))
    return f"choose from {', '.join(known)}" + (f"; did you mean {near}" if near else "")


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def convert(kind: Any, value: Any, key: str) -> Any:
    """The value as the annotation `kind` asks for. Raises BadInput where that would need a guess."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _optional(arguments, value, key)
    if origin is Annotated:
        return _bounded(arguments[0], arguments[1], value, key)
    if origin is Literal:
        return _chosen(value, arguments, key)
    if origin in (tuple, list):
        return origin(_listed(arguments, value, key))
    return _PLAIN.get(kind, _finite)(value, key)


def _optional(kinds: tuple[Any, ...], value: Any, key: str) -> Any:
    """One of several kinds; where there is more than one beside None, the value stays as it is."""
    inner = [kind for kind in kinds if kind is not NoneType]
    if value is None and NoneType in kinds:
        return None
    return convert(inner[0] if len(inner) == 1 else Any, value, key)


def _bounded(kind: type, allowed: Between, value: Any, key: str) -> Any:
    number = _integer(value, key) if kind is int else _number(value, key)
    if number not in allowed:
        raise BadInput(key, f"it must be {allowed}, got {number}", "choose another value")
    return number


def _chosen(value: Any, choices: tuple[str, ...], key: str) -> str:
    if value not in choices:
        raise BadInput(key, f"unknown choice {value!r}", choose_from(str(value), choices))
    return str(value)


def _listed(kinds: tuple[Any, ...], value: Any, key: str) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise BadInput(key, f"a list is wanted, got {value!r}", f"write {key}=[{value}]")
    if len(kinds) == 1 or kinds[1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    if len(kinds) != len(value):
        raise BadInput(key, f"{len(kinds)} values are wanted, got {len(value)}", f"write {len(kinds)} values")
    return [convert(kinds[i], item, f"{key}[{i}]") for i, item in enumerate(value)]


def _integer(value: Any, key: str) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral):
        example = int(value) if isinstance(value, float) and value.is_integer() else 100
        raise BadInput(key, f"a whole number is wanted, got {value!r}", f"write it in digits, like {example}")
    return int(value)


def _number(value: Any, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise BadInput(key, f"a number is wanted, got {value!r}", "write it like 0.001 or 1e-3")
    try:
        return float(value)
    except OverflowError:  # a whole number may be too large
        return -math.inf if str(value).startswith("-") else math.inf


def _finite_number(value: Any, key: str) -> float:
    return _finite(_number(value, key), key)


def _boolean(value: Any, key: str) -> bool:
    if not isinstance(value, bool):
        raise BadInput(key, f"true or false is wanted, got {value!r}", "write true or false")
    return value


def _text(value: Any, key: str) -> str:
    if not isinstance(value, str) or not value:
        raise BadInput(key, f"a text is wanted, got {value!r}", f"write {key}=TEXT, or leave it out")
    return value


def _finite(value: Any, key: str) -> Any:
    """Any value, but without NaN and infinity in it."""
    if isinstance(value, list | tuple):
        return [_finite(item, f"{key}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise BadInput(key, f"it must be finite, got {value}", "choose another value")
    return value


_PLAIN: dict[Any, Callable[[Any, str], Any]] = {
    int: _integer,
    float: _finite_number,
    bool: _boolean,
    str: _text,
}
