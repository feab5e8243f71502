"""The report is one well-formed page that needs nothing else, says what was found, and trusts no text."""

import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from answers import SETTINGS, KnownAnswer, interval, l_shape
from committees import committee
from PIL import Image

from pinnkit import catalogue
from pinnkit.plotting import save_plots
from pinnkit.report import command, typeset, write_report
from pinnkit.settings import (
    Committee,
    GaussNewton,
    LeastSquares,
    LoRA,
    Near,
    Network,
    Pretrain,
    ProblemChoice,
    Settings,
    Task,
    Training,
    Transfer,
)

EMPTY = {"meta", "img", "br"}


class Outline(HTMLParser):
    """Open elements and all that was met."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.met: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.met.append((tag, dict(attributes)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def outline(page: str) -> Outline:
    parsed = Outline()
    parsed.feed(page)
    parsed.close()
    assert parsed.open == []
    return parsed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder with plots of the interval."""
    folder = tmp_path_factory.mktemp("run")
    save_plots(interval(), folder)
    return folder


def written(result: KnownAnswer, folder: Path) -> str:
    path = write_report(result, folder)
    assert path == folder / "report.html"
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module", params=[interval, l_shape])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(request.param(), tmp_path_factory.mktemp("run"))


def test_the_page_needs_nothing_else(page: str) -> None:
    met = outline(page).met
    assert not {"script", "link", "iframe"} & {tag for tag, _ in met}
    sources = [attributes["src"] or "" for tag, attributes in met if tag == "img"]
    assert len(sources) == 5 and all(source.startswith("data:image/png;base64,") for source in sources)
    assert "url(" not in page and "@import" not in page


def test_the_page_says_what_was_found(page: str) -> None:
    found = ("1.23e-06", "1.23456e-06", "unknowns.k.value", "converged", "problem.conductivity=2.0")
    assert all(words in page for words in found)
    assert "<h1>Heat in a known place &lt;of no interest&gt;</h1>" in page
    assert "∇·(k ∇ u) + f = 0   in Ω" in page


def test_no_text_becomes_markup(folder: Path) -> None:
    evil = "<script>alert('&')</script>"
    result = interval()
    description = f"{evil}\n\n{evil} ${evil}$\n\n    {evil}\n"
    problem = replace(result.problem, description=description, name=evil)
    metrics = {**result.metrics, "verdict": f"untrusted: {evil}", evil: 1, "problem": evil}
    settings = Settings(ProblemChoice(evil))
    page = written(replace(result, problem=problem, metrics=metrics, settings=settings), folder)
    assert "script" not in {tag for tag, _ in outline(page).met}
    assert page.count("&lt;script&gt;") >= 9


@pytest.mark.parametrize("verdict", ["trusted", "untrusted: no reference"])
def test_the_badge_shows_the_verdict(verdict: str, folder: Path) -> None:
    kind = verdict.partition(":")[0]
    metrics = {"verdict": verdict, "relative_l2": None}
    page = written(replace(interval(), metrics=metrics), folder)
    assert f'<p class="badge {kind}">{verdict}</p>' in page
    assert "<b>—</b><span>relative L² error</span>" in page


def test_figures_that_are_there_are_shown(folder: Path, tmp_path: Path) -> None:
    copytree(folder / "plots", tmp_path / "plots")
    (tmp_path / "plots" / "loss.png").unlink()
    Image.new("RGB", (2, 2)).save(tmp_path / "plots" / "solution.gif")
    page = written(interval(), tmp_path)
    assert 'alt="loss"' not in page and 'alt="points"' in page
    assert page.count("data:image/gif;base64,R0lGOD") == 1


def test_the_command_repeats_the_run() -> None:
    words = shlex.split(command(SETTINGS))
    assert words == [
        "python", "-m", "pinnkit", "problem=heat_known", "network=mlp", "optimizer=adam",
        "problem.conductivity=2.0", "network.layers=[64,64]", "optimizer.half_life=50.0",
    ]  # fmt: skip


def test_the_command_of_a_users_own_file() -> None:
    settings = Settings(
        ProblemChoice("mine", "./my problem.py"), optimizer=GaussNewton(acceleration=False), seed=3,
        training=Training(max_seconds=5.0),
    )  # fmt: skip
    words = shlex.split(command(settings))[3:]
    assert words[0] == "problem=./my problem.py"
    assert set(words[3:]) == {"optimizer.acceleration=false", "seed=3", "training.max_seconds=5.0"}


