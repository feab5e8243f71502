"""One self-contained page about a result: problem, verdict, figures, figures of merit, how to repeat it.

The page needs no network, no script and no other file, and prints.
"""

import base64
import json
import re
import shlex
from collections.abc import Mapping
from contextlib import suppress
from html import escape
from html.entities import html5
from itertools import groupby
from pathlib import Path
from typing import Any, cast

from pinnkit import committee_words
from pinnkit.export import Answer, Reported
from pinnkit.plotting import save_plots
from pinnkit.settings import ProblemChoice, Settings, Solve, Transfer, flat
from pinnkit.transfer_words import Transferred, findings, table

SYMBOLS = {  # TeX commands that HTML calls otherwise
    "partial": "∂", "cdot": "·", "infty": "∞", "neq": "≠", "to": "→", "sqrt": "√",
    "left": "", "right": "", "quad": "  ",
}  # fmt: skip

CAPTIONS = {
    "solution": "Prediction and reference on one scale.",
    "error": "Distance between prediction and reference, on a logarithmic scale.",
    "residual": "What the equations leave over. A small residual alone proves nothing.",
    "loss": "Loss during training, in all and of each condition, and the error where it was measured.",
    "points": "The domain, the conditions on its boundary, and the collocation points of each.",
    "arms": "All ways to the solution over time, on the same points, with the same budget of seconds.",
    "before_after": "Distance from the reference on one logarithmic scale; if there is time, at its end. "
    "Crosses are sensors.",
    "truth": "Predicted against true values; bands, where there are any, are those of 95 %.",
    "levels": "ρ times the cheap source, and what the dear one adds to it.",
    "band": "The mean, its members and their band along a section, and below all as distances from the mean.",
    "spread": "How far the members are apart, and how far their mean is from the reference, on one logarithmic scale. "
    "Crosses are sensors, circles points at which to measure next, the dashed line is the section of the other figure.",
    "calibration": "How much of the truth bands of any level cover, and which errors go with which spreads: "
    "what lies below the line is inside the band.",
    "features": "The first features as the source gives them, over the new domain, each on its own scale about zero.",
}

OF_SOLUTIONS = ("solution", "error", "residual", "loss", "truth", "levels")

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto;
       padding: 0 1.5rem }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .3rem }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; border-bottom: 1px solid #ddd; padding-bottom: .2rem }
pre { font: 14px/1.6 ui-monospace, monospace; background: #f6f7f8; padding: .8rem 1.1rem; border-radius: 6px;
      overflow-x: auto; white-space: pre-wrap }
