"""Evolution in time on one mesh: Runge–Kutta steps of given or of adapted length, cubics between their ends."""

from typing import NamedTuple

import numpy as np
from scipy.sparse.linalg import SuperLU

from pinnkit.errors import BadInput
from pinnkit.reference.elements import Space
from pinnkit.reference.mesh import Array, Index
from pinnkit.reference.weak_form import (
    BoundaryValueProblem,
    System,
    assemble,
    dirichlet_values,
    factorise,
    natural_conditions,
    source_load,
)

COARSEST, FINEST = 3, 30  # halvings of the time span that make a time step


class Tableau(NamedTuple):
    """A stiffly accurate Runge–Kutta method: explicit first stage, equal diagonal entries."""

    nodes: Array  # c (s,)
    stages: Array  # a (s, s), its last row being the weights b
    embedded: Array  # weights of the lower order (s,)


# The implicit part of ARK4(3)6L[2]SA: order 4 (embedded 3), stage order 2, L-stable.
# Kennedy & Carpenter, Appl. Numer. Math. 44 (2003).
ESDIRK4 = Tableau(
    np.array([0, 1 / 2, 83 / 250, 31 / 50, 17 / 20, 1]),
    np.array(
        [
            [0, 0, 0, 0, 0, 0],
            [1 / 4, 1 / 4, 0, 0, 0, 0],
            [8611 / 62500, -1743 / 31250, 1 / 4, 0, 0, 0],
            [5012029 / 34652500, -654441 / 2922500, 174375 / 388108, 1 / 4, 0, 0],
            [
                15267082809 / 155376265600,
                -71443401 / 120774400,
                730878875 / 902184768,
                2285395 / 8070912,
                1 / 4,
                0,
            ],
            [82889 / 524892, 0, 15625 / 83664, 69875 / 102672, -2260 / 8211, 1 / 4],
        ]
    ),
    np.array(
        [
            4586570599 / 29645900160,
            0,
            178811875 / 945068544,
            814220225 / 1159782912,
            -3700637 / 11593932,
            61727 / 225920,
        ]
    ),
)


class Trajectory(NamedTuple):
    """States and rates of change at the ends of time steps."""

    times: Array  # (k,)
    states: Array  # (k, N)
    rates: Array  # (k, N)


