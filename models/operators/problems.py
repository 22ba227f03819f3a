"""What is wrong with an operator as a person describes it: every mistake, as a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from models.platform.errors import InvalidError


class Remedy(StrEnum):
    """What a person can do about a problem; the command line puts it into words."""

    ROTATE = "rotate"
    ADD_PUBLISHER = "add_publisher"


@dataclass(frozen=True, slots=True)
class OperatorProblem:
    """One mistake, as a sentence. *field*: the term or moment at fault, by its name here.

    *operator*: the code of the operator, where several are checked together.
    """

    text: str
    field: str | None = None
    operator: str | None = None
    remedy: Remedy | None = None

    def __str__(self) -> str:
        return self.text if self.operator is None else f"{self.operator}: {self.text}"


class OperatorInvalid(InvalidError):
    """An operator cannot be as described, for each of *problems*."""

    def __init__(self, problems: Sequence[OperatorProblem]) -> None:
        """Keep the problems; the message is all of them."""
        self.problems = tuple(problems)
        super().__init__("; ".join(map(str, self.problems)))
