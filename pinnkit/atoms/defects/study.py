"""Point defects of crystals, told apart by a representation that is learned from pairs of views."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike

from pinnkit.atoms.defects.contrastive import (
    Coordinates,
    Encoder,
    Features,
    Invariants,
    Learned,
    Scale,
    Training,
    learn,
    nearest,
    one_thread,
)
from pinnkit.atoms.defects.crystals import Crystals, Defect, Disturbance, defects, views
from pinnkit.atoms.defects.environments import Environments, Index
from pinnkit.atoms.defects.merit import HeldOut, Represented, agreement
from pinnkit.atoms.structure import Array, Structure
from pinnkit.conversion import Between, choose_from, convert
from pinnkit.errors import BadInput
from pinnkit.finding import Finding, usual_metrics
from pinnkit.settings import Settings
from pinnkit.study import Study

MISSED = 0.01  # share of nearest neighbours of another defect up to which a representation is trusted, if none is asked
NOISES = (0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12)  # of d, at which accuracy is told
STRETCHES = (-0.09, -0.06, -0.03, 0.0, 0.03, 0.06, 0.09)  # of lattices, likewise
ASKED = 600  # views at each of them, at most as many as are held out
ATOMS = 40  # nearest ones whose coordinates a naive model is told
TRAINED, UNSEEN = (0.0, 0.5), (0.5, 1.0)  # shares of the sites of a supercell
PAIRS, HELD_OUT, CURVES = 1, 2, 3  # streams of random numbers
BOUNDS: Mapping[str, Any] = {
    "noise": Annotated[float, Between(0, 0.3)],
    "strain": Annotated[float, Between(0, 0.1)],
    "size": Annotated[float, Between(0, 0.1)],
    "pairs": Annotated[int, Between(2, 200_000)],
    "held_out": Annotated[int, Between(10, 20_000)],
    "batch": Annotated[int, Between(1, 4096)],
    "temperature": Annotated[float, Between(1e-3, 100)],
    "steps": Annotated[int, Between(1, 1e6)],
    "dimension": Annotated[int, Between(2, 1024)],
    "width": Annotated[int, Between(1, 4096)],
    "supervised": bool,
}


@dataclass(frozen=True, eq=False)
class CrystalDefects(Study):
    """Defects of lattices, in `crystals` that are disturbed by noise, strain and size (see crystals.Disturbance).

    chosen       names of the defects to be told apart; None: all of the lattices
    pairs        views two by two to learn from
    held_out     views to judge by, at other sites
    batch        pairs at a time, temperature, steps, width, dimension: see contrastive
    supervised   whether learning is told which pairs show the same defect

    Raises BadInput.
    """

    lattices: Sequence[str] = ("fcc", "bcc", "b2")
    crystals: Crystals = field(default_factory=Crystals)
    chosen: Sequence[str] | None = None
    noise: float = 0.06
    strain: float = 0.01
    size: float = 0.03
    pairs: int = 6000
    held_out: int = 4000
    batch: int = 128
    temperature: float = 0.1
    steps: int = 1500
    dimension: int = 16
    width: int = 64
    supervised: bool = False
    name: str = field(default="crystal_defects", kw_only=True)

    def __post_init__(self) -> None:
        for key, kind in BOUNDS.items():
            convert(kind, getattr(self, key), f"problem.{key}")
        _check_crystals(self.crystals)
        self._check_batch()
        if len(self.kinds) < 2:
            what = f"there is one: {self.kinds[0].name}" if self.kinds else "there are none"
            raise BadInput("problem.lattices" if self.chosen is None else "problem.defects", what, "take two or more")
        for disturbed in self._disturbances:
            self.crystals.check(sorted({kind.lattice for kind in self.kinds}), disturbed)

    @property
    def kinds(self) -> tuple[Defect, ...]:
        """The defects to be told apart."""
        known = {kind.name: kind for kind in defects(self.lattices)}
        for name in self.chosen or ():
            if name not in known:
                raise BadInput("problem.defects", f"unknown defect {name!r}", choose_from(name, known))
        return tuple(kind for name, kind in known.items() if self.chosen is None or name in self.chosen)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(kind.name for kind in self.kinds)

    @property
    def training(self) -> Training:
        return Training(self.batch, self.temperature, self.steps, self.width, self.dimension)

    @property
    def disturbed(self) -> Disturbance:
        """As in training."""
        return Disturbance(self.noise, self.strain, self.size)

    def draw(
        self, count: int, sites: tuple[float, float], disturbed: Disturbance, rng: np.random.Generator
    ) -> tuple[Environments, Index]:
        """Views of defects at random, at that share of the sites, and which they are (count,)."""
        labels = np.sort(rng.integers(len(self.kinds), size=count))
        return views(self.crystals, self.kinds, labels, sites, disturbed, rng), labels

    @property
    def by_noise(self) -> dict[float, Disturbance]:
        """As in training, but for the noise."""
        return {value: replace(self.disturbed, noise=value) for value in sorted({*NOISES, self.noise})}

    @property
    def by_stretch(self) -> dict[float, Disturbance]:
        """With lattices of one size that is another one."""
        return {value: replace(self.disturbed, size=0.0, stretch=value) for value in STRETCHES}

    @property
    def _disturbances(self) -> list[Disturbance]:
        return [self.disturbed, *self.by_noise.values(), *self.by_stretch.values()]

    def _check_batch(self) -> None:
        if self.batch == 1:
            raise BadInput("problem.batch", "a pair alone has nothing to differ from", "take at least 2")
        if self.batch > self.pairs:
            raise BadInput("problem.batch", f"{self.batch} of {self.pairs} pairs", "take fewer, or more problem.pairs")

    def answer(self, settings: Settings) -> "DefectRepresentation":
        """Raises BadInput likewise."""
        with one_thread():
            return represent(self, settings)


def _check_crystals(crystals: Crystals) -> None:
    length: Any = Annotated[float, Between(0, 1e3, above=True)]
    d = convert(length, crystals.distance, "problem.distance")
    convert(Annotated[int, Between(1, 15)], crystals.repeats, "problem.supercell")
    if not convert(length, crystals.cutoff, "problem.cutoff") > 1.2 * d:
        what = f"{crystals.cutoff:g} Å hardly reach the nearest neighbours, {d:g} Å away"
        raise BadInput("problem.cutoff", what, f"take more than {1.2 * d:g}")
    if len(crystals.species) != 2 or crystals.species[0] == crystals.species[1]:
        raise BadInput("problem.species", f"they are {', '.join(crystals.species)}", "name two")


@dataclass(frozen=True, eq=False)
class DefectRepresentation(Finding):
    """A representation of environments, the views it was learned from, and how it does on others."""

    problem: CrystalDefects
    learned: Learned
    known: Array  # (n, d)
    labels: Index  # (n,), of the known views
    judged: HeldOut
    settings: Settings
    history: Sequence[Mapping[str, Any]] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)

    kind: ClassVar[str] = "defect_representation"
    captions: ClassVar[Mapping[str, str]] = {
        "solution": "Views at sites never seen, along the two directions in which each representation varies most.",
        "confusion": "Of which defect the nearest neighbours of views at sites never seen are.",
        "noise": "Views never seen whose nearest view of training shows the same defect, under other noise and strain.",
        "loss": "Losses of training, with the least one that can be expected of pairs that were not learned by heart.",
    }

    def embed(self, seen: Environments | Structure, sites: ArrayLike | None = None) -> Array:
        """Unit vectors (n, d) of environments, or of sites of a structure: atoms by number (n,), or positions (n, 3).

        Raises BadInput.
        """
        return self.learned(self._seen(seen, sites))

    def classify(self, seen: Environments | Structure, sites: ArrayLike | None = None) -> list["Match"]:
        """For each likewise the defect of the most similar view of training, and how similar that is."""
        found = self.embed(seen, sites)
        near = nearest(found, self.known)
        similar = (found * self.known[near]).sum(1)
        names = self.problem.names
        return [Match(names[self.labels[k]], float(value)) for k, value in zip(near, similar, strict=True)]

    def _seen(self, seen: Environments | Structure, sites: ArrayLike | None) -> Environments:
        if isinstance(seen, Environments):
            return seen
        if sites is None:
            raise BadInput("sites", "there are none", "give numbers of atoms (n,), or positions (n, 3) in Å")
        return Environments.around(seen, sites, self.problem.crystals.cutoff, self.problem.crystals.species)

    def figures(self) -> Mapping[str, Any]:
        """Maps, confusion, accuracy against noise and strain, losses."""
        from pinnkit.atoms.defects.figures import figures  # matplotlib takes a second to import

        return figures(self)

    def arrays(self) -> Mapping[str, Array]:
        """Representations of the known views with their defects; maps of the others with theirs."""
        maps = {f"map_{name}": points for name, points in self.judged.maps.items()}
        return {
            "known": self.known, "known_defects": self.labels, "names": np.array(self.problem.names),
            "defects": self.judged.labels, **maps,
        }  # fmt: skip

    def lines(self) -> list[str]:
        """Accuracies of all representations, and the worst defects."""
        m = self.metrics
        seen = {name: value for name, value in m["accuracy_by_defect"].items() if value is not None}
        worst = min(seen, key=lambda name: float(seen[name]))
        told = {
            "nearest neighbours": f"{m['nearest_neighbour_accuracy']:.2%} of the same defect, at sites never seen",
            "symmetry functions": f"{m['raw_descriptor_accuracy']:.2%}",
            "coordinates": f"{m['raw_coordinate_accuracy']:.2%}, trained {m['trained_coordinate_accuracy']:.2%}",
            "hardest": f"{worst}, {seen[worst]:.2%}",
        }
        return [f"  {name:<18} {value}" for name, value in told.items()]

    def to_plain(self) -> dict[str, Any]:
        """The network, the known views and what was judged."""
        p, model = self.problem, self.learned
        choices = {key: getattr(p, key) for key in BOUNDS}
        crystals = {key: getattr(p.crystals, key) for key in ("distance", "cutoff", "repeats")}
        told = {"lattices": list(p.lattices), "chosen": None if p.chosen is None else list(p.chosen), "name": p.name}
        return {
            "study": told | choices, "crystals": crystals | {"species": list(p.crystals.species)},
            "mean": model.scale.mean, "deviation": model.scale.deviation, "encoder": model.encoder.state_dict(),
            "known": torch.from_numpy(self.known), "labels": torch.from_numpy(self.labels),
            "judged": self.judged.to_plain(), "history": [dict(row) for row in self.history],
            "settings": self.settings.to_mapping(), "metrics": dict(self.metrics),
        }  # fmt: skip

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "DefectRepresentation":
        """What `to_plain` was given."""
        crystals = Crystals(**{**plain["crystals"], "species": tuple(plain["crystals"]["species"])})
        problem = CrystalDefects(**plain["study"], crystals=crystals)
        scale = Scale(plain["mean"], plain["deviation"])
        encoder = Encoder(len(scale.mean), problem.width, problem.dimension, torch.Generator())
        encoder.load_state_dict(plain["encoder"])
        learned = Learned(Invariants(crystals.distance, crystals.cutoff), scale, encoder)
        return cls(
            problem, learned, plain["known"].numpy(), plain["labels"].numpy(), HeldOut.from_plain(plain["judged"]),
            Settings.from_mapping(plain["settings"]), plain["history"], plain["metrics"],
        )  # fmt: skip


class Match(NamedTuple):
    """A defect, and the cosine of the angle to a view of it."""

    defect: str
    similarity: float


# --- learning ---------------------------------------------------------------------------------------------------------


def represent(problem: CrystalDefects, settings: Settings) -> DefectRepresentation:
    """Learn from pairs, and judge by views at other sites. Raises BadInput."""
    began, seed = time.perf_counter(), settings.seed
    first, second, labels = _pairs(problem, np.random.default_rng([seed, PAIRS]))
    invariants = Invariants(problem.crystals.distance, problem.crystals.cutoff)
    learned = _learned(problem, invariants, first, second, labels, seed)
    seconds = time.perf_counter() - began
    represented = Represented(learned, _learned(problem, Coordinates(ATOMS), first, second, labels, seed))
    known = represented(first)
    unseen, truth = problem.draw(problem.held_out, UNSEEN, problem.disturbed, np.random.default_rng([seed, HELD_OUT]))
    judged = HeldOut.of(represented(unseen), truth)
    curves = _curves(problem, represented, known, labels, np.random.default_rng([seed, CURVES]))
    history = _history(represented)
    found = DefectRepresentation(problem, learned, known["contrastive"], labels, judged, settings, history)
    return replace(found, metrics=_metrics(found, curves, seconds, time.perf_counter() - began))


def _learned(
    problem: CrystalDefects, features: Features, first: Environments, second: Environments, labels: Index, seed: int
) -> Learned:
    return learn(features, (features(first), features(second)), labels, problem.training, seed, problem.supervised)


def _curves(
    problem: CrystalDefects, represented: Represented, known: Mapping[str, Array], labels: Index,
    rng: np.random.Generator,
) -> dict[str, dict[str, list[float]]]:  # fmt: skip
    """By what is varied: its values, and the accuracy of each representation."""
    asked, curves = min(ASKED, problem.held_out), {}
    for name, disturbances in {"noise": problem.by_noise, "stretch": problem.by_stretch}.items():
        queries = [problem.draw(asked, UNSEEN, disturbed, rng) for disturbed in disturbances.values()]
        curves[name] = {"values": list(disturbances), **agreement(represented, known, labels, queries)}
    return curves


def _history(represented: Represented) -> list[dict[str, float]]:
    rows = zip(represented.invariant.history, represented.naive.history, strict=True)
    return [{**row, "coordinates_loss": other["loss"]} for row, other in rows]


def _pairs(problem: CrystalDefects, rng: np.random.Generator) -> tuple[Environments, Environments, Index]:
    """First and second views of the same defects, and which these are."""
    first, labels = problem.draw(problem.pairs, TRAINED, problem.disturbed, rng)
    second = views(problem.crystals, problem.kinds, labels, TRAINED, problem.disturbed, rng)
    return first, second, labels


def _metrics(found: DefectRepresentation, curves: Mapping[str, Any], train: float, total: float) -> dict[str, Any]:
    problem, judged, tolerance = found.problem, found.judged, found.settings.tolerance or MISSED
    accuracy = {name: judged.accuracy(name) for name in judged.nearest}
    missed = 1 - accuracy["contrastive"]
    trusted = (
        "trusted" if missed <= tolerance else f"untrusted: {missed:.2%} of nearest neighbours are of another defect"
    )
    usual = usual_metrics(
        problem, found.settings, seconds=train, verdict=trusted, stop_reason="steps", points=2 * problem.pairs,
        parameters=sum(p.numel() for p in found.learned.encoder.parameters()), reference="exact", error_estimate=0.0,
    )  # fmt: skip
    each, seen = judged.confusion("contrastive", len(problem.names)).diagonal().tolist(), set(judged.labels.tolist())
    last = found.history[-max(1, len(found.history) // 10) :]
    return {
        **usual, "optimizer": "adamw", "seconds": {**usual["seconds"], "total": total},
        "nearest_neighbour_accuracy": accuracy["contrastive"],
        "accuracy_deviation": float(np.sqrt(missed * (1 - missed) / len(judged.labels))),
        "raw_descriptor_accuracy": accuracy["descriptors"], "raw_coordinate_accuracy": accuracy["coordinates"],
        "trained_coordinate_accuracy": accuracy["trained_coordinates"],
        "accuracy_by_defect": {name: each[k] if k in seen else None for k, name in enumerate(problem.names)},
        "accuracy_by_noise": curves["noise"], "accuracy_by_stretch": curves["stretch"],
        "loss": {key: float(np.mean([row[key] for row in last])) for key in ("loss", "least_loss", "coordinates_loss")},
    }  # fmt: skip
