"""Checkpoints: what was written comes back exactly, or is refused in one line; a former one survives every accident."""

import errno
import hashlib
import io
import os
import pickle
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pinnkit import checkpoint
from pinnkit.errors import CheckpointUnusable, OutputFailed

CONTENT = {
    "solution": {"network": {"weight": torch.tensor([[1 / 3, -0.0, 1e-320]], dtype=torch.float64)}, "fields": ["u"]},
    "training": {"step": 7, "seconds": 0.1, "history": [{"step": 1, "loss": 2.5, "relative_l2": None}]},
}


def same(a: object, b: object) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    return a == b


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("checkpoint") / "a.pt"
    checkpoint.write(path, CONTENT)
    return path.read_bytes()


def assert_refused(path: Path, *words: str) -> None:
    with pytest.raises(CheckpointUnusable) as refusal:
        checkpoint.read(path)
    message = str(refusal.value)
    assert message.startswith(f"{path}: ") and "; " in message and "\n" not in message
    assert all(word in message for word in words), message


def stamped(payload: bytes, version: int = checkpoint.FORMAT) -> bytes:
    """Any payload under the header of a checkpoint."""
    return b"%s %d %s\n" % (checkpoint.MAGIC, version, hashlib.sha256(payload).hexdigest().encode()) + payload


def test_what_was_written_comes_back_exactly(tmp_path):
    checkpoint.write(tmp_path / "deep" / "down" / "a.pt", CONTENT)
    assert same(checkpoint.read(tmp_path / "deep" / "down" / "a.pt"), CONTENT)
    assert [path.name for path in (tmp_path / "deep" / "down").iterdir()] == ["a.pt"]


def test_a_run_folder_stands_for_its_last_checkpoint(tmp_path):
    checkpoint.write(tmp_path / "checkpoints" / "last.pt", CONTENT)
    assert same(checkpoint.read(tmp_path), CONTENT)


def test_others_may_read_it(tmp_path):
    checkpoint.write(tmp_path / "a.pt", CONTENT)
    assert (tmp_path / "a.pt").stat().st_mode & 0o777 == 0o644


# --- what cannot be used ----------------------------------------------------------------------------------------------


@given(st.data())
def test_no_flipped_bit_goes_unnoticed(intact, tmp_path_factory, data):
    position = data.draw(st.integers(0, len(intact) - 1))
    flipped = bytearray(intact)
    flipped[position] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path_factory.getbasetemp() / "flipped.pt"
    path.write_bytes(flipped)
    assert_refused(path)


@given(st.data())
def test_no_cut_goes_unnoticed(intact, tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "cut.pt"
    path.write_bytes(intact[: data.draw(st.integers(0, len(intact) - 1))])
    assert_refused(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["not a checkpoint of pinnkit"]),
        (b"hello, world\n", ["not a checkpoint of pinnkit"]),
        (b"\n\n\n", ["not a checkpoint of pinnkit"]),
        (bytes(range(256)), ["not a checkpoint of pinnkit"]),
        (b"pinnkit checkpoint", ["not a checkpoint of pinnkit"]),
        (stamped(b"", version=2), ["its format is 2", "reads 1"]),
        (stamped(b""), ["cannot be read"]),
        (stamped(b"hello"), ["cannot be read"]),
        (stamped(b"eggs and ham"), ["cannot be read"]),
        (stamped(b"\x80"), ["cannot be read"]),
        (stamped(pickle.dumps({"a": 1})), []),
        (stamped(pickle.dumps({"a": 1})[:-3]), ["cannot be read"]),
        (stamped(b"PK\x03\x04 torn"), ["cannot be read"]),
    ],
)
def test_what_is_no_checkpoint_is_refused_with_its_reason(tmp_path, content, words):
    (tmp_path / "a.pt").write_bytes(content)
    assert_refused(tmp_path / "a.pt", *words)


@given(st.binary(max_size=40))
def test_any_other_payload_is_refused_even_with_its_checksum(tmp_path_factory, payload):
    path = tmp_path_factory.getbasetemp() / "any.pt"
    path.write_bytes(stamped(payload))
    assert_refused(path)


@pytest.mark.parametrize("content", [[1, 2], 3, None, "text", torch.zeros(2)], ids=repr)
def test_what_holds_no_mapping_is_refused(tmp_path, content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    (tmp_path / "a.pt").write_bytes(stamped(buffer.getvalue()))
    assert_refused(tmp_path / "a.pt")


def test_a_missing_file_and_a_folder_without_one_are_refused(tmp_path):
    assert_refused(tmp_path / "nosuch.pt", "No such file")
    with pytest.raises(CheckpointUnusable, match=r"last\.pt: No such file"):
        checkpoint.read(tmp_path)


class Evil:
    """Unpickling this makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.path),))


def test_no_code_in_a_checkpoint_is_run(tmp_path):
    buffer = io.BytesIO()
    torch.save({"solution": Evil(tmp_path / "evil")}, buffer)
    (tmp_path / "a.pt").write_bytes(stamped(buffer.getvalue()))
    assert_refused(tmp_path / "a.pt", "cannot be read")
    assert not (tmp_path / "evil").exists()
    with zipfile.ZipFile(buffer) as archive:  # it would have been run by an ordinary unpickler
        pickle.loads(archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl"))))
    assert (tmp_path / "evil").exists()


# --- accidents while writing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("where", "number"), [("os.replace", errno.EIO), ("os.fsync", errno.ENOSPC)])
def test_a_failed_write_leaves_the_former_one_and_nothing_else(tmp_path, monkeypatch, where, number):
    path = tmp_path / "a.pt"
    checkpoint.write(path, CONTENT)

    def fail(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(where, fail)
    with pytest.raises(OutputFailed, match=os.strerror(number)) as failure:
        checkpoint.write(path, {"solution": {}})
    assert str(failure.value).startswith(f"{path}: ") and failure.value.exit_code == 6
    monkeypatch.undo()
    assert same(checkpoint.read(path), CONTENT)
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_an_output_failure(tmp_path):
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(OutputFailed):
        checkpoint.write(tmp_path / "taken" / "a.pt", CONTENT)
    assert (tmp_path / "taken").read_text() == "mine"


WRITER = """
import sys, torch
from pathlib import Path
from pinnkit import checkpoint
for step in range(10**9):
    content = {"solution": {}, "step": step, "weight": torch.full((20000,), float(step))}
    checkpoint.write(Path(sys.argv[1]), content)
"""


def test_a_killed_process_leaves_a_whole_checkpoint(tmp_path):
    path = tmp_path / "a.pt"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)]) as process:
        try:
            while not path.exists():
                assert process.poll() is None
                time.sleep(0.01)
            for _ in range(20):
                kept = checkpoint.read(path)  # at any moment, too, while it is written
                assert bool((kept["weight"] == kept["step"]).all())
                time.sleep(0.007)
        finally:
            process.kill()
    kept = checkpoint.read(path)
    assert kept["step"] > 0 and bool((kept["weight"] == kept["step"]).all())
