"""Progress on stderr: a bar on a terminal, a line in the log every few seconds elsewhere."""

import logging
import sys
import time

from tqdm import tqdm

INTERVAL = 5.0  # seconds between lines
log = logging.getLogger(__name__)


class Progress:
    """Shows steps, loss and error of a training run; use as a context manager."""

    def __init__(self, most: int, visible: bool) -> None:
        bar = visible and sys.stderr.isatty()
        self._bar = tqdm(total=most, unit="step", leave=False, dynamic_ncols=True) if bar else None
        self._visible, self._last = visible, time.monotonic()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, step: int, loss: float, relative_l2: float | None) -> None:
        """Tell how far it is; `relative_l2` where it was just evaluated."""
        error = "" if relative_l2 is None else f"  relative L2 {relative_l2:.2e}"
        if self._bar is not None:
            self._bar.update(step - self._bar.n)
            self._bar.set_postfix_str(f"loss {loss:.2e}{error}")
        elif self._visible and time.monotonic() - self._last > INTERVAL:
            self._last = time.monotonic()
            log.info("step %d  loss %.2e%s", step, loss, error)
