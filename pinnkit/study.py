"""Problems that are no boundary-value problems: what is known of a quantity, from which a model of it is made."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from pinnkit.errors import BadInput
from pinnkit.settings import Settings, Solve, Task

ALWAYS = ("problem", "seed", "tolerance", "resume", "overwrite")  # settings that mean something to all


@dataclass(frozen=True, eq=False, kw_only=True)
class Study(ABC):
    """Data and choices, with a name and a description as of any problem.

    A `title` takes the place of the first line of the description, where that would not be true of a user's own data.
    """

    tasks: ClassVar[tuple[type[Task], ...]] = (Solve,)
    uses: ClassVar[tuple[str, ...]] = ()  # settings, or whole groups of them, that change the answer

    name: str = "study"
    description: str = ""
    title: str = ""

    @abstractmethod
    def answer(self, settings: Settings) -> Any:
        """The model, judged: a `finding.Finding`, by settings that have been checked. Raises BadInput."""

    def check(self, settings: Settings) -> None:
        """Raises BadInput for tasks that make no sense here, and for settings that would change nothing."""
        if not isinstance(settings.task, self.tasks):
            others = [f"task={task.name}" for task in self.tasks if task is not Solve]
            remedy = f"write {' or '.join(others)}, or leave it out" if others else "leave it out"
            raise BadInput("task", f"{settings.problem.name} has data and no equation", remedy)
        for key, value in settings.chosen().items():
            if not key.startswith((*ALWAYS, *self.uses)) and (key, value) != ("device", "cpu"):
                what = f"{settings.problem.name} does not use it"
                raise BadInput(key.removesuffix(".name"), what, "leave it out")
