"""The command line: `python -m pinnkit problem=NAME [group=choice …] [key=value …]`, `-m` for sweeps."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from pinnkit.composition import for_hydra, read
from pinnkit.errors import Interrupted, MissedTolerance, Preempted
from pinnkit.home import folder
from pinnkit.refusal import refusing, report
from pinnkit.settings import check_device
from pinnkit.sweep import record_failure


@hydra.main(config_path=str(folder("conf")), config_name="config", version_base="1.3")
def job(config: DictConfig) -> None:
    """One run, alone or in a sweep. A job of a sweep that fails lets the others go on."""
    here = Path(HydraConfig.get().runtime.output_dir)
    try:
        _run(config, here)
    except Exception as error:
        code = report(error)
        record_failure(here, error, code)
        if HydraConfig.get().mode is RunMode.RUN or isinstance(error, Interrupted | Preempted):
            sys.exit(code)


def _run(config: DictConfig, here: Path) -> None:
    settings = read(config, HydraConfig.get().runtime.choices)
    check_device(settings.device, settings.dtype)
    import pinnkit.tasks as tasks  # torch takes seconds, and --help does not need it

    result = tasks.run(settings, here)
    print(tasks.summary(result))
    if result.missed_tolerance:
        what = f"{settings.tolerance} was asked for, but the answer is {result.metrics['verdict']}"
        raise MissedTolerance(f"tolerance: {what}; {result.remedy}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run with these arguments, by default those of the program; leaves by SystemExit on failure."""
    with refusing():
        os.environ["HYDRA_FULL_ERROR"] = "1"  # let Hydra pass exceptions on instead of printing them
        sys.argv[1:] = for_hydra(sys.argv[1:] if arguments is None else arguments)
        job()


if __name__ == "__main__":
    main()
