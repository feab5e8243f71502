"""The automatic choice: least squares with features that grow until they resolve the solution, then what is needed.

Polynomials are added to the feature map, twice as many each time, and the head is solved for; the residual on fresh
points says whether that helped. Where a first few do not see the solution because its source is local, local features
join them there. Where the residual stays large, no frozen features of these kinds will do, and all parameters are
trained from the best of them by Gauss–Newton; where that ends in a minimum that is no solution, it starts from others.
Not so beside a known function: what that leaves over is its own roughness.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from pinnkit.peaks import peaks
from pinnkit.problem import Problem
from pinnkit.settings import Adam, Auto, GaussNewton, LeastSquares, Settings
from pinnkit.training import Training

FEW, FEW_ON_A_LINE = 100, 25  # polynomials to begin with
MOST = 3200
MANY = 1000  # from which on one enlargement has to be worth it, below that two together
GAIN = 0.1  # part of the misfit below which they have to lower it
ROUGH = 0.05  # misfit above which the solution is not seen yet, and gains are not asked for
RESOLVED, NEARLY = 1e-13, 1e-9  # misfits from which on more features are not worth it, and many are not
SLOWER = 8  # how many times longer twice as many features take
UNRESOLVED = 0.03  # misfit from which on all parameters are trained, and from which on they are stuck
STARTS = 10
log = logging.getLogger(__name__)

Run = Callable[[Settings, Training | None], Training]  # trains as told, after another training if there was one


def train(problem: Problem, settings: Settings, run: Run) -> Training:
    """The training that leaves the smallest residual on fresh points, among those that the settings leave open."""
    chosen = _chosen(settings)
    if problem.open and chosen.network.polynomials is None:  # data decide, and they are few
        chosen = replace(chosen, network=replace(chosen.network, polynomials=FEW))
    best = _grown(problem, chosen, run) if _grows(chosen) else run(chosen, None)
    if problem.enrichment is None and _may_go_on(settings, best) and (misfit := best.misfit()) > UNRESOLVED:
        log.info("frozen features leave a misfit of %.1e: training all parameters by Gauss–Newton", misfit)
        kept = settings.network.head == "sampled"
        network = replace(settings.network, head="sampled" if kept else "solved")  # polynomials only if asked for
        best = _better(best, run(replace(best.settings, optimizer=GaussNewton(), network=network), best))
    for draw in range(1, STARTS if settings.network.draw is None else 0):
        if not _is_stuck(best):
            break
        log.info("stuck at a misfit of %.1e: another start", best.misfit())
        network = replace(best.settings.network, draw=draw)
        best = _better(best, run(replace(best.settings, network=network), best))
    return best


def _better(one: Training, other: Training) -> Training:
    return other if other.misfit() < one.misfit() else one


def _is_stuck(training: Training) -> bool:
    """Whether all parameters were trained and ended in a minimum that is no solution, with time left."""
    trained = isinstance(training.settings.optimizer, GaussNewton) and not training.stopped_by_limit
    return trained and training.step < training.last and training.misfit() > UNRESOLVED


def _may_go_on(settings: Settings, best: Training) -> bool:
    least_squares = isinstance(best.settings.optimizer, LeastSquares)
    return isinstance(settings.optimizer, Auto) and least_squares and not best.stopped_by_limit


def _chosen(settings: Settings) -> Settings:
    """The settings with an optimizer in the place of "auto"."""
    if not isinstance(settings.optimizer, Auto):
        return settings
    first = Adam() if settings.sampling.resample else LeastSquares()
    log.info("optimizer: %s%s", first.name, ", because points are drawn anew" if settings.sampling.resample else "")
    return replace(settings, optimizer=first)


def _grows(settings: Settings) -> bool:
    network = settings.network
    return isinstance(settings.optimizer, LeastSquares) and network.polynomials is None and network.head != "random"


def _grown(problem: Problem, settings: Settings, run: Run) -> Training:
    count = FEW_ON_A_LINE if len(problem.coordinates) == 1 else FEW
    best = latest = None
    misfits: list[float] = []
    seconds = 0.0
    while latest is None or _worthwhile(latest, misfits, count, seconds):
        start = time.perf_counter()
        latest = run(replace(settings, network=replace(settings.network, polynomials=count)), latest)
        misfits.append(latest.misfit())
        log.info("%d polynomials: misfit %.1e", count, misfits[-1])
        best = latest if best is None or misfits[-1] <= min(misfits) else best
        if len(misfits) == 1:
            settings = _with_peaks(settings, latest, misfits[0])
        seconds, count = time.perf_counter() - start, 2 * count
    assert best is not None
    return best


def _with_peaks(settings: Settings, first: Training, misfit: float) -> Settings:
    """The settings with places for local features, where the source of what is not resolved yet is local."""
    if settings.network.peaks is not None or misfit < ROUGH:
        return settings
    found = peaks(first)
    for place in found:
        log.info("a local source: local features at %s", ", ".join(f"{value:.3g}" for value in place))
    return replace(settings, network=replace(settings.network, peaks=found))


def _worthwhile(latest: Training, misfits: list[float], count: int, seconds: float) -> bool:
    """Whether to go on to `count` polynomials."""
    resolved, before = (NEARLY, misfits[-2:-1]) if count > MANY else (RESOLVED, misfits[-3:-2])
    if count > MOST or latest.stopped_by_limit or misfits[-1] <= max(resolved, latest.settings.training.tolerance):
        return False
    if before and GAIN * before[0] < misfits[-1] < ROUGH:
        return False
    return SLOWER * seconds < latest.limit - latest.seconds
