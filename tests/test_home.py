"""conf/ and problems/ are found inside the package, or beside it."""

from pathlib import Path

import pytest

from pinnkit import home


def test_a_checkout_has_them_beside_the_package():
    assert home.folder("conf") == Path(home.__file__).parent.parent / "conf"
    assert (home.folder("problems") / "heat_lshape.py").is_file()


def test_a_wheel_has_them_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "pinnkit" / "conf").mkdir(parents=True)
    monkeypatch.setattr(home, "_PACKAGE", tmp_path / "pinnkit")
    assert home.folder("conf") == tmp_path / "pinnkit" / "conf"
    assert home.folder("problems") == tmp_path / "problems"
