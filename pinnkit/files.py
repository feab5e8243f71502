"""Files that are either written whole or left as they were."""

import os
import tempfile
from pathlib import Path

from pinnkit.errors import OutputFailed


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
