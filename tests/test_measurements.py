"""Measured data from CSV files: what is read, and what is refused with file, line and column."""

from pathlib import Path

import numpy as np
import pytest

from pinnkit.errors import BadInput
from pinnkit.measurements import read_columns, read_csv


@pytest.fixture
def read(tmp_path: Path):
    def call(content: str | bytes):
        path = tmp_path / "sensors.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_csv(path, ("x", "y"), "value")

    return call


READ = {
    "plain": "x,y,value\n1,2,3\n4,5,6\n",
    "byte order mark": "\ufeffx,y,value\n1,2,3\n4,5,6\n",
    "windows": "x,y,value\r\n1,2,3\r\n4,5,6\r\n",
    "no last newline": "x,y,value\n1,2,3\n4,5,6",
    "blanks and quotes": 'x, y, value\n1, 2, 3\n"4", 5.0, 6e0\n',
    "empty lines": "x,y,value\n\n1,2,3\n\n4,5,6\n\n",
    "other columns and order": "id,value,y,x\na,3,2,1\nb,6,5,4\n",
}


@pytest.mark.parametrize("name", READ)
def test_columns_are_read_by_name(read, name: str) -> None:
    points, values = read(READ[name])
    np.testing.assert_array_equal(points, [[1, 2], [4, 5]])
    np.testing.assert_array_equal(values, [3, 6])


def test_digits_are_kept(read) -> None:
    points, values = read("x,y,value\n0.1,-1e-300,12345678.123456789\n")
    assert points.tolist() == [[0.1, -1e-300]] and values.tolist() == [12345678.123456789]


REFUSED = {
    "missing column": ("x,value\n1,2\n", ["columns 'y'", "x, value"]),
    "no header": ("1,2,3\n4,5,6\n", ["columns 'x'", "begin with a line of names, not with 1,2,3"]),
    "semicolons": ("x;y;value\n1;2;3\n", ["columns 'x'", "'x;y;value'", "not by semicolons"]),
    "tabs": ("x\ty\tvalue\n1\t2\t3\n", ["columns 'x'", "not by tabs"]),
    "blanks": ("X y value\n1 2 3\n", ["columns 'x'", "'X y value'", "not by blanks"]),
    "capitals": ("X,Y,Value\n1,2,3\n", ["columns 'x'", "the columns are X, Y, Value", "if 'X' is meant"]),
    "units": ("x (m),y (m),value\n1,2,3\n", ["columns 'x'", "if 'x (m)' is meant, rename it 'x'"]),
    "misspelt": ("x,y,values\n1,2,3\n", ["columns 'value'", "if 'values' is meant"]),
    "column twice": ("x,x,y,value\n1,2,3,4\n", ["2 columns 'x'"]),
    "underscore": ("x,y,value\n1_0,2,3\n", [".csv:2", "x is '1_0'"]),
    "empty file": ("", ["columns 'x'", "which is empty"]),
    "no rows": ("x,y,value\n", ["no rows"]),
    "not a number": ("x,y,value\n1,2,3\n4,5,warm\n", [".csv:3", "value is 'warm'"]),
    "nan": ("x,y,value\n1,nan,3\n", [".csv:2", "y is 'nan'"]),
    "infinite": ("x,y,value\n1,2,inf\n", [".csv:2", "value is 'inf'"]),
    "gap": ("x,y,value\n1,,3\n", [".csv:2", "y is ''"]),
    "short row": ("x,y,value\n1,2,3\n1,2\n", [".csv:3", "value"]),
    "decimal commas": ("x,y,value\n0,1,0,2,1,5\n", [".csv:2"]),
    "one decimal comma": ("x,y,value\n1,2,3\n1,2,1,5\n", [".csv:3"]),
    "quoted decimal comma": ('x,y,value\n1,2,"1,5"\n', [".csv:2", "'1,5'", "decimals with a point"]),
    "not text": (b"\xff\xfe\x00\x01", ["UTF-8"]),
    "latin letters": ("x,y,value\n1,2,3 \xb0C\n".encode("latin-1"), ["UTF-8"]),
    "huge field": ("x,y,value\n1,2," + "1" * 200_000 + "\n", ["sensors.csv"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_the_place(read, name: str) -> None:
    content, words = REFUSED[name]
    with pytest.raises(BadInput) as refused:
        read(content)
    text = str(refused.value)
    assert text.startswith("data: ") and "sensors.csv" in text and "; " in text and len(text.splitlines()) == 1
    for word in words:
        assert word in text


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.csv", tmp_path):
        with pytest.raises(BadInput, match="cannot be read"):
            read_csv(path, ("x",), "value")


WITH_SIGMA, WITHOUT = "u,x,sigma\n1,2,0.1\n3,4,0.2\n", "u,x\n1,2\n3,4\n"


@pytest.mark.parametrize(("content", "table"), [(WITH_SIGMA, [[2, 1, 0.1], [4, 3, 0.2]]), (WITHOUT, [[2, 1], [4, 3]])])
def test_a_column_that_may_be_missing_is_read_where_it_is_there(tmp_path: Path, content: str, table) -> None:
    path = tmp_path / "data.csv"
    path.write_text(content)
    np.testing.assert_array_equal(read_columns(path, ["x", "u"], ["sigma"]), table)
    np.testing.assert_array_equal(read_columns(path, ["x", "u"]), np.array(table)[:, :2])


def test_a_column_that_may_be_missing_is_as_complete_as_the_others(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("x,u,sigma\n1,2,0.1\n3,4,\n")
    with pytest.raises(BadInput, match=r"data\.csv:3: sigma is ''"):
        read_columns(path, ["x", "u"], ["sigma"])
    path.write_text("x,sigma\n1,0.1\n")
    with pytest.raises(BadInput, match="0 columns 'u'"):
        read_columns(path, ["x", "u"], ["sigma"])


@pytest.mark.parametrize("name", ["Sigma", "SIGMA", "sigma (K)", "sigma/K"])
def test_a_column_that_may_be_missing_is_not_missed_for_its_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / "data.csv"
    path.write_text(f"x,u,{name}\n1,2,3\n")
    with pytest.raises(BadInput) as refused:
        read_columns(path, ["x", "u"], ["sigma"])
    assert f"data.csv: column {name!r} would not be read; rename it 'sigma', or leave it out" in str(refused.value)
    assert read_columns(path, ["x", "u"]).tolist() == [[1, 2]]


def test_other_columns_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("x,u,sigma_x,sigma,X\n1,2,a,0.1,b\n")
    assert read_columns(path, ["x", "u"], ["sigma", "x_sigma"]).tolist() == [[1, 2, 0.1]]
