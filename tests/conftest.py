"""Fixtures shared by all tests."""

import json
import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis
import pytest
import torch
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra

import pinnkit
from pinnkit import catalogue
from pinnkit.__main__ import main
from pinnkit.settings import Settings

# the same examples on every machine, however slow
hypothesis.settings.register_profile("steady", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("steady")


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """References are solved once in all tests, and the user's own cache is left alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PINNKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def own_logging() -> Iterator[None]:
    """Hydra puts its handlers on the root logger; they must not outlive what they write to."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    for handler in set(root.handlers) - set(handlers):
        handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures take seconds, and only few tests are about them."""
    monkeypatch.setattr("pinnkit.plotting.save_plots", lambda result, folder: None)


@dataclass
class Outcome:
    """What a call of the command line left behind."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line on stderr that bad input gets."""
        lines = self.err.splitlines()
        assert len(lines) == 1 and lines[0].startswith("error: "), self.err
        return lines[0].removeprefix("error: ")


CommandLine = Callable[..., Outcome]


@pytest.fixture
def pinn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], own_logging: None
) -> Iterator[CommandLine]:
    """pinn("problem=heat_lshape", …): the command line, called in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["pinnkit"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "")

    def call(*arguments: str) -> Outcome:
        code = 0
        try:
            main(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
        return Outcome(code, *capsys.readouterr())

    yield call
    GlobalHydra.instance().clear()
    ConfigStore.instance().repo.pop("problem", None)  # the user's own files


@dataclass
class StandInResult:
    metrics: dict[str, Any]
    missed_tolerance: bool = False
    remedy: str = "take more points"


@dataclass
class StandIn(ModuleType):
    """Takes the place of `pinnkit.tasks`: prepares truly, then claims an error of 1e-3, or raises `fail`."""

    name: str = "pinnkit.tasks"
    fail: Exception | None = None
    seen: list[Settings] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(self.name)

    def prepare(self, settings: Settings) -> None:
        catalogue.build(settings.problem)

    def run(self, settings: Settings, folder: Path) -> StandInResult:
        self.seen.append(settings)
        (folder / "status.json").write_text('{"status": "running"}')
        if self.fail is not None:
            raise self.fail
        metrics = {"relative_l2": 1e-3, "max_error": 2e-3, "seconds": {"total": 0.5}, "verdict": "trusted"}
        (folder / "metrics.json").write_text(json.dumps(metrics))
        (folder / "status.json").write_text('{"status": "done"}')
        return StandInResult(metrics, settings.tolerance is not None and settings.tolerance < 1e-3)

    def summary(self, result: StandInResult) -> str:
        return f"relative L2 error {result.metrics['relative_l2']:g}"


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Tests of the command line do not wait for a solver."""
    module = StandIn()
    monkeypatch.setitem(sys.modules, "pinnkit.tasks", module)
    monkeypatch.setattr(pinnkit, "tasks", module, raising=False)
    return module