TASKS: dict[str, Task] = {
    "transfer": Transfer(),
    "lora": Transfer(strategy=LoRA(rank=8), missing=("hot", "insulated"), sensors=5, data_weight=0.5, guard="fallback"),
    "near": Transfer(source="outputs/heat_lshape/solve/2026-07-01_03-12-38_12", strategy=Near(), data="my data.csv"),
    "pretrain": Pretrain(),
    "committee": Committee(members=5, workers=2, bootstrap=False, calibration="none", level=0.5, held_out=7),
    "family": Pretrain(features=7, variations=({"width": 2.0}, {"width": 0.5, "hot": 90.0})),
    "odd": Transfer(source="1e3", data="null", missing=("it's", "a,b", "back\\\\", "[5]", "°C", "no: 1")),
}  # fmt: skip


@pytest.mark.parametrize("task", TASKS)
def test_a_task_is_composed_again_by_its_command(task: str, pinn: Callable[..., Any], stand_in: Any) -> None:
    choice = ProblemChoice("heat_rectangle", parameters=catalogue.load("heat_rectangle").parameters)
    network = Network(layers=(8, 8), polynomials=40, reduced=20, peaks=((0.1, 0.2, 0.3, 0.3),))
    settings = Settings(choice, TASKS[task], network, optimizer=LeastSquares(), training=Training(max_seconds=5.0))
    words = shlex.split(command(settings))
    assert words[:3] == ["python", "-m", "pinnkit"] and f"task={TASKS[task].name}" in words
    outcome = pinn(*words[3:])
    assert outcome.code == 0, outcome
    assert stand_in.seen == [settings]


def test_the_command_of_a_strategy() -> None:
    words = shlex.split(command(Settings(ProblemChoice("heat_lshape"), TASKS["lora"])))
    assert words[3:] == [
        "problem=heat_lshape", "network=mlp", "optimizer=auto", "task=transfer", "task/strategy=lora",
        "task.strategy.rank=8", "task.sensors=5", "task.missing=[hot,insulated]", "task.data_weight=0.5",
        "task.guard=fallback",
    ]  # fmt: skip


def test_a_committee_has_a_section_of_its_own(tmp_path: Path) -> None:
    page = written(committee(l_shape()), tmp_path)
    met = outline(page).met
    named = [attributes["alt"] for tag, attributes in met if tag == "img"]
    assert named[-3:] == ["band", "spread", "calibration"] and len(named) == 8
    _, _, section = page.partition("<h2>The committee</h2>")
    section, _, merit = section.partition("<h2>Figures of merit</h2>")
    head, *rows = re.findall(r"<tr>(.*?)</tr>", section)
    titles = ["seed", "loss", "from the mean", "relative L² error", "k", "seconds"]
    assert re.findall(r"<th>(.*?)</th>", head) == titles
    assert re.findall(r"<t[hd]>(.*?)</t[hd]>", rows[2]) == ["12", "0.01", "0.2", "0.02", "4", "1.5"]
    assert "<p>500 held-out points of the reference calibrated them.</p>" in section
    assert "<p>Bands for 90 % cover" in section
    assert "coverage.nominal" in merit and "from_mean" not in merit


def test_what_is_no_committee_has_no_such_section(page: str) -> None:
    assert "committee" not in page


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("one\ntwo\n\nthree", "<p>one\ntwo</p>\n<p>three</p>"),
        ("    a\n      b", "<pre>a\n  b</pre>"),
        ("with $x_1^2$ in", "<p>with <i>x<sub>1</sub><sup>2</sup></i> in</p>"),
        ("file_name^2 & more", "<p>file_name^2 &amp; more</p>"),
        (r"$\frac{a}{b} \le \alpha_{ij}$", "<p><i>(a)/(b) ≤ α<sub>ij</sub></i></p>"),
        (r"$\unknown$", "<p><i>unknown</i></p>"),
        ("    −∇·(k ∇u) = f", "<pre>−∇·(k ∇u) = f</pre>"),
        ("", ""),
    ],
)
def test_mathematics_is_set_simply(text: str, html: str) -> None:
    assert typeset(text) == html


@pytest.mark.parametrize("name", ["Delta", "nabla", "partial", "cdot", "Omega", "infty", "in", "lambda"])
def test_tex_commands_become_characters(name: str) -> None:
    assert re.fullmatch(r"<p><i>[^\x00-\x7f]</i></p>", typeset(rf"$\{name}$"))


def test_numbers_in_lists_are_short_and_tiles_come_first(folder: Path) -> None:
    known = interval()
    told = replace(known, metrics={**known.metrics, "rates": [1 / 3, None, 2]}, tiles={"meV off": 1 / 3})
    page = written(told, folder)
    assert "<td>[0.333333, —, 2]</td>" in page
    assert '<ul class="tiles"><li><b>0.333</b><span>meV off</span></li></ul>' in page
