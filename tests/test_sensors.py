"""Measured data: drawn from a reference with the noise asked for, or read from a file, and how much they count."""

from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import laplace
from runs import grid

from pinnkit.errors import BadInput
from pinnkit.reference.derived import Exact
from pinnkit.sensors import EXACT, Sensors, sensors_for
from pinnkit.settings import Transfer

LAPLACE = laplace()
TRUTH = Exact(LAPLACE)

# --- from a reference -------------------------------------------------------------------------------------------------


def test_sensors_are_drawn_from_the_reference_with_noise_of_the_size_asked_for() -> None:
    sensors = sensors_for(LAPLACE, Transfer(sensors=4000, noise=0.05), TRUTH, seed=0)
    assert sensors.points.shape == (4000, 2) and LAPLACE.domain.contains(sensors.points).all()
    size = TRUTH.value(grid(200))[:, 0].std()
    off = (sensors.values - TRUTH.value(sensors.points)[:, 0]) / size
    assert off.std() == pytest.approx(0.05, rel=0.05) and abs(off.mean()) < 0.05 * 4 / 4000**0.5
    np.testing.assert_allclose(sensors.sigma / size, 0.05, rtol=0.05)
    assert sensors.level == 0.05


def test_sensors_are_those_of_the_seed() -> None:
    one, again, other = (sensors_for(LAPLACE, Transfer(), TRUTH, seed) for seed in (0, 0, 1))
    assert np.array_equal(one.points, again.points) and np.array_equal(one.values, again.values)
    assert not np.isin(one.points, other.points).any()


def test_sensors_without_noise_are_exact_and_without_number_none() -> None:
    exact = sensors_for(LAPLACE, Transfer(noise=0.0), TRUTH, 0)
    assert np.array_equal(exact.values, TRUTH.value(exact.points)[:, 0]) and exact.level == 0
    assert sensors_for(LAPLACE, Transfer(sensors=0), TRUTH, 0) is None
    assert sensors_for(LAPLACE, Transfer(sensors=0), None, 0) is None


def test_sensors_need_a_reference() -> None:
    with pytest.raises(BadInput, match=r"no reference.*task\.sensors=0, or give task\.data=FILE") as refused:
        sensors_for(LAPLACE, Transfer(), None, 0)
    assert refused.value.key == "task.sensors"


# --- how much they count ----------------------------------------------------------------------------------------------


def sensors(level: float) -> Sensors:
    return Sensors(np.array([[0.1, 0.2], [0.3, 0.4]]), np.array([1.0, 2.0]), np.array([level, 2 * level]), level)


def test_data_count_as_much_as_their_noise_allows() -> None:
    """Rows √weight · noise are as small as the accuracy of a complete problem; exact data are like all else."""
    for level in (1e-2, 0.3, 1e-5):
        assert sensors(level).condition("u", None, complete=True).weight**0.5 * level == pytest.approx(EXACT)
    for level in (0.0, 1e-12):
        assert sensors(level).condition("u", None, complete=True).weight == 1.0


@pytest.mark.parametrize("level", [0.0, 0.01, 0.3])
def test_where_a_problem_is_open_its_noise_is_told_and_weighs_later(level: float) -> None:
    condition = sensors(level).condition("u", None, complete=False)
    assert condition.weight == 1.0
    assert condition.noise == (pytest.approx(level / 0.5) if level else None)  # values vary by 0.5


@pytest.mark.parametrize("complete", [False, True])
def test_a_weight_that_was_asked_for_is_the_weight(complete: bool) -> None:
    """No noise changes it, here or later."""
    for level in (0.0, 0.01):
        condition = sensors(level).condition("u", 7.0, complete)
        assert condition.weight == 7.0 and condition.noise is None


