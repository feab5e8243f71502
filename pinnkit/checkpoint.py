"""Checkpoints: one file, written atomically, hashed, and self-describing.

A line `pinnkit checkpoint 1 <sha256>` stands before the bytes of `torch.save`. A killed process leaves the former file
whole; a flipped bit or a torn file is noticed before anything is unpickled, and only tensors and plain values are.
"""

import hashlib
import io
import os
import tempfile
from pathlib import Path
from typing import Any

import torch

from pinnkit.errors import CheckpointUnusable, OutputFailed

FORMAT = 1
MAGIC = b"pinnkit checkpoint"


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint in place of a former one. Raises OutputFailed; the former one is then still whole."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    payload = buffer.getvalue()
    header = b"%s %d %s\n" % (MAGIC, FORMAT, hashlib.sha256(payload).hexdigest().encode())
    write_atomically(path, header + payload)


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file by other content, or leave it as it is. Raises OutputFailed."""
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = file.name
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as reason:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
        raise OutputFailed(
            f"{path}: it cannot be written ({reason.strerror}); free some space or choose another folder"
        ) from None


def read(path: Path) -> dict[str, Any]:
    """The content of a checkpoint, given as a file or as a run folder. Raises CheckpointUnusable."""
    file = path / "checkpoints" / "last.pt" if path.is_dir() else path
    try:
        header, _, payload = file.read_bytes().partition(b"\n")
    except OSError as reason:
        raise _unusable(file, str(reason.strerror)) from None
    words = header.split()
    if not header.startswith(MAGIC) or len(words) != 4:
        raise _unusable(file, "it is not a checkpoint of pinnkit, or an empty or cut one")
    if words[2] != b"%d" % FORMAT:
        raise _unusable(file, f"its format is {words[2].decode(errors='replace')}, this version reads {FORMAT}")
    if hashlib.sha256(payload).hexdigest().encode() != words[3]:
        raise _unusable(file, "it is damaged: its contents do not match its checksum")
    try:
        content = torch.load(io.BytesIO(payload), weights_only=True, map_location="cpu")
    except Exception as reason:  # unpickling foreign bytes can raise anything
        raise _unusable(file, f"it cannot be read ({type(reason).__name__})") from None
    if not isinstance(content, dict) or "solution" not in content:
        raise _unusable(file, "it holds no solution")
    return content


def _unusable(file: Path, reason: str) -> CheckpointUnusable:
    return CheckpointUnusable(f"{file}: {reason}; give another checkpoint or start anew")
