"""Problems that are no boundary-value problems: what is known of a quantity, from which a model of it is made."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from pinnkit.settings import Settings


@dataclass(frozen=True, eq=False, kw_only=True)
class Study(ABC):
    """Data and choices, with a name and a description as of any problem."""

    name: str = "study"
    description: str = ""

    @abstractmethod
    def answer(self, settings: Settings) -> Any:
        """The model, judged: a `finding.Finding`. Raises BadInput, also for a task that makes no sense here."""

    def check(self, settings: Settings) -> None:  # noqa: B027 -- most studies take whatever is set
        """Raises BadInput where what is asked for makes no sense, before anything is computed or written."""
