"""From a problem and settings to a trial function, its residuals at collocation points, and an optimizer."""

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pinnkit import settings as chosen
from pinnkit.boundary import exact_boundary
from pinnkit.collocation import Amounts, Spot, collocate
from pinnkit.corners import corner_functions
from pinnkit.errors import BadInput
from pinnkit.geometry import Planar, SpaceTime, neck_warning
from pinnkit.hermite import HermiteProducts, scales
from pinnkit.networks import MLP, FeatureMap, FourierMLP, Joined, Reduced, Wide
from pinnkit.optimizers import (
    LBFGS,
    SOAP,
    Adam,
    LeastSquares,
    LevenbergMarquardt,
    MatrixFreeGaussNewton,
    Optimizer,
    Schedule,
    SelfScaledBroyden,
    Spring,
    VariableProjection,
)
from pinnkit.polynomials import ChebyshevProducts, InTime
from pinnkit.prior import lean_on_data
from pinnkit.problem import INTERIOR, Problem
from pinnkit.residuals import Collocation, Residuals
from pinnkit.settings import Network, Settings
from pinnkit.trial import Enrichment, Enrichments, Trial, TrialShape
from pinnkit.vanishing import vanishing

log = logging.getLogger(__name__)
Array = NDArray[np.float64]

HEAD_STEPS = 50  # of Gauss–Newton with frozen features, at most
SLOPE = 1.5  # of the first layer, per half-width of the domain
WAVES, WAVES_ALONE = 3.0, 6.0  # of sines in two dimensions, likewise: beside polynomials, and without them
SPREAD = 1.0  # of Fourier features, likewise
INTERIOR_PER_COLUMN, LEAST_INTERIOR = 3, 2000
BOUNDARY_PER_EDGE, LEAST_BOUNDARY = 40, 600
POINTS_PER_CORNER = 24  # along each edge
POINTS_PER_SCALE, BREADTH = 480, 2.0  # of local features, and their spread relative to the width


@dataclass(frozen=True)
class Assembly:
    """All that training needs, at its start."""

    trial: Trial
    residuals: Residuals
    optimizer: Optimizer
    steps: int  # that the optimizer is given if nobody says


def assemble(
    problem: Problem,
    settings: Settings,
    features: nn.Module | None = None,
    before: Assembly | None = None,
    bounds: Array | None = None,
) -> Assembly:
    """The start of a run: parameters, points and scales depend on the seed alone.

    `features` replaces the network of the settings by any module that maps (n, d) to (n, width), `bounds` (2, d) are
    what it sees as [−1, 1]ᵈ, by default those of the domain. The scales are those of `before` where there is such a
    thing, so that losses can be compared.
    """
    device = chosen.check_device(settings.device, settings.dtype)
    dtype = {"float64": torch.float64, "float32": torch.float32}[settings.dtype]
    trial = trial_for(problem, settings, features, bounds).to(device=device, dtype=dtype)
    points = points_for(problem, settings, trial.columns)
    inside = [len(points[name].points) for name, c in problem.conditions.items() if c.on == INTERIOR]
    _warn_of_necks(problem, max(inside, default=0))
    residuals = Residuals(problem, trial, points)
    if before is None:
        residuals.normalise()
        residuals.rescale_output()
    else:
        residuals.scale_like(before.residuals)
    if problem.open:
        lean_on_data(residuals, _sampler(settings))
    start_head(trial, settings)
    optimizer, steps = optimizer_for(settings)
    return Assembly(trial, residuals, optimizer, steps)


def _sampler(settings: Settings) -> torch.Generator | None:
    return torch.Generator().manual_seed(settings.seed) if settings.network.head == "sampled" else None


def _warn_of_necks(problem: Problem, n: int) -> None:
    domain = problem.domain.space if isinstance(problem.domain, SpaceTime) else problem.domain
    warning = neck_warning(domain, n) if n and isinstance(domain, Planar) else None
    if warning:
        log.warning("%s", warning)


def trial_for(
    problem: Problem, settings: Settings, features: nn.Module | None = None, bounds: Array | None = None
) -> Trial:
    """The trial function of a problem before training, in float64 on the CPU."""
    singular = corner_functions(problem) if settings.network.corners else None
    exact = exact_boundary(problem) if settings.network.boundary == "hard" else None
    enrichment: Enrichment | None = vanishing(singular, problem, exact) if exact else singular
    if problem.enrichment is not None:
        enrichment = Enrichments([enrichment, problem.enrichment]) if enrichment else problem.enrichment
    shape = TrialShape(
        coordinates=problem.coordinates,
        fields=problem.fields,
        bounds=tuple(map(tuple, (problem.domain.bounds if bounds is None else bounds).tolist())),
        unknowns={name: unknown.raw() for name, unknown in problem.unknowns.items()},
    )
    return Trial(features or network(settings, len(problem.coordinates)), shape, enrichment, exact)


def network(settings: Settings, inputs: int) -> FeatureMap:
    """The feature map that the settings describe, drawn with their seed."""
    if settings.network.in_time:
        plain = replace(settings, network=replace(settings.network, in_time=None))
        return in_time(network(plain, inputs - 1), settings.network.in_time)
    chosen, generator = settings.network, torch.Generator().manual_seed(settings.seed)
    for _ in range(chosen.draw or 0):
        generator.manual_seed(int(torch.randint(2**62, (), generator=generator)))
    drawn = _layers(chosen, inputs, generator)
    fixed: list[FeatureMap] = [_polynomials(chosen, inputs, generator)] if chosen.polynomials else []
    for place in chosen.peaks or ():
        fixed += [HermiteProducts(place[:inputs], widths) for widths in scales(place[inputs:])]
    return Wide(drawn, Joined(fixed)) if fixed else drawn


