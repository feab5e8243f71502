"""What a committee found is told in words, and nothing that is not known."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from answers import SETTINGS, interval, l_shape
from committees import committee, members

from pinnkit import solve
from pinnkit.committee_words import findings, table, text_lines
from pinnkit.tasks import summary

METRICS: dict[str, Any] = {
    "members": members(), "relative_l2": 0.01, "reference": {"kind": "exact", "error_estimate": 1e-15},
}  # fmt: skip


def made_up(**told: Any) -> Any:
    usual: dict[str, Any] = {
        "raw": 0.8, "calibrated": 0.91, "rank_correlation": 0.7, "plain_width": 0.5, "level": 0.9,
        "used": np.zeros((20, 1)), "half_widths": np.full(4, 0.1), "errors": np.full(4, 0.05),
    }  # fmt: skip
    return replace(committee(interval()).judgement, **(usual | told))


def said(**told: Any) -> list[str]:
    return findings(made_up(**told), METRICS)


def test_the_table_has_all_members():
    lines = table(METRICS)
    assert [line.seed for line in lines] == [10, 11, 12]
    assert lines[2] == (12, 0.01, 0.2, 0.02, {"k": 4.0}, 1.5)


def test_the_table_as_plain_text():
    title, head, *text = text_lines(made_up(), METRICS)
    assert title == "committee of 3"
    assert head.split() == ["seed", "loss", "from", "mean", "error", "k", "seconds"]
    assert text[2].split() == ["12", "1.00e-02", "2.00e-01", "2.00e-02", "4", "1.50"]
    assert {len(line) for line in text[:3]} == {len(head)}


def test_errors_that_are_not_known_are_dashes():
    _, _, first, *_ = text_lines(made_up(), {**METRICS, "members": members(known=False)})
    assert first.split()[3] == "—"


def test_of_many_members_the_first_are_listed():
    many = {**METRICS, "members": members() * 10}
    lines = list(text_lines(made_up(), many))
    assert lines[18] == "  … and 14 more, in metrics.json" and len(lines) == 19 + len(said())


@pytest.mark.parametrize(
    ("told", "phrase"),
    [
        ({}, "bands for 90 % cover 91 % of the truth, before calibration 80 %"),
        ({"calibrated": 0.99996}, "bands for 90 % cover 99.996 % of the truth, before calibration 80 %"),
        ({"raw": 1.0}, "bands for 90 % cover 91 % of the truth, before calibration 100 %"),
        ({"calibrated": None}, "bands for 90 % cover 80 % of the truth; they are not calibrated"),
        ({"raw": None, "calibrated": None},
         "bands for 90 %: how much they cover is unknown, there is no reference"),
        ({}, "their mean width is 0.2, of bands of one width everywhere 0.5 (2.5 times as much)"),
        ({"plain_width": 0.2}, "their mean width is 0.2, as of bands of one width everywhere"),
        ({"plain_width": None}, "their mean width is 0.2"),
        ({"half_widths": np.full(4, np.inf)}, "the bands are infinite: too few truths to calibrate them for 90 %"),
        ({"half_widths": np.full(4, np.inf)}, "bands for 90 % cover 80 % of the truth before calibration"),
        ({}, "rank correlation of error and spread 0.70"),
        ({"rank_correlation": 0.01},
         "rank correlation of error and spread 0.01: where members agree says little about where errors are small"),
        ({}, "20 held-out points of the reference calibrated them"),
        ({"kind": "data"}, "20 sensors that members had not seen calibrated them: they are bands for what another such "
         "sensor would show, noise and all"),
        ({"kind": "data", "used": np.zeros((1, 1))}, "1 sensor that members had not seen calibrated them: they are "
         "bands for what another such sensor would show, noise and all"),
        ({"kind": "none"}, "nothing calibrated them: they are where one more member would be, not where the truth is"),
    ],
)  # fmt: skip
def test_what_was_found_is_said_in_words(told: dict[str, Any], phrase: str):
    assert phrase in said(**told)


@pytest.mark.parametrize(("own", "larger"), [(0.019, False), (0.021, True)])
def test_bands_finer_than_the_reference_are_no_bands_of_the_truth(own: float, larger: bool):
    """The truth is of size 0.05/0.01 = 5, the half width 0.1."""
    found = findings(made_up(), {**METRICS, "reference": {"kind": "fem", "error_estimate": own}})
    phrase = "the reference's own error, 1.1e-01, is larger than the bands: their mean half width is 1.0e-01"
    assert (f"{phrase}, and what they cover is the reference, not the truth" in found) == larger
    assert any("own error" in one for one in found) == larger


BOUNDED: dict[str, Any] = {**METRICS, "bound": {"max": 0.2, "mean": 0.1, "kind": "maximum principle"}}
BELOW = "maximum principle: the error is below 2.0e-01 everywhere, up to sampling of residuals"


@pytest.mark.parametrize(
    ("told", "beside"),
    [
        ({}, " (largest seen 5.0e-02; widest band ±1.0e-01)"),
        ({"errors": np.full(4, 0.3)}, " (largest seen 3.0e-01, of which the reference's own may be 3.0e-14; "
         "widest band ±1.0e-01)"),
        ({"half_widths": np.full(4, np.inf)}, " (largest seen 5.0e-02)"),
        ({"errors": np.empty(0), "half_widths": np.full(4, np.inf)}, ""),
    ],
)  # fmt: skip
def test_a_bound_stands_beside_what_was_seen_and_what_bands_say(told: dict[str, Any], beside: str):
    assert f"{BELOW}{beside}" in findings(made_up(**told), BOUNDED)


def test_where_there_is_no_bound_none_is_told():
    for more in ({}, {"bound": None}):
        assert not any("maximum" in phrase for phrase in findings(made_up(), {**METRICS, **more}))


def test_nothing_is_claimed_that_is_not_known():
    blind = {**METRICS, "relative_l2": None, "reference": {"kind": "none", "error_estimate": None}}
    unknown: dict[str, Any] = {"raw": None, "calibrated": None, "rank_correlation": None, "plain_width": None}
    found = findings(made_up(kind="none", **unknown), blind)
    assert len(found) == 3 and found[0].endswith("there is no reference")


def test_further_metrics_are_told():
    head = {"relative_l2": 0.02, "coverage": 0.85, "mean_width": 0.3, "rank_correlation": 0.5}
    more = {**METRICS, "bayesian_head": head, "next_points": [[0.25, 0.5], [1.0, 1.0], [0.0, 0.0], [2.0, 2.0]]}
    *_, one, following = findings(made_up(), more)
    assert one == "the posterior of one head instead: error 2.00e-02, covers 85 %, mean width 0.3"
    assert following == "a further measurement would tell most at (0.25, 0.5), then (1, 1), then (0, 0)"


def test_no_truths_that_judge_it_is_no_fault():
    answer = committee(replace(l_shape(), reference=None), "none")
    assert answer.settings == SETTINGS
    found = findings(answer.judgement, {**answer.metrics, "relative_l2": None})
    assert "half" not in " ".join(found)


def test_the_summary_tells_of_the_committee():
    small = {"layers": [16], "polynomials": 20, "corners": False}
    task = {"name": "committee", "members": 2, "workers": 1, "held_out": 200}
    sampling = {"interior": 100, "boundary": 60, "corner": 0}
    result = solve("poisson_square", task=task, network=small, sampling=sampling, evaluation={"points": 500})
    lines = summary(result).splitlines()
    start = lines.index("  committee of 2")
    assert lines[start:] == [f"  {line}" for line in text_lines(result.judgement, result.metrics)]
    assert "  200 held-out points of the reference calibrated them" in lines
    assert not any("transfer" in line for line in lines)
