"""Measured data: drawn from a reference with the noise asked for, or read from a file, and how much they count."""

from pathlib import Path

import numpy as np
import pytest
from helpers import laplace
from runs import grid

from pinnkit.errors import BadInput
from pinnkit.reference.derived import Exact
from pinnkit.sensors import Sensors, sensors_for
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
    """Rows √weight · noise are as small as the accuracy that data must not spoil; exact data are like all else."""
    for level, accuracy in ((1e-2, 1e-9), (0.3, 1e-6), (1e-5, 1e-6)):
        assert sensors(level).condition("u", accuracy, None).weight**0.5 * level == pytest.approx(accuracy)
    assert sensors(0.0).condition("u", 1e-9, None).weight == 1.0
    assert sensors(1e-12).condition("u", 1e-9, None).weight == 1.0
    for level in (0.0, 0.01):
        assert sensors(level).condition("u", 1e-9, 7.0).weight == 7.0


def test_each_row_of_data_is_divided_by_its_own_noise() -> None:
    condition = sensors(0.01).condition("u", 1e-9, None)
    assert condition.values["measured"].tolist() == [1.0, 2.0] and condition.values["spread"].tolist() == [1.0, 2.0]
    assert sensors(0.0).condition("u", 1e-9, None).values["spread"].tolist() == [1.0, 1.0]


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
    ],
)
def test_data_that_do_not_fit_the_problem_are_refused(tmp_path: Path, header: str, rows, words) -> None:
    file = written(tmp_path / "mine.csv", header, np.array(rows))
    with pytest.raises(BadInput) as refused:
        sensors_for(LAPLACE, Transfer(data=file), None, 0)
    for word in (*words, "mine.csv"):
        assert word in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_data_that_are_not_there_are_refused() -> None:
    with pytest.raises(BadInput, match=r"nosuch\.csv: it cannot be read"):
        sensors_for(LAPLACE, Transfer(data="nosuch.csv"), None, 0)