def in_time(features: FeatureMap, order: int) -> FeatureMap:
    """Features of space, times the first polynomials in time."""
    trained = InTime(features.trained, order)
    return trained if features.fixed is None else Wide(trained, InTime(features.fixed, order))


def _polynomials(chosen: Network, inputs: int, generator: torch.Generator) -> FeatureMap:
    polynomials = ChebyshevProducts(inputs, chosen.polynomials or 0)
    return Reduced(polynomials, chosen.reduced, generator) if chosen.reduced else polynomials


def check_peaks(settings: Settings, inputs: int) -> None:
    """Raises BadInput where a place for local features is none."""
    for place in settings.network.peaks or ():
        if len(place) != 2 * inputs or min(place[inputs:]) <= 0:
            what = f"{list(place)} is not a centre followed by positive widths"
            raise BadInput("network.peaks", what, f"give {2 * inputs} numbers for each place")


def _layers(chosen: Network, inputs: int, generator: torch.Generator) -> FeatureMap:
    if chosen.name == "fourier":
        assert chosen.frequencies is not None
        spread = chosen.slope or SPREAD
        return FourierMLP(inputs, chosen.frequencies, spread, chosen.layers, chosen.activation, generator)
    waves = (WAVES if chosen.polynomials else WAVES_ALONE) * math.sqrt(2 / inputs)
    slope = chosen.slope or (waves if chosen.activation == "sin" else SLOPE)
    return MLP(inputs, chosen.layers, chosen.activation, slope, generator)


def points_for(problem: Problem, settings: Settings, columns: int, draw: int = 0) -> dict[str, Collocation]:
    """Collocation points: as many as the settings say, else enough to determine so many linear parameters well."""
    wanted, edges = settings.sampling, len(problem.domain.resolve("boundary"))
    many = problem.domain.dimension - 1
    amounts = Amounts(
        wanted.interior or max(INTERIOR_PER_COLUMN * columns, LEAST_INTERIOR),
        wanted.boundary or many * max(BOUNDARY_PER_EDGE * edges, LEAST_BOUNDARY),
        many * POINTS_PER_CORNER if wanted.corner is None else wanted.corner,
        tuple(_spots(problem, settings)),
    )
    return collocate(problem, wanted.method, amounts, settings.seed, draw)


def _spots(problem: Problem, settings: Settings) -> Iterator[Spot]:
    """Where points gather: on every scale of the local features."""
    lower, upper = problem.domain.bounds
    for place in settings.network.peaks or ():
        centre, widths = np.array_split(np.array(place), 2)
        for scale in scales(widths.tolist()):
            deviations = BREADTH * np.array(scale) * (upper - lower) / 2
            yield Spot((lower + upper + centre * (upper - lower)) / 2, deviations, POINTS_PER_SCALE)


def start_head(trial: Trial, settings: Settings) -> None:
    """Draw a random head for the features where the settings ask for one; else it starts from zero, to be solved for.

    Singular functions, of all sizes, start from zero always.
    """
    if settings.network.head == "random":
        generator = torch.Generator().manual_seed(settings.seed)
        drawn = torch.randn(trial.weight.shape, generator=generator, dtype=torch.float64)
        with torch.no_grad():
            trial.weight.copy_(drawn / trial.weight.shape[1] ** 0.5)
            trial.weight[:, trial.width :] = 0.0


def optimizer_for(settings: Settings) -> tuple[Optimizer, int]:
    """The optimizer of the settings and its automatic number of steps."""
    stages = _stages(settings.optimizer)
    if settings.network.head != "random" or not stages:
        stages = [(LeastSquares(), HEAD_STEPS), *stages]
    return Schedule(tuple(stages)), sum(steps for _, steps in stages)


def _stages(record: chosen.Optimizer) -> list[tuple[Optimizer, int]]:
    """What follows a solved head, and for how many steps if nobody says."""
    match record:
        case chosen.LeastSquares() | chosen.Auto():
            return []
        case chosen.GaussNewton():
            method = VariableProjection if record.projection else LevenbergMarquardt
            return [(method(record.damping, record.acceleration), 1000)]
        case chosen.Adam():
            return [(Adam(record.learning_rate, record.half_life), 5000)]
        case chosen.LBFGS():
            return [(LBFGS(record.history), 3000)]
        case chosen.AdamLBFGS():
            adam = Adam(record.learning_rate, record.half_life)
            return [(adam, record.adam_steps), (LBFGS(record.history), 3000)]
        case chosen.SSBroyden():
            return [(SelfScaledBroyden(record.update), 10000)]
        case chosen.SOAP():
            return [(SOAP(record.learning_rate, record.half_life, refresh=record.refresh), 5000)]
        case chosen.MatrixFree():
            return [(MatrixFreeGaussNewton(record.damping, inner=record.inner), 500)]
        case chosen.Spring():
            rates = (record.learning_rate, record.half_life)
            return [(Spring(*rates, record.damping, record.momentum, record.longest), 1000)]
    raise BadInput("optimizer", f"{record.name} has no implementation", "choose another one")
