"""Sources by name, by problem, by file; what is made once is kept, and made again where it is damaged."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from runs import REACTION, SMALL, grid

from pinnkit import catalogue, solve, sources
from pinnkit.errors import BadInput, CheckpointUnusable
from pinnkit.result import Solution
from pinnkit.settings import Network, Pretrain, ProblemChoice, Sampling, Settings
from pinnkit.sources import ZOO, Source, family_training, source

LIKE = Settings(ProblemChoice("poisson_square"))


@dataclass(frozen=True)
class Little(Pretrain):
    """The defaults of pretraining, but few."""

    polynomials: int = 40
    features: int = 10
    heads: int = 15


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and little to be learned."""
    monkeypatch.setenv("PINNKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(sources, "Pretrain", Little)
    for name, (choice, task) in ZOO.items():
        monkeypatch.setitem(ZOO, name, (choice, Little(variations=task.variations)))
    return tmp_path / "cache" / "sources"


def state(solution: Solution) -> dict[str, torch.Tensor]:
    return solution.trial.state_dict()


def same(one: Solution, other: Solution) -> bool:
    return state(one).keys() == state(other).keys() and all(
        torch.equal(value, state(other)[name]) for name, value in state(one).items()
    )


# --- what is pretrained -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*ZOO, "poisson_square"])
def test_what_is_pretrained_is_read_from_the_cache_the_second_time(name: str, cache: Path, monkeypatch) -> None:
    first = source(name, LIKE)
    assert first.name == name and first.seconds > 0
    assert first.solution.coordinates == ("x", "y")
    (kept,) = cache.iterdir()
    written = kept.read_bytes()
    monkeypatch.setattr(sources, "pretrain", forbidden)
    again = source(name, LIKE)
    assert again.name == name and again.seconds == 0
    assert same(first.solution, again.solution)
    assert np.array_equal(first.solution.predict(grid()), again.solution.predict(grid()))
    assert list(cache.iterdir()) == [kept] and kept.read_bytes() == written


def forbidden(*arguments: object) -> None:
    raise AssertionError("it is made again")


def test_the_source_of_a_problem_solves_that_problem() -> None:
    """Pretraining ends with the head for the problem itself."""
    solution = source("poisson_square", LIKE).solution
    truth = np.prod(np.sin(np.pi * grid()), 1)[:, None]
    assert float(np.linalg.norm(solution.predict(grid()) - truth)) < 0.1 * float(np.linalg.norm(truth))


@pytest.mark.parametrize("change", [{"seed": 1}, {"dtype": "float32"}])
def test_another_seed_or_type_is_another_source(change: dict[str, object], cache: Path) -> None:
    plain = source("poisson_square", LIKE)
    other = source("poisson_square", Settings(LIKE.problem, **change))
    assert other.seconds > 0 and len(list(cache.iterdir())) == 2
    assert not same(plain.solution, other.solution)
    assert other.solution.trial.weight.dtype == getattr(torch, str(change.get("dtype", "float64")))
    assert same(other.solution, source("poisson_square", Settings(LIKE.problem, **change)).solution)


def test_settings_of_the_new_problem_do_not_matter_to_the_source(cache: Path) -> None:
    source("poisson_square", LIKE)
    other = Settings(
        ProblemChoice("heat_lshape"), network=Network(layers=(3,), corners=False), sampling=Sampling(interior=99)
    )
    assert source("poisson_square", other).seconds == 0


@pytest.mark.parametrize(
    "spoil",
    [lambda whole: b"", lambda whole: whole[: len(whole) // 2], lambda whole: whole[:-9] + b"x" + whole[-8:]],
    ids=["empty", "cut", "changed"],
)
def test_what_is_damaged_in_the_cache_is_made_again(spoil, cache: Path) -> None:
    first = source("poisson_square", LIKE)
    (kept,) = cache.iterdir()
    kept.write_bytes(spoil(kept.read_bytes()))
    again = source("poisson_square", LIKE)
    assert again.seconds > 0 and same(first.solution, again.solution)
    assert source("poisson_square", LIKE).seconds == 0


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path, monkeypatch, caplog) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PINNKIT_CACHE", str(tmp_path / "file"))
    for _ in range(2):
        assert source("poisson_square", LIKE).seconds > 0
    assert "not kept for later" in caplog.text


def test_a_problem_of_ones_own_is_made_again_when_its_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(REACTION)
    first = source(str(path), LIKE)
    assert first.seconds > 0 and source(str(path), LIKE).seconds == 0
    path.write_text(REACTION.replace("+ u -", "+ 2 * u -"))
    assert source(str(path), LIKE).seconds > 0


def test_a_family_is_wider_than_its_member() -> None:
    """The box of the square and of the plates twice as wide and twice as high."""
    bounds = np.array(source("heat_family", LIKE).solution.trial.shape.bounds)
    np.testing.assert_allclose(bounds, [[0, 0], [1, 1]], atol=1e-12)
    wide = Settings(
        ProblemChoice("heat_rectangle", parameters={"width": 2.0}),
        Little(variations=({"width": 0.5},)),
        network=Network(layers=(4,), corners=False),
    )
    training = family_training(catalogue.build(wide.problem), wide)
    np.testing.assert_allclose(training.assembly.trial.shape.bounds, [[0, -0.5], [2, 1.5]], atol=1e-12)


# --- what is there already --------------------------------------------------------------------------------------------


def test_a_run_folder_and_its_checkpoint_are_sources(tmp_path: Path, no_figures) -> None:
    result = solve("poisson_square", folder=tmp_path / "run", **SMALL)
    for path in (tmp_path / "run", tmp_path / "run" / "checkpoints" / "last.pt"):
        found = source(str(path), LIKE)
        assert isinstance(found, Source) and found.name == str(path) and found.seconds == 0
        assert np.array_equal(found.solution.predict(grid()), result.predict(grid()))


@pytest.mark.parametrize("spoil", [lambda whole: b"text", lambda whole: whole[:-1]], ids=["text", "cut"])
def test_a_damaged_checkpoint_of_the_user_is_refused(spoil, tmp_path: Path, no_figures) -> None:
    solve("poisson_square", folder=tmp_path / "run", **SMALL)
    path = tmp_path / "run" / "checkpoints" / "last.pt"
    path.write_bytes(spoil(path.read_bytes()))
    for told in (path, tmp_path / "run"):
        with pytest.raises(CheckpointUnusable, match=r"last\.pt: ") as refused:
            source(str(told), LIKE)
        assert len(str(refused.value).splitlines()) == 1


def test_a_folder_without_a_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointUnusable, match=r"last\.pt"):
        source(str(tmp_path), LIKE)


@pytest.mark.parametrize(
    ("name", "words"),
    [("heat_lshap", "did you mean heat_lshape"), ("haet", "did you mean heat"), ("heat_famly", "heat_family"),
     ("nosuch.pt", "choose from heat, heat_family"), ("nosuch.py", "choose from"), ("runs/1", "choose from")],
)  # fmt: skip
def test_unknown_names_are_refused_with_suggestions(name: str, words: str, cache: Path) -> None:
    with pytest.raises(BadInput) as refused:
        source(name, LIKE)
    assert refused.value.key == "task.source" and repr(name) in str(refused.value)
    assert words in str(refused.value) and len(str(refused.value).splitlines()) == 1
    assert not cache.exists()


def test_a_problem_without_a_family_is_no_source_by_its_name() -> None:
    with pytest.raises(BadInput, match=r"nonlinear_poisson is not linear.*task\.source"):
        source("nonlinear_poisson", LIKE)
