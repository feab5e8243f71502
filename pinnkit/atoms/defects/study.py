"""Point defects of crystals, told apart by a representation that is learned from pairs of views."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from pinnkit.atoms.defects.contrastive import Encoder, Learned, Training, learn, nearest
from pinnkit.atoms.defects.crystals import Crystals, Defect, Disturbance, defects, views
from pinnkit.atoms.defects.environments import Environments, Index
from pinnkit.atoms.defects.features import Coordinates, Invariants, Scale
from pinnkit.atoms.defects.merit import HeldOut, Represented, agreement
from pinnkit.atoms.defects.novelty import Novelty, learn_novelty
from pinnkit.atoms.defects.others import Usual, others
from pinnkit.atoms.structure import Array, Structure
from pinnkit.conversion import Between, choose_from, convert
from pinnkit.errors import BadInput, CheckpointUnusable
from pinnkit.finding import Finding, usual_metrics
from pinnkit.linear_algebra import one_thread
from pinnkit.settings import Settings
from pinnkit.study import Study

MISSED = 0.01  # share of nearest neighbours of another defect up to which a representation is trusted, if none is asked
NOISES = (0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12)  # of d, at which accuracy is told
STRETCHES = (-0.09, -0.06, -0.03, 0.0, 0.03, 0.06, 0.09)  # of lattices, likewise
ASKED = 600  # views at each of them, at most as many as are held out
ATOMS = 40  # nearest ones whose coordinates a naive model is told
TRAINED, UNSEEN = (0.0, 0.5), (0.5, 1.0)  # shares of the sites of a supercell
PAIRS, HELD_OUT, CURVES, OTHERS, FRESH = range(1, 6)  # streams of random numbers
NOVEL = 3  # steps of learning what is novel, for each of the representation's
LEVELS = 8  # of noise, up to that of training
BEYOND = 0.5  # in d: how far others are seen beyond the cutoff before they are put out of order
LEAST_OTHERS = 100  # so many that some are left where nothing changed in most
CENTRE = 0.35  # in d: an atom that is as near stands at the site
ALARM = 0.01  # share of views of known defects that are said to be of none
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
    pairs: int = 8000
    held_out: int = 4000
    batch: int = 128
    temperature: float = 0.1
    steps: int = 600
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
            self.crystals.check(self._cells, disturbed)

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
        self, count: int, sites: tuple[float, float], disturbed: Disturbance, rng: np.random.Generator,
        crystals: Crystals | None = None,
    ) -> tuple[Environments, Index]:  # fmt: skip
        """Views of defects at random, at that share of the sites, and which they are (count,)."""
        labels = np.sort(rng.integers(len(self.kinds), size=count))
        return views(crystals or self.crystals, self.kinds, labels, sites, disturbed, rng), labels

    def draw_calmer(
        self, count: int, sites: tuple[float, float], rng: np.random.Generator, crystals: Crystals | None = None
    ) -> Environments:
        """Views likewise, with noise from none up to that of training."""
        counts = np.diff(np.linspace(0, count, LEVELS + 1).astype(int)).tolist()
        noises = self.noise * (np.arange(LEVELS) + rng.random(LEVELS)) / LEVELS
        calmer = [replace(self.disturbed, noise=float(noise)) for noise in noises]
        drawn = [self.draw(n, sites, one, rng, crystals) for n, one in zip(counts, calmer, strict=True) if n]
        return Environments.joined([seen for seen, _ in drawn])

    def draw_others(self, count: int, sites: tuple[float, float], rng: np.random.Generator) -> Environments:
        """Such views put out of order; a few fewer."""
        crystals = self.crystals.reaching(BEYOND * self.crystals.distance, self._cells, self.disturbed)
        usual = Usual(self.crystals.distance, self.noise, self.strain + self.size)
        return others(self.draw_calmer(count, sites, rng, crystals), usual, rng).within(self.crystals.cutoff)

    @property
    def by_noise(self) -> dict[float, Disturbance]:
        """As in training, but for the noise."""
        return {value: replace(self.disturbed, noise=value) for value in sorted({*NOISES, self.noise})}

    @property
    def by_stretch(self) -> dict[float, Disturbance]:
        """With lattices of one size that is another one."""
        return {value: replace(self.disturbed, size=0.0, stretch=value) for value in STRETCHES}

    @property
    def _cells(self) -> list[str]:
        """The lattices of the defects to be told apart."""
        return sorted({kind.lattice for kind in self.kinds})

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
    occupied: Array  # (defects,), shares of the known views of each that have an atom at the centre
    novelty: Novelty
    settings: Settings
    history: Sequence[Mapping[str, Any]] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)

    kind: ClassVar[str] = "defect_representation"
    captions: ClassVar[Mapping[str, str]] = {
        "solution": "Views at sites never seen, along the two directions in which each representation varies most; "
        "numbers stand in the middle of a defect. Percentages: views whose nearest neighbour shows the same defect.",
        "confusion": "Of the views of a defect at sites never seen, one row each, the percentage whose nearest "
        "neighbour shows the defect of the column; less than 0.5 % is not written.",
        "noise": "Of views never seen, under other noise and in lattices of another size: those whose nearest view of "
        "training shows the same defect, and those that are said to be of no known defect. Noise is a standard "
        "deviation along each axis, in percent of the distance between nearest neighbours.",
        "loss": "Losses of training, with the least one that can be expected of pairs that were not learned by heart.",
    }

    def embed(self, seen: Any, sites: ArrayLike | None = None) -> Array:
        """Unit vectors (n, d) of environments, or of sites of a structure: atoms by number (n,), or positions (n, 3).

        A structure is one of ours or of ASE (anything with `positions` and `get_chemical_symbols`). Raises BadInput.
        """
        return self.learned(self._seen(seen, sites))

    def classify(self, seen: Any, sites: ArrayLike | None = None) -> list["Match"]:
        """For each likewise the defect of the most similar view of training, how similar, and how typical of defects.

        Ask about a vacancy by the position of the missing atom, about a dumbbell by its middle, in Å:
        `classify(crystal, [x, y, z])`; about what has an atom in its place by the number of that atom, or its position:
        `classify(crystal, range(len(crystal)))`. What is none of the defects is most similar to one of them, too;
        `Match.known` is then False, as far as it can be told. Raises BadInput.
        """
        environments = self._seen(seen, sites)
        features = self.learned.features(environments)
        found = self.learned.of(features)
        near = nearest(found, self.known)
        similar, kinds = (found * self.known[near]).sum(1), self.labels[near]
        centred = environments.occupied(CENTRE * self.problem.crystals.distance)
        contradicted = np.abs(self.occupied[kinds] - centred) >= 1 - ALARM
        typical = np.where(contradicted, 0.0, self.novelty.typical(features))
        names = [self.problem.names[k] for k in kinds]
        return [Match(*one) for one in zip(names, similar.tolist(), typical.tolist(), strict=True)]

    def _seen(self, seen: Any, sites: ArrayLike | None) -> Environments:
        if isinstance(seen, Environments):
            return seen
        if sites is None:
            raise BadInput("sites", "there are none", "give numbers of atoms (n,), or positions (n, 3) in Å")
        crystals = self.problem.crystals
        return Environments.around(Structure.of(seen), sites, crystals.cutoff, crystals.species)

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

    @property
    def tiles(self) -> Mapping[str, Any]:
        """Shares of views, and the time of training."""
        m, worst = self.metrics, self._hardest
        return {
            "nearest neighbours of the same defect": f"{m['nearest_neighbour_accuracy']:.2%}",
            "by descriptors, not trained": f"{m['raw_descriptor_accuracy']:.2%}",
            "by coordinates, not trained": f"{m['raw_coordinate_accuracy']:.2%}",
            f"of the hardest: {worst}": f"{m['accuracy_by_defect'][worst]:.2%}",
            "views put out of order that are said to be no defect": f"{m['others_said_unknown']:.0%}",
            "seconds of training": m["seconds"]["train"],
        }

    @property
    def _hardest(self) -> str:
        """The defect of which fewest views are next to one of the same."""
        seen = {name: value for name, value in self.metrics["accuracy_by_defect"].items() if value is not None}
        return min(seen, key=lambda name: float(seen[name]))

    def lines(self) -> list[str]:
        """Accuracies of all representations, the worst defect, and how often something else is found out."""
        m, worst = self.metrics, self._hardest
        alarms = m["accuracy_by_noise"]["said_unknown"][m["accuracy_by_noise"]["values"].index(self.problem.noise)]
        strange = f"{m['others_said_unknown']:.0%}"
        told = {
            "nearest neighbours": f"{m['nearest_neighbour_accuracy']:.2%} of the same defect, at sites never seen",
            "descriptors": f"{m['raw_descriptor_accuracy']:.2%}",
            "coordinates": f"{m['raw_coordinate_accuracy']:.2%}, trained {m['trained_coordinate_accuracy']:.2%}",
            "hardest": f"{worst}, {m['accuracy_by_defect'][worst]:.2%}",
            "no known defect": f"said of {strange} of views put out of order, of {alarms:.1%} of views of defects",
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
            "judged": self.judged.to_plain(), "novelty": self.novelty.to_plain(), "occupied": self.occupied.tolist(),
            "history": [dict(row) for row in self.history], "settings": self.settings.to_mapping(),
            "metrics": dict(self.metrics),
        }  # fmt: skip

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "DefectRepresentation":
        """What `to_plain` was given."""
        crystals = Crystals(**{**plain["crystals"], "species": tuple(plain["crystals"]["species"])})
        problem = CrystalDefects(**plain["study"], crystals=crystals)
        if not {"novelty", "occupied"} <= plain.keys():
            raise CheckpointUnusable("it was written by an older version, with other descriptors; run it again")
        scale = Scale(plain["mean"], plain["deviation"])
        encoder = Encoder(len(scale.mean), problem.width, problem.dimension, torch.Generator())
        encoder.load_state_dict(plain["encoder"])
        learned = Learned(Invariants(crystals.distance, crystals.cutoff), scale, encoder)
        return cls(
            problem, learned, plain["known"].numpy(), plain["labels"].numpy(), HeldOut.from_plain(plain["judged"]),
            np.array(plain["occupied"]), Novelty.from_plain(plain["novelty"]),
            Settings.from_mapping(plain["settings"]), plain["history"], plain["metrics"],
        )  # fmt: skip


class Match(NamedTuple):
    """A defect, the cosine of the angle to a view of it, and how typical what was seen is of known defects.

    Of held-out views of known defects the share `typical` speaks as much against any known defect, or more: a conformal
    p-value, see novelty. With n of them it is 1/(1 + n) at least, and 0 where an atom is at a site at which that defect
    has none, or none where it has one.
    """

    defect: str
    similarity: float
    typical: float

    @property
    def known(self) -> bool:
        """False where it is probably none of the known defects: so it is of 1 % of those."""
        return self.typical > ALARM


# --- learning ---------------------------------------------------------------------------------------------------------


def represent(problem: CrystalDefects, settings: Settings) -> DefectRepresentation:
    """Learn from pairs, and judge by views at other sites."""
    began, seed = time.perf_counter(), settings.seed
    first, second, labels = _pairs(problem, np.random.default_rng([seed, PAIRS]))
    invariants, coordinates = Invariants(problem.crystals.distance, problem.crystals.cutoff), Coordinates(ATOMS)
    one, other = ((invariants(seen), coordinates(seen)) for seen in (first, second))
    learned = learn(invariants, (one[0], other[0]), labels, problem.training, seed, problem.supervised)
    seconds = time.perf_counter() - began
    naive = learn(coordinates, (one[1], other[1]), labels, problem.training, seed, problem.supervised)
    represented = Represented(learned, naive)
    unseen, truth = problem.draw(problem.held_out, UNSEEN, problem.disturbed, np.random.default_rng([seed, HELD_OUT]))
    described = represented.described(unseen)
    novelty = _novelty(problem, invariants, (one[0], other[0]), described[0], seed)
    judged, known = HeldOut.of(represented(described), truth), represented(one)
    occupied = _shares(first.occupied(CENTRE * problem.crystals.distance), labels, len(problem.kinds))
    found = DefectRepresentation(
        problem, learned, known["contrastive"], labels, judged, occupied, novelty, settings, _history(represented)
    )
    curves = _curves(found, represented, known, np.random.default_rng([seed, CURVES]))
    strange = problem.draw_others(ASKED, UNSEEN, np.random.default_rng([seed, FRESH]))
    said = found.novelty.unknown(invariants(strange), ALARM)
    return replace(found, metrics=_metrics(found, curves, said, seconds, time.perf_counter() - began))


def _shares(centred: NDArray[np.bool_], labels: Index, count: int) -> Array:
    """Of each defect (count,) the share of its views (n,) with an atom at the centre."""
    views = np.bincount(labels, minlength=count)
    return np.asarray(np.bincount(labels, centred, minlength=count) / np.maximum(views, 1))


def _novelty(
    problem: CrystalDefects, invariants: Invariants, pairs: tuple[Tensor, Tensor], held_out: Tensor, seed: int
) -> Novelty:
    rng = np.random.default_rng([seed, OTHERS])
    known = torch.cat([*pairs, invariants(problem.draw_calmer(problem.pairs, TRAINED, rng))])
    strange = problem.draw_others(max(problem.pairs, LEAST_OTHERS), TRAINED, rng)
    return learn_novelty(known, invariants(strange), held_out, NOVEL * problem.steps, seed)


def _curves(
    found: DefectRepresentation, represented: Represented, known: Mapping[str, Array], rng: np.random.Generator
) -> dict[str, dict[str, list[float]]]:
    """By what is varied: its values, the accuracy of each representation, and the share said to be of no defect."""
    problem, curves = found.problem, {}
    asked = min(ASKED, problem.held_out)
    for name, disturbances in {"noise": problem.by_noise, "stretch": problem.by_stretch}.items():
        drawn = [problem.draw(asked, UNSEEN, disturbed, rng) for disturbed in disturbances.values()]
        queries = [(represented.described(seen), truth) for seen, truth in drawn]
        unknown = [found.novelty.unknown(described[0], ALARM) for described, _ in queries]
        accuracies = agreement(represented, known, found.labels, queries)
        curves[name] = {"values": list(disturbances), **accuracies, "said_unknown": unknown}
    return curves


def _history(represented: Represented) -> list[dict[str, float]]:
    rows = zip(represented.invariant.history, represented.naive.history, strict=True)
    return [{**row, "coordinates_loss": other["loss"]} for row, other in rows]


def _pairs(problem: CrystalDefects, rng: np.random.Generator) -> tuple[Environments, Environments, Index]:
    """First and second views of the same defects, and which these are."""
    first, labels = problem.draw(problem.pairs, TRAINED, problem.disturbed, rng)
    second = views(problem.crystals, problem.kinds, labels, TRAINED, problem.disturbed, rng)
    return first, second, labels


def _metrics(
    found: DefectRepresentation, curves: Mapping[str, Any], said: float, train: float, total: float
) -> dict[str, Any]:
    """`said` is the share of views put out of order that are said to be of no defect."""
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
        "others_said_unknown": said,
        "loss": {key: float(np.mean([row[key] for row in last])) for key in ("loss", "least_loss", "coordinates_loss")},
    }  # fmt: skip