class Evolution:
    """The system M u' + K u = F(t) on one mesh; matrices that do not depend on time are made only once."""

    def __init__(self, space: Space, problem: BoundaryValueProblem, times: tuple[float, float]) -> None:
        self.space, self.problem, self.times = space, problem, times
        self.steady_matrices = _are_constant(space, problem, times)
        self.factors: dict[float, SuperLU] = {}
        self.start = self.assemble(times[0])
        self.free = np.flatnonzero(np.isnan(self.fixed(times[0])))

    def assemble(self, t: float) -> System:
        return assemble(self.space, self.problem, self.problem.interior(self.space.points, t), t)

    def system(self, t: float) -> System:
        """The system at time t; where only the load changes, only the load is assembled."""
        if not self.steady_matrices:
            return self.assemble(t)
        source = self.problem.interior(self.space.points, t).source
        influx = natural_conditions(self.space, self.problem, t)[1]
        return self.start._replace(load=source_load(self.space, source) + influx)

    def fixed(self, t: float) -> Array:
        return dirichlet_values(self.space, self.problem, t)

    def factorised(self, system: System, rate: float) -> SuperLU:
        """Factors of K + rate M on the free degrees of freedom."""
        if not self.steady_matrices:
            self.factors.clear()
        key = round(np.log2(rate), 9)  # lengths of time steps that are meant to be equal differ by round-off
        if key not in self.factors:
            matrix = system.stiffness + rate * system.mass
            self.factors[key] = factorise(matrix[self.free][:, self.free].tocsc())
        return self.factors[key]

    def initial_state(self) -> tuple[Array, Array]:
        """u₀, with the Dirichlet values where they are given, and its rate of change M u' = F − K u."""
        if self.problem.initial is None:
            raise BadInput("problem", "a transient problem needs an initial condition", "give one")
        t, span = self.times[0], 1e-4 * (self.times[1] - self.times[0])
        values = [self.fixed(t + k * span) for k in range(3)]
        u = np.where(np.isnan(values[0]), self.problem.initial(self.space.basis.doflocs.T), values[0])
        rate = np.nan_to_num((4 * values[1] - 3 * values[0] - values[2]) / (2 * span))
        excess = (self.start.load - self.start.stiffness @ u - self.start.mass @ rate)[self.free]
        rate[self.free] = factorise(self.start.mass[self.free][:, self.free].tocsc()).solve(excess)
        return u, rate

    def step(self, t: float, length: float, u: Array, rate: Array) -> tuple[Array, Array, Array]:
        """State and rate after a time step, and the local error by the embedded method."""
        nodes, stages, embedded = ESDIRK4
        diagonal = 1 / (length * stages[-1, -1])
        rates, state = [rate], u
        for node, row in zip(nodes[1:], stages[1:], strict=True):
            system = self.system(t + node * length)
            state = np.nan_to_num(self.fixed(t + node * length))
            known = u + length * sum(a * k for a, k in zip(row, rates, strict=False))
            excess = system.load + system.mass @ (diagonal * (known - state)) - system.stiffness @ state
            state[self.free] = self.factorised(system, diagonal).solve(excess[self.free])
            rates.append(diagonal * (state - known))
        return state, rates[-1], length * ((stages[-1] - embedded) @ np.array(rates))

    def march(self, times: Array) -> Trajectory:
        """The trajectory with the given ends of time steps."""
        states = [self.initial_state()]
        for t, length in zip(times[:-1], np.diff(times), strict=True):
            states.append(self.step(t, length, *states[-1])[:2])
        return _trajectory(times, states)

    def march_adaptively(self, tolerance: float) -> Trajectory:
        """The trajectory by time steps of span / 2^k whose local errors are below the tolerance.

        The error of a step is relative to the largest ‖u‖ so far and weighted by the root of its share of the
        span, as in the L2 norm over time: initial layers, where data disagree, then cost a few dozen steps.
        """
        start, span = self.times[0], self.times[1] - self.times[0]
        states, size = [self.initial_state()], 0.0
        ticks, level = [0], COARSEST  # the time is counted in ticks of span / 2^FINEST
        while ticks[-1] < 2**FINEST:
            t, length = start + span * ticks[-1] / 2**FINEST, span / 2**level
            state, rate, error = self.step(t, length, *states[-1])
            size = max(size, self._norm(state))
            excess = self._norm(error) / 2 ** (level / 2) / (tolerance * size) if size > 0 else 0.0
            if excess > 1 and level < FINEST:
                level += 1
                continue
            states.append((state, rate))
            ticks.append(ticks[-1] + 2 ** (FINEST - level))
            if excess < 2**-5 and level > COARSEST and ticks[-1] % 2 ** (FINEST - level + 1) == 0:
                level -= 1
        return _trajectory(start + span * np.array(ticks) / 2**FINEST, states)

    def _norm(self, u: Array) -> float:
        return self.space.norm(self.space.values(u))


def _are_constant(space: Space, problem: BoundaryValueProblem, times: tuple[float, float]) -> bool:
    """Whether all coefficients but f and g are the same at the start, the end and in between."""
    instants = [times[0] + share * (times[1] - times[0]) for share in (0.0, 0.37, 1.0)]
    first, *others = [problem.interior(space.points, t)._replace(source=np.empty(0)) for t in instants]
    same = all(np.array_equal(a, b) for other in others for a, b in zip(first, other, strict=True))
    matrix, *matrices = [natural_conditions(space, problem, t)[0] for t in instants]
    return same and all(np.array_equal(matrix.data, other.data) for other in matrices)


def _trajectory(times: Array, states: list[tuple[Array, Array]]) -> Trajectory:
    """The trajectory, its first rate replaced by that of the parabola through the first step's other data.

    The true one is unbounded where the initial state disagrees with the boundary data, and a cubic would
    follow it.
    """
    u, rates = (np.array(part) for part in zip(*states, strict=True))
    rates[0] = 2 * (u[1] - u[0]) / (times[1] - times[0]) - rates[1]
    return Trajectory(times, u, rates)


def hermite(times: Array, instants: Array) -> tuple[Index, Array]:
    """The step (n,) of each instant, and the weights (4, n) of u, u' at its start and u, u' at its end."""
    step = np.clip(np.searchsorted(times, instants, side="right") - 1, 0, len(times) - 2)
    length = times[step + 1] - times[step]
    s = (instants - times[step]) / length
    first = (1 + 2 * s) * (1 - s) ** 2, length * s * (1 - s) ** 2
    last = s**2 * (3 - 2 * s), length * s**2 * (s - 1)
    return step, np.array([*first, *last])


def interpolated(path: Trajectory, instants: Array) -> Array:
    """States at the given instants (n,), by cubic Hermite interpolation: (n, N)."""
    step, (a, b, c, d) = hermite(path.times, instants)
    first = a[:, None] * path.states[step] + b[:, None] * path.rates[step]
    return first + c[:, None] * path.states[step + 1] + d[:, None] * path.rates[step + 1]
