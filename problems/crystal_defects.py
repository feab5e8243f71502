"""Point defects of fcc, bcc and B2 crystals, told apart by a representation that is learned from pairs of views

    min over f   −⟨ z·z⁺/τ − log Σ_{x' ≠ x} exp(z·z'/τ) ⟩,    z = f(g(x)) / |f(g(x))|

(InfoNCE). x holds the atoms within `cutoff` (Å) of a site, as they lie and which they are; g are radial symmetry
functions (Behler) and the power spectrum of the atoms' density (Bartók, Kondor & Csányi), f is a network of two layers
of `width`, z has `dimension` components. x⁺ is another view of the same defect, at another equivalent site of a
supercell of `supercell`³ cells, with other noise, strain and orientation; the x' are the other views of a `batch` of
pairs, and τ is the `temperature`. No pair says which defect it shows; with `supervised` it does.

Defects: perfect sites, vacancies, interstitials, dumbbells ⟨100⟩ (fcc) and ⟨110⟩ (bcc), antisites (B2); `defects` names
those to be told apart. In all lattices nearest neighbours are `distance` (Å) apart; fcc and bcc consist of the first of
the `species`, B2 of both. `noise` is the standard deviation of displacements along each axis, of atoms and of what is
taken for the site, as share of the distance: crystals melt at 0.06 to 0.09. `strain` is that of a random strain's
entries, `size` that of lattice constants, relative to those of the distance.

Learned from `pairs`, and judged by `held_out` views at sites that no pair shows: by how often the nearest of the others
shows the same defect. The same is told of g itself, of coordinates, and of what is learned from coordinates. A second
network tells views of defects from views put out of order: of what else it says that it is none of these.
"""

from pinnkit.atoms import CrystalDefects, Crystals


def problem(
    lattices: tuple[str, ...] = ("fcc", "bcc", "b2"), defects: list[str] | None = None,
    species: tuple[str, ...] = ("Ni", "Al"), distance: float = 2.5, cutoff: float = 6.5, supercell: int = 6,
    noise: float = 0.06, strain: float = 0.01, size: float = 0.03, pairs: int = 8000, held_out: int = 4000,
    batch: int = 128, temperature: float = 0.1, steps: int = 600, dimension: int = 16, width: int = 64,
    supervised: bool = False,
) -> CrystalDefects:  # fmt: skip
    crystals = Crystals(species, distance, cutoff, supercell)
    return CrystalDefects(
        lattices, crystals, defects, noise, strain, size, pairs, held_out, batch, temperature, steps, dimension, width,
        supervised,
    )  # fmt: skip