sub, sup { line-height: 0 }
.about { color: #666; margin: 0 0 1rem }
.badge { display: inline-block; padding: .3rem .9rem; border-radius: 1rem; color: #fff; font-weight: 600 }
.trusted { background: #2e7d4f } .untrusted { background: #b3541e }
.tiles { display: flex; flex-wrap: wrap; gap: 1rem; margin: 1.2rem 0; padding: 0; list-style: none }
.tiles li { flex: 1 1 9rem; background: #f6f7f8; border-radius: 6px; padding: .7rem 1rem }
.tiles b { display: block; font-size: 1.35rem; font-weight: 600 }
.tiles span, figcaption { color: #666; font-size: .88rem }
figure { margin: 1.4rem 0; break-inside: avoid }
figure img { max-width: 100%; display: block; margin: 0 auto .4rem }
figcaption { text-align: center }
table { border-collapse: collapse; font-size: .9rem }
td, th { text-align: left; padding: .15rem 1.5rem .15rem 0; vertical-align: top;
         border-bottom: 1px solid #eee }
th { color: #666; font-weight: normal }
@media print { body { margin: 0; max-width: none; font-size: 11pt } .badge { print-color-adjust: exact } }
"""


def write_report(result: Reported, folder: Path) -> Path:
    """Write report.html into the folder, with the figures in its plots/, drawn if they are not there."""
    plots = folder / "plots"
    if not (plots / "solution.png").exists():
        save_plots(cast(Answer, result), folder)
    path = folder / "report.html"
    path.write_text(_page(result, plots), encoding="utf-8")
    return path


def _page(result: Reported, plots: Path) -> str:
    title, _, description = result.problem.description.strip().partition("\n")
    title = escape(title.rstrip(".") or result.problem.name)
    settings = _settings(result)
    captions = result.captions or {name: CAPTIONS[name] for name in OF_SOLUTIONS}
    results = "".join(_figure(plots, name, caption) for name, caption in captions.items())
    return f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><style>{STYLE}</style></head><body>
<h1>{title}</h1>
<p class="about">{_about(result.metrics)}</p>
{_badge(str(result.metrics.get("verdict", "untrusted: no verdict")))}
{_tiles(result.tiles or _errors(result.metrics))}
<h2>The problem</h2>
{typeset(description)}
{_figure(plots, "points", CAPTIONS["points"])}
<h2>The answer</h2>
{results}
{_transfer(result.transferred, plots)}{_committee(result, plots)}<h2>Figures of merit</h2>
{_table({key: value for key, value in result.metrics.items() if key != "members"})}
<h2>How to repeat it</h2>
<pre>{escape(command(settings))}</pre>
{_source_in_python(result)}<h2>Settings</h2>
{_table(settings.to_mapping())}
</body></html>
"""


def _about(metrics: Mapping[str, Any]) -> str:
    named = [metrics.get(key) for key in ("problem", "task", "optimizer", "dtype", "device")]
    return " · ".join(escape(str(value)) for value in named if value)


def _badge(verdict: str) -> str:
    kind = "untrusted" if verdict.startswith("untrusted") else "trusted"
    return f'<p class="badge {kind}">{escape(verdict)}</p>'


def _errors(metrics: Mapping[str, Any]) -> dict[str, Any]:
    reference, seconds = metrics.get("reference") or {}, metrics.get("seconds") or {}
    return {
        "relative L² error": metrics.get("relative_l2"),
        "largest error": metrics.get("max_error"),
        f"error of the reference ({reference.get('kind', 'none')})": reference.get("error_estimate"),
        "seconds of training": seconds.get("train"),
    }


def _tiles(tiles: Mapping[str, Any]) -> str:
    items = [f"<li><b>{_shown(value, 3)}</b><span>{escape(key)}</span></li>" for key, value in tiles.items()]
    return f'<ul class="tiles">{"".join(items)}</ul>'


def _transfer(transferred: Transferred | None, plots: Path) -> str:
    """The section on a transfer: a table of its arms, what they say, and figures."""
    if transferred is None:
        return ""
    titles = ("", "relative L² error", "seconds", "seconds to the error from scratch")
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    rows = "".join(
        f"<tr><th>{escape(line.label)}</th>" + "".join(f"<td>{_shown(value, 3)}</td>" for value in line[1:]) + "</tr>"
        for line in table(transferred)
    )
    said = "".join(f"<p>{escape(phrase[0].upper() + phrase[1:])}.</p>" for phrase in findings(transferred))
    figures = "".join(_figure(plots, name, CAPTIONS[name]) for name in ("arms", "before_after", "features"))
    return f"""<h2>The transfer</h2>
<p>The features come from {escape(transferred.source.name)}.</p>
<table><tr>{head}</tr>{rows}</table>
{said}
{figures}
"""


def _committee(result: Any, plots: Path) -> str:
    """The section on a committee: a table of its members, what they say, and figures."""
    judgement = result.judgement
    if judgement is None:
        return ""
    lines = committee_words.table(result.metrics)
    titles = ("seed", "loss", "from the mean", "relative L² error", *lines[0].unknowns, "seconds")
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    rows = []
    for line in lines:
        shown = (line.loss, line.from_mean, line.error, *line.unknowns.values(), line.seconds)
        cells = "".join(f"<td>{_shown(value, 4)}</td>" for value in shown)
        rows.append(f"<tr><th>{line.seed}</th>{cells}</tr>")
    phrases = committee_words.findings(judgement, result.metrics)
    said = "".join(f"<p>{escape(phrase[0].upper() + phrase[1:])}.</p>" for phrase in phrases)
    figures = "".join(_figure(plots, name, CAPTIONS[name]) for name in ("band", "spread", "calibration"))
    return f"""<h2>The committee</h2>
<table><tr>{head}</tr>{"".join(rows)}</table>
{said}
{figures}
"""


def _settings(result: Reported) -> Settings:
    """The settings of the run. Of a transfer they are those from scratch: the solution has the source's network."""
    transferred = result.transferred
    return result.settings if transferred is None else transferred.arms["from_scratch"].training.settings


def _source_in_python(result: Reported) -> str:
    task, transferred = result.settings.task, result.transferred
    if transferred is None or not isinstance(task, Transfer) or transferred.source.name == task.source:
        return ""
    return "<p>The source was given in Python: set <code>task.source</code> to the folder in which it is kept.</p>\n"


def _figure(plots: Path, name: str, caption: str) -> str:
    """The figure of that name, as a picture in the page, and its animation; nothing if there is none."""
    images = [_image(path) for path in (plots / f"{name}.png", plots / f"{name}.gif") if path.exists()]
    return f"<figure>{''.join(images)}<figcaption>{escape(caption)}</figcaption></figure>" if images else ""


def _image(path: Path) -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img alt="{path.stem}" src="data:image/{path.suffix[1:]};base64,{data}">'


def _table(mapping: Mapping[str, Any]) -> str:
    rows = [f"<tr><th>{escape(key)}</th><td>{_shown(value)}</td></tr>" for key, value in flat(mapping)]
    return f"<table>{''.join(rows)}</table>"


def _shown(value: Any, digits: int = 6) -> str:
    if value is None:
        return "—"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_shown(one, digits) for one in value)}]"
    return f"{value:.{digits}g}" if isinstance(value, float) else escape(str(value))


def command(settings: Settings) -> str:
    """The command line that gives these settings: those that are not the default ones."""
    choice, task = settings.problem, settings.task
    groups = {"problem": choice.file or choice.name, "network": settings.network.name}
    groups["optimizer"] = settings.optimizer.name
    usual_task = type(task)()
    if not isinstance(task, Solve):
        groups["task"] = task.name
    if isinstance(task, Transfer):
        groups["task/strategy"] = task.strategy.name
        usual_task = Transfer(strategy=type(task.strategy)())
    like = Settings(ProblemChoice(choice.name), usual_task, optimizer=type(settings.optimizer)())
    own = {
        key: _argument(value)
        for key, value in settings.chosen(like).items()
        if key not in ("problem.file", "network.name")
    }
    return shlex.join(["python", "-m", "pinnkit", *(f"{key}={value}" for key, value in (groups | own).items())])


def _argument(value: Any) -> str:
    """A value in the grammar of overrides."""
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_argument(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_argument, value)) + "]"
    if not isinstance(value, str):
        return json.dumps(value)
    return value if _is_plain(value) else "'" + re.sub(r"(\\*)('|$)", _escaped, value) + "'"


def _is_plain(text: str) -> bool:
    """Whether it reads as itself without quotes: not as a number, a truth value or a list."""
    with suppress(ValueError):
        float(text)
        return False
    return text.lower() not in ("null", "true", "false") and re.fullmatch(r"[\w./:+-]+", text, re.ASCII) is not None


def _escaped(found: re.Match[str]) -> str:
    """A quote, or the end, with the backslashes before it."""
    return 2 * found[1] + ("\\'" if found[2] else "")


def typeset(text: str) -> str:
    """Plain text as HTML: indented blocks and $…$ are mathematics, other blocks are paragraphs.

    Mathematics may hold Unicode and simple TeX: Greek letters, operators, fractions, sub- and superscripts.
    """
    lines = text.expandtabs().splitlines()
    blocks = [list(block) for filled, block in groupby(lines, key=lambda line: bool(line.strip())) if filled]
    return "\n".join(_block(block) for block in blocks)


def _block(lines: list[str]) -> str:
    margins = [len(line) - len(line.lstrip()) for line in lines]
    if min(margins):
        body = "\n".join(line[min(margins) :] for line in lines)
        return f"<pre>{_mathematics(body)}</pre>"
    parts = re.split(r"\$+", "\n".join(lines))
    typed = [f"<i>{_mathematics(part)}</i>" if k % 2 else escape(part) for k, part in enumerate(parts)]
    return f"<p>{''.join(typed)}</p>"


def _mathematics(text: str) -> str:
    text = re.sub(r"\\frac\{([^{}]*)\}\{([^{}]*)\}", r"(\1)/(\2)", escape(text))
    text = re.sub(r"\\([A-Za-z]+)", lambda found: _symbol(found[1]), text)
    text = re.sub(r"\^(?:\{([^{}]*)\}|(\w+))", lambda found: f"<sup>{found[1] or found[2]}</sup>", text)
    return re.sub(r"_(?:\{([^{}]*)\}|(\w+))", lambda found: f"<sub>{found[1] or found[2]}</sub>", text)


def _symbol(command: str) -> str:
    """The character that a TeX command stands for; its name where there is none."""
    return SYMBOLS[command] if command in SYMBOLS else html5.get(f"{command};", command)
