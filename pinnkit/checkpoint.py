"""Checkpoints: one file, written atomically, hashed, and self-describing.

A line `pinnkit checkpoint 1 <sha256>` stands before the bytes of `torch.save`. A killed process leaves the former file
whole; a flipped bit or a torn file is noticed before anything is unpickled, and only tensors and plain values are.
"""

import hashlib
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pinnkit.errors import CheckpointUnusable
from pinnkit.files import write_atomically

FORMAT = 1
MAGIC = b"pinnkit checkpoint"


def write(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint in place of a former one. Raises OutputFailed; the former one is then still whole.

    Numbers of numpy become plain ones, which is all that `read` lets in.
    """
    buffer = io.BytesIO()
    torch.save(_plain(content), buffer)
    payload = buffer.getvalue()
    header = b"%s %d %s\n" % (MAGIC, FORMAT, hashlib.sha256(payload).hexdigest().encode())
    write_atomically(path, header + payload)


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


def _plain(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    return content.item() if isinstance(content, np.generic) else content


def _unusable(file: Path, reason: str) -> CheckpointUnusable:
    return CheckpointUnusable(f"{file}: {reason}; give another checkpoint or start anew")
