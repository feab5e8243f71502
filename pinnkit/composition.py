"""From the command line to settings: Hydra composes them, and `Gate` checks them before there is a folder."""

import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import compose
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from pinnkit import catalogue
from pinnkit.conversion import choose_from
from pinnkit.errors import BadInput
from pinnkit.home import folder
from pinnkit.refusal import refusing
from pinnkit.settings import Settings, check_device

GROUPS = "problem|network|optimizer|task"  # whose files are mappings of their own


def for_hydra(arguments: Sequence[str]) -> list[str]:
    """The arguments as Hydra wants them: flags first, and the user's own problem files as choices by name."""
    ordered = sorted(arguments, key=lambda argument: re.match(r"[^-]*=|~", argument) is not None)
    for key in GROUPS.split("|"):
        if any(re.fullmatch(rf"{key}=(\W|\d)*", argument) for argument in ordered):
            raise BadInput(key, "a name is wanted", choose_from("", _choices(key)))
    return [_offer(argument) if argument.startswith("problem=") else argument for argument in ordered]


def _choices(group: str) -> list[str]:
    return sorted(path.stem for path in (folder("conf") / group).glob("*.yaml"))


def _offer(argument: str) -> str:
    """Make the parameters of each problem file a choice of the group `problem`, named like the file."""
    choices = argument.removeprefix("problem=").split(",")
    paths = {choice: Path(choice).absolute() for choice in choices if choice.endswith(".py")}
    if len({path.name for path in paths.values()}) < len(set(paths.values())):
        raise BadInput("problem", "two different files have the same name", "rename one of them")
    for path in paths.values():
        node = {"name": path.stem, "file": str(path), **catalogue.load(str(path)).parameters}
        ConfigStore.instance().store(name=path.name, node=OmegaConf.create(node), group="problem")
    return "problem=" + ",".join(paths[choice].name if choice in paths else choice for choice in choices)


def read(config: DictConfig, choices: Mapping[str, str | None]) -> Settings:
    """The settings of a composed configuration; `choices` (group → name) it was made of. Raises BadInput."""
    own = OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])
    plain = OmegaConf.to_container(own, resolve=True, throw_on_missing=True)
    assert isinstance(plain, dict)
    for group, choice in choices.items():
        if choice is not None and re.fullmatch(GROUPS, group) and not plain.get(group):
            raise BadInput(group, f"the file of {group}={choice} is no mapping", "write `key: value` in it")
    if "problem" not in plain:
        raise _required()
    return Settings.from_mapping({str(key): value for key, value in plain.items()})


class Gate(Callback):
    """Refuses bad input before there is a folder."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """All of a single run is checked, down to the problem that is built."""
        with refusing():
            settings = read(config, config.hydra.runtime.choices)
            _refuse_used(Path(config.hydra.run.dir).glob("status.json"), config)
            check_device(settings.device, settings.dtype)
            import pinnkit.tasks as tasks  # torch takes seconds, and --help does not need it

            with _unheard("pinnkit"):  # the job says it again
                tasks.prepare(settings)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Every job of a sweep must compose: wrong keys and choices stop it, wrong values only their job."""
        with refusing():
            swept = [f"{key}={value}" for key, value in (config.hydra.sweeper.get("params") or {}).items()]
            overrides = OverridesParser.create().parse_overrides([*swept, *config.hydra.overrides.task])
            for job in BasicSweeper.split_arguments(overrides, max_batch_size=None)[0]:
                if "problem" not in compose(kwargs["config_name"], [*config.hydra.overrides.hydra, *job]):
                    raise _required()
            _refuse_used(Path(config.hydra.sweep.dir).glob("*/status.json"), config)


@contextmanager
def _unheard(name: str) -> Iterator[None]:
    """Keep a logger quiet inside."""
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _required() -> BadInput:
    return BadInput("problem", "it is required", choose_from("", _choices("problem")))


def _refuse_used(earlier: Iterable[Path], config: DictConfig) -> None:
    """Refuse a folder with runs worth keeping, which `earlier` status files tell of."""
    kept = [path for path in earlier if '"failed"' not in path.read_text()]
    if kept and not config.get("overwrite") and not config.get("resume"):
        remedy = "write resume=auto to go on, overwrite=true to start again, or choose another folder"
        raise BadInput("hydra.run.dir", f"{kept[0].parent} already holds a run", remedy)