def test_data_are_on_the_field_that_is_asked_for() -> None:
    condition = sensors(0.1).condition("v", None, complete=False)
    values = {name: torch.from_numpy(column) for name, column in condition.values.items()}
    rows = condition.residual(u=torch.zeros(2), v=torch.tensor([1.5, 4.0]), **values)
    assert rows.tolist() == pytest.approx([0.5, 1.0])


def test_each_row_of_data_is_divided_by_its_own_noise() -> None:
    condition = sensors(0.01).condition("u", None, complete=True)
    assert condition.values["measured"].tolist() == [1.0, 2.0] and condition.values["spread"].tolist() == [1.0, 2.0]
    assert sensors(0.0).condition("u", None, complete=True).values["spread"].tolist() == [1.0, 1.0]


# --- from a file ------------------------------------------------------------------------------------------------------


def written(path: Path, header: str, rows: np.ndarray) -> str:
    np.savetxt(path, rows, delimiter=",", header=header, comments="")
    return str(path)


def test_data_are_read_from_a_file_with_their_noise(tmp_path: Path) -> None:
    rows = np.array([[1.5, 0.2, 0.3, 0.01], [2.5, 0.4, 0.1, 0.03]])
    found = sensors_for(LAPLACE, Transfer(data=written(tmp_path / "a.csv", "u,x,y,sigma", rows)), None, 0)
    np.testing.assert_array_equal(found.points, rows[:, 1:3])
    np.testing.assert_array_equal(found.values, rows[:, 0])
    np.testing.assert_array_equal(found.sigma, rows[:, 3])
    assert found.level == pytest.approx((5e-4) ** 0.5 / 0.5)  # root mean square, in units of the spread of the values


def test_data_without_noise_of_their_own_have_that_of_the_task(tmp_path: Path) -> None:
    file = written(tmp_path / "a.csv", "x,y,u", np.array([[0.2, 0.3, 1.5], [0.4, 0.1, 2.5]]))
    found = sensors_for(LAPLACE, Transfer(data=file, noise=0.02), None, 0)
    np.testing.assert_allclose(found.sigma, 0.02 * 0.5)
    assert found.level == pytest.approx(0.02)
    assert sensors_for(LAPLACE, Transfer(data=file, noise=0.0), None, 0).level == 0
    alone = written(tmp_path / "b.csv", "x,y,u", np.array([[0.2, 0.3, 1.5]]))
    assert sensors_for(LAPLACE, Transfer(data=alone, noise=0.02), None, 0).level == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("header", "rows", "words"),
    [
        ("x,y,u", [[0.2, 0.3, 1.0], [0.2, 1.3, 1.0]], ["measurement 2", "[0.2, 1.3]", "outside"]),
        ("x,y,t", [[0.2, 0.3, 1.0]], ["0 columns 'u'"]),
        ("x,u", [[0.2, 0.3]], ["0 columns 'y'"]),
        ("x,y,u,sigma", [[0.2, 0.3, 1.0, 0.1], [0.2, 0.4, 1.0, 0.0]], ["measurement 2", "[0.2, 0.4]", "sigma", "> 0"]),
        ("x,y,u,sigma", [[0.2, 0.3, 1.0, -0.1]], ["measurement 1", "[0.2, 0.3]", "sigma", "> 0"]),
    ],
)
def test_data_that_do_not_fit_the_problem_are_refused(tmp_path: Path, header: str, rows, words) -> None:
    file = written(tmp_path / "mine.csv", header, np.array(rows))
    with pytest.raises(BadInput) as refused:
        sensors_for(LAPLACE, Transfer(data=file), None, 0)
    for word in (*words, "mine.csv"):
        assert word in str(refused.value)
    assert refused.value.key == "task.data" and len(str(refused.value).splitlines()) == 1


def test_data_that_are_not_there_are_refused() -> None:
    with pytest.raises(BadInput, match=r"task\.data: nosuch\.csv: it cannot be read"):
        sensors_for(LAPLACE, Transfer(data="nosuch.csv"), None, 0)
